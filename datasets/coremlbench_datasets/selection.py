"""Choose images evenly and reproducibly: how many of each class, which ones, in which order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from coremlbench.types.errors import InputError

T = TypeVar("T")

PROTOCOL_TRAIN = 7500
PROTOCOL_TEST = 2500
"""Images of the article's Create ML run, over ten classes."""


def even_shares(total: int, available: Sequence[int]) -> list[int]:
    """Return how many images to take of each class so that the counts sum to ``total`` and are as even as can be.

    Classes that have too few give all they have and the others make up for it; what does not divide goes to the
    first classes.

    Raises:
        ValueError: there are fewer than ``total``.
    """
    if total > sum(available):
        raise ValueError(f"{total} of {sum(available)}")
    shares = [0] * len(available)
    while (left := total - sum(shares)) > 0:
        open_classes = [label for label, count in enumerate(available) if shares[label] < count]
        each = left // len(open_classes)
        for label in open_classes if each else open_classes[:left]:
            shares[label] += min(max(each, 1), available[label] - shares[label])
    return shares


def shuffled(items: Iterable[T], *key: object) -> list[T]:
    """Return the items in an order that depends on ``key`` alone, the same on every machine."""
    # A generator seeded by text is the same in every Python since 3.2 (random.seed, version 2).
    mixed = list(items)
    random.Random("/".join(map(str, key))).shuffle(mixed)
    return mixed


def split(count: int) -> tuple[int, int]:
    """Return how many of a class's ``count`` images are for training and for testing: three of four, as 7500 / 2500.

    Both get one at least; ``count`` is two or more.
    """
    test = min(max(1, round(count / 4)), count - 1)
    return count - test, test


def check_counts(name: str, classes: int, asked: tuple[int | None, int | None], there: tuple[int, int]) -> None:
    """Raise an ``InputError`` unless ``asked`` (training, test) images can be had of the ``there`` ones."""
    for option, kind, wanted, available in (
        ("--train", "training", asked[0], there[0]),
        ("--test", "test", asked[1], there[1]),
    ):
        if wanted is not None and wanted > available:
            raise InputError(
                f"{name} has {available:,} {kind} images and {option} asks for {wanted:,}; ask for fewer, or leave "
                "the option out to take them all."
            )
    if asked[0] is not None and asked[0] < classes:
        raise InputError(f"--train {asked[0]} leaves some of the {classes} classes of {name} without a picture.")
    if asked[1] is not None and asked[1] < 1:
        raise InputError(f"--test {asked[1]} leaves nothing to measure accuracy on; ask for one test image at least.")


def fingerprint(files: Iterable[tuple[str, int, Path]]) -> str:
    """Return one hash over the (name, label, path) of files and the paths' sizes, for a record's provenance."""
    digest = hashlib.sha256()
    for name, label, path in sorted(files):
        digest.update(f"{name}\0{label}\0{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
