"""Food101's ten classes, from small archives in the layouts of the real ones."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.types.data import ImageSet
from coremlbench.types.errors import DownloadError, InputError
from coremlbench_datasets import DatasetRequest
from coremlbench_datasets.food101_10 import ARCHIVES, CLASSES, Archive, Food101Ten


def report(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
    """Listen to nothing."""


def pictures() -> dict[tuple[str, str], bytes]:
    """Return three pictures of each of the ten classes and of another one; number 2 is for testing."""
    content, number = {}, 0
    for name in (*CLASSES, "waffles"):
        for index in range(3):
            number += 1
            file = io.BytesIO()
            Image.fromarray(np.random.default_rng(number).integers(0, 255, (6, 6, 3), np.uint8)).save(file, "JPEG")
            content[name, str(index)] = file.getvalue()
    return content


@pytest.fixture
def ten_zip(tmp_path: Path) -> Path:
    """Return an archive in the layout of the article's zip."""
    path = tmp_path / "files" / ARCHIVES[0].file_name
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for (name, index), content in pictures().items():
            archive.writestr(
                f"10_food_classes_all_data/{'test' if index == '2' else 'train'}/{name}/{index}.jpg", content
            )
            archive.writestr(f"__MACOSX/10_food_classes_all_data/train/{name}/._{index}.jpg", b"litter")
    return path


@pytest.fixture
def full_tar(tmp_path: Path) -> Path:
    """Return an archive in the layout of Food101's own."""
    path = tmp_path / "files" / ARCHIVES[1].file_name
    path.parent.mkdir(exist_ok=True)
    members = {f"food-101/images/{name}/{index}.jpg": content for (name, index), content in pictures().items()}
    for part, indices in (("train", "01"), ("test", "2")):
        lists = {name: [f"{name}/{index}" for index in indices] for name, _ in pictures()}
        members[f"food-101/meta/{part}.json"] = json.dumps(lists).encode()
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def check(found: ImageSet) -> None:
    assert found.name == found.provenance.name == "food101-10"
    assert found.classes == CLASSES
    assert (len(found.train), len(found.test), found.examined) == (20, 10, 30)
    content = pictures()
    for images in (found.train, found.test):
        for one in images:
            assert one.path.read_bytes() == content[CLASSES[one.label], one.path.stem]
    assert all((one.path.stem == "2") == (one in found.test) for one in (*found.train, *found.test))
    assert len(found.warnings) == 1
    assert "20 training and 10 test" in found.warnings[0]


@pytest.mark.parametrize("archive", ["ten_zip", "full_tar"])
def test_a_local_archive_is_unpacked_once(archive: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    file: Path = request.getfixturevalue(archive)
    asked = DatasetRequest(tmp_path / "cache", source=file)
    found = Food101Ten().prepare(asked, report)
    check(found)
    assert found.provenance.source == str(file)
    assert "sha256" in found.provenance.note
    folders = {path.name for path in (tmp_path / "cache/food101-10").iterdir()}
    assert not any(name.startswith(".making") for name in folders)
    stamp = found.train[0].path.stat().st_mtime_ns
    assert Food101Ten().prepare(asked, report) == found
    assert found.train[0].path.stat().st_mtime_ns == stamp


def test_an_interrupted_unpacking_is_begun_again(ten_zip: Path, tmp_path: Path) -> None:
    left = tmp_path / "cache/food101-10/.making-x/train/pizza"
    left.mkdir(parents=True)
    (left / "0.jpg").write_bytes(b"half")
    check(Food101Ten().prepare(DatasetRequest(tmp_path / "cache", source=ten_zip), report))
    assert not left.exists()


@pytest.mark.parametrize("archive", ["ten_zip", "full_tar"])
def test_an_unpacked_folder_is_used_where_it_is(archive: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    file: Path = request.getfixturevalue(archive)
    shutil.unpack_archive(file, tmp_path / "mine", filter=None if archive == "ten_zip" else "data")
    top = tmp_path / "mine" / ("10_food_classes_all_data" if archive == "ten_zip" else "food-101")
    for _ in range(2):
        found = Food101Ten().prepare(DatasetRequest(tmp_path / "cache", source=top), report)
        check(found)
    assert all(one.path.resolve().is_relative_to(tmp_path / "mine") for one in found.train)


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the archives' folder on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
            pass

    (tmp_path / "files").mkdir(exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "files")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_is_downloaded_from_the_first_place_that_has_it(address: str, full_tar: Path, tmp_path: Path) -> None:
    md5 = hashlib.md5(full_tar.read_bytes()).hexdigest()
    dataset = Food101Ten((Archive(f"{address}/none.zip"), Archive(f"{address}/{full_tar.name}", md5=md5)))
    found = dataset.prepare(DatasetRequest(tmp_path / "cache"), report)
    check(found)
    assert found.provenance.source == f"{address}/{full_tar.name}"
    assert not (tmp_path / "cache/food101-10" / full_tar.name).exists()
    full_tar.unlink()
    assert dataset.prepare(DatasetRequest(tmp_path / "cache"), report) == found
    assert dataset.summary(tmp_path / "cache").cached_images == 30


def test_an_archive_put_into_the_cache_by_hand_is_used_and_kept(ten_zip: Path, tmp_path: Path) -> None:
    by_hand = tmp_path / "cache/food101-10" / ten_zip.name
    by_hand.parent.mkdir(parents=True)
    ten_zip.rename(by_hand)
    check(Food101Ten().prepare(DatasetRequest(tmp_path / "cache"), report))
    assert by_hand.exists()


def test_when_nothing_can_be_reached_it_says_what_to_do(address: str, tmp_path: Path) -> None:
    dataset = Food101Ten((Archive(f"{address}/none.zip"), Archive(f"{address}/none.tar.gz")))
    with pytest.raises(DownloadError, match="give it with --dataset food101-10 --source FILE, or put it into"):
        dataset.prepare(DatasetRequest(tmp_path / "cache"), report)


def test_an_archive_without_a_class_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/pizza/1.jpg", b"x")
    with pytest.raises(InputError, match="has no train pictures of chicken_curry, chicken_wings"):
        Food101Ten().prepare(DatasetRequest(tmp_path / "cache", source=path), report)
    with pytest.raises(InputError, match="There is no file or folder"):
        Food101Ten().prepare(DatasetRequest(tmp_path / "cache", source=tmp_path / "gone"), report)
