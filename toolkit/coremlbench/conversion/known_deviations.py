"""Known deviations of Core ML: where a device computes something else than the specification of an op says.

A proof executes a package by the specification. A row of ``DEVIATIONS`` names an op, its form and the devices on which
public issues show other results; a package that has the op in that form is proven with a caveat, and a measurement on
such a device has a note. ``docs/known-deviations.md`` is generated from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from coremlbench.conversion import op_patterns
from coremlbench.conversion.op_statistics import operations
from coremlbench.types.conversion import Caveat, VariantName
from coremlbench.types.timing import UnitName

Device = Literal["CPU", "GPU", "NE"]

DEVICES_OF_UNIT: dict[UnitName, tuple[Device, ...]] = {
    "CPU_ONLY": ("CPU",),
    "CPU_AND_GPU": ("CPU", "GPU"),
    "CPU_AND_NE": ("CPU", "NE"),
    "ALL": ("CPU", "GPU", "NE"),
}
"""The devices that Core ML may use for a requested unit; the host's units are none of them."""

ALL_DEVICES: tuple[Device, ...] = ("CPU", "GPU", "NE")
DEVICE_NAMES: dict[Device, str] = {"CPU": "the CPU", "GPU": "the GPU", "NE": "the Neural Engine"}


@dataclass(frozen=True)
class KnownDeviation:
    """One row of the table.

    Attributes:
        name: Identifies the row in saved records, so it is never renamed.
        op: The MIL op, or the ops of a pattern.
        form: Attributes and shapes that the row is limited to, in words; empty for every form.
        precision: The precision that the row is limited to; ``any`` for both.
        devices: Where the results differ; empty when the issues do not say where.
        systems: The systems and chips on which it was seen.
        source: The public issues, as "coremltools 2687", several with semicolons.
        effect: What happens, the predicate of a sentence whose subject is the op.
        matches: Whether an operation of a loaded program has this form and precision.
    """

    name: str
    op: str
    form: str
    precision: Literal["float16", "any"]
    devices: tuple[Device, ...]
    systems: str
    source: str
    effect: str
    matches: Callable[[Any], bool]

    @property
    def caveat(self) -> Caveat:
        """Return the caveat of a proof: one sentence with the devices, op, precision, form, systems and issues."""
        precision = "float16" if self.precision == "float16" else "any precision"
        subject = " ".join(part for part in (self.op, f"in {precision}", self.form) if part)
        seen = f"{self.systems}; {', '.join(self.source.split('; '))}"
        text = f"Core ML itself is known to deviate {self.place}: {subject} {self.effect} ({seen})."
        return Caveat("known-deviation", text)

    @property
    def place(self) -> str:
        """Return the devices as a phrase: "on the GPU and the Neural Engine"."""
        if self.devices == ALL_DEVICES:
            return "on all compute units"
        if not self.devices:
            return "on a compute unit that is not known"
        return "on " + " and ".join(DEVICE_NAMES[device] for device in self.devices)


DEVIATIONS: tuple[KnownDeviation, ...] = (
    KnownDeviation(
        name="softplus-float16",
        op="softplus",
        form="",
        precision="float16",
        devices=("NE",),
        systems="macOS 26.3 on an M3 Max, and an M4",
        source="coremltools 2687; coremltools 2725; coremltools 2359",
        effect="drops to 0 for inputs above about 10.4, and with it Mish",
        matches=op_patterns.is_half_softplus,
    ),
    KnownDeviation(
        name="reduce-log-sum-exp-float16",
        op="reduce_log_sum_exp",
        form="of inputs from which their maximum is not subtracted",
        precision="float16",
        devices=("NE",),
        systems="Apple silicon, May 2026",
        source="coremltools 2690; coremltools 2726",
        effect="drops to 0 where the sum of the exponentials exceeds 65,504: above about 7.6 for 32 equal inputs",
        matches=op_patterns.is_half_unshifted_log_sum_exp,
    ),
    KnownDeviation(
        name="log-of-softmax-float16",
        op="log",
        form="of a softmax",
        precision="float16",
        devices=("NE",),
        systems="Apple silicon, May 2026",
        source="coremltools 2728",
        effect="gives minus infinity for probabilities below about 6e-5",
        matches=op_patterns.is_half_log_of_softmax,
    ),
    KnownDeviation(
        name="conv-transpose-output-shape",
        op="conv_transpose",
        form="with an output_shape",
        precision="any",
        devices=("GPU", "NE"),
        systems="macOS 14.3 on an M1",
        source="coremltools 2281; coremltools 2324",
        effect="gives shifted or wholly other values than on the CPU",
        matches=op_patterns.is_sized_conv_transpose,
    ),
    KnownDeviation(
        name="fused-attention-batch",
        op="attention (matmul, softmax, matmul; or scaled_dot_product_attention)",
        form="with a first dimension of 10 or more",
        precision="any",
        devices=("GPU",),
        systems="macOS 26.2",
        source="coremltools 2650",
        effect="is fused into a kernel that gives wrong values",
        matches=op_patterns.is_batched_attention,
    ),
    KnownDeviation(
        name="int8-weights",
        op="constexpr_affine_dequantize",
        form="(weights of 8 bits)",
        precision="any",
        devices=("GPU", "NE"),
        systems="the depth network MiDaS with coremltools 7.1, January 2024",
        source="coremltools 2114",
        effect="gave one constant for all outputs on the GPU and infinities on the Neural Engine",
        matches=op_patterns.is_affine_weight,
    ),
    KnownDeviation(
        name="blockwise-int8-weights",
        op="constexpr_blockwise_shift_scale",
        form="(integer weights in the form of iOS 18)",
        precision="any",
        devices=ALL_DEVICES,
        systems="MiniLM with weights and activations of 8 bits on macOS 26.3",
        source="christopherkarani/Wax 26",
        effect="made every output not a number",
        matches=op_patterns.is_blockwise_weight,
    ),
    KnownDeviation(
        name="padded-even-kernel",
        op="conv",
        form="of several channels with an even kernel size and padding along an axis",
        precision="any",
        devices=(),
        systems="a kernel of 3x2, padding 1 and stride 2, May 2025",
        source="coremltools 2515",
        effect="gave a wrong last value of the last row; which of its settings matter is not known",
        matches=op_patterns.is_padded_even_convolution,
    ),
    KnownDeviation(
        name="gru",
        op="gru",
        form="",
        precision="any",
        devices=("GPU", "NE"),
        systems="Chromium's WebNN on macOS, October 2024",
        source="webmachinelearning/webnn 689",
        effect="gives right values on the CPU alone",
        matches=op_patterns.is_gru,
    ),
)
"""The table. A row is as narrow as its issues: a caveat that stands at every package would not be read."""

BY_NAME = {row.name: row for row in DEVIATIONS}


def find_deviations(program: Any) -> tuple[KnownDeviation, ...]:
    """Return the rows that match at least one operation of a loaded program, in the table's order."""
    ops = [op for op in operations(program) if op.op_type != "const"]
    return tuple(row for row in DEVIATIONS if any(row.matches(op) for op in ops))


def deviation_notes(model: str, variant: VariantName, names: Sequence[str], unit: UnitName) -> tuple[str, ...]:
    """Return a note for each of these deviations that Core ML can show on ``unit``.

    Names that this release does not know, as a newer one may save, are left out.
    """
    devices = set(DEVICES_OF_UNIT.get(unit, ()))
    rows = [BY_NAME[name] for name in names if name in BY_NAME]
    return tuple(f"{model} {variant}: {row.caveat.text}" for row in rows if devices & set(row.devices or ALL_DEVICES))
