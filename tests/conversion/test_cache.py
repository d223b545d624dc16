import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from coremlbench.conversion.cache import LOCK_FILE, add, entry_folder, library_distributions, restore

PARTICULARS = {"variant": "fp16", "batch": 1, "target": "macOS13"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "made.mlpackage"
    (package / "Data").mkdir(parents=True)
    (package / "Data" / "weight.bin").write_bytes(b"weights")
    return package


def test_what_is_kept_is_taken_whole(tmp_path: Path, package: Path) -> None:
    entry = entry_folder(tmp_path / "cache", "0123", PARTICULARS)
    assert restore(entry, tmp_path / "again.mlpackage") is None
    add(entry, package, {"seconds": 3.5})
    result = restore(entry, tmp_path / "again.mlpackage")
    assert result is not None
    assert result["seconds"] == 3.5
    assert (tmp_path / "again.mlpackage" / "Data" / "weight.bin").read_bytes() == b"weights"
    assert [folder.name for folder in entry.parent.iterdir()] == [entry.name]


def test_a_damaged_package_is_not_taken(tmp_path: Path, package: Path) -> None:
    entry = entry_folder(tmp_path / "cache", "0123", PARTICULARS)
    add(entry, package, {})
    next(entry.rglob("weight.bin")).write_bytes(b"Weights")
    assert restore(entry, tmp_path / "again.mlpackage") is None
    assert not (tmp_path / "again.mlpackage").exists()


def test_every_particular_and_the_source_count(tmp_path: Path) -> None:
    ways = [("0123", PARTICULARS), ("4567", PARTICULARS), *(("0123", {**PARTICULARS, key: 8}) for key in PARTICULARS)]
    assert len({entry_folder(tmp_path, *way) for way in ways}) == len(ways)


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path, package: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    entry = entry_folder(tmp_path / "cache", "0123", PARTICULARS)
    add(entry, package, {})
    assert restore(entry, tmp_path / "again.mlpackage") is None


def test_what_was_used_the_longest_ago_makes_room(tmp_path: Path, package: Path) -> None:
    entries = [entry_folder(tmp_path / "cache", source, PARTICULARS) for source in ("a", "b", "c", "d")]
    for second, entry in enumerate(entries[:3]):
        add(entry, package, {})
        os.utime(entry, (second, second))  # a file system may give all three the same time
    size = sum(file.stat().st_size for file in entries[0].rglob("*") if file.is_file())
    assert restore(entries[0], tmp_path / "again.mlpackage") is not None
    entries[1].with_name("killed.partial").mkdir()
    add(entries[3], package, {}, max_bytes=3 * size)
    assert [entry.is_dir() for entry in entries] == [True, False, True, True]
    assert not entries[1].parent.exists()
    add(entries[3], package, {}, max_bytes=0)
    assert [entry.is_dir() for entry in entries] == [False] * 4


def test_nothing_is_removed_while_another_process_copies_it(tmp_path: Path, package: Path) -> None:
    entries = [entry_folder(tmp_path / "cache", source, PARTICULARS) for source in ("a", "b")]
    add(entries[0], package, {})
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(entries[0].parents[1] / LOCK_FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        keeping = threading.Thread(target=add, args=(entries[1], package, {}, 0))
        keeping.start()
        keeping.join(0.5)
        assert keeping.is_alive()
        assert entries[0].is_dir()
        other.stdin.close()
        keeping.join()
    assert not entries[0].exists()


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]
PRINT_ENTRY = "import sys; sys.path[:0] = sys.argv[1:]\nfrom coremlbench.conversion.cache import entry_folder\n"
PRINT_ENTRY += (
    "from pathlib import Path\nprint(entry_folder(Path('c'), '0123', {'variant': 'int8-activations', 'batch': 1}))"
)


def entry_name(root: Path) -> str:
    """Return the cache entry of a variant for the code and the libraries under a folder."""
    command = [sys.executable, "-c", PRINT_ENTRY, str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""})
    return ended.stdout.strip()


def change(file: Path) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write("# changed\n")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with copies of this project's three packages."""
    for folder in ("toolkit/coremlbench", "models/coremlbench_models", "datasets/coremlbench_datasets"):
        package = ROOT / folder
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.long
def test_other_code_or_other_libraries_never_hand_out_the_same_package(sources: Path) -> None:
    seen = [entry_name(sources)]
    assert entry_name(sources) == seen[0]
    for name in (
        *(
            "coremlbench_datasets.images",
            "coremlbench.createml.augmentation",
            "coremlbench.createml.feature_extraction",
        ),  # read calibration images
        *(
            "coremlbench.conversion.originals.traced_model",
            "coremlbench_models.lenet",
            "coremlbench.conversion.compression",
        ),
    ):
        change(sources / f"{name.replace('.', '/')}.py")
        seen.append(entry_name(sources))
    for name in ("tensorflow", "keras", "pillow", "scikit-learn"):
        metadata = sources / f"{name.replace('-', '_')}-99.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Name: {name}\nVersion: 99.0\n")
        seen.append(entry_name(sources))
    assert len(set(seen)) == 11


def test_code_that_makes_no_package_leaves_the_key_as_it_is(sources: Path) -> None:
    before = entry_name(sources)
    for name in ("report/render/html", "cli/main", "workers/timing"):
        change(sources / "coremlbench" / f"{name}.py")
    assert entry_name(sources) == before


def test_the_libraries_are_installed_here() -> None:
    from importlib.metadata import version

    assert {"coremltools", "numpy", "onnxruntime", "pillow", "tensorflow"} < set(library_distributions())
    assert all(version(name) for name in library_distributions())
