"""One round of one cell in a real child process: its result, and every way in which Core ML can fail."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.runs.steps import worker
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.workers import timing as timing_worker
from tests import coreml_stand_in
from tests.coreml_stand_in import Behaviour, Failing
from tests.gated_clock import GatedClock
from tests.small_packages import Small, classifier, network, picture_to_picture

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder of weights to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",  # Keras saving a model
    ),
]
COUNTS = {"warmup_calls": 3, "warmup_seconds": 0.0, "calls": 20, "seconds": 0.0, "sustain_seconds": None}
SPEEDS = {"CPU": 0.024, "GPU": 0.012, "NE": 0.006}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return network(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    return Stages(tmp_path / "work", lambda progress: None)


Round = Callable[..., dict[str, Any]]


@pytest.fixture
def time_round(stages: Stages, small: Small, tmp_path: Path) -> Round:
    """Return a function that times a round on the stand-in and returns the worker's result."""

    def run(unit: str, behaviour: Behaviour, model: Small = small, *, silence: float = 60, **changes: Any) -> Any:
        file = coreml_stand_in.write(tmp_path / "behaviour.json", behaviour)
        request = request_of(model, "coreml", unit, tmp_path) | changes
        ended = stages.run("time", coreml_stand_in.worker(file)("timing"), request, silence=silence)
        return ended.result

    return run


def request_of(model: Small, runtime: str, unit: str, folder: Path) -> dict[str, Any]:
    paths = {"package": model.package, "compiled": None, "original": None}
    files = {"inputs": model.inputs, "expected": model.expected, "samples": folder / "samples.npz"}
    return {"runtime": runtime, "unit": unit, **paths, **files, **COUNTS}


def failure_of(time_round: Round, *arguments: Any, **changes: Any) -> Failure:
    with pytest.raises(StageFailedError) as caught:
        time_round(*arguments, **changes)
    return caught.value.failure


def stored(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "samples.npz") as file:
        return dict(file)


def test_every_call_is_kept_with_core_mls_own_time_of_it(time_round: Round, tmp_path: Path) -> None:
    for unit, device in (("CPU_ONLY", "CPU"), ("CPU_AND_GPU", "GPU"), ("CPU_AND_NE", "NE")):
        result = time_round(unit, Behaviour(seconds=SPEEDS, played_time=True), calls=25)
        samples = stored(tmp_path)
        assert result["stand_in"] is True
        assert "stand-in" in result["runtime_version"]
        assert result["qos_class"] == ("user-initiated" if sys.platform == "darwin" else None)
        assert result["calls"] == len(samples["wall"]) == len(samples["own"]) == 25
        assert result["warmup_calls"] == 3
        assert result["samples_sha256"] == hashlib.sha256((tmp_path / "samples.npz").read_bytes()).hexdigest()
        assert (samples["own"] <= samples["wall"]).all()
        assert result["output_error"] == pytest.approx(0, abs=1e-6)
        assert result["first_predict_seconds"] > 0
        assert samples["wall"] == pytest.approx(SPEEDS[device], abs=1e-4)


def test_pictures_reach_core_ml_as_pictures_and_probabilities_come_back_in_order(
    time_round: Round, pictures: Small
) -> None:
    result = time_round("ALL", Behaviour(), pictures, sustain_seconds=0.1)
    assert result["output_error"] == pytest.approx(0, abs=1e-6)
    assert result["sustained"][0]["calls"] > 0
    assert result["sustained"][-1]["seconds"] >= 0.1


@pytest.mark.parametrize("colour", ["RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"])
def test_pictures_come_back_from_core_ml_as_pictures_of_its_own_layout(
    time_round: Round, tmp_path: Path, colour: str
) -> None:
    result = time_round("CPU_ONLY", Behaviour(), picture_to_picture(tmp_path, colour))
    assert result["output_error"] == 0


def test_a_package_without_a_file_of_inputs_that_fits_is_refused_in_core_mls_words(
    time_round: Round, small: Small, tmp_path: Path
) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros((2, 1, 3, 8, 5), np.float32))
    failure = failure_of(time_round, "CPU_ONLY", Behaviour(), inputs=tmp_path / "other.npz")
    assert failure.kind == "coreml-input"
    assert failure.evidence.exception == (
        "PredictionError: Core ML could not predict on CPU_ONLY: For input feature 'x', the provided shape "
        "1 × 3 × 8 × 5 is not compatible with the model's feature description. (MultiArray shape (1 x 3 x 8 x 5) does "
        "not match the shape (1 x 3 x 8 x 6) specified in the model description)"
    )


@pytest.mark.parametrize("wrong", [0.0, float("nan")])
def test_what_core_ml_compiled_is_removed_before_the_worker_ends(
    time_round: Round, tmp_path: Path, wrong: float
) -> None:
    """The worker ends without the interpreter's teardown, in which the last model would be freed."""
    (tmp_path / "system").mkdir()
    behaviour = Behaviour(temporary=str(tmp_path / "system"), wrong=wrong)
    if wrong:
        assert failure_of(time_round, "CPU_ONLY", behaviour).kind == "wrong-output"
    else:
        time_round("CPU_ONLY", behaviour)
    assert list((tmp_path / "system").iterdir()) == []


def test_each_sample_that_is_compared_is_reported(small: Small) -> None:
    """Nothing else can be: a prediction of Core ML's holds the interpreter lock, and may take minutes."""
    reports: list[tuple[str, int, int]] = []
    loaded: Any = SimpleNamespace(predict=lambda sample: sample, outputs=lambda predicted: {"scores": predicted})
    expected = {"scores": np.arange(6.0).reshape(3, 2)}

    def report(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        reports.append((phase, done, total))

    assert timing_worker.output_error(loaded, list(expected["scores"]), expected, report) == 0
    assert reports == [("check outputs", number, 3) for number in range(3)]


def test_a_sustained_run_tells_of_itself_within_a_stretch_too(tmp_path: Path) -> None:
    """A block is a sixtieth of the run, which may be longer than the silence that counts as a hang."""
    reports: list[tuple[str, int, int]] = []
    loaded: Any = SimpleNamespace(runtime_seconds=lambda: None)
    request = {**COUNTS, "warmup_calls": 0, "calls": 1, "sustain_seconds": 2.4, "samples": tmp_path / "samples.npz"}
    now = [0]

    def call() -> None:
        now[0] += 600_000_000

    def report(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        reports.append((phase, done, total))

    result = timing_worker._time(call, loaded, request, report, clock=lambda: now[0])
    assert [(point["seconds"], point["calls"]) for point in result["sustained"]] == [(1.2, 2), (2.4, 2)]
    sustained = [(done, total) for phase, done, total in reports if phase == "sustain"]
    assert sustained == [(0, 2), (1, 2), (1, 2), (2, 2), (2, 2)], "one within each of the two stretches, and their ends"


def test_a_load_that_only_warns_is_a_failure_in_core_mls_words(time_round: Round) -> None:
    failure = failure_of(time_round, "ALL", Behaviour(failing=(Failing("load", "raise"),)))
    assert failure.kind == "coreml-prediction"
    assert "Core ML could not load 'network.mlpackage' for ALL" in failure.evidence.exception
    assert "Failed to build the model execution plan" in failure.evidence.exception


def test_a_model_that_is_newer_than_macos_cannot_be_compiled(time_round: Round) -> None:
    failure = failure_of(time_round, "ALL", Behaviour(macos=(12, 6)))
    assert failure.kind == "coreml-model"
    assert "a specification newer than this macOS" in failure.reason
    assert "supports model version 6 or earlier" in failure.evidence.exception


def test_a_model_that_is_newer_than_coremltools_is_a_failure_though_coremltools_says_nothing(
    time_round: Round, small: Small, tmp_path: Path
) -> None:
    newer = tmp_path / "newer größe.mlpackage"
    shutil.copytree(small.package, newer)
    (specification,) = newer.rglob("*.mlmodel")
    content = specification.read_bytes()
    assert content[:2] == b"\x08\x07", "the field of the version"
    specification.write_bytes(b"\x08\x0b" + content[2:])
    failure = failure_of(time_round, "ALL", Behaviour(specification_version=11), replace(small, package=newer))
    assert failure.kind == "model-load"
    assert failure.reason == (
        "Core ML could not load 'newer größe.mlpackage' for ALL: coremltools said nothing, as it does for a model that "
        "is newer than it knows; install a newer coremltools."
    )


def test_a_kill_at_the_first_prediction_is_a_failure_of_that_unit_alone(time_round: Round) -> None:
    killed = Behaviour(failing=(Failing("predict", "SIGKILL", unit="CPU_AND_NE"),))
    failure = failure_of(time_round, "CPU_AND_NE", killed)
    assert failure.evidence.signal == "SIGKILL"
    assert failure.evidence.phase == "first predict"
    assert time_round("CPU_ONLY", killed)["calls"] == 20


def test_an_abort_while_loading_is_a_failure_with_its_signal(time_round: Round) -> None:
    failure = failure_of(time_round, "CPU_AND_GPU", Behaviour(failing=(Failing("load", "SIGABRT", call=1),)))
    assert failure.evidence.signal == "SIGABRT"
    assert failure.evidence.phase == "load"


def test_a_hang_is_ended_by_its_silence(time_round: Round, stages: Stages, tmp_path: Path) -> None:
    hanging = Behaviour(failing=(Failing("predict", "hang", call=15),), cache=str(tmp_path))
    stages.clock = GatedClock((0, (tmp_path / "hanging").exists))  # starting takes as long as it takes
    failure = failure_of(time_round, "CPU_AND_NE", hanging, silence=1)
    assert failure.kind == "hang"
    assert failure.evidence.phase == "time"


def test_a_slow_first_load_is_timed_apart_from_the_cached_ones(time_round: Round) -> None:
    slow = Behaviour(first_load_seconds={"CPU_AND_NE": 0.7}, played_time=True)
    first, later = time_round("CPU_AND_NE", slow), time_round("CPU_AND_NE", slow)
    assert first["first_load_seconds"] == pytest.approx(0.7, abs=1e-3)
    assert first["second_load_seconds"] < 1e-3
    assert later["first_load_seconds"] < 1e-3


def test_drift_is_in_the_samples(time_round: Round, tmp_path: Path) -> None:
    time_round("CPU_ONLY", Behaviour(seconds={"CPU": 0.004}, drift=20, played_time=True), calls=60)
    before = 7  # the first prediction, those that are compared, and the warm-up
    expected = [0.004 * (1 + 20 * (before + number) / 1000) for number in range(1, 61)]
    assert stored(tmp_path)["wall"] == pytest.approx(expected, abs=1e-4)


def test_wrong_outputs_are_told_as_a_share_of_the_range(time_round: Round, small: Small) -> None:
    result = time_round("ALL", Behaviour(wrong=0.25))
    with np.load(small.expected) as expected:
        scores = expected["scores"]
    assert result["output_error"] == pytest.approx(0.25 / (scores.max() - scores.min()), rel=0.01)


def test_outputs_that_are_no_numbers_are_a_failure(time_round: Round) -> None:
    failure = failure_of(time_round, "ALL", Behaviour(wrong=float("nan")))
    assert failure.kind == "wrong-output"
    assert "is not a number" in failure.reason


def test_outputs_of_another_model_are_a_failure(time_round: Round, pictures: Small) -> None:
    failure = failure_of(time_round, "ALL", Behaviour(), expected=pictures.inputs)
    assert "not the model that was expected" in failure.reason


def test_real_core_ml_is_where_macos_is_and_else_one_sentence_says_so(
    stages: Stages, small: Small, tmp_path: Path
) -> None:
    request = request_of(small, "coreml", "CPU_ONLY", tmp_path)
    if sys.platform == "darwin":
        assert (stages.run("time", worker("timing"), request, silence=60).result or {})["stand_in"] is False
    else:
        with pytest.raises(StageFailedError) as caught:
            stages.run("time", worker("timing"), request, silence=60)
        assert caught.value.failure.kind == "no-such-unit"
        assert caught.value.failure.reason.startswith("Core ML runs on macOS only")


def test_the_reference_runtime_names_itself_and_has_no_clock_of_its_own(
    stages: Stages, small: Small, tmp_path: Path
) -> None:
    request = request_of(small, "reference", "host-cpu", tmp_path)
    result = stages.run("time", worker("timing"), request, silence=60).result or {}
    assert result["runtime_version"].startswith("reference (ML Program on ONNX Runtime ")
    assert result["stand_in"] is False
    assert list(stored(tmp_path)) == ["wall"]


def test_tensorflow_times_the_original(small: Small, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    samples = np.random.default_rng(0).normal(0, 1, (3, 1, 4, 4, 3)).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", any_name=samples)
    np.savez(tmp_path / "expected.npz", any_other=np.stack([np.asarray(model(sample)) for sample in samples]))
    request = request_of(small, "tensorflow", "host-cpu", tmp_path) | {
        "original": tmp_path / "model.keras",
        "inputs": tmp_path / "inputs.npz",
        "expected": tmp_path / "expected.npz",
    }
    result = timing_worker.work(request, quietly)
    assert result["output_error"] == pytest.approx(0, abs=1e-6)
    assert result["calls"] == 20


def test_a_runtime_without_its_form_of_the_model_says_so(small: Small, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'tensorflow' takes a model as original, and the request has none"):
        timing_worker.work(request_of(small, "tensorflow", "host-cpu", tmp_path), quietly)


def quietly(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
    """Ignore progress."""
