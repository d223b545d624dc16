import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coremlbench.createml.augmentation import augment, copies_per_image, nearest_resize
from coremlbench.createml.feature_extraction import Part, Target, extract_image, feature_length, write_rows
from coremlbench.createml.feature_extraction import _tasks as tasks
from coremlbench.createml.network import read_network
from coremlbench.createml.network_onnx import write_onnx
from coremlbench.system.files import allocate
from coremlbench.types.errors import UnusableDataError
from coremlbench_datasets.images import decode

FLIP_ROTATION = ("rotation", "flip")


def paths(pictures: Path, split: str) -> tuple[Path, ...]:
    return tuple(sorted((pictures / split).rglob("*.jpg")))


def silent(done: int, total: int) -> None:
    pass


def pixels_of(parts: list[Part], size: tuple[int, int], file: Path) -> np.ndarray:
    rows = write_rows(parts, Target(file, size), silent)
    return np.fromfile(file, np.uint8).reshape(rows, *size, 3)


@pytest.fixture(scope="module")
def network(squeezenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    write_onnx(read_network(squeezenet), path, bgr=True)
    return path


@pytest.mark.parametrize("count", [15, 90])  # in this process, and in a process for each core
def test_every_row_is_in_its_place(count: int, pictures: Path, tmp_path: Path) -> None:
    train, test = paths(pictures, "train")[:count], paths(pictures, "test")
    parts = [Part("train", train, FLIP_ROTATION, seed=3), Part("validation", ()), Part("test", test)]
    got = pixels_of(parts, (31, 29), tmp_path / "pixels")

    def prepared(path: Path) -> np.ndarray:
        return nearest_resize(decode(path), (31, 29))

    expected = [copy for index, path in enumerate(train) for copy in augment(prepared(path), FLIP_ROTATION, (3, index))]
    assert np.array_equal(got, np.stack([*expected, *(prepared(path) for path in test)]))


def test_a_hundred_copies_of_an_image_fit(pictures: Path, tmp_path: Path) -> None:
    options = ("crop", "rotation", "blur", "exposure", "noise", "flip")
    got = pixels_of([Part("train", paths(pictures, "train")[:2], options)], (9, 9), tmp_path / "pixels")
    assert len(got) == 2 * copies_per_image(options)


def test_progress_goes_from_nothing_to_all(pictures: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    part = Part("train", paths(pictures, "train"), FLIP_ROTATION)
    write_rows([part], Target(tmp_path / "pixels", (9, 9)), lambda done, total: seen.append((done, total)))
    assert part.rows == 120 * 12
    assert seen[0] == (0, part.rows)
    assert seen[-1] == (part.rows, part.rows)
    assert seen == sorted(seen)
    assert len(seen) > 10


def test_an_image_that_vanished_is_named(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableDataError, match=r"gone\.jpg cannot be read any more"):
        pixels_of([Part("test", (tmp_path / "gone.jpg",))], (9, 9), tmp_path / "pixels")


def test_features_do_not_depend_on_the_number_of_processes(pictures: Path, network: Path, tmp_path: Path) -> None:
    images = paths(pictures, "train")[:110]
    parts = [Part("train", images[:5], FLIP_ROTATION, seed=1), Part("test", images)]
    side_by_side, alone = Target(tmp_path / "a", (227, 227), network), Target(tmp_path / "b", (227, 227), network)
    rows = write_rows(parts, side_by_side, silent)
    allocate(alone.path, rows * alone.row_bytes())
    assert sum(extract_image(task).rows for task in tasks(parts, alone)) == rows == 60 + 110
    assert side_by_side.path.read_bytes() == alone.path.read_bytes()
    features = np.fromfile(alone.path, np.float32).reshape(rows, feature_length(network))
    assert features.shape[1] == 1000
    assert (features.max(axis=1) > 0).all()


def test_room_is_taken_before_it_is_needed(tmp_path: Path) -> None:
    allocate(tmp_path / "file", 3_000_001)
    status = (tmp_path / "file").stat()
    assert status.st_size == 3_000_001
    assert status.st_blocks * 512 >= 3_000_001
    allocate(tmp_path / "empty", 0)
    assert (tmp_path / "empty").stat().st_size == 0


def test_no_room_is_an_error_that_can_be_told_and_not_a_bus_error(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "sys.dont_write_bytecode = True\n"  # a module imported below the limit would leave a cut-off .pyc file
        "from coremlbench.system.files import allocate\n"
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
