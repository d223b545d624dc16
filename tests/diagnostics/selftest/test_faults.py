"""Each fault of Core ML, played by the stand-in on a Mac that is not here, is one line with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coremlbench.diagnostics.selftest.checks import CheckResult, Context, exit_code
from coremlbench.diagnostics.selftest.host import Host
from coremlbench.diagnostics.selftest.run import new_context, run_checks
from coremlbench.diagnostics.selftest.table import CHECKS, COMPILER, TINY_MODEL
from coremlbench.types.process import Limits
from tests import coreml_stand_in
from tests.coreml_stand_in import Behaviour, Failing

pytestmark = pytest.mark.tensorflow

MAC = Host("macOS", "arm64", (15, 1))
CORE_ML = tuple(check for check in CHECKS if check.name.startswith("Core ML"))
UNITS = tuple(check for check in CORE_ML if " on " in check.name)
BUDGET = 200.0
"""Seconds: a loaded machine may be slow."""


@dataclass
class PlayedMac:
    """A Mac whose Core ML is the stand-in; its tiny model is made."""

    context: Context
    folder: Path

    def run(self, behaviour: Behaviour, *names: str, host: Host = MAC, budget: float = BUDGET) -> list[CheckResult]:
        """Return the results of the checks with these names."""
        file = coreml_stand_in.write(self.folder / "behaviour.json", behaviour)
        context = replace(self.context, host=host, launcher=coreml_stand_in.command(file))
        return run_checks([check for check in CHECKS if check.name in names], context, budget=budget)


@pytest.fixture(scope="module")
def mac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedMac]:
    folder = tmp_path_factory.mktemp("selftest")
    with new_context(MAC, folder / "results", folder / "cache") as context:
        played = PlayedMac(context, folder)
        results = played.run(Behaviour(), TINY_MODEL, COMPILER)
        assert [result.status for result in results] == ["works", "works"], results
        yield played


def test_all_of_core_ml_works_on_a_healthy_mac(mac: PlayedMac) -> None:
    results = mac.run(Behaviour(), *(check.name for check in CORE_ML))
    assert {result.status for result in results} == {"works"}, results
    assert exit_code(results) == 0
    details = {result.name: result.detail for result in results}
    assert details["Core ML's devices"] == "CPU, GPU, NE (the stand-in of the tests, not Core ML)"
    assert "outputs match" in details["Core ML on CPU and Neural Engine"]
    assert "CPU_AND_GPU on GPU" in details["Core ML's compute plan"]
    assert all("stand-in" in details[check.name] for check in UNITS)


@pytest.mark.parametrize(
    ("behaviour", "name", "words"),
    [
        (
            Behaviour(failing=(Failing("load", "SIGABRT", "CPU_AND_GPU"),)),
            "Core ML on CPU and GPU",
            ("timing on CPU_AND_GPU: ", "SIGABRT", "load"),
        ),
        (Behaviour(failing=(Failing("load", "raise"),)), "Core ML on the CPU", ("error code: -5",)),
        (Behaviour(failing=(Failing("compile", "raise"),)), COMPILER, ("compiling the tiny model: ", "error code: -5")),
        (
            Behaviour(failing=(Failing("plan", "SIGABRT", "ALL"),)),
            "Core ML's compute plan",
            ("planning for ALL: ", "SIGABRT"),
        ),
        (Behaviour(devices=()), "Core ML's devices", ("Core ML lists no device at all",)),
        (Behaviour(devices=("CPU", "GPU")), "Core ML's devices", ("Core ML lists CPU, GPU and not NE",)),
        (
            Behaviour(wrong=0.5),
            "Core ML on the CPU",
            ("CPU_ONLY gives other outputs than the model's weights: the largest error is ",),
        ),
    ],
    ids=["abort", "load", "compile", "plan", "no devices", "no NE", "wrong outputs"],
)
def test_a_fault_is_one_line_with_its_reason(
    behaviour: Behaviour, name: str, words: tuple[str, ...], mac: PlayedMac
) -> None:
    (result,) = results = mac.run(behaviour, name)
    assert (result.name, result.status) == (name, "does not")
    assert all(word in result.detail for word in words), result.detail
    assert "\n" not in result.detail
    assert result.advice
    assert exit_code(results) == 3


def test_without_listed_devices_the_units_are_tried_all_the_same(mac: PlayedMac) -> None:
    (result,) = mac.run(Behaviour(devices=()), "Core ML on the CPU")
    assert (result.status, result.detail[:9]) == ("works", "loads in ")


def test_a_hang_ends_with_its_time_and_the_others_go_on(mac: PlayedMac) -> None:
    behaviour = Behaviour(failing=(Failing("load", "hang", "CPU_AND_NE"),))
    by_name = {check.name: check for check in UNITS}
    checks = [
        replace(by_name["Core ML on CPU and Neural Engine"], limits=Limits(deadline=8.0)),
        replace(by_name["Core ML on the CPU"], limits=Limits(deadline=BUDGET)),
    ]
    file = coreml_stand_in.write(mac.folder / "behaviour.json", behaviour)
    context = replace(mac.context, launcher=coreml_stand_in.command(file))
    hanging, other = results = run_checks(checks, context, budget=BUDGET)
    assert hanging.status == "does not"
    assert hanging.detail.startswith("timing on CPU_AND_NE: ")
    assert "6 s" in hanging.detail or "6.0" in hanging.detail, hanging.detail  # the share of its 8 that a worker gets
    assert "--timeout" not in hanging.advice, "the self-test has no such option"
    assert other.status == "works", other
    assert exit_code(results) == 3


def test_a_virtual_mac_does_not_load_what_hangs_there(mac: PlayedMac) -> None:
    behaviour = Behaviour(devices=("CPU", "GPU"), failing=(Failing("load", "hang", "CPU_AND_NE"),))
    names = ("Core ML's devices", "Core ML on CPU and Neural Engine", "Core ML on all units", "Core ML on CPU and GPU")
    results = mac.run(behaviour, *names, host=replace(MAC, virtual=True))
    status = {result.name: result.status for result in results}
    assert status == dict(zip(names, ("works", "not here", "not here", "works"), strict=True))
    detail = {result.name: result.detail for result in results}
    assert "this is a virtual Mac" in detail["Core ML on all units"]
    assert exit_code(results) == 0
