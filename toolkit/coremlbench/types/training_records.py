"""The record of a training run, and what every kind of record shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from coremlbench.types.data import Provenance, SkippedImage
from coremlbench.types.failure import Failure
from coremlbench.types.machine import Machine

SCHEMA = 1
"""The version of the records written by this release. Older ones are read, newer ones refused."""


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
