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

CaveatCode = Literal[
    "few-images",
    "low-variance",
    "random-inputs",
    "not-compressed",
    "pixel-range",
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

    ``sha256`` is the hash of the file, or of the names and contents of the files of a folder; for random weights of
    the network's name and seed. ``training_run`` is the id of the record the model comes from. ``file_options`` tell
    how a file was opened; in records of older releases they are empty.
    """

    name: str
    kind: Literal["training-run", "file", "random-weights"]
    format: Literal["keras", "h5", "saved-model", "createml", "mlpackage", "mlmodel"]
    path: str
    sha256: str
    experiment: str = ""
    training_run: str = ""
    classes: tuple[str, ...] = ()
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
    """The first op of a program whose value differs from the original's; ``error`` is a share of the value's range."""

    op: str
    kind: str
    error: float
    layer: str = ""


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
        range: The largest minus the smallest output of the original.
        signal_to_noise: In decibels; ``None`` without any noise.
        between_images: The share of the original's variance that is between images rather than between outputs;
            ``None`` in older records.
        worst_value: The index of the output value with the lowest signal-to-noise ratio of its own.
        worst_signal_to_noise: That ratio in decibels.
        agreement: The share of images with the same top class; ``None`` without classes.
        accuracy_before: The original's accuracy; ``None`` without labels. ``accuracy_after`` is the package's.
        caveats: What the proof does not cover; empty in records of older releases.
    """

    verdict: Verdict
    reason: str
    runtime: str
    original: str
    images: int
    data: str
    max_error: float
    mean_error: float
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

    @property
    def relative_error(self) -> float:
        """Return the largest error as a share of the range of the original's outputs."""
        return self.max_error / self.range if self.range else self.max_error


@dataclass(frozen=True)
class Variant:
    """One Core ML package of a model. ``path`` is relative to the record's folder, empty when there is none.

    ``ops`` counts the program's operations by kind, ``arithmetic`` is its multiply-adds for one call and
    ``weight_bytes`` the size of its constants in the package. ``reused`` is true for a package of an earlier conversion
    of the same source. ``precision_note`` says what the precision means for the Neural Engine. ``only_core_ml`` marks
    a model that only Core ML executes, such as a neural network: it is not compared with anything.
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
    only_core_ml: bool = False


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
