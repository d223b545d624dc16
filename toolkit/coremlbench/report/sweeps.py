"""The report's view of sweeps: models that were timed in several batches or input shapes, with time per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from coremlbench.report.types import CellRow
from coremlbench.timing.sweep import split_shape


@dataclass(frozen=True)
class SweepRow:
    """One cell of a sweep; ``shape`` is "" where the model's name has none."""

    cell: CellRow
    shape: str

    @property
    def seconds_per_image(self) -> float | None:
        """Return the median seconds of a call divided by its batch; ``None`` without a figure."""
        return self.cell.p50 / self.cell.batch if self.cell.p50 else None

    @property
    def images_per_second(self) -> float | None:
        """Return the throughput of one call after the other; ``None`` without a figure."""
        return self.cell.batch / self.cell.p50 if self.cell.p50 else None


@dataclass(frozen=True)
class Sweep:
    """The rows of one model on one machine, by variant, runtime and unit, then by shape and batch."""

    model: str
    machine: str
    kind: str
    rows: tuple[SweepRow, ...]


def sweeps(cells: Sequence[CellRow]) -> tuple[Sweep, ...]:
    """Return the models that were timed in more than one batch or shape, in the order of ``cells``."""
    groups: dict[tuple[str, str, str], list[SweepRow]] = {}
    for cell in cells:
        model, shape = split_shape(cell.model)
        groups.setdefault((model, cell.machine, cell.kind), []).append(SweepRow(cell, shape))
    return tuple(
        Sweep(model, machine, kind, tuple(sorted(rows, key=_order)))
        for (model, machine, kind), rows in groups.items()
        if len({(row.shape, row.cell.batch) for row in rows}) > 1
    )


def _order(row: SweepRow) -> tuple[object, ...]:
    sizes = [int(number) for number in row.shape.split("x")] if row.shape else []
    return row.cell.variant, row.cell.runtime, row.cell.unit, row.cell.runner, prod(sizes), row.shape, row.cell.batch
