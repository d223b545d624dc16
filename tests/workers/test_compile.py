"""Compiling in a real child process with the stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from coremlbench.runs.stages import StageFailedError, Stages
from tests import coreml_stand_in
from tests.coreml_stand_in import Behaviour, Failing
from tests.small_packages import network

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder of weights to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ),
]


def test_a_model_is_compiled_to_where_it_is_wanted_in_place_of_an_older_one(tmp_path: Path) -> None:
    package, compiled = network(tmp_path).package, tmp_path / "compiled" / "network.mlmodelc"
    (compiled / "left over").mkdir(parents=True)
    file = coreml_stand_in.write(tmp_path / "behaviour.json", Behaviour(compile_seconds=0.3, played_time=True))
    request = {"package": package, "compiled": compiled}
    ended = Stages(tmp_path, lambda progress: None).run(
        "compile", coreml_stand_in.worker(file)("compile"), request, silence=60
    )
    assert ended.result is not None
    assert ended.result["compiled"] == str(compiled)
    assert ended.result["compile_seconds"] == pytest.approx(0.3, abs=1e-4)
    assert ended.result["stand_in"] is True
    assert {path.name for path in compiled.iterdir()} == {"coremldata.bin", "model.mlpackage"}


def test_a_model_that_core_ml_cannot_compile_is_a_failure_in_its_words(tmp_path: Path) -> None:
    file = coreml_stand_in.write(tmp_path / "behaviour.json", Behaviour(failing=(Failing("compile", "raise"),)))
    request = {"package": tmp_path / "no.mlpackage", "compiled": tmp_path / "no.mlmodelc"}
    with pytest.raises(StageFailedError) as caught:
        Stages(tmp_path, lambda progress: None).run(
            "compile", coreml_stand_in.worker(file)("compile"), request, silence=60
        )
    assert caught.value.failure.evidence.exception.startswith(
        "ModelLoadError: Core ML could not compile 'no.mlpackage'"
    )
    assert "Failed to build the model execution plan" in caught.value.failure.evidence.exception
