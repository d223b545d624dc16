"""Create ML's validation split."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from coremlbench.types.data import LabelledImage


def validation_size(images: int) -> int:
    """Return how many training images Create ML holds back: none under 50, 10% to 199, 5% from 200."""
    if images < 50:
        return 0
    return images // 10 if images < 200 else images // 20


def split_validation(
    images: Sequence[LabelledImage], seed: int
) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """Return the training images less the validation images, and the validation images, both in their old order.

    Stratified: each class gives its share, and the classes with the largest remainders one more.
    """
    size = validation_size(len(images))
    by_class: dict[int, list[int]] = {}
    for index, image in enumerate(images):
        by_class.setdefault(image.label, []).append(index)
    shares = {label: size * len(members) / max(len(images), 1) for label, members in by_class.items()}
    counts = {label: math.floor(share) for label, share in shares.items()}
    for label in sorted(shares, key=lambda each: (counts[each] - shares[each], each))[: size - sum(counts.values())]:
        counts[label] += 1
    generator = random.Random(f"validation {seed}")
    held = {index for label in sorted(by_class) for index in generator.sample(by_class[label], counts[label])}
    return (
        tuple(image for index, image in enumerate(images) if index not in held),
        tuple(image for index, image in enumerate(images) if index in held),
    )
