"""The features that benchmarks/solver.py trains on: those of some classes, and repeated rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.solver import LENGTH, Features, first_classes, repeated


def small(folder: Path) -> Features:
    """Six rows of three training images, one of validation and two of test; each row's numbers are its index."""
    np.repeat(np.arange(9, dtype=np.float32), LENGTH).tofile(folder / "all.f32")
    parts = {"train": (0, 6), "validation": (6, 7), "test": (7, 9)}
    return Features(folder / "all.f32", parts, {"train": [0, 2, 1], "validation": [2], "test": [1, 0]})


def first_numbers(features: Features) -> list[float]:
    numbers: list[float] = np.fromfile(features.path, np.float32).reshape(-1, LENGTH)[:, 0].tolist()
    return numbers


def test_the_first_classes_keep_all_copies_of_their_images(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    two = first_classes(small(tmp_path), 2, tmp_path / "two")
    assert first_numbers(two) == [0, 1, 4, 5, 7, 8]
    assert two.parts == {"train": (0, 4), "validation": (4, 4), "test": (4, 6)}
    assert two.labels == {"train": [0, 1], "validation": [], "test": [1, 0]}
    assert two.row_labels("train") == [0, 0, 1, 1]


def test_repeated_rows_begin_with_the_originals_and_vary_them(tmp_path: Path) -> None:
    (tmp_path / "three").mkdir()
    three = repeated(small(tmp_path), 3, tmp_path / "three")
    assert three.parts == {"train": (0, 18), "validation": (18, 19), "test": (19, 21)}
    assert three.row_labels("train") == [0, 0, 2, 2, 1, 1] * 3
    numbers = np.fromfile(three.path, np.float32).reshape(-1, LENGTH)
    assert numbers[:6, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert numbers[18:, 0].tolist() == [6, 7, 8]
    factors = numbers[7:12] / np.arange(1, 6)[:, None]
    assert 0.8 <= factors.min() < factors.max() <= 1.2
