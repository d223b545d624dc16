"""The nouns of a timing matrix.

A package is timed in ``Round`` processes; the rounds of one (model, variant, batch, runtime, unit) are a
``Measurement``, and a whole matrix of them is one ``TimingRecord``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from coremlbench.types.conversion import ModelSource, Variant, VariantName
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import RunRecord

RuntimeName = Literal["coreml", "reference", "tensorflow"]
"""Who executed: ``coreml`` is Apple's Core ML and nothing else, the others are host runtimes."""

UnitName = Literal["CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL", "host-cpu", "host-gpu"]
"""What was asked for: Core ML's four names for Core ML, the host's processor or GPU for the rest."""

Artefact = Literal["compiled", "package", "original"]
"""The forms of a model that runtimes load: an ``.mlmodelc``, an ``.mlpackage``, or what was converted."""


@dataclass(frozen=True)
class Conditions:
    """How the machine was before or after a round; ``None`` where the system does not tell.

    ``thermal_state`` is macOS's ``nominal``, ``fair``, ``serious`` or ``critical``; ``power_source`` is ``AC`` or
    ``battery``; ``load_average`` is the last minute's.
    """

    thermal_state: str | None = None
    power_source: str | None = None
    low_power_mode: bool | None = None
    load_average: float | None = None
    free_memory_bytes: int | None = None


@dataclass(frozen=True)
class Round:
    """One fresh process that timed one cell of the matrix.

    ``round`` and ``place`` (in the shuffled order of the round) count from 0. ``samples`` is the path, relative to
    the record's folder, of an ``.npz`` with ``wall`` and (for Core ML) ``own`` seconds of each call in order: all of
    them. ``quantiles`` are those of ``wall`` at 0, 2.5, 5 … 100 percent (41 values), ``own_p50`` is the median of
    Core ML's own durations. ``drift`` is the median of the last third over that of the first, less 1;
    ``autocorrelation`` is that of neighbouring calls. ``p99`` is ``None`` below 662 calls. ``outliers`` counts the
    calls far above the rest; none is dropped. ``warmup_calls`` came before and are not among the samples.
    ``energy_joules`` is that of the whole timed stretch, all ``calls`` of it; ``None`` where nothing tells it.
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
    before: Conditions = Conditions()
    after: Conditions = Conditions()
    failure: Failure | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedOp:
    """An operation that Core ML's plan puts elsewhere than on the unit asked for."""

    op: str
    kind: str
    device: str
    cost: float


@dataclass(frozen=True)
class ComputePlan:
    """Where Core ML plans to run a model: ops and shares of the estimated cost by device (``CPU``, ``GPU``, ``NE``).

    ``elsewhere`` lists the ops that left the unit asked for, the costliest first. Without a plan, ``failure`` says why
    in a sentence.
    """

    ops: dict[str, int] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    elsewhere: tuple[PlannedOp, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class SustainedPoint:
    """One stretch of a sustained run: the median seconds of its calls, and the thermal state at its end."""

    seconds: float
    p50: float
    p95: float
    calls: int
    thermal_state: str | None = None


@dataclass(frozen=True)
class RooflineBound:
    """The least time that arithmetic and memory traffic take at the chip's peak figures: a floor, never an estimate.

    ``bound`` tells which of the two is the longer. ``source`` names where the chip's figures are from.
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

    ``ran_on`` says in words what the plan allows to say: ``Neural Engine``, or "asked for the Neural Engine, planned
    on CPU". ``stand_in`` marks what the tests' stand-in for Core ML executed: never a Core ML figure. ``output_error``
    is the largest difference from the expected outputs on the kit's inputs, as a share of their range.
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
    plan: ComputePlan | None = None
    ran_on: str = ""
    floor: RooflineBound | None = None
    output_error: float | None = None
    sustained: tuple[SustainedPoint, ...] = ()
    failure: Failure | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimedModel:
    """A model of the matrix and the variants of it that were timed, with their proofs."""

    name: str
    source: ModelSource
    variants: tuple[Variant, ...]
    conversion_run: str = ""
    note: str = ""


@dataclass(frozen=True)
class Timed:
    """A matrix that came to its end: cells with figures, cells that failed, and what could not run here (sentences)."""

    cells: int
    failed: int
    not_here: tuple[str, ...] = ()
    status: Literal["timed"] = "timed"


@dataclass(frozen=True, kw_only=True)
class TimingRecord(RunRecord):
    """One matrix of models, variants, units and rounds, saved after every round.

    ``experiment`` is ``convert-and-time``. ``quick`` marks a first look with fewer rounds and calls. ``orders`` are
    the cells' indices into ``measurements`` in the order each round ran them. ``kit`` is the hash of the kit that the
    packages came from.
    """

    outcome: Timed | Failure
    kind: Literal["timing"] = "timing"
    quick: bool = False
    seed: int = 0
    models: tuple[TimedModel, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    orders: tuple[tuple[int, ...], ...] = ()
    kit: str = ""
