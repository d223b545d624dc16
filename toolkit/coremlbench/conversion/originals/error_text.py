"""What foreign code says when it fails, in a line that fits into a sentence."""

from __future__ import annotations

import re

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
BOLD = re.compile(r"\x1b\[1m(.+?)\x1b\[0m", re.DOTALL)
RAISED = re.compile(r"^\s*\w+(?:Error|Exception): (.+)$", re.MULTILINE)
"""What was raised, below the lines of code with which TensorFlow tells where ("in user code: ...")."""
NODE = re.compile(r"'\{\{node (\S+?)\}\}.*")
"""A node of a graph with all its attributes, of which its name is enough."""


def reason_of(problem: Exception) -> str:
    """Return the first line of why something failed, 300 characters at most, without colours for terminals.

    Keras writes its reason in bold, between the layer that it called and the arguments; TensorFlow writes lines of
    code before it.
    """
    text = str(problem).strip()
    bold, raised = BOLD.findall(text), RAISED.findall(text)
    told = bold[-1] if bold else raised[-1] if raised and text.startswith("in user code") else text
    (line, *_) = COLOURS.sub("", told).strip().splitlines() or [type(problem).__name__]
    return NODE.sub(r"'\1'", line)[:300]
