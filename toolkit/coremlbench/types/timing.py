"""Data types of timing.

A package is timed in several processes, one ``Round`` each. The rounds of one (model, variant, batch, runtime, unit)
are a ``Measurement``, a cell of the matrix; the whole matrix is a ``TimingRecord``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from coremlbench.types.conditions import UNKNOWN_CONDITIONS, Conditions
from coremlbench.types.conversion import ModelSource, Variant, VariantName
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import RunRecord

RuntimeName = Literal["coreml", "reference", "tensorflow"]
"""What executed a model: ``coreml`` is always Apple's Core ML, the others are host runtimes."""

UnitName = Literal["CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL", "host-cpu", "host-gpu"]
"""The requested compute units: Core ML's four names for Core ML, the host's CPU or GPU for other runtimes."""

RunnerName = Literal["python", "native"]
"""The program that calls Core ML and reads the clock: a Python process, or one of Swift without Python."""

Artefact = Literal["compiled", "package", "original"]
"""The forms of a model that runtimes load: an ``.mlmodelc``, an ``.mlpackage``, or the original model."""


@dataclass(frozen=True)
class Round:
    """One fresh process that timed one cell of the matrix.

    Times are seconds.

    Attributes:
        round: Number of the round, from 0.
        place: Position of the cell in the shuffled order of the round, from 0.
        samples: Path, relative to the record's folder, of an ``.npz`` with the seconds of every call in order:
            ``wall``, and for Core ML ``own``, the duration that Core ML itself reports.
        quantiles: Those of ``wall`` at 0, 2.5, 5 … 100 percent (41 values).
        p99: ``None`` below 662 calls.
        own_p50: The median of ``own``.
        drift: The median of the last third of the calls divided by that of the first third, minus 1.
        autocorrelation: That of consecutive calls.
        outliers: Number of calls far above the rest; they are not removed.
        warmup_calls: Number of calls before the timed ones; they are not in ``samples``.
        energy_joules: Energy of all ``calls`` together; ``None`` if it cannot be measured.
        qos_class: macOS's quality-of-service class of the thread that timed; ``None`` on other systems.
        clock_gap_seconds: By how much the wall clock moved more than the monotonic clock: the machine slept within the
            round, or its clock was set. 0.0 if they agree.
        peak_bytes: Peak memory of the processes of the round; 0 in records of older releases.
        footprint_bytes: Peak of what macOS counts as the memory of the process that timed, its footprint: what the GPU
            and the Neural Engine take is in it, as far as macOS charges it to the process. ``None`` elsewhere.
    """

    round: int
    place: int
    started: str
    seconds: float
    calls: int = 0
    samples: str = ""
    samples_sha256: str = ""
    mean: float | None = None
    quantiles: tuple[float, ...] = ()
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    own_p50: float | None = None
    drift: float | None = None
    autocorrelation: float | None = None
    outliers: int = 0
    warmup_calls: int = 0
    warmup_seconds: float = 0.0
    compile_seconds: float | None = None
    first_load_seconds: float | None = None
    second_load_seconds: float | None = None
    first_predict_seconds: float | None = None
    energy_joules: float | None = None
    before: Conditions = UNKNOWN_CONDITIONS
    after: Conditions = UNKNOWN_CONDITIONS
    qos_class: str | None = None
    clock_gap_seconds: float = 0.0
    peak_bytes: int = 0
    footprint_bytes: int | None = None
    failure: Failure | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedOp:
    """An operation that Core ML plans to run on another unit than the requested one."""

    op: str
    kind: str
    device: str
    cost: float


@dataclass(frozen=True)
class ComputePlan:
    """Where Core ML plans to run a model: ops and shares of the estimated cost by device (``CPU``, ``GPU``, ``NE``).

    ``elsewhere`` lists the ops on other units than the requested one, the costliest first. Without a plan, ``failure``
    says why in a sentence.
    """

    ops: dict[str, int] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    elsewhere: tuple[PlannedOp, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class SustainedPoint:
    """One interval of a sustained run: seconds since the start, percentiles of its calls, thermal state at its end."""

    seconds: float
    p50: float
    p95: float
    calls: int
    thermal_state: str | None = None


@dataclass(frozen=True)
class RooflineBound:
    """The least seconds that arithmetic and memory traffic take at the chip's peak rates: a bound, not an estimate.

    ``bound`` tells which of the two takes longer. ``source`` names where the chip's rates are from.
    """

    seconds: float
    bound: Literal["arithmetic", "memory"]
    chip: str
    operations_per_second: float
    bytes_per_second: float
    source: str


@dataclass(frozen=True)
class Measurement:
    """One cell of the matrix: a package on one unit of one runtime, over all rounds.

    ``ran_on`` says in words which units the plan uses: ``Neural Engine``, or "asked for the Neural Engine, planned on
    CPU". ``stand_in`` marks results of the tests' replacement for Core ML, which are not Core ML's. ``output_error`` is
    the largest difference from the expected outputs on the kit's inputs, as a share of their range. ``repeated`` are
    attempts at rounds within which the machine slept or its clock was set; no figure is from them. ``runner`` is what
    called Core ML: what a call contains differs between the two, so their times are not compared.
    """

    model: str
    variant: VariantName
    batch: int
    runtime: RuntimeName
    unit: UnitName
    runtime_version: str = ""
    package_sha256: str = ""
    stand_in: bool = False
    rounds: tuple[Round, ...] = ()
    repeated: tuple[Round, ...] = ()
    plan: ComputePlan | None = None
    ran_on: str = ""
    floor: RooflineBound | None = None
    output_error: float | None = None
    sustained: tuple[SustainedPoint, ...] = ()
    failure: Failure | None = None
    notes: tuple[str, ...] = ()
    runner: RunnerName = "python"


@dataclass(frozen=True)
class TimedModel:
    """A model of the matrix and its timed variants, with their proofs."""

    name: str
    source: ModelSource
    variants: tuple[Variant, ...]
    conversion_run: str = ""
    note: str = ""


@dataclass(frozen=True)
class Timed:
    """The outcome of a matrix that ended: its numbers of cells and of failed cells.

    ``not_here`` are sentences on what this machine cannot run.
    """

    cells: int
    failed: int
    not_here: tuple[str, ...] = ()
    status: Literal["timed"] = "timed"


@dataclass(frozen=True, kw_only=True)
class TimingRecord(RunRecord):
    """One matrix of models, variants, units and rounds, saved after every round.

    ``experiment`` is ``convert-and-time``. ``quick`` marks a run with fewer rounds and calls. ``orders`` are, for each
    round, the indices of the cells in ``measurements`` in the order in which they ran. ``kit`` is the hash of the kit
    that the packages came from. ``conditions_before`` are those before the first round, ``conditions_after`` those at
    the end of the process that saved the record last.
    """

    outcome: Timed | Failure
    kind: Literal["timing"] = "timing"
    quick: bool = False
    seed: int = 0
    models: tuple[TimedModel, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    orders: tuple[tuple[int, ...], ...] = ()
    kit: str = ""
    conditions_before: Conditions = UNKNOWN_CONDITIONS
    conditions_after: Conditions = UNKNOWN_CONDITIONS
