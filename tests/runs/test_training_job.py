"""The common course of training runs, with an engine that trains or fails as the test needs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.cli.terminal.createml import print_createml_run
from coremlbench.createml.options import CreateMLOptions
from coremlbench.report.warnings import warning_rows
from coremlbench.runs import resume_data, store
from coremlbench.runs.stages import Stages
from coremlbench.runs.training_job import Engine, TrainingJob
from coremlbench.types.conditions import UNKNOWN_CONDITIONS
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import Phase, Trained, TrainingRecord
from tests.simulated_mac import ON_BATTERY, SimulatedMac

OPTIONS = CreateMLOptions(iterations=7)
Save = Callable[[TrainingRecord], None]


def job(results: Path, *, trains: bool, previous_runs: list[Path | None]) -> TrainingJob[CreateMLOptions]:
    """Return a job whose engine extracts features and then trains, or fails with an OSError."""

    def train(
        options: CreateMLOptions,
        record: TrainingRecord,
        folder: Path,
        stages: Stages,
        save: Save,
        previous_run: Path | None,
    ) -> TrainingRecord:
        previous_runs.append(previous_run)
        (folder / resume_data.RESUME_DIR).mkdir()
        (folder / resume_data.RESUME_DIR / resume_data.JOURNAL_FILE).write_text('{"plan": "p"}\n{}\n')
        save(replace(record, options={**record.options, "extractor chosen": "a detail of the run"}))
        if not trains:
            raise OSError
        return replace(record, outcome=Trained(test_accuracy=1.0), phases=(Phase("train", 1.0, 20),))

    engine = Engine("turicreate", CreateMLOptions, lambda _: "createml", lambda _: ("iterations 7",), train)
    return TrainingJob(engine, results, ["coremlbench", "createml"], lambda _: None)


def test_a_run_is_recorded_with_its_engine_and_settings(tmp_path: Path) -> None:
    record, folder = job(tmp_path, trains=True, previous_runs=[]).run_once(OPTIONS, {"attempt": 2})
    assert (record.engine, record.experiment, record.attempt) == ("turicreate", "createml", 2)
    assert (record.options["iterations"], record.options["augment"]) == (7, ["rotation", "flip"])
    assert record.deviations == ("iterations 7",)
    assert store.load(folder) == record


def test_a_failed_run_is_resumed_with_its_own_settings_and_new_limits(tmp_path: Path) -> None:
    previous_runs: list[Path | None] = []
    failed, failed_folder = job(tmp_path, trains=False, previous_runs=previous_runs).run_once(OPTIONS)
    assert isinstance(failed.outcome, Failure)
    assert resume_data.find_resumable_run(tmp_path, ["createml"], "")[0].id == failed.id
    resumed, _ = job(tmp_path, trains=True, previous_runs=previous_runs).resume(failed, failed_folder, {"timeout": 9.0})
    assert previous_runs == [None, failed_folder]
    assert resumed.resumed_from == failed.id
    assert failed.options["extractor chosen"] == "a detail of the run"
    assert resumed.options == {name: failed.options[name] for name in resumed.options} | {"timeout": 9.0}
    assert set(failed.options) - set(resumed.options) == {"extractor chosen"}
    with pytest.raises(InputError, match="can be resumed; run it without --resume"):
        resume_data.find_resumable_run(tmp_path, ["createml"], "")


@pytest.mark.parametrize("trains", [True, False])
def test_a_training_records_the_conditions_at_its_start_and_at_its_end(
    simulated_mac: Callable[..., SimulatedMac], tmp_path: Path, capsys: pytest.CaptureFixture[str], *, trains: bool
) -> None:
    simulated_mac(outputs={"pmset -g batt": ON_BATTERY})
    record, folder = job(tmp_path, trains=trains, previous_runs=[]).run_once(OPTIONS)
    saved = store.load(folder)
    assert isinstance(saved, TrainingRecord)
    for conditions in (saved.conditions_before, saved.conditions_after):
        assert (conditions.power_source, conditions.power_mode) == ("battery", "automatic")
        assert conditions.nice is not None
    assert "The machine ran on battery." in [row.text for row in warning_rows([record])]
    print_createml_run(record, folder)
    shown = capsys.readouterr().out
    for line in (
        "conditions before: on battery, ",
        "conditions after: on battery, ",
        "note: The machine ran on battery.",
    ):
        assert line in shown


def test_a_record_without_conditions_is_read_and_shown_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, folder = job(tmp_path, trains=True, previous_runs=[]).run_once(OPTIONS)
    path = folder / "run.json"
    fields = json.loads(path.read_text())
    del fields["conditions_before"], fields["conditions_after"]
    path.write_text(json.dumps(fields))
    older = store.load(folder)
    assert older == replace(record, conditions_before=UNKNOWN_CONDITIONS, conditions_after=UNKNOWN_CONDITIONS)
    assert isinstance(older, TrainingRecord)
    print_createml_run(older, folder)
    assert "conditions" not in capsys.readouterr().out
    assert not warning_rows([older])


def test_a_busy_machine_is_told_with_a_trainings_figures(tmp_path: Path) -> None:
    record, _ = job(tmp_path, trains=True, previous_runs=[]).run_once(OPTIONS)
    busy = replace(
        record,
        conditions_before=replace(UNKNOWN_CONDITIONS, load_average=99.0),
        conditions_after=replace(UNKNOWN_CONDITIONS, load_average=99.0, nice=5),
    )
    nice, load = (row.text for row in warning_rows([busy]))
    assert nice == "The processes had the nice value 5: others went first."
    assert load == (
        "The load average was above the number of cores before the start: something else, or a run just before it, "
        "kept the machine busy."
    )
