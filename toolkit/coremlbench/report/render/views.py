"""The report's rows in the groups that a reader meets them in, and the words for them: for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from coremlbench.experiments.catalogue import EXPERIMENTS
from coremlbench.report.labels import RUNTIME_WORDS, UNIT_WORDS, failed_after, outputs_are_wrong, fallback_note, output_error_phrase
from coremlbench.report.render import text
from coremlbench.report.training import PROTOCOL
from coremlbench.report.types import Answer, CellRow, FigureKind, PublishedRow, Report, TrainingRow, VariantRow
from coremlbench.types.experiments import Experiment

METRIC_WORDS = {
    "seconds per epoch": "an epoch, from the second on",
    "total seconds": "training and testing",
    "pictures to model": "from the prepared pictures to the saved model",
    "whole run": "the whole run",
}
Column = tuple[str, str]
"""A runtime and a unit of it."""


@dataclass(frozen=True)
class CellTable:
    """The cells of one machine that share a kind: they may stand in one table."""

    machine: str
    kind: FigureKind
    cells: tuple[CellRow, ...]

    @property
    def models(self) -> list[tuple[str, list[CellRow]]]:
        """Return the cells by model."""
        return [(model, list(cells)) for model, cells in groupby(self.cells, key=lambda cell: cell.model)]

    @property
    def columns(self) -> list[Column]:
        """Return the units and runtimes that the cells were timed on, in a fixed order."""
        return sorted({(cell.runtime, cell.unit) for cell in self.cells}, key=_column_order)

    @property
    def rows(self) -> list[tuple[str, float, list[tuple[str, int, dict[Column, CellRow]]]]]:
        """Return the matrix: by model with its longest p50, each variant and batch with its cells by column."""
        found: dict[str, dict[tuple[str, int], dict[Column, CellRow]]] = {}
        for cell in self.cells:
            variants = found.setdefault(cell.model, {})
            variants.setdefault((cell.variant, cell.batch), {})[cell.runtime, cell.unit] = cell
        return [
            (
                model,
                max(cell.p50 or 0.0 for cells in variants.values() for cell in cells.values()),
                [(variant, batch, cells) for (variant, batch), cells in variants.items()],
            )
            for model, variants in found.items()
        ]


@dataclass(frozen=True)
class WorkGroup:
    """Rows that took on the same work, and so compare."""

    work: str
    rows: tuple[TrainingRow, ...]

    @property
    def is_protocol(self) -> bool:
        """Return whether this is what the article did, with whatever extractor there was."""
        return self.work.startswith(PROTOCOL)


@dataclass(frozen=True)
class Training:
    """One experiment: what was measured, by like work, and apart from it what others published."""

    name: str
    title: str
    metric: str
    protocol: str
    groups: tuple[WorkGroup, ...]
    published: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class UnitComparison:
    """One model on one machine: the p50 of its answer's variant on each unit."""

    answer: Answer
    p50: dict[str, CellRow]


def _column_order(column: Column) -> tuple[str, int, str]:
    runtime, unit = column
    order = list(UNIT_WORDS)
    return runtime, order.index(unit) if unit in order else len(order), unit


def column_words(column: Column) -> str:
    """Return a column's name: the unit, with the runtime where it is not Core ML."""
    runtime, unit = column
    name = UNIT_WORDS.get(unit, unit)
    return name if runtime == "coreml" else f"{name}, {RUNTIME_WORDS.get(runtime, runtime)}"


def share(value: float | None) -> str:
    """Return a small share with two digits: 0.13%."""
    return "–" if value is None else f"{100 * value:.2g}%"


def plan_shares(cell: CellRow) -> dict[str, float]:
    """Return the planned share of the cost by device; of the operations, where Core ML estimates no cost."""
    whole = sum(cell.plan_ops.values())
    return cell.plan_cost or {device: count / whole for device, count in cell.plan_ops.items() if whole}


def short_notes(cell: CellRow) -> list[str]:
    """Return what a reader must know of a cell's figures where they stand, a few words each."""
    notes = ["quick look"] if cell.quick else []
    if cell.failure:
        notes.append(failed_after(cell.rounds))
    if outputs_are_wrong(cell.output_error):
        notes.append(output_error_phrase(cell.output_error))
    return notes


def detailed_notes(cell: CellRow) -> list[str]:
    """Return all that is known of a cell beside its figures."""
    notes = ["quick look"] if cell.quick else []
    if cell.failure:
        notes.append(f"{failed_after(cell.rounds)} ({text.cut(cell.failure, 60)})")
    elif cell.failed_rounds:
        notes.append(f"{cell.failed_rounds} rounds failed")
    if cell.earlier:
        before = text.between(cell.earlier_low, cell.earlier_high)
        notes.append(f"measured {cell.earlier + 1} times, before: {before}")
    if cell.output_error is not None:
        notes.append(f"output error {share(cell.output_error)}")
    if cell.p90 is not None:
        notes.append(f"p90 {text.seconds(cell.p90)}")
    if cell.drift is not None:
        notes.append(f"drift {cell.drift:+.1%}".replace("-", "−"))
    if cell.runtime_version:
        notes.append(cell.runtime_version)
    return notes


def planned(cells: Sequence[CellRow]) -> list[CellRow]:
    """Return the cells of which it is told where they ran, or why not."""
    return [cell for cell in cells if cell.plan_ops or cell.plan_failure or (cell.ran_on and cell_fallback_note(cell))]


def cell_fallback_note(cell: CellRow) -> str:
    """Return what is known of where a cell ran when it is not plainly where it was asked for."""
    return fallback_note(cell.unit, cell.ran_on)


def answers(report: Report) -> list[tuple[tuple[str, ...], Answer]]:
    """Return the answers with the models that they hold for: those that say the same of one machine stand together."""
    groups: dict[tuple[str, str, str], list[Answer]] = {}
    for each in report.answers:
        alone = each.model if each.kind != "none" else ""
        groups.setdefault((each.machine, each.text, alone), []).append(each)
    return [(tuple(each.model for each in group), group[0]) for group in groups.values()]


def variant_words(variant: str, cells: Sequence[CellRow]) -> str:
    """Return a variant's name; what TensorFlow and its like ran as it is was no package, but the model itself."""
    original = variant == "as-is" and all(cell.runtime == "tensorflow" for cell in cells)
    return "the original" if original else variant


def cell_tables(report: Report, *kinds: FigureKind) -> list[CellTable]:
    """Return the cells by kind and machine, machines in the report's order."""
    tables = []
    for kind in kinds or ("core-ml", "host", "stand-in"):
        for machine in report.machines:
            cells = tuple(cell for cell in report.timing if cell.kind == kind and cell.machine == machine.id)
            if cells:
                tables.append(CellTable(machine.id, kind, cells))
    return tables


def trainings(report: Report) -> list[Training]:
    """Return the experiments that somebody ran here, in the catalogue's order, with the published figures of each."""
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    found = []
    for name, rows in groupby(report.training, key=lambda row: row.experiment):
        group = list(rows)
        experiment = known.get(name)
        found.append(
            Training(
                name=name,
                title=experiment.title if experiment else name,
                metric=METRIC_WORDS[group[0].metric],
                protocol=_protocol(experiment) if experiment else "",
                groups=tuple(WorkGroup(work, tuple(same)) for work, same in groupby(group, key=lambda row: row.work)),
                published=tuple(each for each in report.published if each.experiment == name),
            )
        )
    return found


def _protocol(experiment: Experiment) -> str:
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


def comparisons(report: Report) -> list[UnitComparison]:
    """Return Core ML's answers with the figures of all units beside them: one row a model and machine."""
    rows = []
    for answer in report.answers:
        if answer.kind == "core-ml":
            cells = [
                cell
                for cell in report.timing
                if (cell.kind, cell.machine, cell.model, cell.variant)
                == ("core-ml", answer.machine, answer.model, answer.variant)
                and not cell.failure
            ]
            batch = min((cell.batch for cell in cells), default=1)
            rows.append(UnitComparison(answer, {cell.unit: cell for cell in cells if cell.batch == batch}))
    return rows


def variants_by_model(report: Report) -> list[tuple[tuple[str, str], list[VariantRow]]]:
    """Return the packages by model and machine."""
    return [(key, list(rows)) for key, rows in groupby(report.variants, key=lambda row: (row.model, row.machine))]


def published_figure(row: PublishedRow) -> str:
    """Return a published figure as it was published: 7–8 s, 6.7 s, or the words that are all there is."""
    if row.low is None or row.high is None:
        return row.text
    return f"{row.low:g} s" if row.low == row.high else f"{row.low:g}–{row.high:g} s"


def frequent_mistakes(confusion: Sequence[Sequence[int]], names: Sequence[str], most: int = 10) -> list[tuple[int, str, str]]:
    """Return the most frequent mistakes: how often, the true class and the predicted one."""
    wrong = [
        (count, names[actual], names[guess])
        for actual, row in enumerate(confusion)
        for guess, count in enumerate(row)
        if actual != guess and count and max(actual, guess) < len(names)
    ]
    return sorted(wrong, key=lambda each: (-each[0], each[1], each[2]))[:most]
