"""Every noun of coremlbench, on one page.

An ``Experiment`` becomes a request; the supervised children of a run end as an ``Exit`` each; a run ends as
``Trained`` or as a ``Failure``, and either way as one ``TrainingRecord`` on disk.

Units are SI: seconds, bytes, shares from 0 to 1. They are rounded where text is made, nowhere else. This
module imports the standard library only and nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

SCHEMA = 1
"""The version of the records written by this release. Older ones are read, newer ones refused."""


class CoremlbenchError(Exception):
    """Something the person at the keyboard can mend; its text is one sentence: what, which, next step."""


class InputError(CoremlbenchError):
    """A wrong option, a missing file, a dataset that cannot be used: exit code 2."""


class UnusableData(CoremlbenchError):  # noqa: N818 - named for what the data is
    """Data so broken that a figure measured on it would mean nothing: the run is a failure, exit code 3."""


class DownloadError(CoremlbenchError):
    """Something could not be fetched, or was not what it should be."""


class ReportProgress(Protocol):
    """What long work tells its progress to; the figures are its newest numbers, by name."""

    def __call__(self, phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        """Take note that ``done`` of ``total`` items of ``phase`` are ready; ``total`` 0 means unknown."""


# --- data ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Provenance:
    """Where data or weights come from, so that a figure can be traced to its input.

    ``sha256`` is the hash of the file they came in, or of the names, sizes and labels of the files of a folder.
    """

    name: str
    source: str
    version: str = ""
    sha256: str = ""
    licence: str = ""
    note: str = ""


@dataclass(frozen=True)
class LabelledImage:
    """One picture on disk and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class SkippedImage:
    """A file that was left out, and why (one sentence)."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """A dataset of images on disk, split and ready: what every image experiment takes.

    ``train`` and ``test`` are ordered; the order depends on the seed alone. ``classes`` holds the names by label.
    ``examined`` is the number of files looked at, ``skipped`` those of them left out as unreadable or repeated.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[LabelledImage, ...]
    test: tuple[LabelledImage, ...]
    provenance: Provenance
    examined: int
    skipped: tuple[SkippedImage, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArraySet:
    """A dataset of small images in four ``.npy`` files, split and ready: what every array experiment takes.

    Images are uint8 of shape (n, height, width) or (n, height, width, channels), labels are int64 of shape (n,).
    Only the first ``train`` and the first ``test`` rows count.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path
    train: int
    test: int
    provenance: Provenance


# --- experiments --------------------------------------------------------------------------------------------


Metric = Literal["seconds per epoch", "total seconds", "pictures to model", "whole run"]
"""What is compared; ``whole run`` is for experiments of another release, of which nothing else is known."""


@dataclass(frozen=True)
class Experiment:
    """A row of the catalogue: one experiment of the article with its protocol, literally.

    ``dataset`` is the protocol's own; an experiment that takes ``"images"`` accepts every dataset of pictures in
    its place. ``input_shape`` is (height, width, channels). ``validates`` says whether every epoch ends with a pass
    over the test images, whose seconds then belong to the epoch as Keras prints it. ``weights`` names the published
    weights that the training starts from. ``"seconds per epoch"`` leaves the first epoch out.
    """

    name: str
    title: str
    family: Literal["create-ml", "tensorflow"]
    takes: Literal["images", "arrays"]
    dataset: str
    classes: int
    train: int
    test: int
    metric: Metric
    source: str
    network: str = ""
    input_shape: tuple[int, int, int] | None = None
    epochs: int = 0
    batch: int = 0
    learning_rate: float = 0.0
    validates: bool = False
    weights: str | None = None
    iterations: int = 0
    augmentation: tuple[str, ...] = ()
    extractor: str = ""


@dataclass(frozen=True)
class Published:
    """A figure that somebody else published: never mixed with measured ones.

    ``low`` and ``high`` are seconds, equal for a single figure, ``None`` where only the ending is known.
    """

    experiment: str
    machine: str
    metric: Metric
    source: str
    low: float | None = None
    high: float | None = None
    failed: bool = False
    note: str = ""


@dataclass(frozen=True)
class ComparisonRow:
    """One figure of one experiment: published by somebody, or measured here or on another machine.

    ``seconds`` is the middle of a published range, ``ratio`` is ``seconds`` over those of the reference record:
    above 1 for a slower machine, ``None`` between unlike amounts of work. ``figure`` is the text to print; a failure
    has one too. ``deviations`` say where a measured run is not the protocol.
    """

    experiment: str
    metric: Metric
    kind: Literal["published", "measured"]
    machine: str
    figure: str
    source: str
    seconds: float | None = None
    ratio: float | None = None
    failed: bool = False
    this_machine: bool = False
    reference: bool = False
    accuracy: float | None = None
    deviations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


# --- machine ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What a figure was measured on. ``id`` is the same for every run on one machine and tells nothing else."""

    id: str
    chip: str
    architecture: str
    physical_cores: int
    logical_cores: int
    memory_bytes: int
    system: str
    system_version: str
    model: str = ""
    rosetta: bool = False
    accelerators: tuple[str, ...] = ()
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)


# --- a supervised child -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """What a supervised child may use; ``None`` is no limit.

    ``deadline`` is for the whole child, ``silence`` for the time without a progress line or log output, both in
    seconds. ``memory_bytes`` is for the resident memory of its process tree.
    """

    deadline: float | None = None
    silence: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Progress:
    """One line of a worker's progress: how far which phase is, and its newest figures."""

    phase: str
    done: int
    total: int
    message: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MemorySample:
    """Resident bytes of a child's whole process tree, ``seconds`` after its start."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class CrashReport:
    """What macOS noted of a process that crashed, from its ``.ips`` file; empty where the file does not say.

    ``exception`` is Mach's (``EXC_BAD_ACCESS``) with its subtype, ``termination`` the namespace, code and indicator
    of what ended it, ``messages`` what libraries left for the report. ``frames`` are the topmost of the faulting
    thread, the innermost first, as "library symbol + offset". ``translated`` says that it ran under Rosetta.
    """

    file: str
    process: str
    pid: int
    captured: str
    exception: str = ""
    signal: str = ""
    termination: str = ""
    messages: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    thread: str = ""
    translated: bool = False
    cpu: str = ""
    model: str = ""
    system: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What a child had around it at its end; ``None`` where the system does not tell.

    ``free_disk_bytes`` is what its folder's disk had left, ``open_files`` the limit of open files, ``rosetta`` whether
    it ran translated, ``avx`` whether the processor has those instructions.
    """

    free_disk_bytes: int | None = None
    open_files: int | None = None
    free_memory_bytes: int | None = None
    rosetta: bool | None = None
    avx: bool | None = None


StopReason = Literal["deadline", "silence", "memory-limit", "interrupted"]


@dataclass(frozen=True)
class Exit:
    """How a supervised child ended, before anyone has judged it.

    ``returncode`` is as ``subprocess`` has it: negative for a signal, ``None`` when it could not be learnt.
    ``stopped`` says why the supervisor itself stopped the child, if it did. ``error`` is the exception that the
    worker reported: ``type``, ``message``, ``errno`` and ``traceback``, and the ``signal`` that ended one of the
    processes it shared its work with. ``result`` is the content of its ``result.json``, or ``None`` when there was no
    valid one: that is a failure whatever the exit code.
    ``limit`` is the limit that was reached (seconds or bytes), ``stop_signal`` the name of the signal that asked
    the supervisor itself to stop. ``oom_kills`` counts what the system killed for memory in the child's control
    group meanwhile, ``None`` where that cannot be read. ``notes`` are sentences on what the supervision could not do.
    ``pid`` is the child's, or this process's own when that is what could not go on.
    ``log_kept`` are lines from anywhere in the log that the caller wanted kept, however long it became.
    """

    returncode: int | None
    seconds: float
    phase: str = ""
    last_progress: Progress | None = None
    stopped: StopReason | None = None
    limit: float | None = None
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    log_tail: tuple[str, ...] = ()
    peak_bytes: int = 0
    memory: tuple[MemorySample, ...] = ()
    oom_kills: int | None = None
    stop_signal: str = ""
    pid: int | None = None
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    notes: tuple[str, ...] = ()
    log_kept: tuple[str, ...] = ()
    crash_report: CrashReport | None = None
    surroundings: Surroundings | None = None


# --- outcomes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """What a failure's judgement rests on; ``stack`` is what Python's fault handler showed of the crashed thread.

    ``notes`` say what the supervision could not do, and so what may be missing here: "log.txt ends early".
    """

    phase: str = ""
    progress: str = ""
    returncode: int | None = None
    signal: str = ""
    exception: str = ""
    matched: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()
    peak_bytes: int = 0
    memory: tuple[MemorySample, ...] = ()
    stack: tuple[str, ...] = ()
    oom_kills: int | None = None
    crash_report: CrashReport | None = None
    surroundings: Surroundings | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A run that did not finish: a result like any other."""

    kind: str
    reason: str
    hint: str
    evidence: Evidence = Evidence()
    status: Literal["failed"] = "failed"


@dataclass(frozen=True)
class ClassResult:
    """How one class fared on the test set. ``precision`` is ``None`` when nothing was predicted to be it."""

    name: str
    images: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Solver:
    """How the logistic regression ended: its own words, and the iterations it took of those allowed."""

    name: str
    status: str
    iterations: int
    max_iterations: int


@dataclass(frozen=True)
class SampleImage:
    """A small copy of a test picture, at ``path`` below the run's folder, with its true and its predicted class.

    ``mistake`` tells that it was chosen for being one; the others are spread evenly over the test set.
    """

    path: str
    actual: str
    predicted: str
    mistake: bool = False


@dataclass(frozen=True)
class Trained:
    """A run that finished. Accuracies are shares of images; ``confusion[actual][predicted]`` counts test images."""

    test_accuracy: float
    training_accuracy: float | None = None
    validation_accuracy: float | None = None
    per_class: tuple[ClassResult, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    solver: Solver | None = None
    samples: tuple[SampleImage, ...] = ()
    status: Literal["trained"] = "trained"


Outcome = Trained | Failure


# --- records ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """One stretch of a run: its wall-clock seconds, and how many items (images, mostly) it worked on."""

    name: str
    seconds: float
    items: int
    peak_bytes: int = 0


@dataclass(frozen=True)
class IterationRow:
    """One row of the solver's table."""

    iteration: int
    seconds: float
    training_accuracy: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class EpochRow:
    """One epoch of a TensorFlow training; the first is recorded and left out of compared figures.

    ``seconds`` is the whole epoch as Keras prints it; ``training_seconds`` is its part without the validation.
    """

    epoch: int
    seconds: float
    steps: int
    loss: float
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    training_seconds: float = 0.0

    @property
    def steps_per_second(self) -> float:
        """Return the training steps per second, validation left out."""
        return self.steps / self.training_seconds if self.training_seconds else 0.0


@dataclass(frozen=True)
class Placement:
    """Where a TensorFlow training really ran, and why there.

    ``requested`` is ``auto``, ``cpu`` or ``gpu``; ``device`` is TensorFlow's name of the device that holds the
    network's variables (``GPU:0``), ``name`` the hardware's. ``variables`` counts variables by device. ``peak_bytes``
    is the device's own peak memory where TensorFlow tells it.
    """

    requested: str
    device: str
    name: str
    reason: str
    devices: tuple[str, ...] = ()
    variables: dict[str, int] = field(default_factory=dict)
    peak_bytes: int | None = None


@dataclass(frozen=True)
class DatasetRecord:
    """The data of a run: ``train``, ``validation`` and ``test`` count pictures, ``examined`` the files looked at.

    ``skipped`` names the first of the ``skipped_count`` files that were left out.
    """

    name: str
    provenance: Provenance
    classes: tuple[str, ...]
    train: int
    validation: int
    test: int
    examined: int
    skipped: tuple[SkippedImage, ...] = ()
    skipped_count: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """How often the saved model and the trained one predict the same class, and on which runtime it was run."""

    runtime: str
    images: int
    equal: int

    @property
    def share(self) -> float:
        """Return the share of images with the same prediction."""
        return self.equal / self.images if self.images else 0.0


@dataclass(frozen=True)
class SavedModel:
    """A model file of a run, relative to the run's folder."""

    path: str
    format: str
    precision: str
    sha256: str
    bytes: int
    agreement: Agreement | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What every run's record says, whatever it did, as saved in ``results/<id>/run.json``.

    ``experiment`` is what was trained, converted or timed; ``options`` are the settings the run used. ``deviations``
    say in words where they are not the experiment's protocol ("iterations 5"), so that no table compares unlike runs
    unmarked. ``seconds`` is the run's whole time, over all the processes that went on with it.
    """

    id: str
    experiment: str
    started: str
    command: tuple[str, ...]
    coremlbench: str
    machine: Machine
    engine: str
    options: dict[str, Any]
    schema: int = SCHEMA
    ended: str = ""
    seconds: float = 0.0
    deviations: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    peak_bytes: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(RunRecord):
    """One training run.

    ``attempt`` counts from 1; a later one names the first attempt's record in ``retry_of``. ``resumed_from`` names
    the record of the broken run whose work this one goes on with: its times are not those of a whole run.
    """

    outcome: Outcome
    kind: Literal["training"] = "training"
    dataset: DatasetRecord | None = None
    weights: Provenance | None = None
    iterations: tuple[IterationRow, ...] = ()
    epochs: tuple[EpochRow, ...] = ()
    placement: Placement | None = None
    model: SavedModel | None = None
    attempt: int = 1
    retry_of: str = ""
    resumed_from: str = ""
