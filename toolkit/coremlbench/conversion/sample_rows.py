"""Choose a few rows of a dataset."""

from __future__ import annotations


def evenly_spaced(total: int, count: int) -> list[int]:
    """Return ``count`` evenly spaced row numbers below ``total``, or all row numbers when there are no more."""
    if total <= count:
        return list(range(total))
    return [index * total // count for index in range(count)]
