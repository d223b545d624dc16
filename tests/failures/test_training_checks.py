"""Trainings that end well and yet are no result."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coremlbench.createml.options import CreateMLOptions
from coremlbench.failures.listing import find_failures
from coremlbench.failures.training_checks import accuracy_interval, check_training
from coremlbench.runs import store
from coremlbench.runs.lifecycle import Run, run_and_record
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import EpochRow, Trained, TrainingRecord
from tests.failing_records import CONVERSION, training

CLASSES = 10


def trained(correct: int, images: int, losses: tuple[float, ...] = (2.0, 1.0), **fields: object) -> TrainingRecord:
    """Return a run whose network is right on ``correct`` of ``images``, evenly over ten classes."""
    each, right = images // CLASSES, correct // CLASSES
    confusion = tuple(
        tuple(
            right if row == column else (each - right if (row + 1) % CLASSES == column else 0) for column in range(10)
        )
        for row in range(10)
    )
    record = training(1, Trained(test_accuracy=right / each, confusion=confusion))
    epochs = tuple(EpochRow(number, 1.0, 10, loss) for number, loss in enumerate(losses, start=1))
    return replace(record, epochs=epochs, **fields)  # type: ignore[arg-type]


def kind_of(record: TrainingRecord) -> str:
    outcome = check_training(record).outcome
    return outcome.kind if isinstance(outcome, Failure) else outcome.status


@pytest.mark.parametrize(
    ("correct", "images", "kind"),
    [
        (250, 2500, "at-chance"),
        (270, 2500, "at-chance"),  # 10.8%: the interval still holds 10%
        (350, 2500, "trained"),  # 14%: not much, and surely more than guessing
        (0, 2500, "at-chance"),
        (1000, 10_000, "at-chance"),
        (1150, 10_000, "trained"),
        (70, 620, "at-chance"),
        (10, 100, "trained"),  # too few to be sure
        (2400, 2500, "trained"),
    ],
)
def test_guessing_is_caught_when_it_is_sure(correct: int, images: int, kind: str) -> None:
    assert kind_of(trained(correct, images)) == kind


def test_guessing_is_a_note_in_a_run_that_is_not_the_protocol() -> None:
    record = check_training(trained(250, 2500, deviations=("epochs 1",)))
    assert isinstance(record.outcome, Trained)
    (note,) = record.notes
    assert "test accuracy 10.0% of 2,500 images" in note
    assert kind_of(trained(250, 2500, deviations=("dataset drawn-food",))) == "at-chance"
    assert kind_of(trained(250, 2500, deviations=("extractor squeezenet_v1.1", "processes 1"))) == "at-chance"
    assert kind_of(trained(250, 2500, deviations=("dataset drawn-food", "random weights"))) == "trained"


def test_guessing_the_most_frequent_class_is_guessing() -> None:
    confusion = ((90_000, 0), (10_000, 0))
    record = training(1, Trained(test_accuracy=0.9, confusion=confusion))
    assert kind_of(record) == "at-chance"
    better = Trained(test_accuracy=0.95, confusion=((900, 0), (50, 50)))
    assert kind_of(training(1, better)) == "trained"


@pytest.mark.parametrize(
    ("losses", "kind"),
    [
        ((2.3, math.nan), "loss-nan"),
        ((math.inf, 2.0), "loss-nan"),
        ((2.3, 30.0), "loss-exploded"),
        ((0.5, 4.0), "loss-exploded"),
        ((1e9, 1e9), "loss-exploded"),
        ((30.0, 2.0), "trained"),  # a bad first epoch that was made good
        ((1.0, 2.2), "trained"),  # worse, and not beyond guessing
        ((3.3, 3.5), "trained"),
        ((), "trained"),
    ],
)
def test_a_loss_that_is_none_or_exploded_is_caught(losses: tuple[float, ...], kind: str) -> None:
    assert kind_of(trained(2000, 2500, losses)) == kind


def test_what_was_measured_stays_in_the_record() -> None:
    before = trained(2000, 2500, (0.5, 40.0))
    after = check_training(before)
    assert isinstance(after.outcome, Failure)
    assert after.outcome.evidence.progress == "epoch 2"
    assert after.outcome.evidence.matched[0] == "loss by epoch: 0.5, 40"
    assert after.epochs == before.epochs


def test_other_records_and_failures_are_left_alone() -> None:
    assert check_training(CONVERSION) is CONVERSION
    failed = training(1, Failure("killed", "x", "y"))
    assert check_training(failed) is failed


def test_a_run_that_only_guessed_is_saved_as_a_failure_and_listed(tmp_path: Path) -> None:
    guessed = trained(250, 2500, (2.3, 2.3)).outcome
    run = Run(TrainingRecord, "tinyvgg", "tensorflow", {}, (), ["coremlbench", "train"], limits=CreateMLOptions())
    record, folder = run_and_record(
        run, lambda record, *_: replace(record, outcome=guessed), results=tmp_path, on_progress=lambda _: None
    )
    loaded = store.load(folder)
    assert isinstance(loaded.outcome, Failure)
    assert (loaded.outcome.kind, loaded.id) == ("at-chance", record.id)
    assert [each.failure.kind for each in find_failures([loaded])] == ["at-chance"]


@given(st.integers(0, 1000), st.integers(1, 1000))
@example(0, 158)
def test_the_interval_holds_the_share(right: int, more: int) -> None:
    count = right + more
    low, high = accuracy_interval(right, count)
    assert -1e-9 <= low <= right / count <= high <= 1 + 1e-9


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        (0, 158, 0.0, 0.0569953),
        (3, 30, 0.0203461, 0.3728200),
        (250, 2500, 0.0829535, 0.1200907),
        (30, 30, 0.7585424, 1),
    ],
)
def test_the_interval_is_wilson_s(right: int, count: int, low: float, high: float) -> None:
    """The bounds are those of ``scipy.stats.binomtest(right, count).proportion_ci(0.998, method="wilson")``."""
    assert accuracy_interval(right, count) == pytest.approx((low, high), abs=1e-7)
