"""Engines: which one a run takes, and whole runs with the built-in one, which needs no Turi Create."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.cli.terminal.createml import print_createml_run
from coremlbench.createml.engines.choice import ENGINES, EngineChoice, choose_engine
from coremlbench.createml.job import resume_createml, run_createml
from coremlbench.createml.options import CreateMLOptions, deviations_of
from coremlbench.experiments.catalogue import select
from coremlbench.experiments.comparison import comparison_rows
from coremlbench.report.training import classifier_runs, training_rows
from coremlbench.report.types import Source
from coremlbench.runs import store
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.training_records import Phase, SolverAgreement, Trained, TrainingRecord
from tests.runs.test_store import RECORD
from tests.standing_worker import kill_standing, point, stand_at

OPTIONS = CreateMLOptions(dataset="food101-10")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes this machine look like one with another system and processor."""

    def look_like(system: str, processor: str) -> None:
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(platform, "machine", lambda: processor)

    return look_like


@pytest.mark.parametrize(
    ("system", "processor", "engine", "reason"),
    [
        ("Linux", "x86_64", "turicreate", "Turi Create runs natively here"),
        ("Darwin", "x86_64", "turicreate", "Turi Create runs natively here"),
        ("Darwin", "arm64", "builtin", "Turi Create does not run natively on Apple silicon"),
        ("Linux", "aarch64", "builtin", "Turi Create does not run natively on Linux aarch64"),
    ],
)
def test_auto_takes_turi_create_where_it_runs_natively(
    system: str, processor: str, engine: str, reason: str, machine: Callable[[str, str], None]
) -> None:
    machine(system, processor)
    choice = choose_engine(OPTIONS)
    assert (choice.engine.name, choice.reason) == (engine, reason)
    assert choice.replaceable == (engine == "turicreate")


@pytest.mark.parametrize("engine", ["turicreate", "builtin"])
def test_a_named_engine_is_taken_and_never_replaced(engine: str, machine: Callable[[str, str], None]) -> None:
    machine("Darwin", "arm64")  # Turi Create runs there, under Rosetta
    assert choose_engine(replace(OPTIONS, engine=engine)) == EngineChoice(ENGINES[engine], "it was requested")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"engine": "caffe"}, "choose from auto, turicreate, builtin, createml"),
        ({"engine": "turicreate"}, "There is no Turi Create for aarch64; use --engine builtin"),
        ({"extraction": "turicreate"}, "There is no Turi Create for aarch64; use --engine builtin"),
        ({"engine": "builtin", "extraction": "turicreate"}, "leave one of them out"),
        ({"engine": "createml", "verify": True}, "use --engine builtin or turicreate"),
    ],
)
def test_an_engine_that_cannot_run_is_refused_in_a_sentence(
    options: dict[str, Any], says: str, machine: Callable[[str, str], None]
) -> None:
    machine("Linux", "aarch64")
    with pytest.raises(InputError, match=says) as error:
        choose_engine(replace(OPTIONS, **options))
    assert str(error.value).endswith(".")


def test_the_built_in_engine_is_a_deviation() -> None:
    """Its times are compared with none of Turi Create's."""
    assert deviations_of(replace(OPTIONS, engine="builtin")) == ("engine builtin",)
    assert deviations_of(replace(OPTIONS, engine="turicreate")) == deviations_of(OPTIONS) == ()


# --- comparisons --------------------------------------------------------------------------------------------


def trained(engine: str, day: int, seconds: float) -> TrainingRecord:
    """A finished run with this engine."""
    return replace(
        RECORD,
        id=engine,
        started=f"2026-01-0{day}",
        engine=engine,
        deviations=deviations_of(replace(OPTIONS, engine=engine)),
        phases=(Phase("extract", seconds, 1),),
        outcome=Trained(test_accuracy=0.8),
    )


def test_accuracies_of_engines_stand_side_by_side_and_times_do_not() -> None:
    records = [trained("turicreate", 1, 100.0), trained("builtin", 2, 50.0), trained("createml", 3, 20.0)]
    again = replace(trained("turicreate", 4, 200.0), id="again", machine=replace(RECORD.machine, id="other"))
    rows = comparison_rows(select(["createml"]), [*records, again], RECORD.machine.id)
    measured = {row.source: row for row in rows if row.kind == "measured"}
    assert [row.accuracy for row in measured.values()] == [0.8] * 4
    reference = next(row for row in measured.values() if row.reference)
    ratios = {name: row.ratio for name, row in measured.items()}
    assert {name for name, ratio in ratios.items() if ratio is not None} == {
        name for name in measured if name.replace("again", "turicreate") == reference.source
    }


def test_the_report_compares_the_times_of_one_engine_only() -> None:
    records = [trained("turicreate", 1, 100.0), trained("builtin", 2, 50.0), trained("createml", 3, 20.0)]
    rows = training_rows(records)
    assert len({row.work for row in rows}) == 3
    assert {row.ratio for row in rows} == {1.0}


# --- whole runs ---------------------------------------------------------------------------------------------


def run(options: CreateMLOptions, results: Path, on_progress: Callable[[Progress], None] = lambda _: None) -> Any:
    return run_createml(options, results=results, command=["coremlbench", "createml"], on_progress=on_progress)


@pytest.fixture(scope="module")
def small(pictures: Path) -> CreateMLOptions:
    return CreateMLOptions(
        dataset=str(pictures), train=60, test=30, augment=(), extractor="squeezenet_v1.1", engine="builtin"
    )


@pytest.fixture(scope="module")
def whole(
    small: CreateMLOptions, squeezenet: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingRecord, Path]:
    """A run with the built-in engine and a cache without Turi Create's environment."""
    cache = tmp_path_factory.mktemp("cache")
    (cache / "turicreate").symlink_to(squeezenet.parents[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COREMLBENCH_CACHE", str(cache))
        record, folder = run(small, tmp_path_factory.mktemp("whole"))
    assert not (cache / "environments").exists()
    return record, folder


def test_a_run_with_the_built_in_engine_trains_tests_and_saves(whole: tuple[TrainingRecord, Path]) -> None:
    record, folder = whole
    assert isinstance(record.outcome, Trained), record.outcome
    assert store.load(folder) == store.from_bytes(store.to_bytes(record))
    assert (record.engine, record.versions["builtin"], record.versions["numpy"]) == ("builtin", "1", np.__version__)
    assert (record.options["engine"], record.options["engine chosen"]) == ("builtin", "it was requested")
    assert "engine builtin" in record.deviations
    assert [phase.name for phase in record.phases] == ["setup", "data", "extract", "train", "evaluate", "export"]
    assert "turicreate" not in record.versions
    assert record.outcome.test_accuracy > 0.8
    solver = record.outcome.solver
    assert solver is not None
    assert (solver.name, solver.max_iterations) == ("lbfgs", 25)
    assert len(record.iterations) == solver.iterations + solver.status.startswith("SUCCESS")
    assert record.iterations[-1].passes is not None
    assert record.model is not None
    assert record.model.agreement is not None
    assert record.model.agreement.equal == record.model.agreement.images == 30
    assert not list(folder.glob("kept"))


def test_the_terminal_and_the_report_name_the_engine(
    whole: tuple[TrainingRecord, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    record, folder = whole
    print_createml_run(record, folder)
    assert "engine: builtin 1, chosen as it was requested" in capsys.readouterr().out
    (shown,) = classifier_runs([Source(record, "")])
    assert shown.solver.startswith("builtin 1, lbfgs, ")
    assert record.verification is None


def test_a_run_killed_in_training_goes_on_from_the_solvers_state(
    small: CreateMLOptions, whole: tuple[TrainingRecord, Path], tmp_path: Path
) -> None:
    def kill(progress: Progress) -> None:
        if progress.message == "iteration 4":
            kill_standing(tmp_path / "standing")

    with pytest.MonkeyPatch.context() as patch:
        stand_at(patch, tmp_path / "standing", point("train_builtin", "train", "iteration 4"))
        broken, _ = run(small, tmp_path / "results", kill)
    assert isinstance(broken.outcome, Failure)
    assert "the features of 90 images and the solver's state, " in broken.notes[-1]

    trained_again: list[str] = []
    resumed, folder = resume_createml(
        "",
        {},
        {"engine": "auto"},
        results=tmp_path / "results",
        command=["coremlbench", "createml", "--resume"],
        on_progress=lambda progress: trained_again.append(progress.message),
    )
    assert isinstance(resumed.outcome, Trained), resumed.outcome
    assert not {"iteration 1", "iteration 2", "iteration 3", "iteration 4"} & set(trained_again)
    assert resumed.options["engine chosen"] == "the one of the run that this one resumes"
    record, whole_folder = whole
    with np.load(folder / "head.npz") as one, np.load(whole_folder / "head.npz") as two:
        assert one["weights"].tobytes() == two["weights"].tobytes()
        assert one["bias"].tobytes() == two["bias"].tobytes()
    assert [replace(row, seconds=0.0) for row in resumed.iterations] == [
        replace(row, seconds=0.0) for row in record.iterations
    ]


def test_a_run_is_not_resumed_with_another_engine(tmp_path: Path) -> None:
    folder = tmp_path / RECORD.id
    (folder / "kept").mkdir(parents=True)
    (folder / "kept" / "features.jsonl").write_text('{"plan": "p"}\n{}\n')
    failure = Failure("killed", "It was killed.", "Run it again.")
    store.save(replace(RECORD, outcome=failure, options={}), folder)  # of an earlier release: no engine in its options
    with pytest.raises(InputError, match="had engine turicreate, not builtin"):
        resume_createml(
            "", {}, {"engine": "builtin"}, results=tmp_path, command=["coremlbench"], on_progress=lambda _: None
        )


def test_where_turi_create_cannot_run_the_verification_says_so(
    small: CreateMLOptions, squeezenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment cannot be made: there is no Python 3.8, and no uv to fetch one."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "turicreate").symlink_to(squeezenet.parents[1])
    monkeypatch.setenv("COREMLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    record, folder = run(replace(small, engine="auto", verify=True), tmp_path / "results")
    assert isinstance(record.outcome, Trained), record.outcome
    assert record.engine == record.options["engine"] == "builtin"
    assert record.options["engine chosen"].startswith("Turi Create needs Python 3.8 for x86-64, and none is here")
    assert "engine builtin" in record.deviations
    assert record.verification is not None
    assert record.verification.reason.startswith("Turi Create needs Python 3.8")
    assert json.loads((folder / "run.json").read_text())["verification"]["largest_difference"] is None


@pytest.mark.usefixtures("turicreate")
def test_a_verified_run_says_how_far_both_solvers_agree(
    small: CreateMLOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, folder = run(replace(small, verify=True), tmp_path)
    agreement = record.verification
    assert isinstance(agreement, SolverAgreement)
    assert (agreement.engine, agreement.version, agreement.reason) == ("turicreate", "6.4.1", "")
    assert agreement.largest_difference is not None
    assert agreement.largest_difference < 1e-9
    assert agreement.iterations == len(record.iterations)
    assert agreement.first_difference is None
    assert agreement.passes == agreement.other_passes == record.iterations[-1].passes
    assert agreement.equal_predictions == agreement.predictions == 30
    assert [phase.name for phase in record.phases][-3:] == ["evaluate", "verify", "export"]
    assert record.engine == "builtin"
    print_createml_run(record, folder)
    shown = capsys.readouterr().out
    assert "verified: turicreate 6.4.1 on the same features: coefficients at most " in shown
    assert f"the same in all {agreement.iterations} iterations" in shown
