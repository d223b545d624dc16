"""The cache by parts, and what is removed of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from coremlbench.diagnostics.cache_parts import PARTS, cache_entries, clear, part_sizes, running_command
from coremlbench.types.errors import InputError

DAY = 86400
FILES = {
    "conversions/0a/fp16-1-ff/model.mlpackage/weights.bin": ("packages", 100),
    "conversions/0a/int8-1-ff/made.json": ("packages", 50),
    "datasets/drawn-food/1/seed-0/train/pizza/00000.jpg": ("pictures", 30),
    "datasets/drawn-food/1/seed-0/test/pizza/00000.jpg": ("pictures", 30),
    "datasets/arrays/mnist/test.npy": ("arrays", 20),
    "datasets/folders/0a.json": ("examinations", 3),
    "environments/turicreate-0f/bin/python": ("turicreate", 400),
    "weights/squeezenet.h5": ("weights", 40),
    "createml/sessions/0a/features": ("createml", 60),
    "its own/file": ("other", 9),
    "stray.txt": ("other", 1),
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for name, (_, size) in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    for name in ("conversions/.lock", "environments/turicreate-0f.lock"):
        (tmp_path / name).touch()
    return tmp_path


def sizes(cache: Path) -> dict[str, int]:
    return {size.name: size.bytes for size in part_sizes(cache_entries(cache)) if size.entries}


def test_every_file_belongs_to_one_part(cache: Path) -> None:
    expected: dict[str, int] = {}
    for part, size in FILES.values():
        expected[part] = expected.get(part, 0) + size
    assert sizes(cache) == expected
    assert len([entry for entry in cache_entries(cache) if entry.part == "pictures"]) == 1


def test_a_part_is_removed_and_the_others_stay(cache: Path) -> None:
    before = sizes(cache)
    would = clear(cache, ["packages"], None, dry_run=True)
    assert sizes(cache) == before
    removal = clear(cache, ["packages"], None)
    assert removal == would
    assert (removal.bytes, removal.left) == (150, ())
    assert sizes(cache) == {name: size for name, size in before.items() if name != "packages"}
    assert list((cache / "conversions").iterdir()) == [cache / "conversions" / ".lock"]
    clear(cache, ["all"], None)
    assert sizes(cache) == {}


def test_only_what_was_not_used_for_long_is_removed(cache: Path) -> None:
    now = time.time() + DAY
    old = cache / "conversions/0a/fp16-1-ff/model.mlpackage/weights.bin"
    os.utime(old, (now - 40 * DAY, now - 90 * DAY))
    picture = cache / "datasets/drawn-food/1/seed-0/test/pizza/00000.jpg"
    os.utime(picture, (now - 90 * DAY, now - 90 * DAY))  # the other picture of the set is new
    assert clear(cache, [], 60 * DAY, now=now).entries == ()
    (entry,) = clear(cache, [], 30 * DAY, now=now).entries
    assert entry.path == cache / "conversions/0a/fp16-1-ff"


def test_what_is_locked_is_left_and_named(cache: Path) -> None:
    with FileLock(cache / "environments/turicreate-0f.lock"):
        removal = clear(cache, ["turicreate", "weights"], None)
    assert [entry.part for entry in removal.entries] == ["weights"]
    assert "environments/turicreate-0f is in use or cannot be removed, and was left." in removal.left[0]


def test_nothing_is_removed_while_a_long_command_uses_the_cache(cache: Path) -> None:
    environment = {**os.environ, "COREMLBENCH_CACHE": str(cache)}
    program = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "coremlbench", "createml"]
    with subprocess.Popen(program, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert running_command(cache / "elsewhere") is None
        with pytest.raises(InputError, match=rf"is running \(process {process.pid}\); wait for its end"):
            clear(cache, ["all"], None)
        process.communicate()
    assert running_command(cache) is None
    assert clear(cache, ["all"], None).bytes == sum(size for _, size in FILES.values())


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert [size.name for size in part_sizes(cache_entries(tmp_path / "none"))] == [part.name for part in PARTS[:-1]]
    assert clear(tmp_path / "none", ["all"], None).entries == ()
