"""Whole comparisons of packages with ONNX files and recorded outputs, by real workers: right ones and spoilt ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.job import conversion_exit_code
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import named_sources
from coremlbench.types.conversion import ConversionRecord, Proof
from coremlbench.types.errors import InputError
from tests.mil_programs import Builder
from tests.small_conversions import convert
from tests.small_originals import (
    OTHER_HEAD,
    SIZE,
    SWAPPED_FILTERS,
    image_type,
    onnx_file,
    package,
    predict,
    program_of,
)

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",  # as above
    ),
]
N = 510  # enough for a full proof
CLASSES = list("abcde")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with packages, an ONNX file, and recorded arrays and pictures with the outputs of the network."""
    folder = tmp_path_factory.mktemp("models")
    package(folder / "right.mlpackage")
    package(folder / "weight.mlpackage", head=OTHER_HEAD)
    package(folder / "softmax.mlpackage", softmax=True)
    package(folder / "pictures.mlpackage", image=image_type())
    package(folder / "swapped.mlpackage", image=image_type(order="BGR"))
    onnx_file(folder / "model.onnx")
    random = np.random.default_rng(0)
    arrays = random.normal(size=(N, 3, *SIZE)).astype(np.float32)
    np.savez(folder / "arrays.npz", input=arrays, output=predict(arrays))
    pixels = random.integers(0, 256, (N, *SIZE, 3), dtype=np.uint8)
    scores = predict(pixels.transpose(0, 3, 1, 2) / np.float32(255))
    labels = scores.argmax(axis=1)
    np.savez(folder / "pictures.npz", input=pixels, output=scores, labels=labels, classes=np.array(CLASSES))
    return folder


def check(package: Path, model: Path, results: Path, **settings: Any) -> ConversionRecord:
    sources = named_sources([str(model)], results=results, options=ConvertOptions(check=str(package)), check=package)
    ((record, _),) = convert(sources, results, check=str(package), **{"images": 500, **settings})
    return record


def proof_of(record: ConversionRecord) -> Proof:
    (variant,) = record.variants
    assert variant.failure is None
    assert variant.proof is not None
    return variant.proof


def test_a_right_package_is_proven_by_recorded_arrays(folder: Path, tmp_path: Path) -> None:
    record = check(folder / "right.mlpackage", folder / "arrays.npz", tmp_path)
    proof = proof_of(record)
    assert (proof.verdict, proof.caveats, proof.images) == ("proven", (), 500)
    assert proof.data == "recorded samples of arrays.npz (of 510)"
    assert proof.original == "recorded outputs of arrays.npz; outputs compared"
    assert proof.relative_error is not None
    assert proof.relative_error < 1e-5
    assert record.input_shape == (3, *SIZE)
    assert conversion_exit_code([record]) == 0
    assert "The recorded outputs were not computed here: they are compared as they are in arrays.npz." in record.notes


def test_recorded_pictures_have_labels_and_the_classes_are_known(folder: Path, tmp_path: Path) -> None:
    record = check(folder / "pictures.mlpackage", folder / "pictures.npz", tmp_path, images=600)
    proof = proof_of(record)
    assert (proof.verdict, proof.images, proof.data) == ("proven", N, "recorded samples of pictures.npz")
    assert (proof.accuracy_before, proof.accuracy_after, proof.agreement) == (1.0, 1.0, 1.0)
    assert record.source is not None
    assert record.source.classes == tuple(CLASSES)


@pytest.mark.parametrize(
    ("name", "recorded", "hint"),
    [
        ("weight", "arrays.npz", ""),
        ("swapped", "pictures.npz", "With red and blue exchanged the package gives the original's outputs"),
        ("softmax", "arrays.npz", "the package has that last step, and the original's outputs lack it"),
    ],
)
def test_spoilt_packages_are_wrong(folder: Path, tmp_path: Path, name: str, recorded: str, hint: str) -> None:
    record = check(folder / f"{name}.mlpackage", folder / recorded, tmp_path)
    assert proof_of(record).verdict == "wrong"
    assert conversion_exit_code([record]) == 3
    (variant,) = record.variants
    other_notes = ("No op can be named: ", "The package has no labels; ")
    hints = [note for note in variant.notes if not note.startswith(other_notes)]
    assert len(hints) == (1 if hint else 0)
    assert hint in " ".join(hints)
    assert f"No op can be named: {recorded} has only the outputs of the original" in " ".join(variant.notes)


def test_a_right_package_is_proven_by_an_onnx_file(folder: Path, tmp_path: Path, pictures: Path) -> None:
    record = check(folder / "right.mlpackage", folder / "model.onnx", tmp_path, input_shape=(3, *SIZE))
    proof = proof_of(record)
    assert (proof.verdict, proof.images) == ("proven with caveats", 500)
    assert [caveat.code for caveat in proof.caveats] == ["random-inputs"]
    assert proof.original.startswith("model.onnx on ONNX Runtime 1.")
    assert record.notes[0] == (
        "--input-shape was left out for model.onnx: the package that it is compared with decides."
    )
    record = check(folder / "pictures.mlpackage", folder / "model.onnx", tmp_path, data=str(pictures), scale=1 / 255)
    proof = proof_of(record)
    assert proof.data == f"test images of {pictures.name}"
    assert proof.relative_error is not None
    assert proof.relative_error < 1e-5


@pytest.mark.parametrize(("name", "settings"), [("weight", {}), ("swapped pictures", {"scale": 1 / 255})])
def test_a_spoilt_package_is_wrong_by_an_onnx_file(
    folder: Path, tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    spoilt = folder / f"{name}.mlpackage"
    if not spoilt.exists():  # its filters take BGR, and the package says RGB
        package(spoilt, filters=SWAPPED_FILTERS, image=image_type())
    record = check(spoilt, folder / "model.onnx", tmp_path, **settings)
    assert proof_of(record).verdict == "wrong"
    notes = " ".join(record.variants[0].notes)
    assert "No op can be named: the values of an ONNX model such as model.onnx have other names" in notes
    assert ("With red and blue exchanged" in notes) == (name == "swapped pictures")


def test_several_recorded_inputs(tmp_path: Path) -> None:
    def program(ids: Any, factor: Any) -> Any:
        return Builder.mul(x=Builder.cast(x=ids, dtype="fp32"), y=factor, name="product")

    path = program_of(tmp_path / "two.mlpackage", program, [((1, 4), "int32"), ((1, 1), "fp32")])
    random = np.random.default_rng(3)
    ids, factor = random.integers(0, 1000, (N, 4)), random.normal(size=(N, 1))
    for name, output in (("right", ids * factor), ("wrong", ids[:, ::-1] * factor)):
        np.savez(tmp_path / f"{name}.npz", input_ids=ids, input_factor=factor, output_product=output)
        record = check(path, tmp_path / f"{name}.npz", tmp_path / "results")
        assert proof_of(record).verdict == ("proven" if name == "right" else "wrong")


def test_what_cannot_be_compared_is_an_input_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"The package takes picture as 8-bit images, and the array input in arrays.npz"
    ):
        check(folder / "pictures.mlpackage", folder / "arrays.npz", tmp_path)
    assert not list(tmp_path.iterdir())
