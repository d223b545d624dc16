"""Folders as people have them, and as nobody wishes them: each has its answer."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from coremlbench.types.data import ImageSet
from coremlbench.types.errors import InputError, UnusableDataError
from coremlbench_datasets import DATASETS, DatasetRequest, find, summaries
from coremlbench_datasets.examination import natural_key


class Reports:
    """Takes note of what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int]] = []

    def __call__(self, phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        self.lines.append((phase, done, total))


def picture(path: Path, number: int) -> Path:
    """Save a small picture like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)).save(path)
    return path


def fill(folder: Path, counts: dict[str, int], start: int = 0) -> Path:
    """Save pictures, so many in each folder."""
    for name, count in counts.items():
        for index in range(count):
            picture(folder / name / f"{index}.png", start := start + 1)
    return folder


def prepare(folder: Path, *, train: int | None = None, test: int | None = None, seed: int = 0) -> ImageSet:
    request = DatasetRequest(folder.parent / "cache", train, test, seed)
    return find(str(folder)).prepare(request, Reports())


def names(folder: Path, images: tuple[Any, ...]) -> list[str]:
    return [str(one.path.relative_to(folder)) for one in images]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "my pictures", {"train/cat": 30, "train/dog": 30, "test/cat": 10, "test/dog": 10})


def test_a_folder_with_its_own_split(folder: Path) -> None:
    found = prepare(folder)
    assert found.classes == ("cat", "dog")
    assert (found.name, len(found.train), len(found.test), found.examined) == ("my pictures", 60, 20, 80)
    assert (found.skipped, found.warnings) == ((), ())
    assert all(one.path.parts[-3:-1] == ("train", found.classes[one.label]) for one in found.train)
    assert len({one.label for one in found.train[:12]}) == 2  # mixed, not class by class
    assert found.provenance.sha256 == prepare(folder).provenance.sha256


def test_a_folder_is_split_by_the_seed_and_nothing_else(tmp_path: Path) -> None:
    first = fill(tmp_path / "here", {"b 10": 9, "b 2": 40, "ç": 8})
    second = Path(shutil.copytree(first, tmp_path / "there" / "elsewhere"))
    one, two, other = prepare(first, seed=3), prepare(second, seed=3), prepare(first, seed=4)
    assert one.classes == ("b 10", "b 2", "ç")
    assert (len(one.train), len(one.test)) == (7 + 30 + 6, 2 + 10 + 2)
    assert names(first, one.train) == names(second, two.train)
    assert names(first, one.test) == names(second, two.test)
    assert set(names(first, one.test)) != set(names(first, other.test))
    assert not set(one.train) & set(one.test)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(train=st.integers(2, 60), test=st.integers(1, 20), seed=st.integers(0, 5))
def test_a_smaller_set_is_even_and_the_same_each_time(folder: Path, train: int, test: int, seed: int) -> None:
    found = prepare(folder, train=train, test=test, seed=seed)
    assert (len(found.train), len(found.test)) == (train, test)
    for images in (found.train, found.test):
        labels = [one.label for one in images]
        assert abs(labels.count(0) - labels.count(1)) <= 1
    assert found == prepare(folder, train=train, test=test, seed=seed)


def test_more_than_there_is(folder: Path) -> None:
    with pytest.raises(InputError, match="has 60 training images and --train asks for 61"):
        prepare(folder, train=61)


def test_names_of_every_kind(tmp_path: Path) -> None:
    classes = ["two words", "寿司", "🍕", "new\nline", "CAPS", "10", "9", "ñandú", "-dash", "quote'\""]
    folder = fill(tmp_path / "a b", dict.fromkeys(classes, 4))
    shutil.move(folder / "🍕" / "0.png", folder / "🍕" / "ピザ\n😀 .png")
    found = prepare(folder)
    assert list(found.classes) == sorted(classes)
    assert found.examined == 40


@pytest.mark.parametrize(
    "classes",
    [
        [str(number) for number in range(12)],
        ["Zebra", "apple", "Banane", "äpfel", "_rest", "0x", "007", "7"],
        ["e\u0301clair", "eis", "fisch"],  # decomposed, as older file systems of macOS store it: before "fisch"
    ],
)
@pytest.mark.parametrize("layout", ["", "train/"])
def test_classes_are_in_the_order_of_keras(tmp_path: Path, classes: list[str], layout: str) -> None:
    counts = {f"{layout}{name}": 2 for name in classes}
    counts |= {f"test/{name}": 1 for name in classes} if layout else {}
    folder = fill(tmp_path / "x", counts)
    found = prepare(folder)
    assert found.classes == tuple(unicodedata.normalize("NFC", name) for name in sorted(classes))
    for image in (*found.train, *found.test):
        assert unicodedata.normalize("NFC", image.path.parent.name) == found.classes[image.label]


@pytest.mark.tensorflow
def test_keras_itself_has_that_order(tmp_path: Path) -> None:
    import keras

    folder = fill(tmp_path / "x", dict.fromkeys(["10", "9", "Zebra", "apple", "äpfel", "_rest", "two words"], 2))
    read = keras.utils.image_dataset_from_directory(folder, image_size=(6, 8), verbose=False)
    assert list(prepare(folder).classes) == read.class_names


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", {"a": 20, "b": 20})
    (folder / "b").rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9/\xff.jpg")).write_text("no picture")
    found = prepare(folder)
    assert found.classes == ("a", "caf\\xe9")
    assert found.skipped[0].path == "caf\\xe9/\\xff.jpg"
    found.skipped[0].path.encode()


def test_one_name_spelt_in_two_ways_is_one_class(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", {"train/cafe\u0301": 4, "train/tea": 4, "test/caf\u00e9": 2, "test/tea": 2})
    assert prepare(folder).classes == ("caf\u00e9", "tea")


def test_litter_and_hidden_files_are_ignored(folder: Path) -> None:
    for litter in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"):
        (folder / "train" / "cat" / litter).write_bytes(b"litter")
    for hidden in ("__MACOSX/cat", ".cache/cat"):
        (folder / hidden).mkdir(parents=True)
    (folder / "train" / "__MACOSX").mkdir()
    (folder / "train" / "labels.csv").write_text("beside the classes")
    found = prepare(folder)
    assert (found.classes, found.examined, found.warnings) == (("cat", "dog"), 80, ())


def test_folders_within_a_class_are_its_own(folder: Path) -> None:
    picture(folder / "train/cat/kittens/2020/a.png", 999)
    assert len(prepare(folder).train) == 61


def test_unreadable_files_are_skipped_counted_and_named(folder: Path) -> None:
    (folder / "train/cat/0.png").write_bytes((folder / "train/cat/0.png").read_bytes()[:60])
    (folder / "test/dog/notes.jpg").write_text("text")
    (folder / "test/dog/gone.jpg").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "test/dog/pipe.jpg")
    found = prepare(folder)
    assert (len(found.train), len(found.test), found.examined) == (59, 20, 83)
    reasons = {one.path: one.reason for one in found.skipped}
    assert set(reasons) == {"train/cat/0.png", "test/dog/notes.jpg", "test/dog/gone.jpg", "test/dog/pipe.jpg"}
    assert reasons["test/dog/gone.jpg"] == "It is a link to nothing."
    assert "not a picture" in reasons["test/dog/notes.jpg"]


def test_past_five_percent_the_data_is_unusable(folder: Path) -> None:
    for index in range(4):
        (folder / f"train/cat/{index}.png").write_text("text")
    prepare(folder)
    (folder / "train/cat/4.png").write_text("text")
    with pytest.raises(
        UnusableDataError, match=r"5 of 80 files .* more than 5% \('train/cat/0\.png' and 4 more: It .*\)"
    ):
        prepare(folder)


def test_a_second_look_reads_only_what_changed(folder: Path) -> None:
    dataset, request = find(str(folder)), DatasetRequest(folder.parent / "cache")
    first, second = Reports(), Reports()
    found = dataset.prepare(request, first)
    picture(folder / "train/cat/0.png", 12_345)
    again = dataset.prepare(request, second)
    assert first.lines[0] == ("examine", 0, 80)
    assert first.lines[-1] == ("examine", 80, 80)
    assert [line[1] for line in second.lines] == [79, 80]
    assert len(found.train) == len(again.train) == 60
    for kept in (folder.parent / "cache" / "folders").iterdir():
        kept.write_text('{"version": 2, "files": {"x": 3}}')
    third = Reports()
    assert dataset.prepare(request, third) == again
    assert third.lines[0] == ("examine", 0, 80)


def test_what_the_system_refuses_is_asked_again(folder: Path) -> None:
    """Whoever mends a permission changes neither the size of a file nor its time."""
    (folder / "train/cat/refused.png").symlink_to("refused.png")
    (folder / "train/cat/broken.png").write_bytes(b"no picture")
    found = find(str(folder)).prepare(DatasetRequest(folder.parent / "cache"), Reports())
    assert len(found.skipped) == 2
    (kept,) = (folder.parent / "cache" / "folders").iterdir()
    assert "refused.png" not in kept.read_text()
    assert "broken.png" in kept.read_text()


def test_links_that_loop_end(folder: Path) -> None:
    (folder / "train/cat/up").symlink_to(folder, target_is_directory=True)
    (folder / "train/cat/self").symlink_to(folder / "train/cat", target_is_directory=True)
    (folder / "train/cat/other").symlink_to(folder / "train/dog", target_is_directory=True)
    (folder / "train/cat/a").mkdir()
    (folder / "train/cat/a/b").symlink_to(folder / "train/cat/a", target_is_directory=True)
    (folder / "train/cat/endless").symlink_to("endless")
    found = prepare(folder)
    assert len(found.train) == 60
    assert [one.path for one in found.skipped] == ["train/cat/endless"]


def test_links_that_lead_outside_are_the_persons_own(folder: Path, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"birds": 8, "more birds": 4}, 500)
    for part, target in (("train", "birds"), ("test", "more birds")):
        (folder / part / "bird").symlink_to(tmp_path / "elsewhere" / target, target_is_directory=True)
    (folder / "train/cat/linked.png").symlink_to(picture(tmp_path / "one.png", 777))
    found = prepare(folder)
    assert found.classes == ("bird", "cat", "dog")
    assert (len(found.train), len(found.test)) == (69, 24)


def test_the_same_picture_in_train_and_test_is_left_out_of_training(folder: Path) -> None:
    shutil.copy(folder / "test/cat/1.png", folder / "train/cat/copy.png")
    with Image.open(folder / "test/dog/2.png") as image:
        image.save(folder / "train/dog/saved again.bmp")
    found = prepare(folder)
    assert (len(found.train), len(found.test), found.examined) == (60, 20, 82)
    assert {one.path: one.reason.split(",")[0] for one in found.skipped} == {
        "train/cat/copy.png": f"It is the same picture as {folder}/test/cat/1.png",
        "train/dog/saved again.bmp": f"It is the same picture as {folder}/test/dog/2.png",
    }
    assert len(found.warnings) == 1
    assert "2 training pictures" in found.warnings[0]


def test_no_copy_is_on_both_sides_of_a_split(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", {"a": 40, "b": 40})
    for index in range(20):
        shutil.copy(folder / f"a/{index}.png", folder / f"a/copy {index}.png")
    found = prepare(folder)
    train, test = ({one.path.read_bytes() for one in images} for images in (found.train, found.test))
    assert not train & test
    assert len(found.train) + len(found.test) + len(found.skipped) == 100


def test_repeats_within_one_part_are_told_and_kept(folder: Path) -> None:
    shutil.copy(folder / "train/cat/1.png", folder / "train/cat/copy.png")
    shutil.copy(folder / "train/cat/1.png", folder / "train/dog/copy.png")
    found = prepare(folder)
    assert len(found.train) == 62
    assert found.skipped == ()
    assert [warning.split(" in the")[0] for warning in found.warnings] == ["2 pictures"]
    assert "1 of them under another class" in found.warnings[0]


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ({}, "has no folders of pictures"),
        ({"cat": 8}, "has the single class 'cat'"),
        ({"cat": 8, "dog": 0}, "Class 'dog' of .* has no readable picture; add some"),
        ({"cat": 8, "dog": 1}, "Class 'dog' of .* has one readable picture and needs two"),
        ({"train/cat": 8, "train/dog": 8}, "has a folder train and no folder test"),
        ({"test/cat": 8, "valid/cat": 8}, "has a folder test and no folder train"),
        ({"train/cat": 8, "train/dog": 8, "test/cat": 2}, "Class 'dog' of .* is in train and not in test"),
        ({"train/cat": 8, "test/cat": 2, "test/dog": 2}, "Class 'dog' of .* is in test and not in train"),
        ({"train/cat": 8, "test/cat": 2}, "has the single class 'cat'"),
        (
            {"train/cat": 8, "test/cat": 2, "train/dog": 8, "test/dog": 0},
            "Class 'dog' of .* no readable picture in test",
        ),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, counts: dict[str, int], says: str) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    fill(folder, counts)
    for name in counts:
        (folder / name).mkdir(parents=True, exist_ok=True)
    with pytest.raises(InputError, match=says):
        prepare(folder)


def test_a_class_that_is_all_in_the_test_set(folder: Path) -> None:
    shutil.rmtree(folder / "train/dog")
    shutil.copytree(folder / "test/dog", folder / "train/dog")
    with pytest.raises(InputError, match=r"Class 'dog' of .* has no picture left for training"):
        prepare(folder)


def test_a_class_of_broken_pictures(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", {"cat": 40, "dog": 1})
    (folder / "dog/0.png").write_text("text")
    with pytest.raises(InputError, match=r"Class 'dog' of .* has no readable picture"):
        prepare(folder)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert prepare(fill(tmp_path / "x", {"train": 8, "bus": 8})).classes == ("bus", "train")


def test_other_folders_beside_train_and_test_are_named(folder: Path) -> None:
    fill(folder, {"valid/cat": 3})
    assert prepare(folder).warnings == (f"Of {folder} only train and test are used, not valid.",)


# --- finding ------------------------------------------------------------------------------------------------------


def test_names_and_folders_are_found(folder: Path, tmp_path: Path) -> None:
    assert [find(name).name for name in DATASETS] == list(DATASETS)
    found = find(str(folder)).summary(tmp_path)
    assert (found.images, found.classes) == (80, 2)
    names = [summary.name for summary in summaries(tmp_path)]
    assert names == [*DATASETS, "mnist", "fashion-mnist", "cifar10"]
    assert all(summary.cached_images == 0 for summary in summaries(tmp_path))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("drawn_food", "did you mean drawn-food"),
        ("nothing like it", "or one of drawn-food, food101-10"),
        ("", "There is no dataset or folder ''"),
        (__file__, "is a file; a dataset is a folder"),
    ],
)
def test_what_is_not_found(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        find(name)


def test_a_source_for_a_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="leave --source out"):
        find(str(folder)).prepare(DatasetRequest(folder, source=folder), Reports())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text()))
def test_any_names_can_be_sorted(some: list[str]) -> None:
    mixed = some.copy()
    Random(0).shuffle(mixed)
    assert sorted(mixed, key=natural_key) == sorted(some, key=natural_key)


def test_names_are_sorted_as_people_do() -> None:
    assert sorted(["b10", "B2", "a", "10", "9", "b٣"], key=natural_key) == ["9", "10", "a", "B2", "b٣", "b10"]
