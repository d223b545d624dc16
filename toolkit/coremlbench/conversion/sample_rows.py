"""Which rows of a dataset are taken when a few of them do."""

from __future__ import annotations


def spread(there: int, count: int) -> list[int]:
    """Return ``count`` row numbers evenly spread over those there are, all of them when there are fewer."""
    if there <= count:
        return list(range(there))
    return [index * there // count for index in range(count)]
