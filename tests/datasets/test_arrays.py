from __future__ import annotations

import functools
import gzip
import http.server
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coremlbench.types.errors import InputError
from coremlbench_datasets.arrays import UnavailableError, keras_copy, read_idx, unpickle
from coremlbench_datasets.cifar10 import CIFAR10
from coremlbench_datasets.fashion_mnist import FASHION_MNIST
from coremlbench_datasets.mnist import MNIST
from tests.small_datasets import cifar_archive, cifar_batch, idx


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        """Say nothing."""


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-run",)


def test_an_archive_of_cifar10_becomes_pixels_in_their_order(tmp_path: Path) -> None:
    prepared = CIFAR10.prepare(tmp_path / "cache", source=cifar_archive(tmp_path / "cifar.tar.gz"))
    assert (prepared.train, prepared.test, prepared.classes[0]) == (100, 20, "airplane")
    assert prepared.provenance.note == "not the published archive"
    batch = cifar_batch(1)
    images, labels = np.load(prepared.train_images), np.load(prepared.train_labels)
    assert images.shape == (100, 32, 32, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[20, :, :, 2].ravel(), batch[b"data"][0, 2048:])
    np.testing.assert_array_equal(labels[20:40], batch[b"labels"])


def test_an_unpacked_archive_is_the_same_dataset(tmp_path: Path) -> None:
    packed = CIFAR10.prepare(tmp_path / "cache", source=cifar_archive(tmp_path / "cifar.tar.gz"))
    with tarfile.open(tmp_path / "cifar.tar.gz") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    plain = CIFAR10.prepare(tmp_path / "cache", source=tmp_path / "unpacked" / "cifar-10-batches-py")
    np.testing.assert_array_equal(np.load(packed.train_images), np.load(plain.train_images))


def test_a_download_of_arrays_is_told(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.npz").write_bytes(bytes(2000))
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "served"))
    told: list[tuple[str, int, int]] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        found = keras_copy(
            f"http://127.0.0.1:{server.server_port}/a.npz",
            tmp_path / "not there",
            tmp_path / "cache",
            lambda phase, done, total, *_, **__: told.append((phase, done, total)),
        )
        server.shutdown()
    assert found.read_bytes() == bytes(2000)
    assert told == [("download", 2000, 2000)]


def test_a_smaller_run_takes_the_first_rows_and_shares_the_files(tmp_path: Path) -> None:
    source = cifar_archive(tmp_path / "cifar.tar.gz")
    whole = CIFAR10.prepare(tmp_path / "cache", source=source)
    part = CIFAR10.prepare(tmp_path / "cache", source=source, train=7, test=3)
    assert (part.train, part.test) == (7, 3)
    assert part.train_images == whole.train_images
    with pytest.raises(InputError, match=r"CIFAR-10 has 100 train images, and 101 were asked for\."):
        CIFAR10.prepare(tmp_path / "cache", source=source, train=101)


def test_a_changed_source_is_read_again(tmp_path: Path) -> None:
    first = CIFAR10.prepare(tmp_path / "cache", source=cifar_archive(tmp_path / "cifar.tar.gz"))
    more = pickle.dumps(cifar_batch(9, rows=30), protocol=2)
    source = cifar_archive(tmp_path / "cifar.tar.gz", replace={"test_batch": more})
    assert (first.test, CIFAR10.prepare(tmp_path / "cache", source=source).test) == (20, 30)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_would_run_a_command_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = pickle.dumps({b"data": Evil(), b"labels": []}, protocol=protocol)
    source = cifar_archive(tmp_path / "cifar.tar.gz", replace={"data_batch_3": hostile})
    with pytest.raises(InputError, match=r"cannot be read as CIFAR-10: it asks for \w+\.mkdir, which data do not need"):
        CIFAR10.prepare(tmp_path / "cache", source=source)
    assert not Path("was-run").exists()
    assert not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no archive at all", "is no archive"),
        (gzip.compress(b"\0" * 20_000, mtime=0), "there is no data_batch_1 in it"),
    ],
    ids=["text", "gzip"],  # the bytes would be the name, and processes that test side by side must agree on names
)
def test_what_is_no_archive_is_said_in_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    source = tmp_path / "cifar.tar.gz"
    source.write_bytes(content)
    with pytest.raises(InputError, match=says):
        CIFAR10.prepare(tmp_path / "cache", source=source)


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ({b"data": np.zeros((4, 100), np.uint8), b"labels": [0] * 4}, r"holds data of shape \(4, 100\)"),
        ({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0] * 3}, "it has 84 images and 83 labels"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, "it has labels from 0 to 10"),
        ({b"labels": [1]}, "data"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(tmp_path: Path, batch: dict[bytes, Any], says: str) -> None:
    replace = {"data_batch_1": pickle.dumps(batch, protocol=2)}
    with pytest.raises(InputError, match=says):
        CIFAR10.prepare(tmp_path / "cache", source=cifar_archive(tmp_path / "cifar.tar.gz", replace=replace))


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    source = cifar_archive(tmp_path / "cifar.tar.gz", leave_out="data_batch_4")
    with pytest.raises(InputError, match="there is no data_batch_4 in it"):
        CIFAR10.prepare(tmp_path / "cache", source=source)


def test_a_source_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file or folder .*nowhere"):
        MNIST.prepare(tmp_path, source=tmp_path / "nowhere")


def test_fashion_mnist_from_a_folder_of_idx_files_compressed_or_not(tmp_path: Path) -> None:
    images, labels = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 251, np.array([9, 0, 4])
    for prefix in ("train", "t10k"):
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    prepared = FASHION_MNIST.prepare(tmp_path / "cache", source=tmp_path)
    np.testing.assert_array_equal(np.load(prepared.train_images), images)
    np.testing.assert_array_equal(np.load(prepared.test_labels), labels)


def test_mnist_from_a_file_in_kerass_naming(tmp_path: Path) -> None:
    images, labels = np.zeros((5, 28, 28), np.uint8), np.array([1, 2, 3, 4, 5], np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    prepared = MNIST.prepare(tmp_path / "cache", source=tmp_path / "mnist.npz")
    assert (prepared.train, prepared.test) == (5, 2)
    assert np.load(prepared.train_labels).dtype == np.int64


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_damaged_npz_is_said_in_one_sentence(tmp_path: Path, share: float) -> None:
    images, labels = np.zeros((6, 28, 28), np.uint8), np.arange(6, dtype=np.int64)
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    content = path.read_bytes()
    for number, damaged in enumerate(
        (content[: int(share * len(content))], content.replace(content[60:64], b"\0" * 4))
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot be read as MNIST: .*Fetch mnist\.npz"):
            MNIST.prepare(tmp_path / f"cache{number}", source=path)


def test_another_pickle_is_not_taken_for_mnist(tmp_path: Path) -> None:
    (tmp_path / "mnist.pkl.gz").write_bytes(gzip.compress(pickle.dumps([1, 2, 3])))
    with pytest.raises(InputError, match=r"is not the classic mnist\.pkl\.gz .* Fetch mnist\.npz"):
        MNIST.prepare(tmp_path / "cache", source=tmp_path / "mnist.pkl.gz")


def test_files_of_a_system_that_were_tampered_with_are_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((1, 28, 28)))))
    said = offline("from coremlbench_datasets.fashion_mnist import FASHION_MNIST as it", tmp_path)
    assert "train-images-idx3-ubyte is not the published file" in said


@pytest.mark.parametrize(
    ("dataset", "fetch"),
    [
        ("fashion_mnist import FASHION_MNIST", "Install Debian's package dataset-fashion-mnist, or fetch"),
        ("cifar10 import CIFAR10", "Fetch cifar-10-python.tar.gz from its authors' page and give the file"),
    ],
)
def test_without_a_network_one_sentence_says_what_to_fetch(tmp_path: Path, dataset: str, fetch: str) -> None:
    said = offline(f"from coremlbench_datasets.{dataset} as it", tmp_path)
    assert said.startswith("InputError: ")
    assert "does not answer" in said
    assert fetch in said


def offline(statement: str, folder: Path) -> str:
    """Prepare a dataset in a process whose proxy is closed, and return the error's line."""
    script = f"import sys; from pathlib import Path; {statement}; it.prepare(Path(sys.argv[1]))"
    nowhere = "http://127.0.0.1:9"
    environment = os.environ | {
        "KERAS_HOME": str(folder / "keras"),
        "XDG_DATA_DIRS": str(folder),
        "https_proxy": nowhere,
        "HTTPS_PROXY": nowhere,
        "no_proxy": "",
        "NO_PROXY": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder / "cache")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1].removeprefix("coremlbench.types.errors.")


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)))
def test_idx_files_come_back_as_they_were(array: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(read_idx(idx(array)), array)


@given(st.binary(max_size=40) | st.builds(lambda rest: b"\0\0\x08" + rest, st.binary(max_size=40)))
def test_other_bytes_are_an_array_or_a_plain_refusal(content: bytes) -> None:
    try:
        array = read_idx(content)
    except UnavailableError:
        return
    assert idx(array) == content


@given(arrays.arrays(st.sampled_from([np.uint8, np.int64, np.float32]), (3, 2)), st.sampled_from([0, 1, 2, 3, 4, 5]))
def test_plain_pickles_come_back(array: np.ndarray[Any, Any], protocol: int) -> None:
    packed = pickle.dumps({"rows": [array, (1, "two", b"three", None)]}, protocol=protocol)
    rows = unpickle(packed)["rows"]
    np.testing.assert_array_equal(rows[0], array)
    assert rows[1] == (1, "two", b"three", None)


def test_pickles_of_the_old_numpy_and_python_are_read() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    packed = pickle.dumps((array, [1]), protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in packed
    np.testing.assert_array_equal(unpickle(packed, encoding="latin1")[0], array)
