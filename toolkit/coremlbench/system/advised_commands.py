"""Command lines that messages advise, quoted so that they work when they are pasted into a shell."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from coremlbench.system.paths import results_folder


def advised_command(*words: str | Path, results: Path | None = None) -> str:
    """Return a command line of coremlbench for a POSIX shell, without the quotation marks of a message around it.

    Paths below the working directory are relative. ``results`` is the folder of records that the command needs: it is
    added as ``--results`` unless it is the default.
    """
    arguments = [_argument(word) for word in words]
    if results is not None and not is_default_results(results):
        arguments += ["--results", _argument(results)]
    return shlex.join(["coremlbench", *arguments])


def is_default_results(results: Path) -> bool:
    """Return whether ``results`` is the folder that commands take without ``--results``."""
    return os.path.abspath(results) == os.path.abspath(results_folder())  # noqa: PTH100 - resolves no links


def _argument(word: str | Path) -> str:
    """Return a word as it is, and a path so that no command takes it for an option."""
    if isinstance(word, str):
        return word
    path = word.relative_to(Path.cwd()) if word.is_absolute() and word.is_relative_to(Path.cwd()) else word
    return f"./{path}" if str(path).startswith("-") else str(path)
