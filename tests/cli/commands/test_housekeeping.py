"""``coremlbench cache``, ``results --delete`` and ``results --prune``, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coremlbench.cli.main import cli
from coremlbench.runs import store
from tests import record_samples as samples


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREMLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COREMLBENCH_RESULTS", str(tmp_path / "results"))


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli, arguments)


def test_the_cache_is_listed_and_cleared(tmp_path: Path) -> None:
    assert "all of it is made or fetched again" in run("cache").stdout
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    (tmp_path / "cache" / "weights" / "its.h5").write_bytes(bytes(2048))
    assert "removed: nothing" in run("cache", "--older-than", "1d").stdout
    dry = run("cache", "--clear", "weights", "--dry-run")
    assert "would be removed: 1 entry of weights, 2 KiB" in dry.stdout
    cleared = json.loads(run("cache", "--clear", "weights", "--json").stdout)
    assert [entry["bytes"] for entry in cleared["removed"]] == [2048]
    assert sum(part["bytes"] for part in cleared["parts"]) == 0


def test_runs_are_deleted_and_pruned(tmp_path: Path) -> None:
    record = samples.timing(1)
    folder = tmp_path / "results" / record.id
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "0.npz").write_bytes(bytes(1024))
    store.save(record, folder)
    assert (
        f"{record.id}: would be removed: raw samples of timings (1 KiB)"
        in run("results", "--prune", "samples", "--older-than", "0h", "--dry-run").stdout
    )
    (pruned,) = json.loads(run("results", "--prune", "--older-than", "0h", "--json").stdout)
    assert pruned["bytes"] == 1024
    assert run("results", "--prune").stdout == "removed: nothing\n"
    deleted = run("results", "--delete", record.id[:11])
    assert f"{record.id}: removed: its record, 1 file" in deleted.stdout
    assert json.loads(run("results", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("cache --clear pictues", "'pictues' is no part of the cache; choose from packages, pictures"),
        ("cache --older-than soon", "'soon' is not an age; write it as 12h, 30d or 8w."),
        ("cache --dry-run", "give one of them."),
        ("results --delete 2031", "There are no runs under"),
        ("results --prune everything", "'everything' is nothing that can be pruned; choose from samples, resume"),
        ("results --prune --older-than 30", "'30' is not an age"),
        ("results --older-than 30d", "--older-than means nothing without --prune"),
        ("results --delete 2031 --prune samples", "use one of them."),
        ("results 2031 --prune=samples", "2031 would be listed and --prune removes"),
    ],
)
def test_wrong_values_are_one_sentence(arguments: str, sentence: str) -> None:
    ended = run(*arguments.split())
    assert ended.exit_code == 2
    assert sentence in ended.output
    assert ended.stdout == ""


@pytest.mark.parametrize("width", ["48", "60", "80"])
@pytest.mark.parametrize("command", [("cache",), ("createml", "--scale", "0.02", "--engine", "builtin", "--dry-run")])
def test_words_are_whole_on_a_narrow_terminal(width: str, command: tuple[str, ...]) -> None:
    wide, narrow = (
        CliRunner(env={"COLUMNS": columns}).invoke(cli, command).stdout.split() for columns in ("200", width)
    )
    first_heading = {"part", "run"}  # left out where the table becomes a list
    words = {word for word in wide if word.isalpha()} - first_heading
    assert len(words) > 10
    assert words <= set(narrow) | {word.removesuffix(":") for word in narrow}
