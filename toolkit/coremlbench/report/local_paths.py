"""Shorten the local paths in a report's texts, so that they do not tell whose machine it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import PurePosixPath
from typing import Any, TypeVar

from coremlbench.runs.record_paths import RECORD_FILE

T = TypeVar("T")

SHORTENED = "…/"
_SYSTEM = (
    "usr",
    "opt",
    "lib",
    "lib64",
    "bin",
    "sbin",
    "etc",
    "dev",
    "proc",
    "sys",
    "System",
    "Library",
    "Applications",
)
"""Folders at the root that are the same on every machine: paths below them are left as they are."""
_ANCHORS = ("site-packages", "dist-packages")
"""Folders from which on a path is the same wherever an environment was installed."""
_QUOTED = re.compile(r"(?P<quote>['\"`])(?P<path>~?/[^'\"`\n]+)(?P=quote)")
_BARE = re.compile(
    r"(?<![\w.~/:<…\-])~?/(?:[^\s/'\"`:;,()<>|]+/)+[^\s/'\"`:;,()<>|]*|(?<![\w.~/:<…\-])/(?:Users|home)/\S+"
)
_KEPT_FIELDS = frozenset({"path", "jpeg", "sha256", "package_sha256", "id", "record", "records", "machine", "command"})
"""Fields of rows without texts that can hold a local path; links and commands are treated apart."""


def shorten_path(path: str) -> str:
    """Return an absolute path as "…/name"; of a record with its run, below an environment's packages with more."""
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or parts[1] in _SYSTEM:
        return path
    last = len(parts) - 2 if parts[-1] == RECORD_FILE else len(parts) - 1
    start = next((index for index, part in enumerate(parts) if part in _ANCHORS), last)
    return SHORTENED + "/".join(parts[start:])


def shorten_paths(text: str) -> str:
    """Return a text with its absolute paths, and those below a home folder, shortened; URLs are left as they are."""
    if "/" not in text:
        return text
    text = _QUOTED.sub(lambda match: f"{match['quote']}{shorten_path(match['path'])}{match['quote']}", text)
    return _BARE.sub(lambda match: shorten_path(match[0]), text)


def shorten_command(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command line with the program by its name and each path as "…/name"."""
    arguments = [_shorten_argument(argument) for argument in command]
    if arguments and PurePosixPath(command[0]).name in ("coremlbench", "__main__.py"):
        arguments[0] = "coremlbench"
    return tuple(arguments)


def _shorten_argument(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if equals and value.startswith(("/", "~/")):
        return f"{option}={shorten_path(value)}"
    return shorten_path(argument) if argument.startswith(("/", "~/")) else shorten_paths(argument)


def without_local_paths(value: T) -> T:
    """Return a report, or a part of one, with the paths in its texts and commands shortened; links stay."""
    result: Any = _shorten(value)
    return result  # type: ignore[no-any-return]  # it has the type of the argument


def _shorten(value: Any) -> Any:
    if isinstance(value, str):
        return shorten_paths(value)
    if isinstance(value, tuple):
        return tuple(_shorten(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for field in fields(value):
            old = getattr(value, field.name)
            if field.name == "command":
                new: Any = shorten_command(old)
            elif field.name in _KEPT_FIELDS and not is_dataclass(old) and not _holds_rows(old):
                continue
            else:
                new = _shorten(old)
            if new != old:
                changed[field.name] = new
        return replace(value, **changed) if changed else value
    return value


def _holds_rows(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and is_dataclass(value[0])
