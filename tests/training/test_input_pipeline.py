from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.training.input_pipeline import (
    Pictures,
    Rows,
    evaluation_batches,
    load_picture,
    open_splits,
    training_batches,
)
from coremlbench.types.errors import InputError, UnusableDataError
from tests.small_datasets import picture_folder, pictures

pytestmark = pytest.mark.tensorflow
SHAPE = (6, 5, 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = picture_folder(tmp_path_factory.mktemp("pictures"), 3, 1, side=16)
    return sorted((folder / "train").rglob("*.jpg"))


def numbered(count: int) -> Rows:
    """Rows whose pixels tell their number."""
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return Rows(np.arange(count), pixels)


def order(rows: Rows, **options: Any) -> list[list[int]]:
    settings = {"batch": 4, "seed": 0, "scale": 1.0, "first_epoch": 1, "last_epoch": 1} | options
    return [labels.numpy().tolist() for _, labels in training_batches(rows, **settings)]


def test_every_epoch_holds_each_row_once_and_ends_with_a_smaller_batch() -> None:
    batches = order(numbered(10), last_epoch=3)
    assert [len(batch) for batch in batches] == [4, 4, 2] * 3
    epochs = [list(chain(*batches[start : start + 3])) for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_follows_from_the_seed_and_the_epoch_alone() -> None:
    rows = numbered(50)
    assert order(rows) == order(rows)
    assert order(rows) != order(rows, seed=1)
    assert order(rows, last_epoch=3)[26:] == order(rows, first_epoch=3, last_epoch=3)


def test_pixels_stay_with_their_labels_and_are_scaled() -> None:
    for pixels, labels in training_batches(numbered(20), batch=8, seed=3, scale=1 / 4, first_epoch=1, last_epoch=2):
        assert pixels.dtype == "float32"
        np.testing.assert_array_equal(pixels[:, 0, 0, 0] * 4, labels)


def test_evaluation_goes_in_order() -> None:
    labels = [batch.numpy().tolist() for _, batch in evaluation_batches(numbered(5), batch=2, scale=1.0)]
    assert labels == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("cached", ["in memory", "in a file", "nowhere"])
def test_pictures_come_the_same_however_they_are_kept(files: list[Path], tmp_path: Path, cached: str) -> None:
    file = tmp_path / "pixels" if cached == "in a file" else None
    rows = Rows(np.arange(len(files)), Pictures(files, SHAPE, file=file, keep=cached != "nowhere"))
    expected = {label: load_picture(path, SHAPE) for label, path in enumerate(files)}
    for pixels, labels in training_batches(rows, batch=7, seed=0, scale=1.0, first_epoch=1, last_epoch=2):
        for picture, label in zip(pixels.numpy(), labels.numpy(), strict=True):
            np.testing.assert_array_equal(picture, expected[label])
    assert (file is not None and file.stat().st_size == len(files) * 90) or file is None


def test_what_is_kept_is_not_read_again(tmp_path: Path) -> None:
    paths = []
    for number, pixels in enumerate(pictures(4, SHAPE, 0)[0]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    images = Pictures(paths, SHAPE)
    first = images.batch(np.arange(4))
    for path in paths:
        path.unlink()
    np.testing.assert_array_equal(images.batch(np.array([3, 1])), first[[3, 1]])


def test_a_picture_that_is_gone_is_named(files: list[Path], tmp_path: Path) -> None:
    rows = Pictures([files[0], tmp_path / "gone.jpg"], SHAPE)
    with pytest.raises(
        UnusableDataError, match=r"gone\.jpg cannot be read any more\. It cannot be decoded: No such file"
    ):
        rows.batch(np.array([0, 1]))
    assert "gone.jpg" in str(rows.error)


def image_data(files: list[Path]) -> dict[str, Any]:
    rows = [[str(path), 0] for path in files]
    return {"kind": "images", "train": rows, "test": rows[:5]}


def test_pictures_that_do_not_fit_in_memory_go_to_a_file(files: list[Path], tmp_path: Path) -> None:
    needed = (len(files) + 5) * 90
    cache = {"folder": str(tmp_path / "pixels"), "memory_bytes": needed}
    assert open_splits(image_data(files), SHAPE, cache)[2] == ()
    assert not (tmp_path / "pixels").exists()
    train, _, notes = open_splits(image_data(files), SHAPE, cache | {"memory_bytes": needed - 1})
    assert "more than the memory for them; cached in a file" in notes[0]
    assert len(train) == len(files)
    assert (tmp_path / "pixels" / "train.pixels").stat().st_size == len(files) * 90


def test_a_file_of_pixels_has_its_room_from_the_start(files: list[Path], tmp_path: Path) -> None:
    """One with holes would end the process with SIGBUS when the disk is full."""
    many = [path for path in files for _ in range(400)]
    images = Pictures(many, SHAPE, file=tmp_path / "pixels")
    size = len(many) * SHAPE[0] * SHAPE[1] * SHAPE[2]
    assert (tmp_path / "pixels").stat().st_size == size
    assert (tmp_path / "pixels").stat().st_blocks * 512 >= size
    assert np.array_equal(images.batch(np.array([0, 401])), Pictures(many, SHAPE).batch(np.array([0, 401])))


def test_arrays_of_another_shape_are_refused(tmp_path: Path) -> None:
    images, labels = pictures(6, (8, 8), 0)
    data: dict[str, Any] = {"kind": "arrays", "train": 6, "test": 7}
    for split in ("train", "test"):
        np.save(tmp_path / f"{split}_images.npy", images)
        np.save(tmp_path / f"{split}_labels.npy", labels)
        data |= {f"{split}_{what}": str(tmp_path / f"{split}_{what}.npy") for what in ("images", "labels")}
    with pytest.raises(InputError, match=r"The test images are uint8 \(6, 8, 8, 1\) with 6 labels, and 7 of uint8"):
        open_splits(data, (8, 8, 1), {})
    train, test, _ = open_splits(data | {"test": 2}, (8, 8, 1), {})
    assert (len(train), len(test)) == (6, 2)
    with pytest.raises(InputError, match=r"\(9, 9, 1\) are needed; prepare the dataset again"):
        open_splits(data | {"test": 2}, (9, 9, 1), {})


def test_a_picture_is_grey_for_a_network_of_one_channel(files: list[Path]) -> None:
    colour, grey = load_picture(files[0], SHAPE), load_picture(files[0], (*SHAPE[:2], 1))
    assert grey.shape == (*SHAPE[:2], 1)
    luma = colour @ np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow's "L"
    assert np.abs(grey[..., 0] - luma).max() <= 1
