"""The child processes of a matrix: compiling, compute plans, and one process for each round of each cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.system import serialization
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.clocks import ClockReading, clock_gap, read_clocks
from coremlbench.system.files import folder_bytes, hash_file
from coremlbench.system.formatting import format_seconds
from coremlbench.timing.plan import Cell, TimedPackage, TimingOptions
from coremlbench.types.failure import Failure
from coremlbench.types.process import Exit
from coremlbench.types.timing import ComputePlan, Round, SustainedPoint, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SILENCE = {"inputs": 600.0, "compile": 900.0, "plan": 900.0, "timing": 900.0}
"""Seconds without a message after which a worker counts as hung.

Loading a model or its plan for the Neural Engine takes minutes the first time. Within a call of Core ML no worker can
say anything: coremltools' native module holds Python's interpreter lock, so that a thread could not either.
"""

ENDS_THE_MATRIX = ("interrupted", "deadline")


def resume_hint(folder: Path) -> str:
    """Return the hint that the matrix of a run's folder can be resumed."""
    command = advised_command("convert-and-time", "--resume", folder.name, results=folder.parent)
    return f"`{command}` goes on where it stopped."


class MatrixStoppedError(Exception):
    """The whole matrix has to stop; ``failure`` says why. ``folder`` is the run's."""

    def __init__(self, failure: Failure, folder: Path) -> None:
        super().__init__(failure.reason)
        self.failure = replace(failure, hint=resume_hint(folder))


@dataclass
class RoundRunner:
    """Runs the workers of one matrix. ``worker`` returns the command of a worker by its name.

    ``compiled``, ``compile_seconds`` and ``compiled_bytes`` are by the path of the package. ``stand_in`` becomes true
    as soon as a worker reports that the tests' stand-in is in the place of Core ML. ``read_clocks`` is read before and
    after each round.
    """

    folder: Path
    stages: Stages
    options: TimingOptions
    worker: Callable[[str], Sequence[str]]
    stand_in: bool = False
    compiled: dict[Path, Path] = field(default_factory=dict)
    compile_seconds: dict[Path, float] = field(default_factory=dict)
    compiled_bytes: dict[Path, int] = field(default_factory=dict)
    read_clocks: Callable[[], ClockReading] = read_clocks

    def run(self, stage: str, worker: str, request: dict[str, Any]) -> Exit | Failure:
        """Return how a worker ended; the log of one that failed is kept.

        Raises:
            MatrixStoppedError: it was interrupted, or the time limit of the whole matrix is reached.
        """
        try:
            ended = self.stages.run(stage, self.worker(worker), request, silence=SILENCE[worker])
        except StageFailedError as error:
            if error.failure.kind in ENDS_THE_MATRIX:
                raise MatrixStoppedError(error.failure, self.folder) from error
            return error.failure
        for name in ("log.txt", "progress.jsonl"):
            (self.stages.work / stage / name).unlink(missing_ok=True)
        return ended

    def compile(self, number: int, package: TimedPackage) -> Failure | None:
        """Compile a package for all its units and rounds; return why Core ML could not, else ``None``.

        Raises:
            MatrixStoppedError: see ``run``.
        """
        target = self.stages.work / "compiled" / f"{number:03d}-{package.path.stem}.mlmodelc"
        target.parent.mkdir(parents=True, exist_ok=True)
        ended = self.run(f"compile-{number:03d}", "compile", {"package": package.path, "compiled": target})
        if isinstance(ended, Failure):
            return ended
        assert ended.result is not None
        self.compiled[package.path] = Path(ended.result["compiled"])
        self.compile_seconds[package.path] = ended.result["compile_seconds"]
        self.compiled_bytes[package.path] = folder_bytes(self.compiled[package.path])
        self.stand_in |= ended.result["stand_in"]
        return None

    def compute_plan(self, number: int, package: TimedPackage, unit: UnitName) -> ComputePlan:
        """Return where Core ML plans to run a compiled package on a unit; a plan that crashes holds its failure.

        Raises:
            MatrixStoppedError: see ``run``.
        """
        from coremlbench.timing.compute_plan import from_result

        request = {"compiled": self.compiled[package.path], "unit": unit}
        ended = self.run(f"plan-{number:03d}-{unit}", "plan", request)
        if isinstance(ended, Failure):
            return ComputePlan(failure=f"Core ML gave no plan: {ended.reason}")
        return from_result(ended.result or {})

    def time_round(self, cell: Cell, number: int, position: int) -> tuple[Round, dict[str, Any]]:
        """Return round ``number`` of a cell, timed in a fresh process, and the result of its worker.

        ``position`` is the cell's position in the order of the round. A round that failed has an empty result.

        With a ``clock_gap_seconds`` the result is empty too, and the round is to be repeated.

        Raises:
            MatrixStoppedError: see ``run``; nothing of the round is kept.
        """
        from coremlbench.system.conditions import read_conditions

        stage = f"time-{number}-{cell.slug}"
        samples = self.stages.work / stage / "samples.npz"
        started, before, start = datetime.now(timezone.utc).isoformat(), read_conditions(), self.read_clocks()
        ended = self.run(stage, "timing", self._timing_request(cell, samples))
        end = self.read_clocks()
        row = Round(
            round=number,
            place=position,
            started=started,
            seconds=end.monotonic - start.monotonic,
            before=before,
            after=read_conditions(),
            clock_gap_seconds=clock_gap(start, end),
        )
        if isinstance(ended, Failure):
            return replace(row, failure=ended), {}
        assert ended.result is not None
        row = replace(row, peak_bytes=ended.peak_bytes)
        try:
            row = add_statistics(row, samples, ended.result["samples_sha256"])
        except (OSError, ValueError, KeyError) as problem:
            reason = f"The worker ended well, but its samples cannot be used: {problem}."
            return replace(row, failure=Failure("no-result", reason, "Run it again.")), {}
        if row.clock_gap_seconds:
            samples.unlink()  # the round is repeated: its summary is kept, and no figure is from it
            return replace(row, samples_sha256=""), {}
        row = replace(row, samples=self._store_samples(samples, f"{cell.slug}-{number}.npz"))
        if number == 0 and cell.runtime == "coreml":
            row = replace(row, compile_seconds=self.compile_seconds.get(cell.package.path))
        return add_phases(row, ended.result), ended.result

    def sustain(self, cell: Cell) -> tuple[SustainedPoint, ...] | Failure:
        """Return the speed of a cell over a run without pauses, in a fresh process, or why it failed.

        Raises:
            MatrixStoppedError: see ``run``.
        """
        stage = f"time-sustained-{cell.slug}"
        samples = self.stages.work / stage / "samples.npz"
        changes = {"calls": 1, "seconds": 0.0, "sustain_seconds": self.options.sustain}
        start = self.read_clocks()
        ended = self.run(stage, "timing", self._timing_request(cell, samples) | changes)
        samples.unlink(missing_ok=True)
        if gap := clock_gap(start, self.read_clocks()):
            return clock_failure(gap)
        if isinstance(ended, Failure):
            return ended
        return serialization.from_json(tuple[SustainedPoint, ...], (ended.result or {})["sustained"])

    def _timing_request(self, cell: Cell, samples: Path) -> dict[str, Any]:
        """Return the request of ``workers/timing.py`` for one cell."""
        package, options = cell.package, self.options
        return {
            "runtime": cell.runtime,
            "unit": cell.unit,
            "package": None if cell.runtime == "tensorflow" else package.path,
            "compiled": self.compiled.get(package.path) if cell.runtime == "coreml" else None,
            "original": package.original if cell.runtime == "tensorflow" else None,
            "allow_code": options.allow_code,
            "file_options": serialization.to_json(package.file_options),
            "inputs": package.inputs,
            "expected": None if cell.runtime == "tensorflow" else package.expected,
            "warmup_calls": options.warmup_calls,
            "warmup_seconds": options.warmup_seconds,
            "calls": options.calls,
            "seconds": options.seconds,
            "sustain_seconds": None,
            "samples": samples,
        }

    def _store_samples(self, samples: Path, name: str) -> str:
        """Move a file of samples into the folder of the run; return its path relative to that folder."""
        target = self.folder / "samples" / name
        target.parent.mkdir(exist_ok=True)
        samples.replace(target)
        return str(target.relative_to(self.folder))


def clock_failure(gap: float) -> Failure:
    """Return the failure of a measurement within which the machine slept or its clock was set, by ``gap`` seconds."""
    return Failure(
        "clock-gap",
        f"The machine slept, or its clock was set: {clock_gap_phrase(gap)}.",
        "Keep the machine awake, its lid open and on mains, then run it again.",
    )


def clock_gap_phrase(gap: float) -> str:
    """Return how the wall clock moved against the monotonic one; ``gap`` is in seconds."""
    direction = "forward" if gap > 0 else "back"
    return f"the wall clock went {format_seconds(abs(gap))} {direction} against the monotonic clock"


def add_statistics(row: Round, samples: Path, sha256: str) -> Round:
    """Return the round with the statistics of its samples.

    Raises:
        ValueError: the file is not the one that the worker wrote, or holds no samples or some that are not finite.
    """
    import numpy as np

    from coremlbench.timing.statistics import summarise

    if hash_file(samples) != sha256:
        raise ValueError("the file is not the one that the worker wrote")
    wall, runtime = load_samples(samples)
    if not wall.size or not np.isfinite(wall).all():
        raise ValueError("there are none, or some are not finite")
    row = replace(row, **asdict(summarise(wall)), samples_sha256=sha256)
    if runtime is not None and np.isfinite(runtime).any():
        row = replace(row, own_p50=float(np.nanmedian(runtime)))
    return row


def load_samples(samples: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the seconds of each call by the wall clock, and by the runtime's own clock where it has one."""
    import numpy as np

    with np.load(samples, allow_pickle=False) as file:
        wall = np.asarray(file["wall"], dtype=np.float64)
        return wall, np.asarray(file["own"], dtype=np.float64) if "own" in file.files else None


def add_phases(row: Round, result: dict[str, Any]) -> Round:
    """Return the round with what surrounds the timed calls: warm-up, loading, first prediction, energy, scheduling."""
    return replace(
        row,
        warmup_calls=result["warmup_calls"],
        warmup_seconds=result["warmup_seconds"],
        first_load_seconds=result["first_load_seconds"],
        second_load_seconds=result["second_load_seconds"],
        first_predict_seconds=result["first_predict_seconds"],
        energy_joules=result.get("energy_joules"),
        qos_class=result.get("qos_class"),
        footprint_bytes=result.get("footprint_bytes"),
    )
