"""The commands that show records: folders, records and ids as arguments, CSV, and what is said where nothing is."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coremlbench.cli.main import cli
from coremlbench.cli.terminal.csv_output import print_csv
from coremlbench.types.failure import Failure
from tests import record_samples as samples
from tests.report.test_build import save

COMMANDS = ("results", "failures", "compare", "report")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with records one level too deep in the results folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COREMLBENCH_RESULTS", raising=False)
    save(tmp_path / "results/from the air", samples.training(1), samples.training(2, failure=samples.OUT_OF_MEMORY))
    return tmp_path / "results"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["results", "results/from the air", "results/from the air/2026-000002-tinyvgg-c3c3"])
def test_each_command_takes_a_folder(results: Path, command: str, place: str) -> None:
    options = ["--json"] if command == "report" else []
    ended = run(command, place, *options)
    assert ended.exit_code == 0, ended.output
    assert "2026-000002-tinyvgg-c3c3" in ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_takes_the_beginning_of_an_id(results: Path, command: str) -> None:
    options = ["--json"] if command == "report" else []
    ended = run(command, "2026-000002", *options)
    assert ended.exit_code == 0, ended.output
    assert "2026-000002-tinyvgg-c3c3" in ended.stdout
    assert "2026-000001" not in ended.stdout
    absent = run(command, "1999")
    assert (absent.exit_code, absent.stdout) == (2, "")
    assert "There is no folder and no run 1999 under" in absent.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_named_folder_without_records_is_one_sentence(results: Path, command: str) -> None:
    (results.parent / "empty").mkdir()
    ended = run(command, "empty")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: There are no records under empty, at any depth; name a folder that has some")
    assert not list((results.parent / "empty").iterdir())
    if command in ("results", "failures"):
        by_option = run(command, "--results", "empty")
        assert by_option.exit_code == 2
        assert "There are no records under" in by_option.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_records_that_cannot_be_read_are_named_and_counted(results: Path, command: str) -> None:
    broken = {"cut": b'{"schema": 1', "newer": b'{"schema": 99}'}
    for name, data in broken.items():
        (results.parent / "broken" / name).mkdir(parents=True)
        (results.parent / "broken" / name / "run.json").write_bytes(data)
    ended = run(command, "broken")
    assert ended.exit_code == 2
    assert "None of the 2 records under broken can be read" in ended.stderr
    assert "cut/run.json cannot be read: it is not valid JSON" in ended.stderr
    assert "newer/run.json cannot be read: its schema is 99" in ended.stderr


def test_a_report_says_how_many_records_it_is_of_and_which_it_left_out(results: Path) -> None:
    (results / "cut").mkdir()
    (results / "cut/run.json").write_text("{")
    ended = run("report", "--format", "md", "--output", "out")
    assert ended.exit_code == 0, ended.output
    assert "2 records of 1 machine; 1 could not be read and is left out:" in ended.stdout
    assert "cut/run.json cannot be read: it is not valid JSON." in ended.stderr
    assert "left out: The record" in Path("out/report.md").read_text()


def test_results_and_reports_as_csv(results: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("results", "--csv").stdout)))
    assert [row["outcome"] for row in rows] == ["trained", "failed: memory-limit"]
    record = json.loads(run("results", "--json").stdout)[0]
    assert float(rows[0]["test_accuracy"]) == record["outcome"]["test_accuracy"]
    assert float(rows[0]["accuracy_low"]) < float(rows[0]["test_accuracy"]) < float(rows[0]["accuracy_high"])
    assert (rows[0]["test_images"], rows[1]["test_accuracy"]) == ("2500", "")
    figures = list(csv.DictReader(io.StringIO(run("report", "--csv").stdout)))
    accuracy = next(row for row in figures if row["figure"] == "test accuracy")
    assert (accuracy["value"], accuracy["of"], accuracy["data"]) == (rows[0]["test_accuracy"], "2500", "drawn-food")
    assert {row["table"] for row in figures} == {"training"}
    assert not (results / "reports").exists()


def test_csv_holds_every_timed_figure_and_each_package(results: Path) -> None:
    save(results, samples.timing(70), samples.conversion(60))
    figures = list(csv.DictReader(io.StringIO(run("report", "--csv").stdout)))
    report = json.loads(run("report", "--json").stdout)
    medians = [float(row["value"]) for row in figures if row["figure"] == "p50"]
    assert medians == [cell["p50"] for cell in report["timing"] if cell["p50"] is not None]
    assert len([row for row in figures if row["figure"] == "size"]) == len(report["variants"])


def test_a_spreadsheet_executes_no_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv([{"a": "=1+1", "b": -1.5, "c": None, "d": "x,y"}, {"a": "@x", "b": float("nan")}])
    assert capsys.readouterr().out == "a,b,c,d\n'=1+1,-1.5,,\"x,y\"\n'@x,,,\n"


def test_a_run_in_progress_is_called_alike_everywhere(results: Path) -> None:
    going = Failure(kind="running", reason="The run has not ended yet.", hint="Wait for it to end.")
    save(results, replace(samples.training(3), outcome=going))
    word = "not ended yet"
    listed = next(line for line in run("results").stdout.splitlines() if "2026-000003" in line)
    assert word in listed
    assert word in run("compare", "2026-000003", "--json").stdout
    assert word in next(
        row["outcome"] for row in json.loads(run("report", "--json").stdout)["records"] if "000003" in row["id"]
    )
    assert "2026-000003" not in run("failures").stdout
    rows = list(csv.DictReader(io.StringIO(run("results", "--csv").stdout)))
    assert [row["outcome"] for row in rows][-1] == word


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["craeteml"], "did you mean `coremlbench createml`?"),
        (["reprot"], "did you mean `coremlbench report`?"),
        (["convert-time"], "did you mean `coremlbench convert-and-time`?"),
        (["xyz"], "`coremlbench --help` lists the commands"),
        (["createml", "--itertions", "5"], "--iterations"),
        (["train", "--epoch", "5"], "--epochs"),
    ],
)
def test_misspelt_commands_and_options_are_suggested(arguments: list[str], suggestion: str) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert suggestion in ended.output


@pytest.mark.parametrize("command", [["createml"], ["train", "lenet"], ["convert"], ["convert-and-time"]])
def test_a_number_of_bytes_that_means_gigabytes_is_refused(results: Path, command: list[str]) -> None:
    ended = run(*command, "--memory-limit", "2")
    assert ended.exit_code == 2
    assert "'2' is 2 B, less than Python itself takes; for gigabytes write it as 2GiB." in ended.output
