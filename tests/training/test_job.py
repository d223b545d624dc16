from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.experiments.catalogue import select
from coremlbench.runs import store
from coremlbench.training.job import (
    Overrides,
    resolve_options,
    tensorflow_experiments,
    train_once,
    train_with_ladder,
    training_exit_code,
)
from coremlbench.training.run import TensorFlowOptions
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.training_records import Trained, TrainingRecord
from tests.small_datasets import cifar_archive, fashion_folder, mnist_file, picture_folder
from tests.standing_worker import point, stand_at

GIB = 2**30


def quiet(progress: Progress) -> None:
    pass


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("sources")
    return {
        "mnist": str(mnist_file(folder / "mnist.npz", 1200, 200)),
        "fashion-mnist": str(fashion_folder(folder / "fashion", 1200, 200)),
        "cifar10": str(cifar_archive(folder / "cifar.tar.gz", rows=200)),
        "pictures": str(picture_folder(folder / "pictures", 16, 2)),
    }


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COREMLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def options_of(experiment: str, sources: dict[str, str], **changes: Any) -> TensorFlowOptions:
    (row,) = select([experiment])
    return resolve_options(row, Overrides(sources=sources, dataset=sources["pictures"], **changes))


def run(
    options: TensorFlowOptions, results: Path, on_progress: Callable[[Progress], None] = quiet
) -> tuple[TrainingRecord, Path]:
    return train_once(options, results=results, command=["coremlbench", "train"], on_progress=on_progress)


# --- plans --------------------------------------------------------------------------------------------------


def test_a_plan_without_changes_is_the_protocol_on_the_drawn_pictures() -> None:
    options_by_name = {each.name: resolve_options(each, Overrides()) for each in tensorflow_experiments()}
    assert list(options_by_name) == [
        "tinyvgg",
        "efficientnetb0",
        "lenet",
        "mnist-cnn",
        "fashion-mnist",
        "cifar10-resnet50",
    ]
    shown = {
        name: (each.dataset, each.train, each.epochs, each.batch, each.weights)
        for name, each in options_by_name.items()
    }
    assert shown["tinyvgg"] == ("drawn-food", 7500, 5, 32, None)
    assert shown["efficientnetb0"] == ("drawn-food", 750, 5, 4, "imagenet")
    assert shown["mnist-cnn"] == ("mnist", 60_000, 12, 128, None)


@pytest.mark.parametrize(
    ("scale", "counts", "epochs"), [(1.0, (60_000, 10_000), 12), (0.02, (1200, 200), 3), (1e-9, (10, 10), 3)]
)
def test_a_scale_takes_a_share_and_leaves_an_image_of_each_class(
    scale: float, counts: tuple[int, int], epochs: int
) -> None:
    (row,) = select(["mnist-cnn"])
    options = resolve_options(row, Overrides(scale=scale))
    assert ((options.train, options.test), options.epochs) == (counts, epochs)


def test_changes_that_do_not_concern_an_experiment_leave_it_alone() -> None:
    changes = Overrides(dataset="elsewhere", image_size=64, weights="random", batch=8, sources={"mnist": "a copy"})
    (tinyvgg, lenet) = (resolve_options(each, changes) for each in select(["tinyvgg", "lenet"]))
    assert (tinyvgg.dataset, tinyvgg.input_shape, tinyvgg.weights) == ("elsewhere", (64, 64, 3), None)
    assert (lenet.dataset, lenet.input_shape, lenet.source, lenet.batch) == ("mnist", (28, 28, 1), "a copy", 8)


def test_a_folder_gives_all_it_has_unless_a_count_is_asked_for() -> None:
    (row,) = select(["efficientnetb0"])
    counts = [resolve_options(row, Overrides(dataset="mine", train=train)) for train in (None, 40)]
    assert [(each.train, each.test) for each in counts] == [(None, None), (40, None)]
    with pytest.raises(InputError, match="for a folder, use --train and --test"):
        resolve_options(row, Overrides(dataset="mine", scale=0.1))


def test_createml_is_sent_to_its_own_command() -> None:
    with pytest.raises(InputError, match="run it with `coremlbench createml`"):
        resolve_options(select(["createml"])[0], Overrides())


# --- runs ---------------------------------------------------------------------------------------------------


@pytest.mark.tensorflow
def test_a_run_is_recorded_whole(sources: dict[str, str], tmp_path: Path) -> None:
    seen: list[Progress] = []
    temporary = set(Path(tempfile.gettempdir()).iterdir())
    record, folder = run(options_of("lenet", sources, scale=0.02), tmp_path / "results", seen.append)
    assert set(Path(tempfile.gettempdir()).iterdir()) == temporary

    assert isinstance(record.outcome, Trained)
    assert record.outcome.test_accuracy > 0.9
    assert sum(map(sum, record.outcome.confusion)) == 200
    assert [(row.epoch, row.steps) for row in record.epochs] == [(1, 38), (2, 38), (3, 38)]
    assert record.epochs[-1].loss < record.epochs[0].loss
    assert all(0 < row.training_seconds < row.seconds for row in record.epochs)
    assert record.epochs[-1].validation_accuracy == pytest.approx(record.outcome.test_accuracy)
    assert [phase.name for phase in record.phases] == [
        *("data", "weights", "start TensorFlow", "build", "train", "checkpoints", "evaluate", "save"),
    ]
    assert record.placement is not None
    assert record.placement.variables == {record.placement.device: 8}
    assert record.versions["tensorflow"].startswith("2.")
    assert record.peak_bytes > 100 * 2**20
    assert record.deviations == ("1,200 training images", "200 test images", "epochs 3")
    assert record.dataset is not None
    assert (record.dataset.name, record.dataset.train, record.dataset.test) == ("mnist", 1200, 200)

    assert store.load(folder / "run.json") == record
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    assert [row["loss"] for row in history["epochs"]] == [row.loss for row in record.epochs]
    assert sorted(path.name for path in folder.iterdir()) == ["history.json", "logs", "model.keras", "run.json"]
    assert_the_saved_model_predicts_what_was_recorded(record, folder, Path(sources["mnist"]))

    live = [progress for progress in seen if progress.phase == "epoch 2 of 3"]
    assert live[-1].done == live[-1].total == 38
    assert {"loss", "accuracy", "steps_per_second", "seconds_left"} <= set(live[-1].figures)


def assert_the_saved_model_predicts_what_was_recorded(record: TrainingRecord, folder: Path, mnist: Path) -> None:
    import keras

    assert isinstance(record.outcome, Trained)
    model = keras.models.load_model(folder / "model.keras")
    with np.load(mnist) as file:
        pixels, labels = file["x_test"][..., np.newaxis].astype(np.float32) / 255, file["y_test"]
    predicted = model.predict_on_batch(pixels).argmax(axis=1)
    right = sum(record.outcome.confusion[kind][kind] for kind in range(10))
    assert int((predicted == labels).sum()) == right


@pytest.mark.tensorflow
def test_pictures_of_seven_kinds_kept_in_a_file(sources: dict[str, str], tmp_path: Path) -> None:
    pictures = picture_folder(tmp_path / "pictures", 12, 3, classes=7)
    options = options_of("tinyvgg", {**sources, "pictures": str(pictures)}, image_size=32, epochs=2)
    assert (options.train, options.test) == (None, None)  # a folder gives all it has
    record, folder = run(replace(options, cache_bytes=0, batch=8), tmp_path / "results")
    assert isinstance(record.outcome, Trained), record.outcome
    assert {"84 training images", "21 test images", "7 classes"} <= set(record.deviations)
    assert "input 32x32x3" in record.deviations
    assert [each.name for each in record.outcome.per_class] == [f"kind {kind}" for kind in range(7)]
    assert "more than the memory for them; cached in a file" in record.notes[0]
    assert not list(folder.rglob("*.pixels"))


@pytest.mark.tensorflow
@pytest.mark.slow  # two trainings that fill 1.7 GiB; test_retries.py has the ladder with quick failures
@pytest.mark.usefixtures("ordinary_workers")  # a fork counts what it shares too
def test_the_largest_batch_that_fits_in_memory_is_the_result(sources: dict[str, str], tmp_path: Path) -> None:
    options = options_of("tinyvgg", sources, image_size=448, train=32, test=10, epochs=1, memory_limit=int(1.7 * GIB))
    runs = train_with_ladder(options, (4, 32), results=tmp_path, command=["coremlbench", "train"], on_progress=quiet)
    records = [record for record, _ in runs]
    assert [record.options["batch"] for record in records] == [32, 4]
    *failed, worked = [record.outcome for record in records]
    assert failed
    assert {isinstance(outcome, Failure) and outcome.kind for outcome in failed} == {"memory-limit"}
    assert isinstance(worked, Trained)
    assert records[0].peak_bytes > 1.7 * GIB > records[-1].peak_bytes
    assert f"batch {records[-1].options['batch']}" in records[-1].deviations
    assert training_exit_code(records) == 0
    assert training_exit_code(records[:-1]) == 3
    assert len(store.load_all(tmp_path)[0]) == len(records)


@pytest.mark.tensorflow
def test_a_loss_of_nan_is_a_failure(sources: dict[str, str], tmp_path: Path) -> None:
    record, folder = run(options_of("fashion-mnist", sources, scale=0.02, learning_rate=1e38), tmp_path)
    assert isinstance(record.outcome, Failure)
    assert record.outcome.kind == "loss-nan"
    assert record.outcome.evidence.phase == "epoch 1 of 3"
    assert "LossNotFiniteError" in record.outcome.evidence.exception
    assert record.outcome.reason in store.load(folder / "run.json").outcome.reason  # type: ignore[union-attr]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        pytest.param(signal.SIGSEGV, "segmentation-fault", marks=pytest.mark.slow),  # the same way as SIGKILL
        (signal.SIGKILL, "killed"),
    ],
)
def test_a_crash_in_epoch_3_keeps_the_epochs_done(
    sources: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, kind: str
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("tensorflow", "epoch 3 "))
    options = options_of("fashion-mnist", sources, scale=0.02)
    record, folder = run(options, tmp_path / "results", in_epoch_3(number))
    assert isinstance(record.outcome, Failure)
    assert record.outcome.kind == kind
    assert record.outcome.evidence.phase == "epoch 3 of 3"
    assert [row.epoch for row in record.epochs] == [1, 2]
    assert store.load(folder / "run.json") == record


def in_epoch_3(number: signal.Signals) -> Callable[[Progress], None]:
    """Send the training process, which stands at the beginning of its third epoch, a signal."""
    pids = []

    def on_progress(progress: Progress) -> None:
        if "pid" in progress.figures:
            pids.append(progress.figures["pid"])
        if progress.phase.startswith("epoch 3 ") and pids:
            os.kill(pids.pop(), number)

    return on_progress


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_hang_in_epoch_3_is_ended_and_keeps_the_epochs_done(
    sources: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("tensorflow", "epoch 3 "))
    options = options_of("fashion-mnist", sources, scale=0.02, silence=60)
    record, _ = run(options, tmp_path / "results", in_epoch_3(signal.SIGSTOP))
    assert isinstance(record.outcome, Failure)
    assert (record.outcome.kind, record.outcome.evidence.phase) == ("hang", "epoch 3 of 3")
    assert [row.epoch for row in record.epochs] == [1, 2]


def test_data_that_cannot_be_had_leave_no_record(tmp_path: Path) -> None:
    options = options_of("lenet", {"mnist": str(tmp_path / "nowhere"), "pictures": "."})
    with pytest.raises(InputError, match="There is no file or folder"):
        run(options, tmp_path / "results")
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_six_at_a_fiftieth(sources: dict[str, str], tmp_path: Path) -> None:
    given = [f"--source={name}={path}" for name, path in sources.items() if name != "pictures"]
    options = ["--scale=0.02", "--json", f"--results={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "coremlbench", "train", *options, *given],
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    records = {record["experiment"]: record for record in json.loads(done.stdout)}
    assert list(records) == [each.name for each in tensorflow_experiments()]
    assert {record["outcome"]["status"] for record in records.values()} == {"trained"}
    weights = records["efficientnetb0"]["weights"]["name"]
    assert ("random weights" in records["efficientnetb0"]["deviations"]) == (weights == "random")
    assert records["cifar10-resnet50"]["outcome"]["test_accuracy"] > 0.05
    compared = subprocess.run(
        [sys.executable, "-m", "coremlbench", "compare", "--json", "--results", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = json.loads(compared.stdout)
    assert {row["experiment"] for row in rows if row["this_machine"]} == set(records)
    assert any(row["kind"] == "published" and row["failed"] for row in rows)
