"""Folders of linked images, and the cache of finished sessions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coremlbench.createml.labelled_folders import MAX_IMAGE_SETS, link_images
from coremlbench.createml.session_cache import MAX_SESSIONS, session_key, store_session, take_session
from coremlbench.types.data import LabelledImage

CLASSES = ("grün", "a b")


@pytest.fixture
def images(tmp_path: Path) -> list[LabelledImage]:
    """Six files of two classes, one without a suffix, one with an upper-case one."""
    (tmp_path / "images").mkdir()
    names = ("x.jpg", "y.JPG", "z", "x2.png", "y2.bmp", "z2.jpg")
    for number, name in enumerate(names):
        (tmp_path / "images" / name).write_bytes(bytes([number]) * 10)
    return [LabelledImage(tmp_path / "images" / name, number % 2) for number, name in enumerate(names)]


def link(images: list[LabelledImage], folder: Path, training: int = 4) -> tuple[str, dict[str, Path]]:
    parts = {"train": images[:training], "validation": images[training:]}
    return link_images(parts, CLASSES, folder / "cache", lambda *_, **__: None)


def test_images_are_links_in_a_folder_for_each_class(images: list[LabelledImage], tmp_path: Path) -> None:
    _, folders = link(images, tmp_path)
    linked = {path.relative_to(folders["train"]).as_posix(): path for path in folders["train"].glob("*/*")}
    assert set(linked) == {"grün/000000.jpg", "a b/000001.jpg", "grün/000002.jpg", "a b/000003.png"}
    assert linked["a b/000001.jpg"].samefile(images[1].path)
    assert not any(path.is_symlink() for path in linked.values())
    assert {path.parent.name for path in folders["validation"].glob("*/*")} == set(CLASSES)


def test_equal_images_have_the_same_folders(images: list[LabelledImage], tmp_path: Path) -> None:
    first = link(images, tmp_path)
    inode = first[1]["train"].stat().st_ino
    again = link(images, tmp_path)
    assert again == first
    assert again[1]["train"].stat().st_ino == inode


def test_the_hash_is_of_contents_classes_and_parts(images: list[LabelledImage], tmp_path: Path) -> None:
    keys = [link(images, tmp_path)[0], link(images, tmp_path, training=5)[0]]
    other_labels = [LabelledImage(image.path, 1 - image.label) for image in images]
    keys.append(link(other_labels, tmp_path)[0])
    images[0].path.write_bytes(b"another")
    keys.append(link(images, tmp_path)[0])
    assert len(set(keys)) == 4


def test_a_folder_with_missing_images_is_made_again(images: list[LabelledImage], tmp_path: Path) -> None:
    _, folders = link(images, tmp_path)
    next(folders["train"].glob("*/*")).unlink()
    _, again = link(images, tmp_path)
    assert again == folders
    assert len(list(folders["train"].glob("*/*"))) == 4


def test_a_part_without_images_has_no_folder(images: list[LabelledImage], tmp_path: Path) -> None:
    assert set(link(images, tmp_path, training=6)[1]) == {"train"}


def test_only_the_last_sets_of_images_stay(images: list[LabelledImage], tmp_path: Path) -> None:
    folders = []
    for number in range(MAX_IMAGE_SETS + 2):
        images[0].path.unlink()
        images[0].path.write_bytes(bytes([number]))
        folders.append(link(images, tmp_path)[1]["train"].parent)
        os.utime(folders[-1], (number, number))
    assert [folder.is_dir() for folder in folders] == [False] * 2 + [True] * MAX_IMAGE_SETS


def test_sessions_are_kept_by_what_their_features_depend_on(tmp_path: Path) -> None:
    keys = {
        session_key("images", ("flip", "rotation"), 1, "macOS 15.1 (24B83)"),
        session_key("others", ("flip", "rotation"), 1, "macOS 15.1 (24B83)"),
        session_key("images", ("flip",), 1, "macOS 15.1 (24B83)"),
        session_key("images", ("flip", "rotation"), 2, "macOS 15.1 (24B83)"),
        session_key("images", ("flip", "rotation"), 1, "macOS 15.2 (24C101)"),
    }
    assert len(keys) == 5
    assert session_key("images", ("rotation", "flip"), 1, "macOS 15.1 (24B83)") in keys


def make_session(folder: Path, content: str) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "1").write_text(content)
    return folder


def test_a_finished_session_is_moved_and_taken(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert take_session("key", cache, tmp_path / "taken") is False
    session = make_session(tmp_path / "session", "features")
    store_session(session, "key", cache)
    assert not session.exists()
    assert take_session("key", cache, tmp_path / "taken") is True
    store_session(make_session(tmp_path / "later", "others"), "key", cache)  # the first one stays
    assert (tmp_path / "taken" / "checkpoints" / "1").read_text() == "features"
    assert take_session("key", cache, tmp_path / "again") is True
    assert (tmp_path / "again" / "checkpoints" / "1").read_text() == "features"


def test_the_oldest_sessions_are_removed(tmp_path: Path) -> None:
    for number in range(MAX_SESSIONS + 1):
        store_session(make_session(tmp_path / str(number), "x"), f"key{number}", tmp_path)
        os.utime(tmp_path / "createml" / "sessions" / f"key{number}", (number, number))
    store_session(make_session(tmp_path / "last", "x"), "last", tmp_path)
    names = {path.name for path in (tmp_path / "createml" / "sessions").iterdir()}
    assert names == {"last", *(f"key{number}" for number in range(2, MAX_SESSIONS + 1))}
