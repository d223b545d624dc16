"""What ``coremlbench results --json`` prints keeps to the published schema."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from coremlbench.cli.main import cli
from coremlbench.runs import store
from coremlbench.runs.schema import results_schema
from coremlbench.types.training_records import SCHEMA
from tests import record_samples as samples

PUBLISHED = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(PUBLISHED)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Records of every kind as the command prints them; a figure of one is NaN, and one run was killed."""
    results = tmp_path_factory.mktemp("results")
    trained = samples.training(1)
    lossless = replace(trained, epochs=(replace(trained.epochs[0], loss=math.nan), *trained.epochs[1:]))
    failed = samples.training(5, failure=samples.OUT_OF_MEMORY)
    killed = replace(failed, id="2026-000006-killed", outcome=replace(samples.OUT_OF_MEMORY, kind="unfinished"))
    for record in (lossless, samples.training(2, "createml"), samples.conversion(3), samples.timing(4), failed, killed):
        (results / record.id).mkdir()
        store.save(record, results / record.id)
    records: list[dict[str, Any]] = json.loads(
        CliRunner().invoke(cli, ["results", "--json", "--results", str(results)]).stdout
    )
    return records


def test_the_published_schema_is_that_of_this_release_and_is_printed() -> None:
    assert results_schema() == PUBLISHED, "run `python -m tests.make_golden`"
    assert PUBLISHED["version"] == SCHEMA
    VALIDATOR.check_schema(PUBLISHED)
    assert json.loads(CliRunner().invoke(cli, ["results", "--schema"]).stdout) == PUBLISHED
    assert "leave out ids" in CliRunner().invoke(cli, ["results", "--schema", "2031"]).output


def test_records_of_every_kind_keep_to_it(printed: list[dict[str, Any]]) -> None:
    assert {record["kind"] for record in printed} == {"training", "conversion", "timing"}
    assert printed[0]["epochs"][0]["loss"] is None
    VALIDATOR.validate(printed)


@pytest.mark.parametrize(
    "change",
    [{"schema": SCHEMA + 1}, {"kind": "other"}, {"machine": {}}, {"phases": [{"name": "train"}]}, {"seconds": "long"}],
    ids=str,
)
def test_what_is_no_record_does_not(change: dict[str, Any], printed: list[dict[str, Any]]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate([{**printed[0], **change}])


def test_a_record_without_its_kind_does_not(printed: list[dict[str, Any]]) -> None:
    for name in ("kind", "schema", "outcome"):
        record = {key: value for key, value in printed[0].items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate([record])


def test_a_record_of_an_older_release_is_printed_as_it_was_written(tmp_path: Path) -> None:
    """Fields that came later are not added to it, and its schema number is its own."""
    record = samples.training(1)
    folder = tmp_path / record.id
    folder.mkdir()
    store.save(record, folder)
    written = json.loads((folder / store.RECORD_FILE).read_text())
    for name in ("conditions_before", "conditions_after", "verification", "stand_in"):
        del written[name]
    written["epochs"][0]["loss"] = math.inf
    (folder / store.RECORD_FILE).write_text(json.dumps(written))
    written["epochs"][0]["loss"] = None
    for arguments in (["results"], ["results", str(folder)], ["results", record.id[:8]]):
        ended = CliRunner().invoke(cli, [*arguments, "--json", "--results", str(tmp_path)])
        assert json.loads(ended.stdout) == [written], ended.output
    shown = CliRunner().invoke(cli, ["show", record.id, "--json", "--results", str(tmp_path)])
    assert json.loads(shown.stdout) == written
