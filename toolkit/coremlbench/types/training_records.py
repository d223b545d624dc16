"""The record of a training run, and the base class of all records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from coremlbench.types.conditions import UNKNOWN_CONDITIONS, Conditions
from coremlbench.types.data import Provenance, SkippedImage
from coremlbench.types.failure import Failure
from coremlbench.types.machine import Machine

SCHEMA = 1
"""The schema version of the records that this release writes. Older ones can be read, newer ones are refused."""


@dataclass(frozen=True)
class ClassResult:
    """Results for one class of the test set. ``precision`` is ``None`` if the class was never predicted."""

    name: str
    images: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Solver:
    """How the solver of the logistic regression ended: its own status text, and its iterations."""

    name: str
    status: str
    iterations: int
    max_iterations: int


@dataclass(frozen=True)
class SampleImage:
    """A small copy of a test image, at ``path`` in the run's folder, with its true and its predicted class.

    ``mistake`` marks those that were chosen because they are misclassified; the others are spread evenly over the test
    set.
    """

    path: str
    actual: str
    predicted: str
    mistake: bool = False


@dataclass(frozen=True)
class Trained:
    """The outcome of a training that finished.

    Accuracies are shares of images; ``confusion[actual][predicted]`` counts test images.
    """

    test_accuracy: float
    training_accuracy: float | None = None
    validation_accuracy: float | None = None
    per_class: tuple[ClassResult, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    solver: Solver | None = None
    samples: tuple[SampleImage, ...] = ()
    status: Literal["trained"] = "trained"


Outcome = Trained | Failure


@dataclass(frozen=True)
class Phase:
    """One phase of a run: its wall-clock seconds, the number of items (usually images), and its peak memory."""

    name: str
    seconds: float
    items: int
    peak_bytes: int = 0


@dataclass(frozen=True)
class IterationRow:
    """One iteration of the solver; ``passes`` counts its evaluations of all rows so far."""

    iteration: int
    seconds: float
    training_accuracy: float | None = None
    validation_accuracy: float | None = None
    passes: int | None = None


@dataclass(frozen=True)
class EpochRow:
    """One epoch of a TensorFlow training; the first one is recorded but not compared.

    ``seconds`` is the whole epoch as Keras prints it; ``training_seconds`` is that without the validation.
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
        """Return the training steps per second, without the validation."""
        return self.steps / self.training_seconds if self.training_seconds else 0.0


@dataclass(frozen=True)
class Placement:
    """The device on which a TensorFlow training ran, and why.

    ``requested`` is ``auto``, ``cpu`` or ``gpu``; ``device`` is TensorFlow's name of the device that holds the
    network's variables (``GPU:0``), ``name`` that of the hardware. ``variables`` counts variables by device.
    ``peak_bytes`` is the device's peak memory, ``None`` if TensorFlow does not report it.
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
    """The dataset of a run: ``train``, ``validation`` and ``test`` count images, ``examined`` all files that were read.

    ``skipped`` lists the first of the ``skipped_count`` files that were left out.
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
    """For how many images the saved model, run by ``runtime``, predicts the same class as the trained network."""

    runtime: str
    images: int
    equal: int

    @property
    def share(self) -> float:
        """Return the share of images with the same prediction."""
        return self.equal / self.images if self.images else 0.0


@dataclass(frozen=True)
class SolverAgreement:
    """How far a second solver, ``engine``, came to the same on the same features; ``reason`` says why it did not train.

    ``first_difference`` is the first iteration, from 0, whose training accuracies differ, ``None`` if there is none in
    all ``iterations`` of the run. ``passes`` count the evaluations of the run's solver and of the other.
    """

    engine: str
    version: str = ""
    reason: str = ""
    largest_difference: float | None = None
    largest_coefficient: float | None = None
    iterations: int = 0
    first_difference: int | None = None
    passes: int = 0
    other_passes: int = 0
    predictions: int = 0
    equal_predictions: int = 0


@dataclass(frozen=True)
class SavedModel:
    """A model file of a run; ``path`` is relative to the run's folder."""

    path: str
    format: str
    precision: str
    sha256: str
    bytes: int
    agreement: Agreement | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The fields of every record, as saved in ``results/<id>/run.json``.

    ``experiment`` is what was trained, converted or timed; ``options`` are the settings of the run. ``deviations`` are
    the texts of its deviations from the protocol ("iterations 5"; see ``types.deviations``). ``seconds`` is the run's
    total time, including that of runs that it resumed.
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


OLD_RESUME_NOTE = "Kept of this run: "
"""How older releases, which had no field for it, began the note on a run's resume data."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(RunRecord):
    """One training run.

    ``attempt`` counts from 1; the later ones have the id of the first attempt in ``retry_of``. ``resumed_from`` is the
    id of the interrupted run that this one resumed: its times are not those of a whole run. ``resume_note`` is the one
    of ``notes`` that offers to resume this run, as long as its resume data is kept; records of older releases have it
    in ``notes`` alone. ``stand_in`` marks a run whose Core ML or Create ML was the tests' replacement: its features,
    figures and model mean nothing. ``conditions_before`` and ``conditions_after`` are those at the run's start and at
    its end; records of older releases have none.
    """

    outcome: Outcome
    kind: Literal["training"] = "training"
    dataset: DatasetRecord | None = None
    weights: Provenance | None = None
    iterations: tuple[IterationRow, ...] = ()
    epochs: tuple[EpochRow, ...] = ()
    placement: Placement | None = None
    model: SavedModel | None = None
    verification: SolverAgreement | None = None
    attempt: int = 1
    retry_of: str = ""
    resumed_from: str = ""
    resume_note: str = ""
    stand_in: bool = False
    conditions_before: Conditions = UNKNOWN_CONDITIONS
    conditions_after: Conditions = UNKNOWN_CONDITIONS

    def __post_init__(self) -> None:
        """Find the resume note of an older record by its beginning."""
        if not self.resume_note:
            note = next((note for note in self.notes if note.startswith(OLD_RESUME_NOTE)), "")
            object.__setattr__(self, "resume_note", note)  # the class is frozen

    @property
    def stood_in_for(self) -> str:
        """Return what the tests' replacement stood in for: "Create ML" or "Core ML", "" where nothing was replaced."""
        if not self.stand_in:
            return ""
        return "Create ML" if self.engine == "createml" else "Core ML"
