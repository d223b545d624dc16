"""``coremlbench show`` and ``coremlbench results ID``: all of one run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from coremlbench.cli.commands.run_ids import RUN_ID
from coremlbench.cli.main import cli
from coremlbench.runs import store
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from tests import record_samples as samples

RECORDS: tuple[tuple[Record, str], ...] = (
    (samples.training(1, "createml"), "Create ML run: trained"),
    (samples.training(2, "lenet"), "compared figure: "),
    (samples.conversion(3), "error: the largest, as a share of the range"),
    (samples.timing(4), "Packages"),
    (samples.training(5, failure=samples.OUT_OF_MEMORY), "what to do: Raise --memory-limit"),
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for record, _ in RECORDS:
        (tmp_path / record.id).mkdir()
        store.save(record, tmp_path / record.id)
    return tmp_path


@pytest.mark.parametrize(("record", "text"), RECORDS, ids=[record.id for record, _ in RECORDS])
def test_a_run_is_shown_as_at_its_end_by_both_commands(record: Record, text: str, results: Path) -> None:
    shown = CliRunner().invoke(cli, ["show", record.id[:12], "--results", str(results)])
    assert shown.exit_code == 0, shown.output
    assert text in shown.stdout
    assert f"{record.id}/run.json" in shown.stdout
    assert CliRunner().invoke(cli, ["results", record.id, "--results", str(results)]).stdout == shown.stdout


def test_the_newest_run_is_shown_without_an_id_and_json_is_its_record(results: Path) -> None:
    printed = CliRunner().invoke(cli, ["show", "--json", "--results", str(results)])
    assert json.loads(printed.stdout)["id"] == RECORDS[-1][0].id


def test_several_ids_are_listed(results: Path) -> None:
    ids = [RECORDS[0][0].id, RECORDS[1][0].id]
    listed = CliRunner().invoke(cli, ["results", *ids, "--results", str(results)]).stdout
    assert all(run in listed for run in ids)
    assert RECORDS[2][0].id not in listed


@pytest.mark.parametrize("command", ["show", "results"])
def test_an_unknown_id_is_one_sentence(command: str, results: Path) -> None:
    ended = CliRunner().invoke(cli, [command, "2031", "--results", str(results)])
    assert ended.exit_code == 2
    assert re.match(r"Error: There is no (folder and no )?run 2031 under ", ended.output)
    assert ended.stdout == ""


def test_ids_are_completed_newest_first(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREMLBENCH_RESULTS", str(results))
    command = cli.get_command(cli.make_context("coremlbench", [], resilient_parsing=True), "show")
    assert command is not None
    context = command.make_context("show", [], resilient_parsing=True)
    ids = [item.value for item in RUN_ID.shell_complete(context, command.params[0], "2026-00000")]
    assert ids == [record.id for record, _ in reversed(RECORDS)]


def test_a_run_in_progress_has_not_failed(results: Path) -> None:
    going = replace(
        samples.training(7), outcome=Failure("running", "The run has not ended yet.", "Wait for it to end.")
    )
    (results / going.id).mkdir()
    store.save(going, results / going.id)
    with store.lock_run(results / going.id):
        shown = CliRunner().invoke(cli, ["show", going.id, "--results", str(results)]).stdout
    assert "not ended yet" in shown
    assert "failed" not in shown
