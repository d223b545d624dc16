"""What --dry-run says: runs, cells, images, disk, downloads and time; and nothing is made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from coremlbench.cli.main import cli
from coremlbench.plans.durations import NOTHING_COMPARABLE, estimate, run_size
from coremlbench.runs import store
from coremlbench.system.machine import describe_machine
from coremlbench.types.records import Record
from tests import record_samples as samples
from tests.small_datasets import picture_folder
from tests.system.test_tensorflow_extra import write_keras_file

BOX = samples.BOX.id


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COREMLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COREMLBENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "140"}).invoke(cli, arguments)


def plan(*arguments: str) -> dict[str, Any]:
    ended = run(*arguments, "--dry-run", "--json")
    assert ended.exit_code == 0, ended.output
    content: dict[str, Any] = json.loads(ended.stdout)
    return content


def of_experiment(records: Sequence[Record], experiment: str, size: float, machine: str = BOX) -> float | None:
    return estimate(records, kind="training", experiment=experiment, machine=machine, size=size, unit="image").seconds


def test_time_is_that_of_the_newest_comparable_run_scaled() -> None:
    old, new = samples.training(1), replace(samples.training(2), seconds=100.0)
    size = run_size(new)
    assert size > 0
    others = [
        replace(samples.training(3), machine=samples.AIR),
        replace(samples.training(4), resumed_from=old.id),
        samples.training(5, failure=samples.OUT_OF_MEMORY),
        samples.training(6, "lenet"),
    ]
    assert of_experiment([new, *others, old], "tinyvgg", size / 2) == pytest.approx(50)
    assert of_experiment([new, *others, old], "tinyvgg", size, machine="another") is None
    basis = estimate([new], kind="training", experiment="tinyvgg", machine=BOX, size=size, unit="image").basis
    assert basis == f"as {new.id} took"
    assert estimate([], kind="timing", experiment="x", machine=BOX, size=1, unit="round").basis == NOTHING_COMPARABLE


def test_the_size_of_a_run_is_what_its_time_depends_on() -> None:
    timed = samples.timing(1)
    assert run_size(timed) == sum(map(len, timed.orders))
    assert run_size(samples.conversion(2)) == len(samples.conversion(2).variants)
    assert run_size(replace(samples.training(3), dataset=None)) == 0


def test_a_create_ml_run_is_planned_in_extractions_images_and_disk(folder: Path) -> None:
    content = plan("createml", "--extractor", "squeezenet_v1.1", "--engine", "builtin")
    (row,) = content["runs"]
    assert row["work"].startswith("88,375 extractions of 7,500 training and 2,500 test images")
    assert row["images"] == 10_000
    assert row["disk_bytes"] == 88_375 * 1000 * 4 + 10_000 * 42_000
    assert row["seconds"] is None
    assert any("10,000 images are drawn first" in note for note in content["notes"])
    assert "The engine is builtin: it was requested." in content["notes"]
    assert [path.name for path in folder.iterdir()] == []


def test_past_runs_on_this_machine_give_the_time(folder: Path) -> None:
    record = replace(samples.training(1, "createml"), seconds=600.0, machine=describe_machine())
    (folder / "results" / record.id).mkdir(parents=True)
    store.save(record, folder / "results" / record.id)
    assert record.dataset is not None
    images = record.dataset.train + record.dataset.validation
    (row,) = plan("createml", "--engine", "builtin", "--train", str(images // 10), "--test", "10")["runs"]
    assert row["seconds"] == pytest.approx(600 * (images // 10) / images)
    assert row["time_basis"].startswith(f"as {record.id} took, scaled from {images:,} to")
    shown = run("createml", "--engine", "builtin", "--dry-run").stdout
    assert "Nothing was run: --dry-run." in shown
    assert "about" in shown


def test_a_folder_s_images_are_not_counted_before(folder: Path) -> None:
    picture_folder(folder / "pets", 2, 1, classes=2)
    (row,) = plan("createml", "--dataset", str(folder / "pets"), "--engine", "builtin")["runs"]
    assert "all images of the folder" in row["work"]


@pytest.mark.tensorflow
def test_experiments_conversions_and_a_matrix_are_planned(folder: Path) -> None:
    content = plan("train", "lenet", "--epochs", "2", "--scale", "0.1")
    assert content["runs"][0]["work"].startswith("2 epochs in batches of 32, 6,000 training and 1,000 test images")
    assert content["downloads"] == ["MNIST is downloaded, unless a package on this machine has it."]
    content = plan("convert", "lenet", "--random-weights", "--variants", "fp16,int8-activations", "--batch", "1,8")
    assert content["runs"][0]["work"] == ("make and prove fp16, int8-activations in batches of 1, 8, on 500 samples")
    content = plan("convert", "lenet", "--random-weights", "--data", "drawn-food", "--images", "200")
    assert content["runs"][0]["images"] == 200
    assert "200 images are drawn first (8.0 MiB in the cache)." in content["notes"]
    matrix = plan("convert-and-time", "--quick", "--runtimes", "reference")["runs"][-1]
    assert matrix["cells"] == 6
    assert matrix["work"].startswith("6 cells × 2 rounds, at least 50 calls and 1 s each: 14.4 s")
    assert not (folder / "results").exists()
    assert not (folder / "cache" / "datasets" / "drawn-food").exists()


def test_what_would_be_resumed_is_told(folder: Path) -> None:
    record = samples.training(5, "createml", failure=samples.OUT_OF_MEMORY)
    kept = folder / "results" / record.id / "kept"
    kept.mkdir(parents=True)
    (kept / "features.jsonl").write_text("{}\n{}\n{}\n")
    store.save(record, kept.parent)
    assert plan("createml", "--resume") == {"resume": record.id, "progress": "the features of 2 images"}
    assert "It would resume " in run("createml", "--resume", "--dry-run").stdout
    timed = replace(samples.timing(6), outcome=samples.OUT_OF_MEMORY)
    from coremlbench.timing.resume import describe_unfinished

    assert describe_unfinished(timed).endswith(f"rounds of {len(timed.measurements)} cells")


def test_the_checks_of_a_selftest_are_listed() -> None:
    assert "They take two minutes at most" in run("selftest", "--dry-run").stdout
    assert {"check", "name"} == set(json.loads(run("selftest", "--dry-run", "--json").stdout)[0])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("createml --dataset nowhere", "There is no dataset or folder 'nowhere'"),
        ("createml --resume", "can be resumed; run it without --resume"),
        ("convert nothing.keras", "There is no model at"),
        ("convert-and-time --from-kit nowhere", "nowhere"),
    ],
)
def test_what_is_wrong_is_told_as_without_it(arguments: str, sentence: str) -> None:
    ended = run(*arguments.split(), "--dry-run")
    assert ended.exit_code == 2
    assert sentence in ended.output


def test_each_of_several_shapes_has_its_cells(folder: Path) -> None:
    write_keras_file(folder / "net.keras")
    one = plan("convert-and-time", "net.keras", "--quick", "--input-shape", "32x32x3")
    two = plan("convert-and-time", "net.keras", "--quick", "--input-shape", "32x32x3,48x48x3")
    assert two["runs"][-1]["cells"] == 2 * one["runs"][-1]["cells"] > 0
    assert [row["name"] for row in one["runs"]] == ["net.keras", "timing"]
    assert [row["name"] for row in two["runs"]] == ["net.keras 32x32x3", "net.keras 48x48x3", "timing"]
