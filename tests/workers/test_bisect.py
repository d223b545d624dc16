"""Cases in which the first diverging op is named, and in which none can be."""

from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder

from coremlbench.conversion.divergence import ProgramReference
from coremlbench.mil_onnx import load_program
from coremlbench.types.conversion import OUTPUT
from coremlbench.workers.bisect import NoOpError, _divergence
from tests.mil_programs import numbers

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",  # as above
    ),
]

SAMPLES = numbers((4, 6), 0)
WEIGHT = numbers((6, 3), 1)


def package(weight: np.ndarray, name: str = "net_dot") -> Any:
    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 6))], opset_version=ct.target.macOS13)
    def program(image: Any) -> Any:
        return Builder.relu(x=Builder.matmul(x=image, y=weight, name=name), name=f"{name}_relu")

    return ct.convert(
        program,
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.macOS13,
        skip_model_load=True,
    )


class Opaque:
    """An original without intermediate values of its own, whose conversion has ``converted`` as weights."""

    def __init__(self, converted: np.ndarray, values: Any = None) -> None:
        self.converted, self._values = converted, values
        self.scale, self.layers = 1.0, {"net": "net"}

    def intermediate_values(self) -> Any:
        return self._values

    def predict(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        return {OUTPUT: np.maximum(samples @ WEIGHT, 0)}

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        return package(self.converted)


def divergence_of(original: Opaque, weight: np.ndarray, folder: Path, name: str = "net_dot") -> Any:
    package(weight, name).save(str(folder / "model.mlpackage"))
    requested = {"key": "fp32-b1", "package": str(folder / "model.mlpackage"), "batch": 1}
    request = {"folder": str(folder), "target": "macOS13"}
    return _divergence(requested, original, SAMPLES, request, lambda *_, **__: None)


def test_a_conversion_that_is_right_tells_where_a_package_parts(tmp_path: Path) -> None:
    divergence = divergence_of(Opaque(WEIGHT), -WEIGHT, tmp_path)
    assert (divergence["op"], divergence["kind"], divergence["layer"]) == ("net_dot", "matmul", "net")


def test_when_the_conversion_errs_too_no_op_is_blamed(tmp_path: Path) -> None:
    with pytest.raises(NoOpError, match="a new conversion differs from the original too"):
        divergence_of(Opaque(-WEIGHT), -WEIGHT, tmp_path)


def test_a_package_with_names_of_its_own_has_no_op_to_name(tmp_path: Path) -> None:
    with pytest.raises(NoOpError, match="other names"):
        divergence_of(Opaque(WEIGHT), -WEIGHT, tmp_path, name="other")


def test_a_package_that_is_the_same_inside_has_no_op_to_name(tmp_path: Path) -> None:
    package(WEIGHT).save(str(tmp_path / "reference.mlpackage"))
    reference = ProgramReference(load_program(tmp_path / "reference.mlpackage"))
    with pytest.raises(NoOpError, match="are the same"):
        divergence_of(Opaque(WEIGHT, reference), WEIGHT, tmp_path)
