"""Reading the compute plan in a real child process with the stand-in, also when Core ML aborts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.timing.compute_plan import from_result, ran_on
from coremlbench.types.timing import ComputePlan
from tests import coreml_stand_in
from tests.coreml_stand_in import Behaviour, Failing
from tests.coreml_stand_in.native import Core
from tests.small_packages import network

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder of weights to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ),
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    temporary = Core(Behaviour(temporary=str(folder))).compile(network(folder).package)
    return temporary.rename(folder / "network.mlmodelc")


@pytest.fixture
def read_plan(compiled: Path, tmp_path: Path) -> Callable[..., ComputePlan]:
    """Return a function that reads the plan of the small network on the stand-in."""

    def run(unit: str, behaviour: Behaviour, model: Path = compiled) -> ComputePlan:
        file = coreml_stand_in.write(tmp_path / "behaviour.json", behaviour)
        request: dict[str, Any] = {"compiled": model, "unit": unit}
        ended = Stages(tmp_path, lambda progress: None).run(
            "plan", coreml_stand_in.worker(file)("plan"), request, silence=60
        )
        assert ended.result is not None
        assert ended.result["stand_in"] is True
        return from_result(ended.result)

    return run


Read = Callable[..., ComputePlan]


def test_ops_and_costs_are_told_by_device_and_constants_are_not_counted(read_plan: Read) -> None:
    plan = read_plan("CPU_AND_NE", Behaviour(cpu_ops=("softmax",)))
    assert plan.ops == {"NE": 4, "CPU": 1}
    assert plan.cost == pytest.approx({"NE": 0.8, "CPU": 0.2})
    assert [(op.op, op.kind, op.device) for op in plan.elsewhere] == [("scores", "softmax", "CPU")]
    assert ran_on(plan, "CPU_AND_NE") == "Neural Engine"


def test_ops_without_a_preferred_device_are_left_out(read_plan: Read) -> None:
    plan = read_plan("CPU_AND_GPU", Behaviour(unplanned=("softmax", "relu")))
    assert plan.ops == {"GPU": 3}
    assert plan.elsewhere == ()
    nothing = read_plan("ALL", Behaviour(unplanned=("conv", "relu", "reduce_mean", "linear", "softmax")))
    assert nothing.failure == "Core ML's compute plan names no device for any operation."


def test_a_silent_fallback_is_told(read_plan: Read) -> None:
    plan = read_plan("CPU_AND_NE", Behaviour(fallback=("CPU_AND_NE",)))
    assert plan.ops == {"CPU": 5}
    assert len(plan.elsewhere) == 5
    assert ran_on(plan, "CPU_AND_NE") == "asked for the Neural Engine, planned on CPU"


def test_a_plan_that_aborts_is_a_failure_with_its_signal(read_plan: Read) -> None:
    with pytest.raises(StageFailedError) as caught:
        read_plan("ALL", Behaviour(failing=(Failing("plan", "SIGABRT"),)))
    assert caught.value.failure.evidence.signal == "SIGABRT"
    assert caught.value.failure.evidence.phase == "plan"


def test_a_package_is_never_given_to_core_mls_plan_which_would_abort(read_plan: Read) -> None:
    with pytest.raises(StageFailedError) as caught:
        read_plan("ALL", Behaviour(), Path("some.mlpackage"))
    assert (caught.value.ended.error or {})["type"] == "InputError"
    assert "from a compiled model" in (caught.value.ended.error or {})["message"]


def test_before_macos_14_4_there_is_no_plan_and_a_sentence_says_so(read_plan: Read) -> None:
    plan = read_plan("CPU_AND_NE", Behaviour(macos=(14, 3)))
    assert plan.failure == "Core ML gives its compute plan on macOS 14.4 and later, and this is 14.3."
    assert ran_on(plan, "CPU_AND_NE").startswith("not known: Core ML gives its compute plan on macOS 14.4 and later")
