from __future__ import annotations

from dataclasses import replace

import pytest

from coremlbench.cli.terminal.training import print_comparison
from coremlbench.experiments.catalogue import EXPERIMENTS, select
from coremlbench.experiments.comparison import compared_seconds, comparison_rows
from coremlbench.experiments.published import PUBLISHED
from coremlbench.types.failure import Failure
from coremlbench.types.machine import Machine
from coremlbench.types.training_records import EpochRow, Phase, Placement, Trained, TrainingRecord

HERE = Machine(
    id="here",
    chip="Apple M9",
    architecture="arm64",
    physical_cores=8,
    logical_cores=8,
    memory_bytes=16 * 2**30,
    system="macOS",
    system_version="26",
    model="MacBook Air",
)
THERE = replace(HERE, id="there", chip="Xeon", model="")


def record(
    experiment: str,
    *seconds: float,
    machine: Machine = HERE,
    started: str = "2026-01-01T00:00:00+00:00",
    failure: Failure | None = None,
    deviations: tuple[str, ...] = (),
) -> TrainingRecord:
    return TrainingRecord(
        id=f"run-{experiment}-{started}-{machine.id}",
        experiment=experiment,
        started=started,
        command=("coremlbench", "train"),
        coremlbench="0",
        machine=machine,
        engine="tensorflow",
        options={},
        outcome=failure or Trained(test_accuracy=0.5),
        seconds=100.0,
        deviations=deviations,
        phases=(Phase("build", 50.0, 0), Phase("train", sum(seconds), 10), Phase("evaluate", 2.0, 10)),
        epochs=tuple(EpochRow(n, value, 10, 1.0) for n, value in enumerate(seconds, start=1)),
        placement=Placement("auto", "GPU:0", "Apple M9", "TensorFlow sees a GPU"),
    )


def test_the_first_epoch_is_left_out() -> None:
    (tinyvgg,) = select(["tinyvgg"])
    assert compared_seconds(record("tinyvgg", 100.0, 4.0, 6.0), tinyvgg) == 5.0
    assert compared_seconds(record("tinyvgg", 100.0), tinyvgg) is None


def test_total_seconds_are_training_and_testing_alone() -> None:
    (fashion,) = select(["fashion-mnist"])
    assert compared_seconds(record("fashion-mnist", 3.0, 1.0), fashion) == 6.0


def test_what_a_first_run_fetches_is_not_compared() -> None:
    (createml,) = select(["createml"])
    work = (Phase("augment", 1.0, 1), Phase("extract", 2.0, 1), Phase("train", 4.0, 1), Phase("evaluate", 8.0, 1))
    first, second = (
        replace(
            record("createml"),
            phases=(Phase("setup", setup, 1), Phase("data", data, 1), *work, Phase("export", 16.0, 1)),
            seconds=setup + data + 32.0,
        )
        for setup, data in ((600.0, 60.0), (0.2, 1.0))
    )
    assert compared_seconds(first, createml) == compared_seconds(second, createml) == 31.0


def test_ratios_are_over_this_machines_newest_run_at_the_protocol() -> None:
    rows = comparison_rows(
        select(["tinyvgg"]),
        [
            record("tinyvgg", 9.0, 3.0, started="2026-01-01", deviations=("dataset drawn-food",)),
            record("tinyvgg", 9.0, 5.0, 5.0, started="2026-01-02"),
            record("tinyvgg", 9.0, 10.0, started="2026-01-04", machine=THERE),
        ],
        "here",
    )
    measured = {row.source: row for row in rows if row.kind == "measured"}
    ratios = {source[12:]: row.ratio for source, row in measured.items()}
    assert ratios == {"2026-01-02-here": 1.0, "2026-01-01-here": 0.6, "2026-01-04-there": 2.0}
    assert [row.source[12:] for row in measured.values() if row.reference] == ["2026-01-02-here"]
    published = [row for row in rows if row.kind == "published"]
    assert [(row.figure, row.ratio) for row in published[:3]] == [("7–8 s", 1.5), ("7–8 s", 1.5), ("35–41 s", 7.6)]
    assert published[3].figure == "5 s"


def test_there_is_no_ratio_between_unlike_amounts_of_work() -> None:
    few = ("dataset drawn-food", "750 training images")
    runs = [
        record("tinyvgg", 9.0, 3.0, deviations=few),
        record("tinyvgg", 9.0, 6.0, started="2025-01-01", machine=THERE, deviations=few[1:]),
        record("tinyvgg", 9.0, 6.0, started="2025-01-02", machine=THERE),
    ]
    rows = comparison_rows(select(["tinyvgg"]), runs, "here")
    assert [row.ratio for row in rows] == [None, None, None, None, 2.0, None, 1.0]


def test_runs_with_another_extractor_have_no_ratio() -> None:
    squeezenet = ("dataset drawn-food", "extractor squeezenet_v1.1")
    runs = [
        record("createml", 10.0, deviations=squeezenet),
        record("createml", 40.0, started="2025-01-01", deviations=("dataset drawn-food", "extractor resnet-50")),
        record("createml", 20.0, started="2025-01-02", deviations=(*squeezenet, "processes 1")),
        record("createml", 5.0, started="2026-01-02", deviations=(*squeezenet, "750 training images")),
    ]
    measured = [row for row in comparison_rows(select(["createml"]), runs, "here") if row.kind == "measured"]
    assert [(row.ratio, row.reference) for row in measured] == [
        (None, False),
        (None, False),
        (1.0, True),
        (None, False),
    ]


def test_the_comparison_shows_the_notes_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    halved = replace(record("lenet", 9.0, 3.0), notes=("Attempt 2, with 1 extracting side by side.",))
    print_comparison(comparison_rows(select(["lenet"]), [halved], "here"))
    assert f"note on {halved.id}: Attempt 2, with 1 extracting side by side." in capsys.readouterr().out


def test_what_is_not_the_protocol_is_marked_also_when_it_is_the_reference() -> None:
    rows = comparison_rows(select(["lenet"]), [record("lenet", 9.0, 3.0, deviations=("batch 64",))], "here")
    assert [(row.reference, row.deviations) for row in rows] == [(True, ("batch 64",))]


def test_without_a_run_of_this_machine_there_are_no_ratios() -> None:
    rows = comparison_rows(select(["tinyvgg"]), [record("tinyvgg", 9.0, 3.0, machine=THERE)], "here")
    assert {row.ratio for row in rows} == {None}
    assert not any(row.reference or row.this_machine for row in rows)


def test_the_failed_create_ml_run_stands_as_a_failure() -> None:
    rows = comparison_rows(select(["createml"]), [], "here")
    assert [(row.failed, row.figure) for row in rows] == [
        (False, "finished, the fastest of the three"),
        (False, "finished, slower than the Air"),
        (True, "failed before the end"),
    ]
    assert all(row.seconds is None for row in rows)


def test_a_failed_run_stands_there_with_its_epochs_and_no_figure() -> None:
    failure = Failure(kind="memory-limit", reason="It grew past 2 GB.", hint="Take a smaller batch.")
    failed = record("efficientnetb0", 9.0, 8.0, failure=failure)
    worked = record("efficientnetb0", 9.0, 10.0, started="2025-01-01")
    row = comparison_rows(select(["efficientnetb0"]), [failed, worked], "here")[-1]
    assert (row.failed, row.seconds, row.ratio, row.reference) == (True, None, None, False)
    assert row.figure == "failed after 2 epochs: It grew past 2 GB."


def test_a_run_that_goes_on_is_no_failure() -> None:
    running = record("lenet", failure=Failure(kind="running", reason="The run has not ended yet.", hint="Wait."))
    (row,) = comparison_rows(select(["lenet"]), [running], "here")
    assert (row.failed, row.figure, row.ratio) == (False, "not ended yet", None)


@pytest.mark.parametrize("experiment", [each.name for each in EXPERIMENTS])
def test_published_and_measured_are_never_mixed(experiment: str) -> None:
    rows = comparison_rows(select([experiment]), [record(experiment, 2.0, 1.0)], "here")
    published = [row for row in rows if row.kind == "published"]
    assert len(published) == sum(1 for each in PUBLISHED if each.experiment == experiment)
    assert not any(row.this_machine or row.reference or row.accuracy for row in published)
    (measured,) = (row for row in rows if row.kind == "measured")
    assert measured.source.startswith("run-")
    assert measured.machine == "MacBook Air (Apple M9, 16.00 GiB), on GPU"
    assert measured.seconds is not None


def test_the_published_figures_are_those_of_the_sources() -> None:
    ranges = {(each.experiment, each.machine[:14]): (each.low, each.high) for each in PUBLISHED}
    expected = {
        ("tinyvgg", "MacBook Pro 16"): (35, 41),
        ("efficientnetb0", "MacBook Air M1"): (20, 21),
        ("mnist-cnn", "MacBook Pro 13"): (25, 26),
        ("mnist-cnn", "Google Colab, "): (9, 9),
        ("fashion-mnist", "Mac mini M1 (8"): (6.70, 6.70),
        ("cifar10-resnet50", "Mac mini M1 (8"): (2286.16, 2286.16),
    }
    assert {key: ranges[key] for key in expected} == expected
    assert ranges[("createml", "MacBook Pro 16")] == (None, None)
    assert all(each.source for each in PUBLISHED)
    assert {each.experiment for each in PUBLISHED} <= {each.name for each in EXPERIMENTS}
    metrics = {each.name: each.metric for each in EXPERIMENTS}
    assert all(each.metric == metrics[each.experiment] for each in PUBLISHED)
