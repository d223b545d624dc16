"""The validation split of Create ML: which training images it uses for validation."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from coremlbench.types.data import LabelledImage


def validation_size(images: int) -> int:
    """Return the number of validation images that Create ML takes: none of under 50 images, 10% to 199, 5% from 200."""
    if images < 50:
        return 0
    return images // 10 if images < 200 else images // 20


def split_validation(
    images: Sequence[LabelledImage], seed: int
) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """Return the remaining training images and the validation images, both in the original order.

    The split is stratified: each class contributes its share, rounded by the largest-remainder method.
    """
    size = validation_size(len(images))
    by_class: dict[int, list[int]] = {}
    for index, image in enumerate(images):
        by_class.setdefault(image.label, []).append(index)
    shares = {label: size * len(members) / max(len(images), 1) for label, members in by_class.items()}
    counts = {label: math.floor(share) for label, share in shares.items()}
    by_remainder = sorted(shares, key=lambda label: (counts[label] - shares[label], label))
    for label in by_remainder[: size - sum(counts.values())]:
        counts[label] += 1
    generator = random.Random(f"validation {seed}")
    validation = {index for label in sorted(by_class) for index in generator.sample(by_class[label], counts[label])}
    return (
        tuple(image for index, image in enumerate(images) if index not in validation),
        tuple(image for index, image in enumerate(images) if index in validation),
    )
