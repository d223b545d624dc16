"""Select images evenly over the classes and reproducibly: numbers by class, order, split."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from coremlbench.system.formatting import format_count
from coremlbench.types.errors import InputError

T = TypeVar("T")

PROTOCOL_TRAIN = 7500
PROTOCOL_TEST = 2500
"""Images of the article's Create ML run, over ten classes."""


def even_shares(total: int, available: Sequence[int]) -> list[int]:
    """Return numbers of images by class that sum to ``total`` and are as equal as possible.

    Of classes with too few images all are taken, and more of the others. A remainder goes to the first classes.

    Raises:
        ValueError: there are fewer than ``total``.
    """
    if total > sum(available):
        raise ValueError(f"{total} of {sum(available)}")
    shares = [0] * len(available)
    while (left := total - sum(shares)) > 0:
        open_classes = [label for label, count in enumerate(available) if shares[label] < count]
        share = left // len(open_classes)
        for label in open_classes if share else open_classes[:left]:
            shares[label] += min(max(share, 1), available[label] - shares[label])
    return shares


def shuffled(items: Iterable[T], *key: object) -> list[T]:
    """Return the items in an order that depends on ``key`` alone, the same on every machine."""
    # A generator seeded by text is the same in every Python since 3.2 (random.seed, version 2).
    result = list(items)
    random.Random("/".join(map(str, key))).shuffle(result)
    return result


def evenly_spaced(total: int, count: int) -> list[int]:
    """Return ``count`` evenly spaced row numbers below ``total``, or all row numbers when there are no more."""
    if total <= count:
        return list(range(total))
    return [index * total // count for index in range(count)]


def split(count: int) -> tuple[int, int]:
    """Return how many of a class's ``count`` images are for training (three of four) and for testing.

    Both are one at least; ``count`` must be two or more.
    """
    test = min(max(1, round(count / 4)), count - 1)
    return count - test, test


def check_counts(name: str, classes: int, requested: tuple[int | None, int | None], available: tuple[int, int]) -> None:
    """Raise ``InputError`` if more (training, test) images are requested than available, or too few."""
    for option, kind, count, limit in (
        ("--train", "training", requested[0], available[0]),
        ("--test", "test", requested[1], available[1]),
    ):
        if count is not None and count > limit:
            raise InputError(
                f"{name} has {format_count(limit, f'{kind} image')} and {option} asks for {count:,}; ask for fewer, or "
                "leave the option out to take them all."
            )
    if requested[0] is not None and requested[0] < classes:
        raise InputError(f"--train {requested[0]} leaves some of the {classes} classes of {name} without a picture.")
    if requested[1] is not None and requested[1] < 1:
        raise InputError(
            f"--test {requested[1]} leaves nothing to measure accuracy on; ask for one test image at least."
        )


def fingerprint(files: Iterable[tuple[str, int, Path]]) -> str:
    """Return one hash over the names, labels and sizes of files, given as (name, label, path), for provenance."""
    digest = hashlib.sha256()
    for name, label, path in sorted(files):
        digest.update(f"{name}\0{label}\0{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
