"""The whole self-test of this machine, once, and its command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.diagnostics.selftest.checks import CheckResult, exit_code
from coremlbench.diagnostics.selftest.host import detect_host
from coremlbench.diagnostics.selftest.run import new_context, run_checks
from coremlbench.diagnostics.selftest.table import CHECKS
from coremlbench.system.paths import cache_folder
from coremlbench.types.process import Limits
from tests.conftest import Run

BUDGET = 600.0
"""Seconds: a loaded machine may be slow, and no test may fail for that."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CheckResult]:
    checks = [replace(check, limits=Limits(deadline=BUDGET)) for check in CHECKS]
    with new_context(detect_host(), tmp_path_factory.mktemp("results"), cache_folder()) as context:
        found = run_checks(checks, context, budget=BUDGET)
        assert list(context.results.iterdir()) == [], "nothing is left in the results folder"
    assert not context.folder.exists()
    return {result.name: result for result in found}


@pytest.mark.tensorflow
@pytest.mark.slow  # the whole self-test; each check has tests of its own
def test_all_that_is_here_works(results: dict[str, CheckResult]) -> None:
    broken = [result for result in results.values() if result.status == "does not"]
    assert broken == []
    assert exit_code(list(results.values())) == 0
    assert list(results) == [check.name for check in CHECKS]


@pytest.mark.tensorflow
@pytest.mark.slow  # of the same run
def test_what_figures_rest_on_was_really_tried(results: dict[str, CheckResult]) -> None:
    details = {name: result.detail for name, result in results.items() if result.status == "works"}
    assert "outputs match" in details["the reference runtime"]
    assert details["conversion and proof"].startswith("fashion-mnist became a Core ML model, proven")
    assert details["the report"] == "html, json, md of 1 record"
    assert "trained one step" in details["TensorFlow"]
    assert details["the built-in solver"].endswith("of 60 training rows right")


def test_a_line_is_a_status_a_name_and_a_reason(coremlbench: Run) -> None:
    ended = coremlbench("selftest", "crash-isolation", "crash-reports", "--bundle", "said.zip", NO_COLOR="1")
    assert ended.returncode == 0, ended.stderr
    isolation, reports, counts, bundle = ended.stdout.splitlines()
    assert isolation.startswith("works     crash isolation: ")
    assert reports == "not here  crash reports: it is a part of macOS"
    assert counts.startswith("1 work, 0 do not, 1 are not here; ")
    assert bundle.startswith("said.zip: ")
    assert ended.stderr == ""


def test_a_failure_is_exit_code_3_and_json_says_all(coremlbench: Run) -> None:
    ended = coremlbench("selftest", "durable-writes", "--json", "--results", "/proc/results")
    assert ended.returncode == 3, ended.stderr
    (check,) = json.loads(ended.stdout)["checks"]
    assert check.keys() == {"name", "status", "detail", "advice", "seconds"}
    assert (check["name"], check["status"]) == ("durable writes", "does not")


def test_wrong_input_is_told_before_anything_is_tried(coremlbench: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_text("mine")
    for arguments, words in ((["crash"], "choose from the-machine, "), (["--bundle", "mine.zip"], "exists already")):
        ended = coremlbench("selftest", *arguments)
        assert ended.returncode == 2
        assert words in ended.stderr
        assert ended.stdout == ""


def test_names_of_checks_are_completed(coremlbench: Run) -> None:
    ended = coremlbench(_COREMLBENCH_COMPLETE="bash_complete", COMP_WORDS="coremlbench selftest the-", COMP_CWORD="2")
    assert {"plain,the-machine", "plain,the-report"} <= {*ended.stdout.splitlines()}
