"""The nouns of a conversion.

A ``ModelSource`` becomes ``Variant`` packages, each with its ``Proof``: together one ``ConversionRecord``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from coremlbench.types.data import Provenance
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import RunRecord

VariantName = Literal["fp32", "fp16", "int8", "palettized-6", "palettized-4", "int8-activations", "as-is"]
"""How a package holds its numbers; ``as-is`` is a ready package of the user's that nothing was done to."""

Verdict = Literal["proven", "degraded", "wrong"]

OUTPUT, LOGITS = "output", "logits"
"""Names of what an original predicts: its outputs, each image's in one row, and what goes into its last softmax or
sigmoid where it ends in one."""


@dataclass(frozen=True)
class ModelSource:
    """The model that is converted: of a training run, of a file of the user's, or a network with random weights.

    ``sha256`` is the hash of the file, or of the names and contents of the files of a folder; for random weights of
    the network's name and seed. ``training_run`` is the id of the record the model comes from.
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


@dataclass(frozen=True)
class UnopenedModel:
    """A file that was named as a model and cannot be opened, or must not be; ``failure`` says why."""

    name: str
    path: str
    failure: Failure


@dataclass(frozen=True)
class Divergence:
    """The first op of a program whose value leaves the original's, and by how much of the value's range."""

    op: str
    kind: str
    error: float
    layer: str = ""


@dataclass(frozen=True)
class Proof:
    """How the outputs of a saved package, read back and executed, compare with those of its original.

    Errors are absolute, over all images and outputs; ``range`` is the largest minus the smallest output of the
    original, ``relative_error`` the largest error over it. ``signal_to_noise`` is in decibels, ``None`` when there
    is no noise at all; ``between_images`` is the share of the original's variance that lies between images rather
    than between outputs, ``None`` in older records. ``worst_value`` is the place of the value whose own signal stands
    least above its own error, ``worst_signal_to_noise`` by how many decibels. Of several outputs the figures are those
    of the worst. ``agreement`` is the share of images with the same top class, ``None`` without classes; accuracies
    are ``None`` where no labels are known. ``reason`` tells the thresholds that gave the verdict.
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

    @property
    def relative_error(self) -> float:
        """Return the largest error as a share of the range of the original's outputs."""
        return self.max_error / self.range if self.range else self.max_error


@dataclass(frozen=True)
class Variant:
    """One Core ML package of a model. ``path`` is relative to the record's folder, empty when there is none.

    ``ops`` counts the program's operations by kind, ``arithmetic`` is its multiply-adds for one call and
    ``weight_bytes`` what its constants take in the package. ``reused`` is true when an earlier conversion of the same
    source was taken. ``precision_note`` says what the precision means for the Neural Engine.
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


@dataclass(frozen=True)
class Converted:
    """A conversion that came to its end; each variant has a verdict or a failure of its own."""

    proven: int
    degraded: int
    wrong: int
    failed: int
    status: Literal["converted"] = "converted"


@dataclass(frozen=True, kw_only=True)
class ConversionRecord(RunRecord):
    """The conversion of one model in all its variants.

    ``experiment`` is the model's experiment, or the file's name for a model of the user's.
    ``input_shape`` is (height, width, channels) of one input, or its whole shape when it is no picture.
    """

    outcome: Converted | Failure
    kind: Literal["conversion"] = "conversion"
    source: ModelSource | None = None
    input_shape: tuple[int, ...] = ()
    data: Provenance | None = None
    variants: tuple[Variant, ...] = ()
