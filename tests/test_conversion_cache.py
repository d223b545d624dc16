from pathlib import Path

import pytest

from coremlbench.conversion_cache import folder_of, keep, take

PARTICULARS = {"variant": "fp16", "batch": 1, "target": "macOS13"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "made.mlpackage"
    (package / "Data").mkdir(parents=True)
    (package / "Data" / "weight.bin").write_bytes(b"weights")
    return package


def test_what_is_kept_is_taken_whole(tmp_path: Path, package: Path) -> None:
    kept = folder_of(tmp_path / "cache", "0123", PARTICULARS)
    assert take(kept, tmp_path / "again.mlpackage") is None
    keep(kept, package, {"seconds": 3.5})
    told = take(kept, tmp_path / "again.mlpackage")
    assert told is not None
    assert told["seconds"] == 3.5
    assert (tmp_path / "again.mlpackage" / "Data" / "weight.bin").read_bytes() == b"weights"
    assert [each.name for each in kept.parent.iterdir()] == [kept.name]


def test_a_damaged_package_is_not_taken(tmp_path: Path, package: Path) -> None:
    kept = folder_of(tmp_path / "cache", "0123", PARTICULARS)
    keep(kept, package, {})
    next(kept.rglob("weight.bin")).write_bytes(b"Weights")
    assert take(kept, tmp_path / "again.mlpackage") is None
    assert not (tmp_path / "again.mlpackage").exists()


def test_every_particular_and_the_source_count(tmp_path: Path) -> None:
    ways = [("0123", PARTICULARS), ("4567", PARTICULARS), *(("0123", {**PARTICULARS, key: 8}) for key in PARTICULARS)]
    assert len({folder_of(tmp_path, *way) for way in ways}) == len(ways)


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path, package: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    kept = folder_of(tmp_path / "cache", "0123", PARTICULARS)
    keep(kept, package, {})
    assert take(kept, tmp_path / "again.mlpackage") is None
