from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from coremlbench.runs import store
from coremlbench.system.files import hash_file
from coremlbench.timing.matrix import matrix_exit_code, time_models
from coremlbench.timing.plan import QUICK, TimingOptions, deviations_of, plan_cells
from coremlbench.timing.resume import resume
from coremlbench.timing.statistics import ratio_of_rounds
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.timing import Measurement, RuntimeName, Timed, TimingRecord, UnitName
from tests.timed_packages import TINY, UNITS, behave, make_package, plain_package, quick_machine, quiet, timing_input_of

COMMAND = ["coremlbench", "convert-and-time"]
SOME = {"coreml": ("CPU_AND_GPU", "CPU_AND_NE"), "reference": ("host-cpu",)}
DRIVER = str(Path(__file__).parents[1] / "matrix_driver.py")


def timed(folder: Path, options: TimingOptions = TINY, units: Any = UNITS, **deeds: Any) -> tuple[TimingRecord, Path]:
    """Return a matrix of two packages with the quick workers."""
    paths = [plain_package(folder, name) for name in ("one", "two")]
    machine = quick_machine(behave(folder, **deeds), units)
    return time_models(
        timing_input_of(paths),
        options,
        results=folder / "results",
        command=COMMAND,
        on_progress=quiet,
        capabilities=machine,
    )


def row_of(record: TimingRecord, model: str, unit: str) -> Measurement:
    (row,) = [
        measurement for measurement in record.measurements if (measurement.model, measurement.unit) == (model, unit)
    ]
    return row


def rounds_of(record: TimingRecord) -> Counter[tuple[int, int]]:
    """Return how often each (cell, round) is in a record."""
    return Counter(
        (index, timed_round.round) for index, row in enumerate(record.measurements) for timed_round in row.rounds
    )


# --- plans --------------------------------------------------------------------------------------------------


def test_what_cannot_run_is_told_once_and_is_no_cell(tmp_path: Path) -> None:
    packages = timing_input_of([plain_package(tmp_path, "one"), plain_package(tmp_path, "two")]).packages
    units = {**UNITS, "tensorflow": ("host-cpu", "host-gpu")}
    reasons = {"coreml": "Core ML runs on macOS only."}
    plan = plan_cells(packages, TimingOptions(), units, lambda runtime, unit: reasons.get(runtime, ""))
    assert [(cell.package.model, cell.runtime) for cell in plan.cells] == [("one", "reference"), ("two", "reference")]
    assert plan.unavailable == ("Core ML runs on macOS only.",)
    assert plan.notes == tuple(
        f"{name} has no original that TensorFlow can load, so TensorFlow was not timed." for name in ("one", "two")
    )


def test_an_original_is_timed_once_whatever_its_variants(tmp_path: Path) -> None:
    (package,) = timing_input_of([plain_package(tmp_path, "one")]).packages
    variants = [replace(package.variant, name=name, batch=batch) for name in ("fp16", "fp32") for batch in (1, 8)]
    packages = [replace(package, variant=variant, original=tmp_path / "model.keras") for variant in variants]
    units: dict[RuntimeName, tuple[UnitName, ...]] = {"reference": ("host-cpu",), "tensorflow": ("host-cpu",)}
    plan = plan_cells(packages, TimingOptions(), units, lambda runtime, unit: "")
    cells = Counter((cell.runtime, cell.variant, cell.package.variant.batch) for cell in plan.cells)
    assert cells[("tensorflow", "as-is", 1)] == cells[("tensorflow", "as-is", 8)] == 1
    assert sum(cells.values()) == 6
    assert [cell.index for cell in plan.cells] == list(range(6))


def test_names_of_cells_lead_nowhere(tmp_path: Path) -> None:
    (package,) = timing_input_of([plain_package(tmp_path, "one")]).packages
    names = ["../../etc/passwd", "a b", "a/b", "naïve", "..", "x" * 500]
    packages = [replace(package, model=name) for name in names]
    plan = plan_cells(packages, TimingOptions(), {"reference": ("host-cpu",)}, lambda runtime, unit: "")
    slugs = [cell.slug for cell in plan.cells]
    assert len(set(slugs)) == len(names)
    assert all("/" not in slug and ".." not in slug and len(slug) < 200 for slug in slugs)


def test_a_first_look_says_what_it_leaves_out() -> None:
    assert deviations_of(TimingOptions()) == ()
    assert deviations_of(QUICK)[:3] == ("quick", "2 rounds", "at least 50 calls")


def test_nothing_to_time_here_is_told_in_a_sentence(tmp_path: Path) -> None:
    timing_input = timing_input_of([plain_package(tmp_path, "one")])
    machine = replace(quick_machine(behave(tmp_path)), unavailable_reason=lambda runtime, unit: "It is not here.")
    with pytest.raises(InputError, match=r"can be timed on this machine\. It is not here\.$"):
        time_models(timing_input, TINY, results=tmp_path, command=COMMAND, on_progress=quiet, capabilities=machine)


# --- the matrix ---------------------------------------------------------------------------------------------


@pytest.mark.long
def test_every_cell_has_every_round_in_the_order_of_the_seed(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    progress: list[Progress] = []
    paths = [plain_package(tmp_path, name) for name in ("one", "two")]
    record, folder = time_models(
        timing_input_of(paths),
        replace(TINY, seed=3),
        results=tmp_path / "results",
        command=COMMAND,
        on_progress=progress.append,
        on_round=lambda row, timed_round: seen.append((f"{row.model} {row.unit}", timed_round.round)),
        capabilities=quick_machine(behave(tmp_path)),
    )
    assert record.outcome == Timed(cells=10, failed=0)
    assert matrix_exit_code(record) == 0
    assert set(rounds_of(record).values()) == {1}
    assert len(rounds_of(record)) == 20
    assert record.orders[0] != record.orders[1]
    order = [
        f"{row.model} {row.unit}" for indices in record.orders for row in (record.measurements[i] for i in indices)
    ]
    assert (tmp_path / "trace").read_text().splitlines() == order == [name for name, _ in seen]
    assert [timed_round.place for row in record.measurements for timed_round in row.rounds] == [
        order.index(cell) for cell in range(10) for order in record.orders
    ]
    last = {seen.phase: (seen.done, seen.total) for seen in progress}
    assert last == {"inputs": (2, 2), "compile": (2, 2), "plan": (8, 8), "time": (20, 20)}
    assert progress[-1].phase == "time"
    assert store.load(folder) == record
    assert record.versions == {"coreml": "made up", "reference": "made up"}
    assert not (folder / "work").exists()

    row = row_of(record, "one", "CPU_AND_NE")
    assert (row.ran_on, row.stand_in, row.output_error) == ("Neural Engine", True, 0.001)
    assert row.notes == ("timed on CPU_AND_NE",)
    assert [timed_round.compile_seconds for timed_round in row.rounds] == [0.25, None]
    samples = folder / row.rounds[1].samples
    assert hash_file(samples) == row.rounds[1].samples_sha256
    with np.load(samples) as arrays:
        assert np.median(arrays["wall"]) == pytest.approx(row.rounds[1].p50)
        assert np.median(arrays["own"]) == pytest.approx(row.rounds[1].own_p50)
    host = row_of(record, "one", "host-cpu")
    assert (host.stand_in, host.plan, host.rounds[0].own_p50, host.ran_on) == (False, None, None, "")
    ratio = ratio_of_rounds(row.rounds, row_of(record, "one", "CPU_AND_GPU").rounds)
    assert ratio is not None
    assert ratio.ratio == pytest.approx(0.5, rel=0.1)


def test_runtimes_without_the_unit_are_told_apart(tmp_path: Path) -> None:
    options = replace(TINY, runtimes=("reference",), units=("ALL",))
    with pytest.raises(InputError, match="No runtime that was asked for has a unit of that name"):
        timed(tmp_path, options)


@pytest.mark.long
def test_cells_that_fail_stand_beside_those_that_go_on(tmp_path: Path) -> None:
    deeds = {"one CPU_AND_NE": "kill", "two CPU_ONLY": "once", "two CPU_AND_NE": "raise"}
    record, _ = timed(tmp_path, replace(TINY, rounds=3), {"coreml": ("CPU_ONLY", "CPU_AND_NE")}, **deeds)
    assert record.outcome == Timed(cells=2, failed=2)
    assert matrix_exit_code(record) == 0
    for model, unit, kind in (("one", "CPU_AND_NE", "killed"), ("two", "CPU_AND_NE", "")):
        row = row_of(record, model, unit)
        assert row.failure is not None
        assert row.failure.kind == kind or "It cannot be loaded." in row.failure.reason
        assert len(row.rounds) == 2, "it is given up after two failures"
        assert all(timed_round.failure is not None and timed_round.calls == 0 for timed_round in row.rounds)
    mended = row_of(record, "two", "CPU_ONLY")
    assert mended.failure is None
    assert [timed_round.failure is None for timed_round in mended.rounds] == [False, True, True]
    assert mended.notes[-1].startswith("1 of 3 rounds failed: The worker was killed with SIGKILL")
    assert len(row_of(record, "one", "CPU_ONLY").rounds) == 3


@pytest.mark.long
def test_a_hang_is_ended_after_a_silence(tmp_path: Path) -> None:
    options, units = replace(TINY, rounds=1, silence=6), {"reference": ("host-cpu",)}
    record, _ = timed(tmp_path, options, units, **{"one host-cpu": "hang"})
    row = row_of(record, "one", "host-cpu")
    assert row.failure is not None
    assert (row.failure.kind, row.failure.evidence.phase) == ("hang", "load")
    assert record.outcome == Timed(cells=1, failed=1)


def test_a_package_that_does_not_compile_fails_its_cells_of_core_ml_alone(tmp_path: Path) -> None:
    deeds = {"one compile": "raise", "two inputs": "raise"}
    record, _ = timed(tmp_path, replace(TINY, rounds=1), **deeds)
    failed = {(row.model, row.runtime) for row in record.measurements if row.failure is not None}
    assert failed == {("one", "coreml"), ("two", "coreml"), ("two", "reference")}
    assert record.outcome == Timed(cells=1, failed=9)
    row = row_of(record, "one", "ALL")
    assert row.failure is not None
    assert "Core ML could not compile it." in row.failure.reason


def test_what_the_survey_found_marks_rows_that_never_came_to_core_ml(tmp_path: Path) -> None:
    """No package compiles, so no worker reports the stand-in; only the probe of the units did."""
    timing_input = timing_input_of([plain_package(tmp_path, "one")])
    machine = replace(quick_machine(behave(tmp_path, **{"one compile": "raise"})), stand_in=True)
    record, _ = time_models(
        timing_input, TINY, results=tmp_path / "results", command=COMMAND, on_progress=quiet, capabilities=machine
    )
    assert record.outcome == Timed(cells=1, failed=4)
    assert {(row.runtime, row.stand_in) for row in record.measurements} == {("coreml", True), ("reference", False)}


def test_a_matrix_in_which_all_failed_has_exit_code_3(tmp_path: Path) -> None:
    record, _ = timed(tmp_path, TINY, {"reference": ("host-cpu",)}, **{"one host-cpu": "kill", "two host-cpu": "raise"})
    assert record.outcome == Timed(cells=0, failed=2)
    assert matrix_exit_code(record) == 3


def test_samples_that_are_not_those_the_worker_wrote_are_no_figures(tmp_path: Path) -> None:
    record, folder = timed(tmp_path, TINY, {"reference": ("host-cpu",)}, **{"one host-cpu": "lie"})
    row = row_of(record, "one", "host-cpu")
    assert row.failure is not None
    assert "its samples cannot be used: the file is not the one that the worker wrote" in row.failure.reason
    assert {timed_round.p50 for timed_round in row.rounds} == {None}
    assert sorted(path.name[:7] for path in (folder / "samples").iterdir()) == ["001-two", "001-two"]


def test_a_first_look_begins_no_round_that_would_take_too_long(tmp_path: Path) -> None:
    options = replace(TINY, rounds=3, budget=1e-9)
    record, _ = timed(tmp_path, options, {"reference": ("host-cpu",)})
    assert record.outcome == Timed(cells=2, failed=0)
    assert [len(row.rounds) for row in record.measurements] == [1, 1]
    assert len(record.orders) == 1
    assert "1 round" in record.deviations
    assert record.notes[-1].startswith("The first look ended after 1 of 3 rounds, which took ")


@pytest.mark.long
def test_a_sustained_run_is_added_to_each_cell_that_has_figures(tmp_path: Path) -> None:
    options = replace(TINY, rounds=1, sustain=60)
    units = {"coreml": ("CPU_AND_GPU", "CPU_AND_NE")}
    record, _ = timed(tmp_path, options, units, **{"one CPU_AND_NE": "kill", "two CPU_AND_NE": "kill"})
    assert [len(row_of(record, name, "CPU_AND_GPU").sustained) for name in ("one", "two")] == [1, 1]
    assert [len(row_of(record, name, "CPU_AND_NE").sustained) for name in ("one", "two")] == [0, 0]


@pytest.mark.long
def test_a_cell_that_was_given_up_has_no_sustained_run(tmp_path: Path) -> None:
    """It has figures of one round and failed in two: its sustained run would probably fail too."""
    options, units = replace(TINY, rounds=4, sustain=60), {"reference": ("host-cpu",)}
    record, _ = timed(tmp_path, options, units, **{"one host-cpu": "later"})
    row = row_of(record, "one", "host-cpu")
    assert [timed_round.failure is None for timed_round in row.rounds] == [True, False, False]
    assert (row.sustained, row.notes) == ((), ("timed on host-cpu",))
    assert len(row_of(record, "two", "host-cpu").sustained) == 1
    assert (tmp_path / "trace").read_text().count("one host-cpu") == 3


# --- the end before the end, and going on -------------------------------------------------------------------


def go_on(folder: Path, run: str = "", **deeds: Any) -> tuple[TimingRecord, Path]:
    machine = quick_machine(behave(folder, **deeds))
    return resume(run, results=folder / "results", command=COMMAND, on_progress=quiet, capabilities=machine)


@pytest.mark.long
def test_ctrl_c_keeps_what_was_timed_and_resume_goes_on(tmp_path: Path) -> None:
    broken, folder = timed(tmp_path, TINY, SOME, **{"two CPU_AND_NE": "interrupt"})
    assert isinstance(broken.outcome, Failure)
    assert (broken.outcome.kind, matrix_exit_code(broken)) == ("interrupted", 130)
    assert "--resume" in broken.outcome.hint
    before = rounds_of(broken)
    assert len(before) == (tmp_path / "trace").read_text().count("\n") - 1

    record, same = go_on(tmp_path)
    assert same == folder
    assert record.outcome == Timed(cells=6, failed=0)
    assert (record.id, record.orders, record.seed) == (broken.id, broken.orders, broken.seed)
    assert set(rounds_of(record).values()) == {1}
    assert len(rounds_of(record)) == 12
    for old, new in zip(broken.measurements, record.measurements, strict=True):
        assert set(old.rounds) <= set(new.rounds), "what was timed is kept as it was"
    assert record.notes[-1] == f"Resumed after {len(before)} rounds of cells, with {12 - len(before)} to go."
    assert record.seconds > broken.seconds
    assert store.load(folder) == record

    with pytest.raises(InputError, match="There is no unfinished matrix under"):
        go_on(tmp_path)
    with pytest.raises(InputError, match="is finished"):
        go_on(tmp_path, record.id)
    with pytest.raises(InputError, match="There is no matrix 'nonsense'"):
        go_on(tmp_path, "nonsense")


@pytest.mark.long
def test_outputs_are_checked_though_the_copying_of_a_kit_broke_off(tmp_path: Path) -> None:
    """Copying fails between the two files of a package; a resume without the kit must not use the first one alone."""
    timing_input = timing_input_of([plain_package(tmp_path, "one")])
    np.savez(tmp_path / "inputs.npz", x=np.zeros((2, 3)))
    package = replace(timing_input.packages[0], inputs=tmp_path / "inputs.npz", expected=tmp_path / "gone.npz")
    machine = quick_machine(behave(tmp_path))
    timing_input = replace(timing_input, packages=(package,))
    broken, _ = time_models(
        timing_input, TINY, results=tmp_path / "results", command=COMMAND, on_progress=quiet, capabilities=machine
    )
    assert isinstance(broken.outcome, Failure)
    assert not rounds_of(broken)
    record, _ = go_on(tmp_path)
    assert record.outcome == Timed(cells=5, failed=0)
    assert {row.output_error for row in record.measurements} == {0.001}


TOO_LARGE = """
import resource, signal, sys
sys.dont_write_bytecode = True  # a module imported below the limit would leave a cut-off .pyc file
from pathlib import Path
from coremlbench.runs.stages import Stages
from coremlbench.timing.inputs import provide_inputs
from coremlbench.timing.plan import TimedPackage, TimingOptions
from coremlbench.timing.rounds import RoundRunner
from coremlbench.types.conversion import Variant
folder = Path(sys.argv[1])
package = TimedPackage("one", Variant("fp16", 1), folder / "one", inputs=folder / "in.npz", expected=folder / "out.npz")
runner = RoundRunner(folder, Stages(folder / "work", print), TimingOptions(), lambda name: [])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    provide_inputs(runner, [package])
except OSError as problem:
    print(problem.errno)
"""


def test_what_is_copied_of_a_kit_is_whole_or_absent(tmp_path: Path) -> None:
    """Copying fails in the middle of a file."""
    for name in ("in.npz", "out.npz"):
        (tmp_path / name).write_bytes(bytes(2 << 20))
    done = subprocess.run([sys.executable, "-c", TOO_LARGE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) == errno.EFBIG
    assert not [*(tmp_path / "inputs").iterdir(), *(tmp_path / "expected").iterdir()]


@pytest.mark.long
def test_the_time_of_the_whole_matrix_ends_it_with_what_there_is(tmp_path: Path) -> None:
    record, _ = timed(tmp_path, replace(TINY, timeout=3), **{"one host-cpu": "hang"})
    assert isinstance(record.outcome, Failure)
    assert (record.outcome.kind, matrix_exit_code(record)) == ("deadline", 3)
    assert all(timed_round.failure is None for row in record.measurements for timed_round in row.rounds)


def test_a_matrix_goes_on_only_with_the_same_packages_on_the_same_machine(tmp_path: Path) -> None:
    record, folder = timed(tmp_path, TINY, {"reference": ("host-cpu",)}, **{"two host-cpu": "interrupt"})
    store.save(replace(record, machine=replace(record.machine, id="another", chip="Apple M9")), folder)
    with pytest.raises(InputError, match=r"was begun on another machine \(Apple M9\)"):
        go_on(tmp_path)
    store.save(record, folder)
    (tmp_path / "one.mlpackage" / "model").write_text("another one")
    with pytest.raises(InputError, match=r"one\.mlpackage is not the one that was timed before"):
        go_on(tmp_path)
    shutil.rmtree(tmp_path / "one.mlpackage")
    with pytest.raises(InputError, match=r"one\.mlpackage is gone"):
        go_on(tmp_path)
    with store.lock_run(folder), pytest.raises(InputError, match="is still running; wait for its end"):
        go_on(tmp_path)


def broken_with_an_original(folder: Path, kind: Any) -> tuple[TimingRecord, Path]:
    """Return an interrupted matrix with a TensorFlow row, and the file of its original model."""
    original = folder / "one.keras"
    original.write_text("the network")
    digest = hash_file(original) if kind == "file" else "of the name and the seed"
    timing_input = timing_input_of([plain_package(folder, "one")])
    model = replace(timing_input.models[0], source=replace(timing_input.models[0].source, kind=kind, sha256=digest))
    timing_input = replace(
        timing_input, models=(model,), packages=(replace(timing_input.packages[0], original=original),)
    )
    units: dict[RuntimeName, tuple[UnitName, ...]] = {"reference": ("host-cpu",), "tensorflow": ("host-cpu",)}
    machine = quick_machine(behave(folder, **{"one host-cpu": "interrupt"}), units)
    record, _ = time_models(
        timing_input, TINY, results=folder / "results", command=COMMAND, on_progress=quiet, capabilities=machine
    )
    assert [row.runtime for row in record.measurements] == ["reference", "tensorflow"]
    return record, original


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["file", "random-weights"])
def test_a_matrix_goes_on_only_with_the_same_original(tmp_path: Path, kind: Any) -> None:
    """A record's hash of random weights covers their name and seed; the hash of the saved file is beside its path."""
    _, original = broken_with_an_original(tmp_path, kind)
    original.write_text("another one")
    with pytest.raises(InputError, match=r"one\.keras is not the one that was timed before"):
        go_on(tmp_path)
    original.unlink()
    with pytest.raises(InputError, match="The original of one is gone"):
        go_on(tmp_path)
    original.write_text("the network")
    assert go_on(tmp_path)[0].outcome == Timed(cells=2, failed=0)


@pytest.mark.long
def test_a_record_that_does_not_tell_the_hash_of_random_weights_is_taken_as_it_is(tmp_path: Path) -> None:
    record, original = broken_with_an_original(tmp_path, "random-weights")
    assert record.options["packages"][0].pop("original_sha256") == hash_file(original)
    store.save(record, tmp_path / "results" / record.id)
    original.write_text("another one, perhaps")
    assert go_on(tmp_path)[0].outcome == Timed(cells=2, failed=0)


def kill_and_go_on(
    folder: Path, seed: int, kills: int, *, core_ml: bool = False
) -> tuple[TimingRecord, list[TimingRecord]]:
    """Return the record of the finished matrix, and its states after each SIGKILL at a random moment.

    With ``core_ml`` the real workers run with the stand-in for Core ML. The time until the first round is not counted;
    the quick workers' second round blocks until the first kill.
    """
    moments = random.Random(seed)
    paths = [str((make_package if core_ml else plain_package)(folder, name)) for name in ("one", "two")]
    behaviour, results = "-" if core_ml else behave(folder, wait=0.05, second="stand"), folder / "results"
    states: list[TimingRecord] = []
    arguments = paths
    for left in range(kills, -1, -1):
        child = subprocess.Popen([sys.executable, DRIVER, str(results), str(behaviour), *arguments])
        if left:
            wait_for_rounds(child, folder, core_ml=core_ml)
            with suppress(subprocess.TimeoutExpired):
                child.wait(moments.uniform(0.3, 20.0 if core_ml else 3.0))
            child.send_signal(signal.SIGKILL)
        child.wait()
        records, problems = store.load_all(results)
        assert not problems
        states += [state for state in records[-1:] if isinstance(state, TimingRecord)]
        if states and isinstance(states[-1].outcome, Timed):
            break
        arguments = ["--resume"] if states and states[-1].orders else paths
    assert isinstance(states[-1].outcome, Timed)
    return states[-1], states


def wait_for_rounds(child: subprocess.Popen[bytes], folder: Path, *, core_ml: bool) -> None:
    """Wait until the record has a round, or with the quick workers until the second round has started."""

    def begun() -> bool:
        if not core_ml:
            return (folder / "trace").exists() and (folder / "trace").read_text().count("\n") > 1
        return any(
            rounds_of(state) for state in store.load_all(folder / "results")[0] if isinstance(state, TimingRecord)
        )

    while child.poll() is None and not begun():
        time.sleep(0.02)


def check_broken_matrix(folder: Path, seed: int, kills: int, *, core_ml: bool = False) -> int:
    """Return how many kills hit a running matrix, after asserting that none of them did any harm."""
    record, states = kill_and_go_on(folder, seed, kills, core_ml=core_ml)
    assert all(row.stand_in for row in record.measurements if row.runtime == "coreml")  # as the quick workers say too
    assert set(rounds_of(record).values()) == {1}
    assert len(rounds_of(record)) == 20
    for before, after in itertools.pairwise(states):
        if before.id == after.id:
            assert before.orders in ((), after.orders)
            for old, new in zip(before.measurements, after.measurements, strict=False):
                assert set(old.rounds) <= set(new.rounds)
    home = folder / "results" / record.id
    assert all(hash_file(home / e.samples) == e.samples_sha256 for row in record.measurements for e in row.rounds)
    assert not (home / "work").exists()
    assert not list(folder.rglob(".writing-*"))
    wait_for_no_child_of(folder)
    return len(states) - 1


def wait_for_no_child_of(folder: Path) -> None:
    """Wait until no process of this matrix is left; the test's time limit ends the wait."""
    while any(str(folder) in " ".join(command_line(process)) for process in psutil.process_iter()):
        time.sleep(0.05)


def command_line(process: psutil.Process) -> list[str]:
    try:
        return [] if process.pid == os.getpid() else process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.slow  # kills at random; each way in which a matrix ends is tested once in every suite
@pytest.mark.usefixtures("ordinary_workers")  # what is left is found by its command
def test_a_matrix_survives_kills_at_random_moments(tmp_path: Path) -> None:
    assert check_broken_matrix(tmp_path, seed=1, kills=3) >= 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("ordinary_workers")
def test_a_matrix_on_the_stand_in_survives_kills_at_random_moments(tmp_path: Path) -> None:
    assert check_broken_matrix(tmp_path, seed=1, kills=5, core_ml=True) >= 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.usefixtures("ordinary_workers")  # what is left is found by its command
def test_many_matrices_survive_kills_at_random_moments(tmp_path: Path, seed: int) -> None:
    assert check_broken_matrix(tmp_path, seed=seed, kills=6) >= 1
