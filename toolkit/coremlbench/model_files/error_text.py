"""Shorten the error messages of TensorFlow and Keras to one line."""

from __future__ import annotations

import re

COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")
BOLD_TEXT = re.compile(r"\x1b\[1m(.+?)\x1b\[0m", re.DOTALL)
EXCEPTION_LINE = re.compile(r"^\s*\w+(?:Error|Exception): (.+)$", re.MULTILINE)
"""An exception at the end of a traceback, as TensorFlow puts it into messages that start with "in user code:"."""
INNER_EXCEPTION = re.compile(r"Exception encountered: |Example error message for object <[^>]*>:\s*")
"""Keras puts these between its message on a layer and the message of the exception that it caught."""
CONFIGURATION = re.compile(r"\.?\s*(Full object config: |using config=|config=)\{.*")
"""A dictionary that Keras prints; it says nothing that the sentence before it does not say."""
MAX_CHARACTERS = 300
GRAPH_NODE = re.compile(r"'\{\{node (\S+?)\}\}.*")
"""A graph node with all its attributes; the message keeps its name only."""


def error_line(error: Exception) -> str:
    """Return the line of an exception's message that gives the reason, 300 characters at most, without colour codes.

    Keras prints the reason in bold, between the layer and its arguments, or after the configuration of each layer that
    contains the one with the error. TensorFlow prints a traceback before it.
    """
    text = str(error).strip()
    bold, exceptions = BOLD_TEXT.findall(text), EXCEPTION_LINE.findall(text)
    if bold:
        text = bold[-1]
    elif exceptions and text.startswith("in user code"):
        text = exceptions[-1]
    text = COLOUR_CODES.sub("", INNER_EXCEPTION.split(text)[-1]).strip()
    (line, *_) = text.splitlines() or [type(error).__name__]
    line = CONFIGURATION.sub("", GRAPH_NODE.sub(r"'\1'", line)).rstrip(" .:")
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS].rpartition(' ')[0]} …"
