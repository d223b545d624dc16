"""Compute plans: shares by device, and the phrase that says where a measurement ran."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.timing.compute_plan import DEVICE_THRESHOLD, make_plan, ran_on
from coremlbench.types.timing import ComputePlan, PlannedOp, UnitName

UNITS: tuple[UnitName, ...] = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")

rows = st.lists(
    st.builds(
        PlannedOp,
        op=st.text(min_size=1, max_size=3),
        kind=st.sampled_from(["conv", "linear", "softmax"]),
        device=st.sampled_from(["CPU", "GPU", "NE"]),
        cost=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=12,
)


def row(device: str, cost: float = 0.0, op: str = "op") -> PlannedOp:
    return PlannedOp(op, "conv", device, cost)


@given(rows, st.sampled_from(UNITS))
def test_shares_sum_to_one_and_no_op_is_lost(planned: list[PlannedOp], unit: UnitName) -> None:
    plan = make_plan(planned, unit)
    assert sum(plan.ops.values()) == len(planned)
    assert sum(plan.cost.values()) == pytest.approx(1 if any(op.cost for op in planned) else 0)
    assert [op.cost for op in plan.elsewhere] == sorted((op.cost for op in plan.elsewhere), reverse=True)
    on_device = sum(plan.ops.values()) - len(plan.elsewhere)
    assert on_device in {*plan.ops.values(), 0}


@given(rows)
def test_a_row_is_the_neural_engines_only_from_the_threshold_on(planned: list[PlannedOp]) -> None:
    plan = make_plan(planned, "CPU_AND_NE")
    shares = plan.cost or {device: count / len(planned) for device, count in plan.ops.items()}
    assert (ran_on(plan, "CPU_AND_NE") == "Neural Engine") == (shares.get("NE", 0) >= DEVICE_THRESHOLD)


@pytest.mark.parametrize(
    ("planned", "unit", "expected"),
    [
        ([row("NE", 0.9), row("CPU", 0.1)], "CPU_AND_NE", "Neural Engine"),
        ([row("NE", 0.9), row("CPU", 0.1)], "ALL", "Neural Engine"),
        ([row("CPU", 1.0)], "CPU_AND_NE", "asked for the Neural Engine, planned on CPU"),
        (
            [row("NE", 0.25), row("CPU", 0.75)],
            "CPU_AND_NE",
            "asked for the Neural Engine, planned on CPU (75%) and Neural Engine (25%)",
        ),
        ([row("GPU", 0.5)], "CPU_AND_GPU", "GPU"),
        ([row("CPU", 0.5)], "CPU_AND_GPU", "asked for the GPU, planned on CPU"),
        (
            [row("GPU", 0.5), row("NE", 0.3), row("CPU", 0.2)],
            "ALL",
            "planned on GPU (50%), Neural Engine (30%) and CPU (20%)",
        ),
        ([row("CPU", 1.0)], "CPU_ONLY", "CPU"),
        ([row("NE"), row("NE"), row("NE"), row("NE"), row("CPU")], "CPU_AND_NE", "Neural Engine"),
    ],
)
def test_where_a_row_ran_is_said_in_words(planned: list[PlannedOp], unit: UnitName, expected: str) -> None:
    assert ran_on(make_plan(planned, unit), unit) == expected


def test_without_a_plan_nothing_is_claimed() -> None:
    assert ran_on(None, "CPU_AND_NE") == "not known"
    assert ran_on(ComputePlan(failure="It aborted."), "ALL") == "not known: It aborted."
    assert ran_on(None, "host-gpu") == "GPU"
    assert ran_on(None, "host-cpu") == "CPU"


def test_ops_elsewhere_are_those_off_the_unit_asked_for_and_for_all_off_the_main_one() -> None:
    planned = [row("NE", 0.1, "a"), row("GPU", 0.6, "b"), row("CPU", 0.3, "c")]
    assert [planned_op.op for planned_op in make_plan(planned, "CPU_AND_NE").elsewhere] == ["b", "c"]
    assert [planned_op.op for planned_op in make_plan(planned, "ALL").elsewhere] == ["c", "a"]
