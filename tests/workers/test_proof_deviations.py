"""Proofs of packages with an op that Core ML is known to compute otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.known_deviations import BY_NAME
from coremlbench.types.conversion import OUTPUT
from coremlbench.workers.proof import _prove
from tests.mil_programs import Builder, numbers, package_of

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",  # as above
    ),
]
SAMPLES = numbers((600, 6), 0)
CAVEAT = BY_NAME["softplus-float16"].caveat


def softplus(x: Any) -> Any:
    return Builder.softplus(x=x)


def prove(folder: Path, build: Callable[[Any], Any], expected: Any, dtype: Any = np.float16, **package: Any) -> Any:
    """Return the result of the worker for a package of SAMPLES that ``build`` makes."""
    package_of(folder / "small.mlpackage", build, {"x": SAMPLES[:1].astype(dtype)}, target="iOS16")
    np.save(folder / "samples.npy", SAMPLES)
    np.savez(folder / "expected.npz", **{OUTPUT: expected})
    request = {
        "folder": str(folder),
        "scale": 1.0,
        "original": "NumPy",
        "data": "numbers",
        "inputs": "data",
        "classes": None,
        "labels": [],
        "class_origin": "known",
    }
    requested = {"key": "small", "package": str(folder / "small.mlpackage"), "without_original": False, **package}
    return _prove({"precision": None, **requested}, request, lambda *_, **__: None)


def test_a_package_that_would_be_proven_is_proven_with_a_caveat(tmp_path: Path) -> None:
    result = prove(tmp_path, softplus, np.log1p(np.exp(SAMPLES)))
    assert result["known_deviations"] == ["softplus-float16"]
    assert result["proof"]["verdict"] == "proven with caveats"
    assert result["proof"]["caveats"] == [{"code": CAVEAT.code, "text": CAVEAT.text}]


def test_the_same_op_in_float32_is_proven(tmp_path: Path) -> None:
    result = prove(tmp_path, softplus, np.log1p(np.exp(SAMPLES)), np.float32)
    assert (result["known_deviations"], result["proof"]["verdict"], result["proof"]["caveats"]) == ([], "proven", [])


def test_a_wrong_package_stays_wrong(tmp_path: Path) -> None:
    result = prove(tmp_path, softplus, SAMPLES)
    assert result["proof"]["verdict"] == "wrong"
    assert [caveat["code"] for caveat in result["proof"]["caveats"]] == ["known-deviation"]


def test_a_package_without_an_original_has_a_note(tmp_path: Path) -> None:
    result = prove(tmp_path, softplus, SAMPLES, without_original=True)
    assert "proof" not in result
    assert result["notes"] == [CAVEAT.text]


def test_a_package_that_cannot_be_executed_is_known_to_deviate_too(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        return Builder.softplus(x=Builder.reshape(x=x, shape=(2, 3)))

    result = prove(tmp_path, build, np.zeros((600, 5)))
    assert "error" in result
    assert result["known_deviations"] == ["softplus-float16"]
