"""How far outputs are from the expected ones: the parity of a timed model, whoever ran it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from coremlbench.types.errors import CoremlbenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WrongOutputError(CoremlbenchError):
    """The outputs are not those of the model, so its times would be meaningless."""


def largest_output_error(
    outputs: Iterable[Mapping[str, NDArray[np.float64]]], expected: Mapping[str, NDArray[Any]]
) -> float:
    """Return the largest difference from the expected outputs, as a share of the range of all expected values.

    ``outputs`` has those of each sample by name, of shape (values,); ``expected`` has arrays whose first axis is the
    samples. Outputs are matched by name; with one output on both sides the names may differ, as those of an original
    do.

    Raises:
        WrongOutputError: outputs cannot be matched, or are not finite where finite values are expected.
    """
    import numpy as np

    largest, low, high = 0.0, np.inf, -np.inf
    for index, sample in enumerate(outputs):
        for name, values in expected.items():
            reference = np.asarray(values[index], np.float64).reshape(-1)
            finite = np.isfinite(reference)
            difference = np.abs(_matching_output(sample, name, reference, len(expected)) - reference)[finite]
            largest = max(largest, float(difference.max(initial=0)))
            low, high = min(low, reference[finite].min(initial=low)), max(high, reference[finite].max(initial=high))
    return float(largest / (high - low)) if high > low else largest


def _matching_output(
    outputs: Mapping[str, NDArray[np.float64]], name: str, reference: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Return the output that belongs to the expected output ``name``, one of ``count``.

    Raises:
        WrongOutputError: there is none of that size, or it is not finite where ``reference`` is.
    """
    import numpy as np

    output = outputs.get(name, next(iter(outputs.values())) if len(outputs) == count == 1 else None)
    if output is None or output.shape != reference.shape:
        sizes = {output_name: values.size for output_name, values in outputs.items()}
        raise WrongOutputError(
            f"The expected output '{name}' has {reference.size} numbers; the model gave {sizes}: it is not the model "
            "that was expected."
        )
    if not np.isfinite(output[np.isfinite(reference)]).all():
        raise WrongOutputError(f"The output '{name}' is not a number where the expected one is.")
    return output
