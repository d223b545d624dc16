"""Data types of conversions.

A ``ModelSource`` is converted to ``Variant`` packages, each with a ``Proof``. Together they are a ``ConversionRecord``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from coremlbench.types.data import Provenance
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import RunRecord

VariantName = Literal["fp32", "fp16", "int8", "palettized-6", "palettized-4", "int8-activations", "as-is"]
"""The precision of a package's numbers; ``as-is`` is a package of the user's that was not converted."""

Verdict = Literal["proven", "proven with caveats", "degraded", "wrong", "not judged"]
"""``proven with caveats`` names each caveat in ``Proof.caveats``; ``not judged`` says in ``Proof.reason`` why the data
or the original allow no verdict."""

PROVEN: tuple[Verdict, ...] = ("proven", "proven with caveats")
"""The verdicts of a package that does what its original does."""

VariantStatus = Literal["compared", "not compared", "unfinished", "failed"]
"""What became of a package. ``not compared``: there is nothing to compare it with, or only Core ML executes it;
``unfinished``: its conversion had not compared it yet when it ended. Neither has a verdict, except ``not judged`` with
the reason why nothing could be compared."""

MIN_SNR_DB = -200.0
"""The signal-to-noise ratio, in dB, recorded where there is no signal, or a value is not a number."""
UNFINISHED_NOTE = "Not compared: the conversion ended before its turn."
"""The note of an ``unfinished`` package; records of older releases tell it by this note alone."""

CaveatCode = Literal[
    "few-images",
    "low-variance",
    "random-inputs",
    "not-compressed",
    "pixel-range",
    "value-range",
    "class-order",
    "labels",
    "known-deviation",
    "original",
]
"""What a caveat is about. ``original``: the function of the original itself is uncertain."""

OUTPUT, LOGITS = "output", "logits"
"""Names of what an original predicts: its outputs, one row for each image, and the inputs of its last softmax or
sigmoid if it ends in one."""


@dataclass(frozen=True)
class ModelFileOptions:
    """How a model file was opened: the options that decide which function it is, with empty values for those not given.

    ``scale`` is the factor for pixel values, ``input_shape`` the shape of one input of a model that takes several,
    ``signature`` that of a SavedModel. ``custom_objects`` is the path of the Python file that defines the model's own
    classes, with the SHA-256 of its content.
    """

    scale: float | None = None
    input_shape: tuple[int, ...] = ()
    signature: str = ""
    custom_objects: str = ""
    custom_objects_sha256: str = ""


NO_FILE_OPTIONS = ModelFileOptions()


@dataclass(frozen=True)
class ModelSource:
    """The model that is converted: of a training run, a file of the user's, or a network with random weights.

    ``sha256`` is the hash of the file, or of the names and contents of the files of a folder, or of an ONNX file and
    those that hold its weights; for random weights of the network's name and seed. ``format`` is ``keras-2`` for a file
    that Keras 2 saved, of either kind. ``training_run`` is the id of the record the model comes from. ``classes_from``
    tells that the classes are those of a ``labels.txt`` beside the file. ``file_options`` tell how a file was opened;
    in records of older releases they are empty.
    """

    name: str
    kind: Literal["training-run", "file", "random-weights"]
    format: Literal["keras", "h5", "keras-2", "saved-model", "createml", "mlpackage", "mlmodel", "onnx", "npz"]
    path: str
    sha256: str
    experiment: str = ""
    training_run: str = ""
    classes: tuple[str, ...] = ()
    classes_from: Literal["", "labels.txt"] = ""
    note: str = ""
    file_options: ModelFileOptions = NO_FILE_OPTIONS


@dataclass(frozen=True)
class UnopenedModel:
    """A model file that cannot be opened, or must not be for safety; ``failure`` says why."""

    name: str
    path: str
    failure: Failure


@dataclass(frozen=True)
class Divergence:
    """The first op of a program whose value differs from the original's.

    ``error`` is a share of the value's range, ``None`` where numbers are not finite.
    """

    op: str
    kind: str
    error: float | None
    layer: str = ""

    @property
    def distance(self) -> str:
        """Return the error in words: "21% of its range"."""
        return "numbers that are not finite" if self.error is None else f"{100 * self.error:.2g}% of its range"


@dataclass(frozen=True)
class Caveat:
    """A reason why a proof covers less than usual. ``text`` is one sentence with its full stop."""

    code: CaveatCode
    text: str


@dataclass(frozen=True)
class Proof:
    """A comparison of the outputs of a saved package, loaded and executed, with those of its original.

    Errors are absolute, over all images and outputs. Of several outputs the figures are those of the worst.

    Attributes:
        reason: The thresholds that gave the verdict, in words.
        max_error: ``None`` where values are not finite and the original's are: ``non_finite_values`` counts them.
            ``mean_error`` likewise.
        range: The largest minus the smallest output of the original.
        signal_to_noise: In decibels, ``MIN_SNR_DB`` where there is no signal or noise is infinite; ``None`` without
            any noise.
        between_images: The share of the original's variance that is between images rather than between outputs;
            ``None`` in older records.
        worst_value: The index of the output value with the lowest signal-to-noise ratio of its own.
        worst_signal_to_noise: That ratio in decibels.
        agreement: The share of images with the same top class, or of equal values of an output of class indices;
            ``None`` without classes.
        accuracy_before: The original's accuracy; ``None`` without labels. ``accuracy_after`` is the package's.
        caveats: What the proof does not cover; empty in records of older releases.
        non_finite_values: Numbers of the package that are not finite where the original's are, or the reverse.
    """

    verdict: Verdict
    reason: str
    runtime: str
    original: str
    images: int
    data: str
    max_error: float | None
    mean_error: float | None
    range: float
    signal_to_noise: float | None
    between_images: float | None = None
    worst_value: int | None = None
    worst_signal_to_noise: float | None = None
    agreement: float | None = None
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    divergence: Divergence | None = None
    caveats: tuple[Caveat, ...] = ()
    non_finite_values: int = 0

    @property
    def relative_error(self) -> float | None:
        """Return the largest error as a share of the range of the original's outputs; ``None`` if it is not finite."""
        if self.max_error is None:
            return None
        return self.max_error / self.range if self.range else self.max_error


@dataclass(frozen=True)
class Variant:
    """One Core ML package of a model. ``path`` is relative to the record's folder, empty when there is none.

    ``ops`` counts the program's operations by kind, ``arithmetic`` is its multiply-adds for one call and
    ``weight_bytes`` the size of its constants in the package. ``known_deviations`` are the names of the rows of
    ``conversion.known_deviations`` that match the program. ``reused`` is true for a package of an earlier conversion
    of the same source. ``precision_note`` says what the precision means for the Neural Engine. ``only_core_ml`` marks
    a model that only Core ML executes, such as a neural network: it is not compared with anything. ``status`` follows
    from the failure and the proof; without either it is given, or read from the notes of an older record.
    """

    name: VariantName
    batch: int
    path: str = ""
    sha256: str = ""
    bytes: int = 0
    weight_bytes: int = 0
    arithmetic: int | None = None
    ops: dict[str, int] = field(default_factory=dict)
    target: str = ""
    seconds: float = 0.0
    reused: bool = False
    precision_note: str = ""
    proof: Proof | None = None
    failure: Failure | None = None
    onnx: str = ""
    notes: tuple[str, ...] = ()
    known_deviations: tuple[str, ...] = ()
    only_core_ml: bool = False
    status: VariantStatus | Literal[""] = ""

    def __post_init__(self) -> None:
        """Set the status, so that it agrees with the failure and the proof also after ``replace``."""
        status: VariantStatus = "unfinished" if self.status == "unfinished" else "not compared"
        if self.failure is not None:
            status = "failed"
        elif self.proof is not None:
            status = "compared" if self.proof.images else "not compared"
        elif UNFINISHED_NOTE in self.notes:
            status = "unfinished"
        object.__setattr__(self, "status", status)  # the class is frozen


@dataclass(frozen=True)
class Converted:
    """The outcome of a conversion that ended: numbers of variants by verdict, and of those that failed.

    ``proven`` does not count those in ``proven_with_caveats``.
    """

    proven: int
    degraded: int
    wrong: int
    failed: int
    proven_with_caveats: int = 0
    not_judged: int = 0
    status: Literal["converted"] = "converted"

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers of variants by verdict, and of those that failed, without zeros."""
        numbers: dict[str, int] = {
            "proven": self.proven,
            "proven with caveats": self.proven_with_caveats,
            "degraded": self.degraded,
            "wrong": self.wrong,
            "not judged": self.not_judged,
            "failed": self.failed,
        }
        return {name: number for name, number in numbers.items() if number}


@dataclass(frozen=True, kw_only=True)
class ConversionRecord(RunRecord):
    """The conversion of one model in all its variants.

    ``experiment`` is the model's experiment, or the file's name for a model of the user's.
    ``input_shape`` is (height, width, channels) of one input, or its whole shape if it is not an image.
    """

    outcome: Converted | Failure
    kind: Literal["conversion"] = "conversion"
    source: ModelSource | None = None
    input_shape: tuple[int, ...] = ()
    data: Provenance | None = None
    variants: tuple[Variant, ...] = ()
