"""Read the file of class names that lies beside a model, as Teachable Machine and others export it."""

from __future__ import annotations

import re
from pathlib import Path

LABELS_FILE = "labels.txt"
MAX_BYTES = 1 << 20
"""A larger file is not read; ImageNet's thousand names take 20 kB."""

NUMBERED = re.compile(r"(\d+) +(\S.*)")
"""A line of Teachable Machine: the number of the class, a space, its name."""


def labels_beside(model: Path) -> tuple[str, ...]:
    """Return the class names in the ``labels.txt`` beside a model, in the order of its outputs, or none.

    A file with a blank line, with one name twice or with other bytes than UTF-8 is not used.
    """
    file = model.parent / LABELS_FILE
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            return ()
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError):
        return ()
    names = _in_order(lines)
    return names if all(names) and len(set(names)) == len(names) else ()


def _in_order(lines: list[str]) -> tuple[str, ...]:
    """Return the names in the order of their numbers if all lines are numbered, from 0 on; else the lines."""
    matches = [NUMBERED.fullmatch(line) for line in lines]
    by_number = {int(match.group(1)): match.group(2) for match in matches if match is not None}
    if sorted(by_number) == list(range(len(lines))):
        return tuple(by_number[number] for number in range(len(lines)))
    return tuple(lines)
