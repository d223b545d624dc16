"""``coremlbench compare --gate``: its options, exit codes and summary, in this process."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coremlbench.cli.main import cli
from coremlbench.types.timing import TimingRecord
from tests import record_samples as samples
from tests.report.test_build import save

BEFORE, EQUAL, NEAR, SLOW = (
    samples.timing(number, scale=scale, models=("lenet",))
    for number, scale in ((1, 1.0), (2, 1.0), (3, 1.04), (4, 1.2))
)


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COREMLBENCH_RESULTS", str(tmp_path / "results"))
    save(tmp_path / "results", BEFORE, EQUAL, NEAR, SLOW)
    return tmp_path / "results"


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["compare", *arguments], catch_exceptions=False)


def gate(after: TimingRecord, *options: str) -> Result:
    return compare("--gate", BEFORE.id, after.id, *(options or ("--fail-if-slower", "5%")))


def test_the_exit_code_is_4_only_where_the_gate_failed() -> None:
    assert (gate(EQUAL).exit_code, gate(NEAR).exit_code, gate(SLOW).exit_code) == (0, 0, 4)
    assert gate(NEAR, "--fail-if-slower", "5%", "--fail-if-unsure").exit_code == 4
    assert gate(SLOW, "--fail-if-slower", "50 %").exit_code == 0
    assert gate(EQUAL, "--fail-if-slower", "5%", "--fail-if-larger", "0%", "--fail-if-less-accurate", "0 points")


def test_the_summary_is_a_table_in_markdown() -> None:
    lines = gate(SLOW).stdout.splitlines()
    assert lines[0] == "## coremlbench: the gate failed"
    assert f"From {BEFORE.id} to {SLOW.id}: 12 failed." in lines
    row = next(line for line in lines if "lenet fp16, coreml CPU\\_AND\\_NE" in line)
    assert row.startswith("| **failed** | lenet fp16, coreml CPU\\_AND\\_NE: time of a call | 8")
    assert row.endswith("| +5.0% |")
    assert len({line.count("|") - line.count("\\|") for line in lines if line.startswith("|")}) == 1


def test_what_cannot_be_told_says_how_many_rounds_would() -> None:
    text = gate(NEAR).stdout
    assert "cannot tell, " in text
    assert "more rounds would" in text
    assert "Time both with `--rounds " in text
    assert "does not fail the build; --fail-if-unsure would" in text


def test_the_summary_is_saved_and_json_is_printed(tmp_path: Path) -> None:
    ended = gate(SLOW, "--fail-if-slower", "5%", "--markdown", "summary.md", "--json")
    assert ended.exit_code == 4
    assert (tmp_path / "summary.md").read_text() == gate(SLOW).stdout
    result = json.loads(ended.stdout)
    assert (result["decision"], len(result["findings"])) == ("failed", 12)
    nowhere = gate(SLOW, "--fail-if-slower", "5%", "--markdown", "nowhere/summary.md")
    assert (nowhere.exit_code, "cannot be saved in nowhere/summary.md" in nowhere.stderr) == (3, True)


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("--fail-if-slower", "5", "write it as 5%"),
        ("--fail-if-slower", "0.05", "write it as 0.05%"),
        ("--fail-if-slower", "-5%", "write it as 5%"),
        ("--fail-if-slower", "5 points", "write it as 5%"),
        ("--fail-if-slower", "nan%", "write it as 5%"),
        ("--fail-if-larger", "1e3", "write it as 5%"),
        ("--fail-if-less-accurate", "0.5", 'write it as "0.5 points"'),
        ("--fail-if-less-accurate", "1%", 'write it as "1 points"'),
        ("--fail-if-less-accurate", "some points", 'write it as "0.5 points"'),
    ],
)
def test_a_bare_number_is_refused_with_the_spelling_to_use(option: str, value: str, advice: str) -> None:
    ended = gate(EQUAL, option, value)
    assert ended.exit_code == 2
    assert advice in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--fail-if-slower", "5%"), "--fail-if-slower is for --gate"),
        (("--markdown", "summary.md"), "--markdown is for --gate"),
        (("--gate", "a", "b"), "--gate needs a limit"),
        (("--gate", "a", "b", "--fail-if-slower", "0%"), "cannot be distinguished from noise"),
        (("lenet", "--gate", "a", "b", "--fail-if-slower", "5%"), "leave out lenet"),
        (("--gate", "a", "b", "--fail-if-slower", "5%"), "There is no record and no package a"),
        (("--gate", BEFORE.id, BEFORE.id, "--fail-if-slower", "5%"), "is named twice"),
        (("--gate", BEFORE.id, "b", "--fail-if-slower", "5%"), "has records and b has none"),
        (("--gate", BEFORE.id, EQUAL.id, "--fail-if-slower", "5%", "--rounds", "9"), "--rounds is for packages"),
    ],
)
def test_wrong_options_are_told_in_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    ended = compare(*arguments)
    assert (ended.exit_code, sentence in ended.stderr) == (2, True), ended.stderr


def test_packages_have_no_accuracy(tmp_path: Path) -> None:
    for name in ("a.mlpackage", "b.mlpackage"):
        (tmp_path / name).mkdir()
    ended = compare("--gate", "a.mlpackage", "b.mlpackage", "--fail-if-less-accurate", "1 point")
    assert (ended.exit_code, "A package alone has no accuracy" in ended.stderr) == (2, True)


def test_a_run_is_named_by_the_beginning_of_its_id() -> None:
    whole = compare("--gate", BEFORE.id, SLOW.id, "--fail-if-slower", "5%", "--json")
    short = compare("--gate", BEFORE.id[:11], SLOW.id[:11], "--fail-if-slower", "5%", "--json")
    assert short.exit_code == whole.exit_code == 4, short.output
    figures = [[finding["change"] for finding in json.loads(ended.stdout)["findings"]] for ended in (short, whole)]
    assert figures[0] == figures[1]
    several = compare("--gate", BEFORE.id[:4], SLOW.id, "--fail-if-slower", "5%")
    assert (several.exit_code, "give more of the id" in several.output) == (2, True)
    for names in (("", SLOW.id), (BEFORE.id, ""), ("", "")):
        empty = compare("--gate", *names, "--fail-if-slower", "5%")
        assert (empty.exit_code, "the name of one is empty" in empty.output) == (2, True), empty.output
