"""The children of a matrix: inputs, compiled models, plans, and one process for each round of each cell."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.system import serialization
from coremlbench.system.files import hash_file, written_whole
from coremlbench.timing.plan import Cell, Package, TimingOptions, file_stem
from coremlbench.types.failure import Failure
from coremlbench.types.process import Exit, Progress
from coremlbench.types.timing import ComputePlan, Measurement, Round, SustainedPoint, UnitName

SILENCE = {"inputs": 600.0, "compile": 900.0, "plan": 300.0, "timing": 900.0}
"""Seconds without a word after which a child counts as hung; the first load on the Neural Engine takes minutes."""

ENDS_THE_MATRIX = ("interrupted", "deadline")
GO_ON = "`coremlbench convert-and-time --resume` goes on where it stopped."


class MatrixStoppedError(Exception):
    """The matrix has to end here; holds why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = replace(failure, hint=GO_ON)


class Ticker:
    """Tells the progress of the whole matrix; what a child says of itself becomes the message."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self._tell = on_progress
        self._now = Progress("inputs", 0, 0)

    def at(self, phase: str, done: int, total: int, title: str) -> None:
        """Tell which part of the matrix comes now."""
        self._now = Progress(phase, done, total, title)
        self._tell(self._now)

    def __call__(self, progress: Progress) -> None:
        """Tell what the child of now does."""
        doing = progress.message or progress.phase
        message = f"{self._now.message} ({doing})" if self._now.message else doing
        self._tell(replace(self._now, message=message, figures=progress.figures))


@dataclass
class Bench:
    """Where the cells of one matrix are timed. ``worker`` gives the command of a worker by its name.

    ``kit`` is where to leave a kit of the packages as soon as they have inputs. ``stand_in`` is true as soon as
    anything said that the tests' stand-in is what passes for Core ML here.
    """

    folder: Path
    stages: Stages
    options: TimingOptions
    worker: Callable[[str], Sequence[str]]
    kit: Path | None = None
    stand_in: bool = False
    compiled: dict[Path, Path] = field(default_factory=dict)
    compile_seconds: dict[Path, float] = field(default_factory=dict)

    def run(self, stage: str, worker: str, request: dict[str, Any]) -> Exit | Failure:
        """Return how a child ended; the log of one that failed is kept.

        Raises:
            MatrixStoppedError: it was interrupted, or the time of the whole matrix is over.
        """
        try:
            ended = self.stages.run(stage, self.worker(worker), request, silence=SILENCE[worker])
        except StageFailedError as failed:
            if failed.failure.kind in ENDS_THE_MATRIX:
                raise MatrixStoppedError(failed.failure) from failed
            return failed.failure
        for name in ("log.txt", "progress.jsonl"):
            (self.stages.work / stage / name).unlink(missing_ok=True)
        return ended


def file_of(bench: Bench, kind: str, number: int, package: Package) -> Path:
    """Return where the inputs or the expected outputs of a package are kept, also for a later resume."""
    name = file_stem(package.model, package.variant.name, package.variant.batch)
    return bench.folder / kind / f"{number:03d}-{name}.npz"


def provide_inputs(bench: Bench, packages: Sequence[Package]) -> tuple[list[Package], dict[Path, Failure], list[str]]:
    """Return the packages with inputs and expected outputs, why some have none, and what is worth a note.

    Those of a kit are copied. The others are made in one child for all; when it crashes, in one for each.

    Raises:
        MatrixStoppedError: interrupted.
    """
    ready, wanted = [], []
    for number, package in enumerate(packages):
        inputs, expected = file_of(bench, "inputs", number, package), file_of(bench, "expected", number, package)
        inputs.parent.mkdir(exist_ok=True)
        expected.parent.mkdir(exist_ok=True)
        # The inputs come last: they tell a resume that both are there. Outputs left without them may belong to others.
        if not inputs.exists():
            expected.unlink(missing_ok=True)
        if package.inputs is not None:
            if package.expected is not None:
                _copy(package.expected, expected)
            _copy(package.inputs, inputs)
        elif not inputs.exists():
            wanted.append({"package": package.path, "inputs": inputs, "expected": expected})
        ready.append((package, inputs, expected))
    notes, failures = [], {}
    groups = [wanted] if wanted else []
    while groups:
        group = groups.pop(0)
        request = {"packages": group, "samples": bench.options.samples, "seed": bench.options.seed}
        ended = bench.run("inputs", "inputs", request)
        if isinstance(ended, Exit):
            notes += [note for note in (ended.result or {})["notes"] if note]
        elif len(group) > 1:
            groups = [[each] for each in group]
        else:
            failures[Path(group[0]["package"])] = ended
    packages = [
        replace(package, inputs=inputs, expected=expected if expected.exists() else None)
        for package, inputs, expected in ready
    ]
    return packages, failures, notes


def _copy(source: Path, target: Path) -> None:
    """Copy a file that is not there yet; it is whole or absent."""
    if not target.exists():
        with source.open("rb") as original, written_whole(target) as copy:
            shutil.copyfileobj(original, copy)


def compile_package(bench: Bench, number: int, package: Package) -> Failure | None:
    """Return why Core ML could not compile a package; the compiled model serves all units and rounds."""
    target = bench.stages.work / "compiled" / f"{number:03d}-{package.path.stem}.mlmodelc"
    target.parent.mkdir(parents=True, exist_ok=True)
    ended = bench.run(f"compile-{number:03d}", "compile", {"package": package.path, "compiled": target})
    if isinstance(ended, Failure):
        return ended
    assert ended.result is not None
    bench.compiled[package.path] = Path(ended.result["compiled"])
    bench.compile_seconds[package.path] = ended.result["compile_seconds"]
    bench.stand_in |= ended.result["stand_in"]
    return None


def plan_of(bench: Bench, number: int, package: Package, unit: UnitName) -> ComputePlan:
    """Return where Core ML plans to run a package on a unit; its own process, as the plan itself may crash."""
    from coremlbench.timing.compute_plan import from_result

    request = {"compiled": bench.compiled[package.path], "unit": unit}
    ended = bench.run(f"plan-{number:03d}-{unit}", "plan", request)
    if isinstance(ended, Failure):
        return ComputePlan(failure=f"Core ML gave no plan: {ended.reason}")
    return from_result(ended.result or {})


def time_round(bench: Bench, cell: Cell, number: int, place: int) -> tuple[Round, dict[str, Any]]:
    """Return one round of one cell, timed in a fresh process, and what that process told beside it.

    Raises:
        MatrixStoppedError: it was interrupted; nothing of the round is kept.
    """
    from coremlbench.timing.conditions import read_conditions

    stage = f"time-{number}-{cell.slug}"
    samples = bench.stages.work / stage / "samples.npz"
    started, before, clock = datetime.now(timezone.utc).isoformat(), read_conditions(), time.monotonic()
    ended = bench.run(stage, "timing", _request(bench, cell, samples))
    row = Round(
        round=number,
        place=place,
        started=started,
        seconds=time.monotonic() - clock,
        before=before,
        after=read_conditions(),
    )
    if isinstance(ended, Failure):
        return replace(row, failure=ended), {}
    assert ended.result is not None
    result = ended.result
    try:
        figures = _figures(samples, result)
    except (OSError, ValueError, KeyError) as problem:
        reason = f"The worker ended well, but its samples cannot be used: {problem}."
        return replace(row, failure=Failure("no-result", reason, "Run it again.")), {}
    kept = bench.folder / "samples" / f"{cell.slug}-{number}.npz"
    kept.parent.mkdir(exist_ok=True)
    samples.replace(kept)
    first = number == 0 and cell.runtime == "coreml"
    return replace(
        row,
        **figures,
        samples=str(kept.relative_to(bench.folder)),
        samples_sha256=result["samples_sha256"],
        warmup_calls=result["warmup_calls"],
        warmup_seconds=result["warmup_seconds"],
        compile_seconds=bench.compile_seconds.get(cell.package.path) if first else None,
        first_load_seconds=result["first_load_seconds"],
        second_load_seconds=result["second_load_seconds"],
        first_predict_seconds=result["first_predict_seconds"],
        energy_joules=result.get("energy_joules"),
    ), result


def sustain(bench: Bench, cell: Cell) -> tuple[SustainedPoint, ...] | Failure:
    """Return how a cell's speed goes when it runs on end, in a fresh process."""
    stage = f"time-sustained-{cell.slug}"
    samples = bench.stages.work / stage / "samples.npz"
    request = _request(bench, cell, samples) | {"calls": 1, "seconds": 0.0, "sustain_seconds": bench.options.sustain}
    ended = bench.run(stage, "timing", request)
    samples.unlink(missing_ok=True)
    if isinstance(ended, Failure):
        return ended
    return serialization.from_json(tuple[SustainedPoint, ...], (ended.result or {})["sustained"])


def _request(bench: Bench, cell: Cell, samples: Path) -> dict[str, Any]:
    package, options = cell.package, bench.options
    return {
        "runtime": cell.runtime,
        "unit": cell.unit,
        "package": None if cell.runtime == "tensorflow" else package.path,
        "compiled": bench.compiled.get(package.path) if cell.runtime == "coreml" else None,
        "original": package.original if cell.runtime == "tensorflow" else None,
        "allow_code": options.allow_code,
        "inputs": package.inputs,
        "expected": None if cell.runtime == "tensorflow" else package.expected,
        "warmup_calls": options.warmup_calls,
        "warmup_seconds": options.warmup_seconds,
        "calls": options.calls,
        "seconds": options.seconds,
        "sustain_seconds": None,
        "samples": samples,
    }


def _figures(samples: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Return the statistics of a round's samples.

    Raises:
        ValueError: they are not those that the worker wrote, or there are none.
    """
    import numpy as np

    from coremlbench.timing.statistics import summarise

    if hash_file(samples) != result["samples_sha256"]:
        raise ValueError("the file is not the one that the worker wrote")
    with np.load(samples, allow_pickle=False) as file:
        wall = np.asarray(file["wall"], dtype=np.float64)
        own = np.asarray(file["own"], dtype=np.float64) if "own" in file.files else None
    if not wall.size or not np.isfinite(wall).all():
        raise ValueError("there are none, or some are not numbers")
    own_p50 = float(np.nanmedian(own)) if own is not None and np.isfinite(own).any() else None
    return asdict(summarise(wall)) | {"own_p50": own_p50}


def with_round(measurement: Measurement, row: Round, result: dict[str, Any]) -> Measurement:
    """Return a cell's measurement with one more round and what its process told."""
    measurement = replace(measurement, rounds=(*measurement.rounds, row))
    if not result:
        return measurement
    errors = [each for each in (measurement.output_error, result["output_error"]) if each is not None]
    return replace(
        measurement,
        runtime_version=result["runtime_version"],
        stand_in=measurement.stand_in or result["stand_in"],
        output_error=max(errors, default=None),
        notes=tuple(dict.fromkeys((*measurement.notes, *result["notes"]))),
    )
