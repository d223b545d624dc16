"""The report's first table, a row for each model and machine, and the list of what the report has no figures of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coremlbench.report.labels import (
    LEVEL_LABEL,
    RUNTIME_LABELS,
    outputs_are_wrong,
    unit_label,
    verdict_with_caveats,
)
from coremlbench.report.render import text, views
from coremlbench.report.sweeps import sweeps
from coremlbench.report.types import CellRow, FigureKind, Report, TrainingRow, VariantRow
from coremlbench.system.formatting import format_bytes, format_count
from coremlbench.system.proportions import format_accuracy
from coremlbench.timing.statistics import ratio
from coremlbench.types.conversion import PROVEN

MAX_ROWS = 40
KIND_ORDER: tuple[FigureKind, ...] = ("core-ml", "host", "stand-in")
UNUSABLE = ("degraded", "wrong")
"""Verdicts of packages whose times win nothing while another one was timed."""


@dataclass(frozen=True)
class Cell:
    """A cell of the table: a figure, a smaller note, and the id of the record that both are from."""

    figure: str = ""
    note: str = ""
    record: str = ""


EMPTY = Cell()


@dataclass(frozen=True)
class SummaryRow:
    """One model on one machine, with a cell for each of the table's columns."""

    model: str
    machine: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Summary:
    """The first table. ``kind`` is who executed its timed calls, ``None`` if no model was timed.

    ``omitted`` counts the rows beyond ``MAX_ROWS``.
    """

    kind: FigureKind | None
    columns: tuple[str, ...]
    rows: tuple[SummaryRow, ...]
    omitted: int = 0


COLUMNS = (
    *("Best unit", "How sure", "A call", "Verdict", "Accuracy lost", "Size", "Energy a call"),
    *("Trained in", "Test accuracy of the training"),
)


def summary(report: Report) -> Summary:
    """Return the first table: only the columns that have a figure, and one kind of timed calls, Core ML's if any."""
    kind = next((kind for kind in KIND_ORDER if any(_timed(cell, kind) for cell in report.timing)), None)
    rows = _rows(report, kind)
    used = [index for index in range(len(COLUMNS)) if any(row.cells[index].figure for row in rows)]
    shown = [SummaryRow(row.model, row.machine, tuple(row.cells[index] for index in used)) for row in rows[:MAX_ROWS]]
    return Summary(kind, tuple(COLUMNS[index] for index in used), tuple(shown), max(0, len(rows) - MAX_ROWS))


def _timed(cell: CellRow, kind: FigureKind) -> bool:
    return cell.kind == kind and cell.p50 is not None and not cell.failure and not outputs_are_wrong(cell.output_error)


def _rows(report: Report, kind: FigureKind | None) -> list[SummaryRow]:
    """Return a row for each model and machine that has a timed cell, a package or a finished training."""
    timed: dict[tuple[str, str], list[CellRow]] = {}
    packages: dict[tuple[str, str], list[VariantRow]] = {}
    trainings: dict[tuple[str, str], TrainingRow] = {}
    for cell in report.timing:
        if kind is not None and _timed(cell, kind):
            timed.setdefault((cell.model, cell.machine), []).append(cell)
    for variant in report.variants:
        packages.setdefault((variant.model, variant.machine), []).append(variant)
    for training in report.training:
        if training.accuracy is not None and (training.experiment, training.machine) not in trainings:
            trainings[training.experiment, training.machine] = training
    unusable = {row.sha256 for row in report.variants if row.verdict in UNUSABLE}
    answered = {
        (answer.model, answer.machine, answer.runner): answer.variant for answer in report.answers if answer.variant
    }
    rows = []
    for key in dict.fromkeys([*timed, *packages, *trainings]):
        cells = _of_one_runner(timed.get(key, []))
        usable = [cell for cell in cells if cell.package_sha256 not in unusable] or cells
        best = _best(usable, answered.get((*key, usable[0].runner), "") if usable else "")
        package = _package(best, key, packages)
        row = (*_timing_cells(best, usable), *_package_cells(package), _energy(best))
        rows.append(SummaryRow(*key, (*row, *_training_cells(trainings.get(key)))))
    return rows


def _of_one_runner(cells: Sequence[CellRow]) -> list[CellRow]:
    """Return the cells of Python's runner if it timed any, else all: times of two runners are not compared."""
    return [cell for cell in cells if cell.runner == "python"] or list(cells)


def _best(cells: Sequence[CellRow], variant: str) -> CellRow | None:
    """Return the fastest cell of the smallest batch, of the answer's variant where there is one."""
    candidates = [cell for cell in cells if cell.variant == variant] or list(cells)
    batch = min((cell.batch for cell in candidates), default=0)
    return min((cell for cell in candidates if cell.batch == batch), key=lambda cell: cell.p50 or 0.0, default=None)


def _package(
    best: CellRow | None, key: tuple[str, str], packages: dict[tuple[str, str], list[VariantRow]]
) -> VariantRow | None:
    """Return the package of the best cell, from whichever machine compared it, or the first one of a model not timed.

    An original that a host's runtime executes has no package.
    """
    if best is None:
        own = packages.get(key, [])
        return next((row for row in own if row.verdict in PROVEN), own[0] if own else None)
    same = [row for rows in packages.values() for row in rows if row.sha256 and row.sha256 == best.package_sha256]
    return same[0] if same else None


def _timing_cells(best: CellRow | None, cells: Sequence[CellRow]) -> tuple[Cell, Cell, Cell]:
    """Return the best unit, how sure it is the best, and the time of a call."""
    if best is None:
        return EMPTY, EMPTY, EMPTY
    variant = views.variant_label(best.variant, [best])
    if best.batch != 1:
        variant += f", batch {best.batch}"
    if best.random_weights:
        variant += ", random weights"
    if best.runner == "native":
        variant += ", native runner"
    unit = unit_label(best.unit, best.ran_on)
    runtime = "" if best.runtime == "coreml" else f", {RUNTIME_LABELS.get(best.runtime, best.runtime)}"
    interval = text.time_range(best.low, best.high) if best.low is not None else "one round: no interval"
    quick = ", a quick look" if best.quick else ""
    certainty = Cell(*_certainty(best, cells), best.record)
    time = Cell(text.seconds(best.p50), f"{interval}{quick}", best.record)
    return Cell(f"{unit}{runtime}", variant, best.record), certainty, time


def _certainty(best: CellRow, cells: Sequence[CellRow]) -> tuple[str, str]:
    """Return how the best cell compares with the fastest one on another unit or runtime, and the interval of that.

    They are compared round by round, if one record has both and all of their rounds finished.
    """
    others = [
        cell
        for cell in cells
        if (cell.runtime, cell.unit) != (best.runtime, best.unit) and cell.batch == best.batch and cell.unit != "ALL"
    ]
    if best.runtime == "coreml":
        others = [cell for cell in others if cell.variant == best.variant]
    second = min(others, key=lambda cell: cell.p50 or 0.0, default=None)
    if second is None:
        return "the only unit timed", ""
    name = _other_name(best, second)
    if second.record != best.record or _has_gaps(best, second):
        return f"not compared with {name}", "not every round of one run has both"
    compared = ratio(second.medians, best.medians)
    rounds = format_count(compared.rounds, "round")
    if compared.low is None or compared.high is None:
        return f"no difference shown from {name}", rounds
    low, middle, high = (text.significant3(bound) for bound in (compared.low, compared.ratio, compared.high))
    interval = f"{LEVEL_LABEL} {low} to {high}, {rounds}"
    return f"{middle} times as fast as {name}" if compared.different else f"no difference shown from {name}", interval


def _has_gaps(best: CellRow, second: CellRow) -> bool:
    """Return whether the medians of two cells cannot be paired by their position, as a round of one has none."""
    return len(best.medians) != len(second.medians) or best.failed_rounds > 0 or second.failed_rounds > 0


def _other_name(best: CellRow, second: CellRow) -> str:
    unit = unit_label(second.unit, second.ran_on)
    return (
        unit
        if second.runtime == "coreml" and best.runtime == "coreml"
        else f"{unit}, " + RUNTIME_LABELS.get(second.runtime, second.runtime)
    )


def _package_cells(package: VariantRow | None) -> tuple[Cell, Cell, Cell]:
    """Return the verdict, the accuracy that the package lost, and its size."""
    if package is None:
        return EMPTY, EMPTY, EMPTY
    verdict = verdict_with_caveats(package.verdict, package.caveat_codes) or package.status
    name, _, caveats = verdict.partition(" (")
    lost = EMPTY
    if package.accuracy_after is not None and package.accuracy_before is not None:
        change = text.percentage_points(package.accuracy_before, package.accuracy_after)
        accuracy = format_accuracy(package.accuracy_after, package.images)
        lost = Cell(f"{change} points", f"{accuracy} {package.data}".rstrip(), package.record)
    elif package.agreement is not None:
        same = f"same class for {text.percent(package.agreement)} of {package.images:,} {package.data}".rstrip()
        lost = Cell("not known", same, package.record)
    size_note = package.variant + (", random weights" if package.random_weights else "")
    size = Cell(format_bytes(package.bytes), size_note, package.record)
    return Cell(name, caveats.rstrip(")"), package.record), lost, size


def _energy(best: CellRow | None) -> Cell:
    if best is None or best.energy_joules is None:
        return EMPTY
    return Cell(text.energy(best.energy_joules), "", best.record)


def _training_cells(training: TrainingRow | None) -> tuple[Cell, Cell]:
    """Return the time that the experiment compares, and the accuracy on the test images, with its interval."""
    if training is None or training.accuracy is None:
        return EMPTY, EMPTY
    metric = views.METRIC_LABELS[training.metric]
    time = Cell(text.seconds(training.seconds), metric, training.record) if training.seconds else EMPTY
    accuracy, _, interval = format_accuracy(training.accuracy, training.test_images).partition(", ")
    return time, Cell(accuracy, f"{interval} {training.data}".strip(), training.record)


# --- what is missing ----------------------------------------------------------------------------------------


def missing(report: Report) -> list[str]:
    """Return what the report has no figures of, each in a sentence with the command that fills it."""
    sentences = [
        f"{', '.join(models)}: {answer.text}" for models, answer in views.answers(report) if answer.kind == "none"
    ]
    if not report.training:
        sentences.append("Nothing has been trained: `coremlbench train` and `coremlbench createml` train.")
    elif not report.classifiers:
        sentences.append("No Create ML run has finished: `coremlbench createml` makes one.")
    if not report.variants:
        sentences.append(
            "No model has been converted: `coremlbench convert-and-time` converts models, and compares each package "
            "with its original, on any machine."
        )
    if not report.timing:
        sentences.append(
            "Nothing has been timed: `coremlbench convert-and-time` times Core ML on a Mac, and the host's runtimes "
            "elsewhere."
        )
    elif not views.cells_with_plan(report.timing):
        sentences.append("There is no compute plan: Core ML has it on macOS 14.4 or later.")
    return sentences


def sections(report: Report) -> list[tuple[str, str]]:
    """Return the ids and titles of the sections that the report has figures for, in the order of the page."""
    available = {
        "answers": any(answer.kind != "none" for answer in report.answers),
        "createml": bool(report.classifiers),
        "matrix": bool(report.timing),
        "sweep": bool(sweeps(report.timing)),
        "history": bool(report.history),
        "variants": bool(report.variants),
        "training": bool(report.training),
        "loads": any(cell.first_load_seconds for cell in report.timing),
        "placement": bool(views.cells_with_plan(report.timing)),
        "failures": bool(report.failures),
        "conditions": bool(report.warnings),
    }
    return [(name, SECTION_TITLES[name]) for name, has_figures in available.items() if has_figures]


SECTION_TITLES = {
    "answers": "Answers",
    "createml": "Create ML",
    "matrix": "Every unit",
    "sweep": "By batch",
    "history": "Over time",
    "variants": "Accuracy and size",
    "training": "Training",
    "loads": "Loading",
    "placement": "Where it ran",
    "failures": "Failures",
    "conditions": "Conditions",
}
