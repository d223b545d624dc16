"""The report's rows grouped into tables, with labels and notes, for HTML, Markdown and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from coremlbench.experiments.catalogue import EXPERIMENTS
from coremlbench.report.labels import (
    RUNTIME_LABELS,
    UNIT_LABELS,
    failed_after,
    fallback_note,
    output_error_phrase,
    outputs_are_wrong,
    signal_to_noise_label,
)
from coremlbench.report.render import text
from coremlbench.report.training import PROTOCOL
from coremlbench.report.types import Answer, CellRow, FigureKind, PublishedRow, Report, TrainingRow, VariantRow
from coremlbench.system.formatting import format_count
from coremlbench.types.conversion import PROVEN
from coremlbench.types.experiments import Experiment

METRIC_LABELS = {
    "seconds per epoch": "an epoch, from the second on",
    "total seconds": "training and testing",
    "pictures to model": "from the prepared pictures to the saved model",
    "whole run": "the whole run",
}
Column = tuple[str, str]
"""A runtime and one of its units."""


@dataclass(frozen=True)
class CellTable:
    """The cells of one machine and kind, which can be shown in one table."""

    machine: str
    kind: FigureKind
    cells: tuple[CellRow, ...]

    @property
    def models(self) -> list[tuple[str, list[CellRow]]]:
        """Return the models with their cells, in the order of the report."""
        return [(model, list(cells)) for model, cells in groupby(self.cells, key=lambda cell: cell.model)]

    @property
    def columns(self) -> list[Column]:
        """Return the runtimes and units of the cells, in a fixed order."""
        return sorted({(cell.runtime, cell.unit) for cell in self.cells}, key=_column_order)

    @property
    def rows(self) -> list[tuple[str, float, list[tuple[str, int, dict[Column, CellRow]]]]]:
        """Return, for each model, its longest p50 in seconds and its rows: variant, batch and cells by column."""
        models: dict[str, dict[tuple[str, int], dict[Column, CellRow]]] = {}
        for cell in self.cells:
            variants = models.setdefault(cell.model, {})
            variants.setdefault((cell.variant, cell.batch), {})[cell.runtime, cell.unit] = cell
        return [
            (
                model,
                max(cell.p50 or 0.0 for cells in variants.values() for cell in cells.values()),
                [(variant, batch, cells) for (variant, batch), cells in variants.items()],
            )
            for model, variants in models.items()
        ]


@dataclass(frozen=True)
class WorkGroup:
    """Rows with equal work, which can be compared."""

    work: str
    rows: tuple[TrainingRow, ...]

    @property
    def is_protocol(self) -> bool:
        """Return whether the work is that of the protocol, with any extractor."""
        return self.work.startswith(PROTOCOL)


@dataclass(frozen=True)
class TrainingView:
    """One experiment: the measured rows grouped by work, and the published ones."""

    name: str
    title: str
    metric: str
    protocol: str
    groups: tuple[WorkGroup, ...]
    published: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class UnitComparison:
    """One model on one machine: the cells of its answer's variant by unit."""

    answer: Answer
    p50: dict[str, CellRow]


def _column_order(column: Column) -> tuple[str, int, str]:
    runtime, unit = column
    order = list(UNIT_LABELS)
    return runtime, order.index(unit) if unit in order else len(order), unit


def column_label(column: Column) -> str:
    """Return the unit's name, and the runtime's if it is not Core ML."""
    runtime, unit = column
    name = UNIT_LABELS.get(unit, unit)
    return name if runtime == "coreml" else f"{name}, {RUNTIME_LABELS.get(runtime, runtime)}"


def small_percent(value: float | None) -> str:
    """Return a small share as a percentage with two digits: 0.13%."""
    return "–" if value is None else f"{100 * value:.2g}%"


def largest_error(row: VariantRow) -> str:
    """Return a package's largest error as a share of the range, or that numbers are not finite."""
    return f"{row.non_finite_values:,} not finite" if row.non_finite_values else small_percent(row.relative_error)


def verdict_class(verdict: str) -> str:
    """Return the CSS class of a verdict: that of proven packages, of bad ones, or of those without a judgement."""
    return "proven" if verdict in PROVEN else verdict if verdict in {"degraded", "wrong"} else "open"


def signal_to_noise(row: VariantRow) -> str:
    """Return the signal-to-noise ratio of a package's proof, in dB, or in a word."""
    return signal_to_noise_label(row.signal_to_noise, row.images)


def variant_notes(row: VariantRow) -> list[str]:
    """Return the reason of a package that is not proven, its first divergent op, and all its caveats.

    A package without a verdict has its status instead, and why it was not compared.
    """
    if not row.verdict:
        return [f"Status: {row.status}. {row.reason}".strip()]
    reason = [] if row.verdict in PROVEN else [f"{row.reason} {row.divergence}".strip()]
    if row.random_weights:
        reason.append("Random weights: nothing was trained, so that accuracies mean nothing.")
    return [note for note in (*reason, *(f"Caveat: {caveat}" for caveat in row.caveats)) if note]


def plan_shares(cell: CellRow) -> dict[str, float]:
    """Return the planned shares of the cost by device, or those of the operations if Core ML estimates no cost."""
    total = sum(cell.plan_ops.values())
    return cell.plan_cost or {device: count / total for device, count in cell.plan_ops.items() if total}


def short_notes(cell: CellRow) -> list[str]:
    """Return the notes that are shown with a cell's figures: weights, quick look, runner, failure, wrong outputs."""
    notes = ["random weights"] if cell.random_weights else []
    notes += ["quick look"] if cell.quick else []
    if cell.runner == "native":
        notes.append("native runner")
    if cell.failure:
        notes.append(failed_after(cell.rounds))
    if outputs_are_wrong(cell.output_error):
        notes.append(output_error_phrase(cell.output_error))
    return notes


def detailed_notes(cell: CellRow) -> list[str]:
    """Return the notes of the table with every figure: failures, earlier records, output error, p90, drift."""
    notes = ["quick look"] if cell.quick else []
    if cell.failure:
        notes.append(f"{failed_after(cell.rounds)} ({text.truncate(cell.failure, 60)})")
    elif cell.failed_rounds:
        notes.append(f"{format_count(cell.failed_rounds, 'round')} failed")
    if cell.earlier:
        before = text.time_range(cell.earlier_low, cell.earlier_high)
        notes.append(f"measured {cell.earlier + 1} times, before: {before}")
    if cell.output_error is not None:
        notes.append(f"output error {small_percent(cell.output_error)}")
    if cell.p90 is not None:
        notes.append(f"p90 {text.seconds(cell.p90)}")
    if cell.drift is not None:
        notes.append(f"drift {cell.drift:+.1%}".replace("-", "−"))
    if cell.runtime_version:
        notes.append(cell.runtime_version)
    return notes


def cells_with_plan(cells: Sequence[CellRow]) -> list[CellRow]:
    """Return the cells with a compute plan, a reason why there is none, or a fallback from the requested unit."""
    return [cell for cell in cells if cell.plan_ops or cell.plan_failure or (cell.ran_on and cell_fallback_note(cell))]


def cell_fallback_note(cell: CellRow) -> str:
    """Return where a cell ran if that is not the requested unit, or that it is unknown, else ""."""
    return fallback_note(cell.unit, cell.ran_on)


def answers(report: Report) -> list[tuple[tuple[str, ...], Answer]]:
    """Return the answers with the models they apply to: models without a figure share one if machine and text agree."""
    groups: dict[tuple[str, str, str], list[Answer]] = {}
    for answer in report.answers:
        own_group = answer.model if answer.kind != "none" else ""
        groups.setdefault((answer.machine, answer.text, own_group), []).append(answer)
    return [(tuple(answer.model for answer in group), group[0]) for group in groups.values()]


def measured_answers(report: Report) -> list[tuple[tuple[str, ...], Answer]]:
    """Return the answers that rest on figures, with the models they apply to."""
    return [(models, answer) for models, answer in answers(report) if answer.kind != "none"]


def variant_label(variant: str, cells: Sequence[CellRow]) -> str:
    """Return a variant's name, or "the original" for cells of TensorFlow, which runs the model before conversion."""
    original = variant == "as-is" and all(cell.runtime == "tensorflow" for cell in cells)
    return "the original" if original else variant


def cell_tables(report: Report, *kinds: FigureKind) -> list[CellTable]:
    """Return the tables of the given kinds (all, if none is given), for each kind by machine in the report's order."""
    tables = []
    for kind in kinds or ("core-ml", "host", "stand-in"):
        for machine in report.machines:
            cells = tuple(cell for cell in report.timing if cell.kind == kind and cell.machine == machine.id)
            if cells:
                tables.append(CellTable(machine.id, kind, cells))
    return tables


def training_views(report: Report) -> list[TrainingView]:
    """Return the experiments that have training rows, in the report's order, with the published figures of each."""
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    trainings = []
    for name, rows in groupby(report.training, key=lambda row: row.experiment):
        group = list(rows)
        experiment = known.get(name)
        trainings.append(
            TrainingView(
                name=name,
                title=experiment.title if experiment else name,
                metric=METRIC_LABELS[group[0].metric],
                protocol=_protocol(experiment) if experiment else "",
                groups=tuple(WorkGroup(work, tuple(equal)) for work, equal in groupby(group, key=lambda row: row.work)),
                published=tuple(row for row in report.published if row.experiment == name),
            )
        )
    return trainings


def _protocol(experiment: Experiment) -> str:
    """Return the settings of an experiment's protocol, separated by commas."""
    parts = [f"{experiment.train:,} training and {experiment.test:,} test images", f"{experiment.classes} classes"]
    if experiment.epochs:
        parts.append(f"{experiment.epochs} epochs in batches of {experiment.batch}")
    if experiment.iterations:
        parts.append(f"at most {experiment.iterations} iterations")
    if experiment.augmentation:
        parts.append(f"augmentation by {' and '.join(experiment.augmentation)}")
    if experiment.weights:
        parts.append(f"{experiment.weights} weights")
    return ", ".join(parts)


def unit_comparisons(report: Report) -> list[UnitComparison]:
    """Return the answers on Core ML with the cells of all units, of the smallest batch that was timed."""
    rows = []
    for answer in report.answers:
        if answer.kind == "core-ml":
            cells = [
                cell
                for cell in report.timing
                if (cell.kind, cell.machine, cell.model, cell.variant, cell.runner)
                == ("core-ml", answer.machine, answer.model, answer.variant, answer.runner)
                and not cell.failure
            ]
            batch = min((cell.batch for cell in cells), default=1)
            rows.append(UnitComparison(answer, {cell.unit: cell for cell in cells if cell.batch == batch}))
    return rows


def variants_by_model(report: Report) -> list[tuple[tuple[str, str], list[VariantRow]]]:
    """Return the rows by model and machine."""
    return [(key, list(rows)) for key, rows in groupby(report.variants, key=lambda row: (row.model, row.machine))]


def published_figure(row: PublishedRow) -> str:
    """Return a published figure: 7–8 s, 6.7 s, or the published text."""
    if row.low is None or row.high is None:
        return row.text
    return f"{row.low:g} s" if row.low == row.high else f"{row.low:g}–{row.high:g} s"


def frequent_mistakes(
    confusion: Sequence[Sequence[int]], names: Sequence[str], limit: int = 10
) -> list[tuple[int, str, str]]:
    """Return the most frequent mistakes: the count, the true class and the predicted one.

    ``confusion`` counts images by true class (row) and predicted class (column), ``names`` are the classes in order.
    """
    mistakes = [
        (count, names[actual], names[predicted])
        for actual, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if actual != predicted and count and max(actual, predicted) < len(names)
    ]
    return sorted(mistakes, key=lambda mistake: (-mistake[0], *mistake[1:]))[:limit]
