import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coremlbench.augmentation import augment, copies, nearest_resize
from coremlbench.features import Extractor, Part, allocate, produce, producers
from coremlbench.network import read_network
from coremlbench.network_onnx import write_onnx
from coremlbench.types import UnusableData
from coremlbench_datasets.images import decode

FLIP_ROTATION = ("rotation", "flip")


def paths(pictures: Path, split: str) -> tuple[Path, ...]:
    return tuple(sorted((pictures / split).rglob("*.jpg")))


def collect(parts: list[Part], size: tuple[int, int], ring: Path, processes: int) -> np.ndarray:
    rows: list[np.ndarray] = []
    produce(parts, size, ring, lambda pixels: rows.append(pixels.copy()), processes=processes)
    return np.concatenate(rows)


def test_images_come_in_order_whatever_the_number_of_processes(pictures: Path, tmp_path: Path) -> None:
    train, test = paths(pictures, "train")[:15], paths(pictures, "test")
    parts = [Part("train", train, FLIP_ROTATION, seed=3), Part("test", test)]
    one = collect(parts, (31, 29), tmp_path / "ring", 1)
    assert one.shape == (15 * 12 + 30, 31, 29, 3)
    assert not (tmp_path / "ring").exists()
    assert np.array_equal(one, collect(parts, (31, 29), tmp_path / "ring", 3))

    def prepared(path: Path) -> np.ndarray:
        return nearest_resize(decode(path), (31, 29))

    wanted = [copy for index, path in enumerate(train) for copy in augment(prepared(path), FLIP_ROTATION, (3, index))]
    assert np.array_equal(one, np.stack([*wanted, *(prepared(path) for path in test)]))


def test_a_hundred_copies_of_an_image_fit(pictures: Path, tmp_path: Path) -> None:
    options = ("crop", "rotation", "blur", "exposure", "noise", "flip")
    got = collect([Part("train", paths(pictures, "train")[:2], options)], (9, 9), tmp_path / "ring", 1)
    assert len(got) == 2 * copies(options)


def test_an_empty_part_is_no_rows(pictures: Path, tmp_path: Path) -> None:
    parts = [Part("validation", ()), Part("test", paths(pictures, "test")[:3])]
    assert len(collect(parts, (9, 9), tmp_path / "ring", 1)) == 3


def test_the_ring_stays_small_whatever_the_number_of_images(pictures: Path, tmp_path: Path) -> None:
    sizes = []
    many = paths(pictures, "train") * 3

    def measure(pixels: np.ndarray) -> None:
        sizes.append((tmp_path / "ring").stat().st_size)

    produce([Part("train", many, FLIP_ROTATION)], (10, 10), tmp_path / "ring", measure, processes=2)
    assert set(sizes) == {(2 * 2 + 2) * 12 * 10 * 10 * 3}


def test_a_vanished_image_ends_the_extraction(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableData, match=r"gone\.jpg cannot be read any more"):
        collect([Part("test", (tmp_path / "gone.jpg",))], (9, 9), tmp_path / "ring", 1)


def test_features_are_those_of_one_image_at_a_time(squeezenet: Path, pictures: Path, tmp_path: Path) -> None:
    write_onnx(read_network(squeezenet), tmp_path / "network.onnx", bgr=True)
    images = paths(pictures, "test")[:9]
    seen: list[tuple[int, int]] = []

    def extract(name: str, groups: list[list[Path]]) -> np.ndarray:
        extractor = Extractor(
            tmp_path / "network.onnx",
            tmp_path / name,
            len(images),
            threads=2,
            report=lambda done, total: seen.append((done, total)),
        )
        for group in groups:
            extractor(np.stack([nearest_resize(decode(path), (227, 227)) for path in group]))
        extractor.close()
        return np.fromfile(tmp_path / name, np.float32).reshape(len(images), extractor.length)

    together, single = extract("a", [list(images)]), extract("b", [[path] for path in images])
    assert together.shape == (9, 1000)
    assert np.abs(together - single).max() <= 1e-4 * np.abs(single).max()
    assert seen[-1] == (9, 9)
    assert np.array_equal(together, extract("c", [list(images)]))  # to the bit, with the same batches


@pytest.mark.parametrize("cores", [1, 2, 4, 8, 10, 24])
def test_there_is_a_producer_and_never_more_than_cores(cores: int) -> None:
    assert 1 <= producers(cores) <= cores


def test_room_is_taken_before_it_is_needed(tmp_path: Path) -> None:
    allocate(tmp_path / "file", 3_000_001)
    status = (tmp_path / "file").stat()
    assert status.st_size == 3_000_001
    assert status.st_blocks * 512 >= 3_000_001
    allocate(tmp_path / "empty", 0)
    assert (tmp_path / "empty").stat().st_size == 0


def test_no_room_is_an_error_that_can_be_told_and_not_a_bus_error(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; from coremlbench.features import allocate\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n    allocate(Path(sys.argv[1]), 2 << 20)\n"
        "except OSError as error:\n    print(error.errno)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) in (errno.EFBIG, errno.ENOSPC)
    assert (tmp_path / "file").stat().st_size <= 1 << 20
