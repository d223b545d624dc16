"""The names that people and programs give to the parts of a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from coremlbench.types.errors import InputError
from coremlbench_datasets.folder_layout import split_role
from coremlbench_datasets.images import UnreadableImageError, decode
from tests.datasets.test_folder import fill, picture, prepare


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *(
            (name, "training")
            for name in ("train", "Train", "TRAINING", "Training Data", "train_set", "training-images")
        ),
        *((name, "validation") for name in ("val", "valid", "Validation", "validation data", "Val_Set", "dev")),
        *((name, "test") for name in ("test", "Testing", "Testing Data", "TEST DATA", "eval", "evaluation_set")),
        *((name, None) for name in ("trains", "steam train", "testament", "data", "trained", "data set", "")),
    ],
)
def test_a_name_in_any_spelling_says_the_part(name: str, role: str | None) -> None:
    assert split_role(name) == role


@pytest.mark.parametrize(
    ("training", "testing"),
    [("Training Data", "Testing Data"), ("training", "testing"), ("TRAIN", "eval"), ("train_images", "Test Set")],
)
def test_a_split_in_another_spelling_is_a_split(tmp_path: Path, training: str, testing: str) -> None:
    folder = fill(
        tmp_path / "x", {f"{training}/{name}": 6 for name in "ab"} | {f"{testing}/{name}": 2 for name in "ab"}
    )
    found = prepare(folder)
    assert (found.classes, len(found.train), len(found.test), found.warnings) == (("a", "b"), 12, 4, ())


def test_validation_pictures_are_the_test_set_where_there_is_no_other(tmp_path: Path) -> None:
    counts = {"training/a": 6, "training/b": 6, "validation/a": 2, "validation/b": 3}
    found = prepare(fill(tmp_path / "x", counts))
    assert (found.classes, len(found.train), len(found.test)) == (("a", "b"), 12, 5)
    assert "those in validation are the test set" in found.warnings[0]
    third = prepare(fill(tmp_path / "x", {"Testing/a": 1, "Testing/b": 1}, start=100))
    assert (len(third.train), len(third.test)) == (12, 2)
    assert third.warnings == (f"Of {tmp_path / 'x'} only training and Testing are used, not validation.",)


def test_parts_of_unknown_names_are_no_classes(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", {f"{part}/{name}": 3 for part in ("fold 1", "fold 2") for name in ("cat", "dog")})
    with pytest.raises(InputError, match=r"fold 1 and fold 2 of .* same names \(cat, dog\), so they are no classes"):
        prepare(folder)


def test_one_shared_name_below_classes_is_a_folder_of_a_class(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", {"cat/old": 3, "dog/old": 3, "cat": 2})
    assert prepare(folder).classes == ("cat", "dog")


def test_two_folders_of_one_part_are_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", {f"{part}/{name}": 2 for part in ("train", "training", "test") for name in "ab"})
    with pytest.raises(InputError, match="has two folders of training pictures, train and training"):
        prepare(folder)


@pytest.mark.parametrize(
    ("brands", "container"),
    [(b"heic\0\0\0\0mif1heic", "HEIC"), (b"mif1\0\0\0\0heicmif1", "HEIC"), (b"hevc\0\0\0\0hevc", "HEIC")],
)
def test_pictures_of_a_telephone_are_named_with_a_remedy(tmp_path: Path, brands: bytes, container: str) -> None:
    path = tmp_path / "IMG_1.jpg"
    path.write_bytes((8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + b"\x93" * 500)
    with pytest.raises(UnreadableImageError, match=rf"in {container}, which is not read here; save it as JPEG"):
        decode(path)


def test_avif_is_read_or_named(tmp_path: Path) -> None:
    pytest.importorskip("PIL.AvifImagePlugin", reason="Pillow reads AVIF from version 11.3 on")
    picture(tmp_path / "a.png", 1)
    with Image.open(tmp_path / "a.png") as image:
        image.save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    assert decode(tmp_path / "a.avif").shape == (6, 8, 3)
    (tmp_path / "cut.avif").write_bytes((tmp_path / "a.avif").read_bytes()[:60])
    with pytest.raises(UnreadableImageError, match=r"AVIF|cannot be decoded"):
        decode(tmp_path / "cut.avif")
