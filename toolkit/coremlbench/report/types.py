"""The data types of the report.

Every row is flat, so that ``pandas.DataFrame`` takes a list of rows, and has the id of the record of its figures. Rows
of different ``kind`` are never shown in one column. Units are SI: seconds, bytes, joules, shares from 0 to 1. Text is
as recorded; renderers escape it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from coremlbench.report.history_types import HistoryRow
from coremlbench.types.experiments import Metric
from coremlbench.types.records import Record
from coremlbench.types.timing import RunnerName, SustainedPoint
from coremlbench.types.training_records import ClassResult, IterationRow, Phase

REPORT_SCHEMA = 1

FigureKind = Literal["core-ml", "host", "stand-in"]
"""Who executed a timed call: Apple's Core ML, a runtime of the host, or the tests' stand-in for Core ML."""


@dataclass(frozen=True)
class Source:
    """A record, its path relative to the report, and its test images (JPEG) by their paths in the record."""

    record: Record
    path: str
    pictures: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordRow:
    """One record of the report. ``machine`` is the machine's id, ``outcome`` a few words."""

    id: str
    kind: Literal["training", "conversion", "timing"]
    experiment: str
    machine: str
    started: str
    seconds: float
    outcome: str
    path: str
    command: tuple[str, ...]
    coremlbench: str
    schema: int


@dataclass(frozen=True)
class MachineRow:
    """One machine; its ``name`` is unique in the report. ``records`` counts its records."""

    id: str
    name: str
    chip: str
    model: str
    memory_bytes: int
    logical_cores: int
    architecture: str
    systems: tuple[str, ...]
    pythons: tuple[str, ...]
    accelerators: tuple[str, ...]
    rosetta: bool
    records: int
    first: str
    last: str


@dataclass(frozen=True)
class Answer:
    """Where one model should run on one machine, in a sentence.

    ``kind`` is ``none`` if Core ML was not measured. ``ratio`` is the Neural Engine's time divided by the GPU's
    (below 1 the Neural Engine is faster), ``low`` to ``high`` its interval over the rounds at the level of
    ``timing.statistics``. ``engine_medians`` and ``gpu_medians`` are the rounds' medians that it is of, in pairs. The
    figures are of one ``runner``.
    """

    model: str
    machine: str
    kind: Literal["core-ml", "stand-in", "none"]
    text: str
    variant: str = ""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    different: bool = False
    engine_medians: tuple[float, ...] = ()
    gpu_medians: tuple[float, ...] = ()
    record: str = ""
    runner: RunnerName = "python"


@dataclass(frozen=True)
class CellRow:
    """One (model, variant, batch, runtime, unit, runner) on one machine, from the newest record that has it.

    ``p50`` is the geometric mean of the rounds' medians, ``low`` to ``high`` its interval over the rounds at the level
    of ``timing.statistics``; the other percentiles are medians over the rounds. ``distribution`` holds the 41 quantiles
    (0, 2.5 … 100%), each the median over the rounds. ``floor_seconds`` is the roofline bound, ``floor_share`` its share
    of ``p50``. ``energy_joules`` is per call, the median over the rounds. ``earlier`` counts older records of the same
    cell and package, ``earlier_low`` to ``earlier_high`` their range of ``p50``. ``own_p50`` is by Core ML's own clock.
    ``medians`` are those of the finished rounds, in their order. ``random_weights`` marks an untrained network.
    ``peak_bytes`` is the largest peak memory of a round's processes, ``footprint_bytes`` that of macOS's footprint.
    """

    record: str
    machine: str
    kind: FigureKind
    model: str
    variant: str
    batch: int
    runtime: str
    unit: str
    package_sha256: str = ""
    runtime_version: str = ""
    quick: bool = False
    p50: float | None = None
    low: float | None = None
    high: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    own_p50: float | None = None
    rounds: int = 0
    failed_rounds: int = 0
    calls: int = 0
    outliers: int = 0
    drift: float | None = None
    floor_seconds: float | None = None
    floor_share: float | None = None
    floor_bound: str = ""
    energy_joules: float | None = None
    compile_seconds: float | None = None
    first_load_seconds: float | None = None
    cached_load_seconds: float | None = None
    first_predict_seconds: float | None = None
    ran_on: str = ""
    plan_ops: dict[str, int] = field(default_factory=dict)
    plan_cost: dict[str, float] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()
    plan_failure: str = ""
    output_error: float | None = None
    distribution: tuple[float, ...] = ()
    sustained: tuple[SustainedPoint, ...] = ()
    medians: tuple[float, ...] = ()
    failure: str = ""
    notes: tuple[str, ...] = ()
    random_weights: bool = False
    earlier: int = 0
    earlier_low: float | None = None
    earlier_high: float | None = None
    peak_bytes: int = 0
    footprint_bytes: int | None = None
    runner: RunnerName = "python"


@dataclass(frozen=True)
class VariantRow:
    """One Core ML package of a model: its size, and the differences of its outputs from the original's.

    ``verdict`` is empty without a proof: ``status`` then says what became of the package, and ``reason`` why it was not
    compared. ``caveats`` are sentences, ``caveat_codes`` what each is about.
    ``max_error`` is ``None`` where ``non_finite_values`` numbers are not finite and the original's are. Accuracies are
    of the ``images`` compared, which ``data`` names. ``random_weights`` marks an untrained network.
    """

    record: str
    machine: str
    model: str
    variant: str
    batch: int
    bytes: int
    weight_bytes: int
    verdict: str
    reason: str
    sha256: str = ""
    target: str = ""
    arithmetic: int | None = None
    runtime: str = ""
    images: int = 0
    agreement: float | None = None
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    max_error: float | None = None
    relative_error: float | None = None
    signal_to_noise: float | None = None
    divergence: str = ""
    precision_note: str = ""
    caveats: tuple[str, ...] = ()
    caveat_codes: tuple[str, ...] = ()
    non_finite_values: int = 0
    status: str = "compared"
    data: str = ""
    random_weights: bool = False


@dataclass(frozen=True)
class TrainingRow:
    """One experiment with one set of settings on one machine: its newest finished run.

    ``seconds`` is the figure named by ``metric``, ``low`` to ``high`` its range over the ``runs``, of which ``failed``
    failed. ``work`` describes what was computed: rows with equal ``work`` can be compared, and ``ratio`` is relative to
    the fastest of them. ``records`` are the ids of all runs, newest first. ``accuracy`` is of the
    ``test_images`` of ``data``.
    """

    record: str
    machine: str
    experiment: str
    metric: Metric
    device: str
    work: str
    deviations: tuple[str, ...]
    runs: int
    failed: int
    records: tuple[str, ...]
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    first_epoch: float | None = None
    epochs: tuple[float, ...] = ()
    accuracy: float | None = None
    peak_bytes: int = 0
    failure: str = ""
    data: str = ""
    test_images: int = 0


@dataclass(frozen=True)
class PublishedRow:
    """A figure published by others, in seconds; ``text`` is given instead if only the outcome was published."""

    experiment: str
    metric: Metric
    machine: str
    source: str
    low: float | None
    high: float | None
    text: str
    failed: bool


@dataclass(frozen=True)
class SamplePicture:
    """A test image with its true and its predicted class; ``jpeg`` is a small copy in base64.

    ``mistake`` marks an image chosen because it was misclassified; the others are spread evenly over the test set.
    """

    actual: str
    predicted: str
    mistake: bool
    jpeg: str


@dataclass(frozen=True)
class ClassifierRun:
    """A Create ML run with all its results: the newest finished one of a machine and settings."""

    record: str
    machine: str
    data: str
    extractor: str
    seconds: float
    test_accuracy: float
    validation_accuracy: float | None
    training_accuracy: float | None
    train: int
    validation: int
    test: int
    solver: str
    model: str
    deviations: tuple[str, ...]
    phases: tuple[Phase, ...]
    iterations: tuple[IterationRow, ...]
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    samples: tuple[SamplePicture, ...] = ()


@dataclass(frozen=True)
class FailureRow:
    """A failure, the newest of ``count`` equal ones. ``subject`` is the run, variant or cell.

    ``crash`` has the lines of the system's crash report, ``stack`` those of Python's fault handler.
    """

    record: str
    machine: str
    subject: str
    kind: str
    reason: str
    hint: str
    count: int
    records: tuple[str, ...]
    phase: str = ""
    signal: str = ""
    returncode: int | None = None
    exception: str = ""
    matched: tuple[str, ...] = ()
    crash: tuple[str, ...] = ()
    stack: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()
    peak_bytes: int = 0


@dataclass(frozen=True)
class WarningRow:
    """A condition or setting that limits how far figures can be trusted, and the ids of the records it applies to."""

    machine: str
    text: str
    records: tuple[str, ...]


@dataclass(frozen=True)
class OriginRow:
    """The source of data, weights or a model that ``records`` records used."""

    role: Literal["data", "weights", "model"]
    name: str
    source: str
    version: str
    sha256: str
    licence: str
    note: str
    records: int


@dataclass(frozen=True)
class Report:
    """A report, its parts in the order they are shown. ``problems`` are sentences on records that are left out."""

    made: str
    coremlbench: str
    records: tuple[RecordRow, ...]
    machines: tuple[MachineRow, ...]
    answers: tuple[Answer, ...] = ()
    timing: tuple[CellRow, ...] = ()
    variants: tuple[VariantRow, ...] = ()
    training: tuple[TrainingRow, ...] = ()
    published: tuple[PublishedRow, ...] = ()
    classifiers: tuple[ClassifierRun, ...] = ()
    failures: tuple[FailureRow, ...] = ()
    warnings: tuple[WarningRow, ...] = ()
    origins: tuple[OriginRow, ...] = ()
    history: tuple[HistoryRow, ...] = ()
    problems: tuple[str, ...] = ()
    schema: int = REPORT_SCHEMA
    kind: Literal["report"] = "report"
