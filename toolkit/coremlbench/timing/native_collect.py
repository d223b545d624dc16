"""The record of what a native kit measured: the same statistics and the same parity as of a matrix that ran here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from coremlbench.failures.classify import classify
from coremlbench.runs import store
from coremlbench.runs.lifecycle import Save, run_and_record
from coremlbench.runs.stages import Stages
from coremlbench.system import serialization
from coremlbench.system.clocks import ClockReading, clock_gap
from coremlbench.system.mac_conditions import parse_power_source
from coremlbench.timing.matrix import describe_run
from coremlbench.timing.native_kit import compile_job_id, native_cells, plan_job_id, round_job_id
from coremlbench.timing.native_results import compile_result, plan_result, timing_result
from coremlbench.timing.native_results_folder import NativeResults, damaged, opened_results
from coremlbench.timing.native_rounds import translated
from coremlbench.timing.plan import Cell, MatrixPlan
from coremlbench.timing.records import (
    add_compute_plan,
    add_notes,
    add_round,
    mark_stand_in,
    plan_record,
    replace_row,
    settle_cell,
)
from coremlbench.timing.rounds import add_phases, add_statistics, clock_failure
from coremlbench.types.conditions import Conditions
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Exit, Progress
from coremlbench.types.timing import ComputePlan, Measurement, Round, SustainedPoint, Timed, TimingRecord

GO_ON = "Run `sh run.sh` in the kit's folder on that machine again, then collect its results again."


def collect(
    path: Path, *, results: Path, command: Sequence[str], on_progress: Callable[[Progress], None]
) -> tuple[TimingRecord, Path]:
    """Return the record of the results in a folder or an archive, and the folder that holds it.

    Raises:
        InputError: there are no results, they are damaged, or they have been collected.
    """
    with opened_results(path) as native:
        plan = native_cells(native.timing_input.packages, native.options)
        if [cell.slug for cell in plan.cells] != list(native.cells):
            raise InputError(f"The results at {path} are of other cells than their kit's; copy the results again.")
        digest = native.digest()
        _check_new(digest, results)
        collection = Collection(native, plan)
        collection.check()

        def work(record: TimingRecord, folder: Path, _: Stages, __: Save[TimingRecord]) -> TimingRecord:
            return collection.record(record, folder)

        locations: dict[str, Any] = {"packages": [], "not_here": [], "kit": None, "collected": digest}
        run = describe_run(native.options, command, plan, locations)
        return run_and_record(run, work, results=results, on_progress=on_progress)


def _check_new(digest: str, results: Path) -> None:
    """Raise ``InputError`` for results that a record is of already."""
    records, _ = store.load_all(results) if results.is_dir() else ([], [])
    for record in records:
        if record.options.get("collected") == digest:
            raise InputError(f"These results are in the record {record.id} already; there is nothing new to collect.")


class Collection:
    """Makes the record of one set of results."""

    def __init__(self, native: NativeResults, plan: MatrixPlan) -> None:
        self.native, self.plan = native, plan
        self.stand_in = False
        self.missing = 0

    def check(self) -> None:
        """Read every job, before there is a record.

        Raises:
            InputError: a file is damaged.
        """
        for number in range(len(self.plan.packages)):
            self._ended(compile_job_id(number))
        for cell in self.plan.cells:
            self._ended(plan_job_id(cell))
            for number in range(len(self.native.orders)):
                self._ended(round_job_id(cell, number))

    def record(self, record: TimingRecord, folder: Path) -> TimingRecord:
        """Return the record with all that was measured; samples go to the run's folder."""
        native = self.native
        record = plan_record(replace(record, machine=native.machine), native.timing_input, self.plan, native.options)
        started = [job["started"] for job in self._jobs() if job is not None]
        conditions = Conditions(power_source=parse_power_source(native.power) if native.power else None)
        record = replace(
            record,
            orders=native.orders,
            started=_moment(min(started, default=0.0)),
            conditions_before=conditions,
            conditions_after=conditions,
        )
        for cell in self.plan.cells:
            row = self._cell(record.measurements[cell.index], cell, folder)
            record = replace_row(record, cell.index, row)
        if self.missing:
            total = sum(map(len, native.orders))
            record = add_notes(
                record, f"The run on that machine ended after {total - self.missing} of {total} rounds. {GO_ON}"
            )
        if self.stand_in:
            record = mark_stand_in(record)
        failed = sum(row.failure is not None for row in record.measurements)
        return replace(
            record,
            versions={row.runtime: row.runtime_version for row in record.measurements if row.runtime_version},
            outcome=Timed(cells=len(self.plan.cells) - failed, failed=failed),
        )

    def _jobs(self) -> list[dict[str, Any] | None]:
        return [
            self.native.job(round_job_id(cell, number))
            for number in range(len(self.native.orders))
            for cell in self.plan.cells
        ]

    def _cell(self, row: Measurement, cell: Cell, folder: Path) -> Measurement:
        """Return a cell with its plan and its rounds; it failed if it has no round, or all of them failed."""
        number = self.plan.packages.index(cell.package)
        job = compile_job_id(number)
        compiled = self._ended(job)
        if isinstance(compiled, Exit):
            compiled = translated(compiled, lambda result: compile_result(result, Path(job)))
        if isinstance(compiled, Failure):
            return replace(row, failure=compiled)
        plan = self._ended(plan_job_id(cell))
        if isinstance(plan, Exit):
            plan = translated(plan, lambda result: plan_result(result, cell.unit))
        if isinstance(plan, Failure):
            row = add_compute_plan(row, ComputePlan(failure=f"Core ML gave no plan: {plan.reason}"))
        elif plan is not None:
            row = add_compute_plan(row, serialization.from_json(ComputePlan, plan.result))
        for round_number, order in enumerate(self.native.orders):
            row = self._add_round(row, cell, round_number, order.index(cell.index), folder)
        if compiled is not None and row.rounds:
            seconds = (compiled.result or {})["compile_seconds"]
            row = replace(row, rounds=(replace(row.rounds[0], compile_seconds=seconds), *row.rounds[1:]))
        if not row.rounds:
            failure = Failure("interrupted", "The run on that machine ended before this cell was timed.", GO_ON)
            return replace(row, failure=failure)
        return settle_cell(row)

    def _add_round(self, row: Measurement, cell: Cell, number: int, place: int, folder: Path) -> Measurement:
        """Return a cell with one more round, or as it is when the round was not run."""
        name = round_job_id(cell, number)
        job = self.native.job(name)
        if job is None or job["kind"] == "skipped":
            self.missing += job is None
            return row
        source = self.native.folder / name
        samples = folder / "samples" / f"{cell.slug}-{number}.npz"
        samples.parent.mkdir(exist_ok=True)
        ended = self._ended(name)
        assert ended is not None  # the job is there
        timed = Round(round=number, place=place, started=_moment(job["started"]), seconds=float(job["seconds"]))
        if isinstance(ended, Exit):
            raw = ended.result or {}
            conditions = [raw.get("before") or {}, raw.get("after") or {}]
            before, after = (
                Conditions(thermal_state=state.get("thermalState"), low_power_mode=state.get("lowPowerMode"))
                for state in conditions
            )
            timed = replace(timed, before=before, after=after)
            ended = translated(ended, lambda result: timing_result(source, result, cell.package.expected, samples))
        wall, passed = float(job["wallSeconds"]), float(job["seconds"])
        if gap := clock_gap(ClockReading(0.0, 0.0), ClockReading(wall, passed)):
            ended = clock_failure(gap)
            timed = replace(timed, clock_gap_seconds=gap)
        if isinstance(ended, Failure):
            samples.unlink(missing_ok=True)
            return add_round(row, replace(timed, failure=ended), {})
        result = ended.result or {}
        self.stand_in |= result["stand_in"]
        timed = add_statistics(timed, samples, result["samples_sha256"])
        timed = add_phases(replace(timed, samples=str(samples.relative_to(folder))), result)
        row = add_round(row, timed, result)
        if result["sustained"]:
            row = replace(row, sustained=serialization.from_json(tuple[SustainedPoint, ...], result["sustained"]))
        return row

    def _ended(self, name: str) -> Exit | Failure | None:
        """Return how a job ended, ``None`` if it was not run; a failure is classified as that of a worker here."""
        job = self.native.job(name)
        if job is None:
            return None
        path = self.native.folder / name / "result.json"
        try:
            ended = _exit(job)
            if job["kind"] == "done":
                return replace(ended, result=serialization.from_json(dict[str, Any], _json(path)))
        except (KeyError, TypeError, ValueError, OSError, RecursionError) as problem:
            raise damaged(path, problem) from problem
        failure = classify(ended)
        assert failure is not None  # an exit without a result is always a failure
        return failure


def _json(path: Path) -> Any:
    import json

    return json.loads(path.read_bytes())


def _exit(job: dict[str, Any]) -> Exit:
    """Return a job's end as the supervisor of this program would have seen it."""
    ended = Exit(returncode=0, seconds=float(job["seconds"]))
    if job["kind"] == "limit":
        return replace(ended, returncode=-9, stopped="silence", limit=float(job["limit"]))
    if job["kind"] == "crash":
        return replace(ended, returncode=-int(job["signal"]))
    if job["kind"] == "error":
        return replace(ended, returncode=int(job["code"]), error={"errno": None, "traceback": ""} | dict(job["error"]))
    return ended


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), timezone.utc).isoformat()
