"""The examples of docs/python-api.md run, one after the other, as the page says."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

from coremlbench import api
from coremlbench.cli.main import cli
from coremlbench.runs import store
from coremlbench.types.timing import TimingRecord
from tests import record_samples as samples

pytestmark = pytest.mark.tensorflow

PAGE = (Path(__file__).parents[2] / "docs" / "python-api.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n.*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def save_timing(results: Path) -> TimingRecord:
    """Save a record of a timing with a file of samples for each round."""
    record = samples.timing(4)
    folder = results / record.id
    (folder / "samples").mkdir(parents=True)
    for row in (row for cell in record.measurements for row in cell.rounds if row.samples):
        np.savez(folder / row.samples, wall=np.full(7, row.p50), own=np.full(7, row.own_p50))
    store.save(record, folder)
    return record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small network and a timing, in which the examples run."""
    import keras

    folder = tmp_path_factory.mktemp("examples")
    keras.utils.set_random_seed(1)
    layers = keras.layers
    network = [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPool2D(), layers.Dense(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TensorFlow's arrays, by NumPy 2
        keras.Sequential(network).save(folder / "mine.keras")
    save_timing(folder / "results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COREMLBENCH_CACHE", str(folder / "cache"))
        patch.delenv("COREMLBENCH_RESULTS", raising=False)
        yield folder


def verdicts(printed: str) -> bool:
    return [line.split()[0] for line in printed.splitlines()] == ["fp16", "int8"] and "proven" in printed


def proof(printed: str) -> bool:
    return bool(re.fullmatch(r"proven.*: at most \d\.\de-\d+ of the range apart on 50 samples\n", printed))


def runs(printed: str) -> bool:
    kinds = [line.split()[1:3] for line in printed.splitlines()]
    ended = [["timing", "ended"], ["conversion", "ended"], ["conversion", "ended"]]
    return kinds[:3] == ended and printed.endswith("True\n")


def arrays(printed: str) -> bool:
    rounds = sum(len(cell.rounds) for cell in samples.timing(4).measurements)
    return printed.count("(7,)") == rounds > 0


def report(printed: str) -> bool:
    return "p50" in printed and samples.timing(4).machine.chip in printed.splitlines()[-1].split(", ")


CHECKS: dict[str, Callable[[str], bool]] = {
    "Convert a model": verdicts,
    "Prove a package": proof,
    "Open runs and records": runs,
    "Read samples as arrays": arrays,
    "Open a report": report,
}


def test_the_page_has_the_five_examples_and_every_public_function() -> None:
    assert list(EXAMPLES) == list(CHECKS)
    functions = [name for name in api.__all__ if name[0].islower()]
    assert [name for name in functions if f"`{name}(" not in PAGE] == []


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_example_runs(title: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Path.cwd() == folder
    exec(compile(EXAMPLES[title], title, "exec"), {})
    printed = capsys.readouterr().out
    assert CHECKS[title](printed), printed
    assert "COREMLBENCH_RESULTS" not in os.environ


def test_what_they_made_keeps_to_the_schema_of_results(folder: Path) -> None:
    schema = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text(encoding="utf-8"))
    printed = CliRunner().invoke(cli, ["results", "--json", "--results", str(folder / "results")]).stdout
    records = json.loads(printed)
    assert [record["kind"] for record in records] == ["timing", "conversion", "conversion"]
    jsonschema.Draft202012Validator(schema).validate(records)
