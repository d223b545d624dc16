"""Recorded inputs and outputs as an original: what a model of any framework predicted, in a NumPy archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals.recorded_arrays import RecordedArrays, read_recorded, sample_digests
from coremlbench.conversion.package_signature import open_signature
from coremlbench.conversion.sampling import KNOWN_RANGE, Sampling
from coremlbench.system.formatting import format_count
from coremlbench.types.conversion import OUTPUT, Caveat, ModelSource
from coremlbench.types.errors import InputError
from coremlbench_datasets.selection import evenly_spaced

TRUST_NOTE = "The recorded outputs were not computed here: they are compared as they are in {file}."


@dataclass
class RecordedOutputs:
    """An ``Original`` that knows its outputs for the recorded inputs only."""

    path: Path
    arrays: RecordedArrays
    shape: tuple[int, ...]
    pixels: bool
    classes: tuple[str, ...]
    versions: dict[str, str]
    notes: tuple[str, ...]
    caveats: tuple[Caveat, ...] = ()
    scale: float = 1.0
    layers: dict[str, str] = field(default_factory=dict)
    sampling: Sampling = KNOWN_RANGE

    @property
    def description(self) -> str:
        """Return that its outputs were recorded."""
        return f"recorded outputs of {self.path.name}"

    def take_samples(self, count: int) -> tuple[Any, Any, str]:
        """Return ``count`` evenly spaced samples or all, their labels (``None``: none) and what they are."""
        total = len(self.arrays.samples)
        rows = evenly_spaced(total, count)
        labels = None if self.arrays.labels is None else self.arrays.labels[rows]
        share = f" (of {total:,})" if len(rows) < total else ""
        return self.arrays.samples[rows], labels, f"recorded samples of {self.path.name}{share}"

    def read_picture(self, path: Path) -> Any:
        """Raise ``InputError``: the outputs of other pictures are not known."""
        raise InputError(f"{self.path.name} has recorded samples; the outputs of {path.name} are not known.")

    def predict(self, samples: Any) -> dict[str, Any]:
        """Return ``OUTPUT`` (n, values) of recorded samples.

        Raises:
            InputError: a sample was not recorded.
        """
        try:
            rows = [self._rows[digest] for digest in sample_digests(samples)]
        except KeyError as error:
            raise InputError(f"{self.path.name} does not have one of these samples.") from error
        return {OUTPUT: self.arrays.outputs[rows]}

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        """Return the row of each sample by its hash."""
        return {digest: row for row, digest in enumerate(sample_digests(self.arrays.samples))}

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Raise ``InputError``: there is no model."""
        del precision, batch, target
        raise InputError(f"{self.path.name} has only the outputs of the original, not the values inside it.")

    def intermediate_values(self) -> None:
        """Return ``None``: only outputs were recorded."""


def open_recorded(source: ModelSource, settings: Mapping[str, Any]) -> RecordedOutputs:
    """Open a NumPy archive of recorded inputs and outputs for the package ``settings["package"]``.

    Raises:
        InputError: the archive or the package cannot be read, or they do not fit.
    """
    import numpy as np

    path = Path(source.path)
    signature = open_signature(settings)
    arrays = read_recorded(path, signature)
    if source.classes:
        arrays = replace(arrays, classes=_named_classes(source, arrays))
    single = not arrays.samples.dtype.names
    return RecordedOutputs(
        path=path,
        arrays=arrays,
        shape=tuple(arrays.samples.shape[1:]),
        pixels=single and signature.inputs[0].pixels,
        classes=arrays.classes,
        versions={"numpy": np.__version__},
        notes=tuple(note for note in (TRUST_NOTE.format(file=path.name), arrays.matches) if note),
    )


def _named_classes(source: ModelSource, arrays: RecordedArrays) -> tuple[str, ...]:
    """Return the classes of ``--classes``; raise ``InputError`` when there are not as many values."""
    if arrays.width != len(source.classes):
        values = "no value for each class" if arrays.width is None else format_count(arrays.width, "value")
        named = format_count(len(source.classes), "class was", "classes were")
        raise InputError(
            f"{named} named, and the package gives {values}; name each of its classes once, in their order: --classes."
        )
    return source.classes
