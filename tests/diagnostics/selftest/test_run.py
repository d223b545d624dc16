"""The order of the checks, what is not tried, their limits, and what the self-test's exit code says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.diagnostics.selftest.checks import Check, CheckResult, Context, exit_code
from coremlbench.diagnostics.selftest.host import Host, detect_host
from coremlbench.diagnostics.selftest.run import new_context, run_checks, run_one, with_needs
from coremlbench.diagnostics.selftest.table import CHECKS
from coremlbench.runs.store import check_results_folder
from coremlbench.types.errors import InputError
from coremlbench.types.process import Limits

LINUX = Host("Linux", "x86_64")
MAC = Host("macOS", "arm64", (15, 1))
BY_NAME = {check.name: check for check in CHECKS}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with new_context(LINUX, tmp_path / "results", tmp_path / "cache") as made:
        yield made


def test_every_check_has_a_name_of_its_own_and_comes_after_those_that_it_needs() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len({check.key for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert all(names.index(needed) < names.index(check.name) for needed in check.needs), check.name
        assert check.limits.deadline, check.name
    assert BY_NAME["Core ML on CPU and GPU"].key == "core-ml-on-cpu-and-gpu"


def test_a_chosen_check_brings_those_that_it_needs() -> None:
    assert [check.name for check in with_needs(["core-ml-on-the-cpu"], CHECKS)] == [
        "a tiny Core ML model",
        "Core ML's compiler",
        "Core ML on the CPU",
    ]
    assert [check.name for check in with_needs(["the-report"], CHECKS)] == [
        "a tiny Core ML model",
        "conversion and proof",
        "the report",
    ], "a report of no record shows nothing"


def test_only_what_does_not_work_is_a_failure() -> None:
    results = [CheckResult("a", "works", ""), CheckResult("b", "not here", "no Mac")]
    assert exit_code(results) == 0
    assert exit_code([*results, CheckResult("c", "does not", "it crashed")]) == 3


def test_what_needs_a_failed_check_is_not_tried(context: Context) -> None:
    def fail(_: Context) -> str:
        raise AssertionError("It must not be called.")

    checks = (
        replace(BY_NAME["timeouts"], limits=Limits(deadline=60.0, memory_bytes=30 << 20)),
        Check("second", fail, needs=("timeouts",)),
        Check("third", fail, needs=("second",)),
    )
    shown: list[CheckResult] = []
    first, *others = run_checks(checks, context, on_result=shown.append, budget=60.0)
    assert first.status == "does not"  # it takes more than a second, and is measured four times in each
    assert "30.0 MiB" in first.detail, "a check that takes too much memory is stopped as any other child"
    assert [(result.status, result.detail) for result in others] == [
        ("not here", "not tried, as it needs timeouts"),
        ("not here", "not tried, as it needs second"),
    ]
    assert [result.name for result in shown] == ["timeouts", "second", "third"]


def test_what_is_left_when_the_time_is_over_is_no_success(context: Context) -> None:
    moments = iter(range(0, 1000, 100))
    results = run_checks(CHECKS[:2], context, budget=1.0, clock=lambda: next(moments))
    assert {result.status for result in results} == {"does not"}
    assert "coremlbench selftest the-machine" in results[0].advice
    assert exit_code(results) == 3


def test_on_linux_no_part_of_macos_is_here() -> None:
    elsewhere = [check.name for check in CHECKS if check.unavailable_reason(LINUX)]
    assert {"Core ML on the CPU", "Core ML's compute plan", "thermal state", "crash reports", "Create ML"} <= {
        *elsewhere
    }
    assert "conversion and proof" not in elsewhere


@pytest.mark.parametrize(
    ("host", "missing"),
    [
        (MAC, []),
        (replace(MAC, virtual=True), ["Core ML on CPU and Neural Engine", "Core ML on all units"]),
        (replace(MAC, architecture="x86_64"), ["Core ML on CPU and Neural Engine"]),
        (replace(MAC, version=(13, 6)), ["Core ML's devices", "Core ML's compute plan"]),
        (replace(MAC, version=(14, 3)), ["Core ML's compute plan"]),
    ],
)
def test_each_kind_of_mac_lacks_what_it_lacks(host: Host, missing: list[str]) -> None:
    reasons = {check.name: check.unavailable_reason(host) for check in CHECKS if check.name != "TensorFlow"}
    assert [name for name, reason in reasons.items() if reason] == missing


@pytest.mark.parametrize(
    "name", ["the clock", "crash isolation", "timeouts", "memory limit", "file locks", "durable writes"]
)
def test_what_every_system_has_works_here(name: str, context: Context) -> None:
    result = run_one(BY_NAME[name], context)
    assert (result["status"], result["advice"]) == ("works", "")


def test_a_results_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with new_context(LINUX, Path("/proc/results"), tmp_path) as context:
        result = run_one(BY_NAME["durable writes"], context)
    assert result["status"] == "does not"
    assert result["detail"].startswith("nothing can be written in /proc (")
    assert "--results" in result["advice"]


@pytest.mark.parametrize("check", ["file locks", "durable writes"])
@pytest.mark.parametrize("results", ["file", "file/results", "file/a/b", "nowhere/results"])
def test_a_results_folder_below_a_file_is_refused_as_by_runs(check: str, results: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("missing")
    with pytest.raises(InputError, match="cannot be written"):
        check_results_folder(tmp_path / results)
    with new_context(LINUX, tmp_path / results, tmp_path / "cache") as context:
        result = run_one(BY_NAME[check], context)
    assert result["status"] == "does not"
    assert result["detail"].startswith(f"nothing can be written in {tmp_path / Path(results).parts[0]} (")
    assert result["advice"] == "Choose another folder with --results."


def test_this_machine_is_a_host() -> None:
    host = detect_host()
    assert host.system in ("Linux", "macOS")
    assert bool(host.version) == host.is_mac
