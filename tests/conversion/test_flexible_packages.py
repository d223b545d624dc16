"""Whole conversions and checks of packages that take several input sizes: one size is proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coremlbench.conversion.sources import source_of_file
from coremlbench.types.conversion import ModelFileOptions
from coremlbench.types.errors import InputError
from tests.mil_programs import Builder, ct, get_new_symbol, numbers
from tests.small_conversions import convert

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]  # coremltools imports TensorFlow, and warns


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package with weights that can be compressed, which takes two sizes."""
    first, second = get_new_symbol(), get_new_symbol()

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 3, first, second))], opset_version=ct.target.macOS14)
    def program(x: Any) -> Any:
        x = Builder.relu(x=Builder.conv(x=x, weight=numbers((64, 3, 4, 4), 1)))
        return Builder.linear(x=Builder.reduce_mean(x=x, axes=[2, 3]), weight=numbers((40, 64), 2), name="head")

    path = tmp_path_factory.mktemp("flexible") / "two.mlpackage"
    ct.convert(
        program,
        inputs=[ct.TensorType(name="x", shape=ct.EnumeratedShapes([(1, 3, 8, 8), (1, 3, 12, 10)]))],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.macOS14,
        skip_model_load=True,
    ).save(str(path))
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREMLBENCH_CACHE", str(tmp_path / "cache"))


def test_one_size_is_compressed_and_proven_and_the_package_still_takes_both(tmp_path: Path, package: Path) -> None:
    source = source_of_file(package)
    with pytest.raises(InputError, match=r"\(3x8x8 or 3x12x10\); fix one with --input-shape"):
        convert([source], tmp_path / "refused")
    variants = ("int8", "int8-activations")
    ((record, folder),) = convert([source], tmp_path / "results", variants=variants, input_shape=(3, 12, 10))
    assert record.source is not None
    assert record.source.file_options == ModelFileOptions(input_shape=(3, 12, 10))
    assert record.input_shape == (3, 12, 10)
    assert [variant.failure for variant in record.variants] == [None] * 3
    for variant in record.variants[1:]:
        assert variant.proof is not None
        assert variant.proof.verdict in {"proven with caveats", "not judged"}  # compressed, on random inputs
        assert variant.arithmetic == 64 * 9 * 7 * 48 + 64 * 40
        shapes = ct.utils.load_spec(str(folder / variant.path)).description.input[0].type.multiArrayType
        assert len(shapes.enumeratedShapes.shapes) == 2


def test_a_package_of_several_sizes_is_checked_with_the_size_of_its_model(tmp_path: Path, package: Path) -> None:
    settings: dict[str, Any] = {"check": str(package), "input_shape": (3, 8, 8)}
    ((record, _),) = convert([source_of_file(package)], tmp_path / "results", **settings)
    (variant,) = record.variants
    assert variant.failure is None
    assert variant.proof is not None
    assert (variant.proof.verdict[:6], variant.proof.max_error) == ("proven", 0)
    with pytest.raises(InputError, match="3x9x9 is not one of them"):
        convert([source_of_file(package)], tmp_path / "refused", **{**settings, "input_shape": (3, 9, 9)})
