"""The report as Markdown, for an issue or a README: the same story in fewer words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from coremlbench.render import text, views
from coremlbench.report_types import CellRow, ClassifierRun, FailureRow, Report, TrainingRow
from coremlbench.report_words import KIND_WORDS
from coremlbench.units import format_bytes

MOST_ROWS = 30
MOST_FAILURES = 10
_SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")


def render(report: Report, *, plots: bool = False) -> bytes:
    """Return the report as UTF-8 Markdown; with ``plots`` it shows the files that are saved beside it."""
    parts = [
        _head(report),
        _answers(report),
        _timing(report),
        _variants(report),
        _training(report),
        _classifiers(report),
        _failures(report),
        _warnings(report),
        _plots(report) if plots else (),
        _method(),
    ]
    lines = [line for part in parts for line in part]
    return ("\n".join(lines).rstrip() + "\n").encode("utf-8", "backslashreplace")


def safe(value: object, length: int = 120) -> str:
    """Return text from outside as Markdown shows it letter by letter: no markup, no mention, no line end."""
    shown = text.cut(text.plain(str(value)), length)
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = _SPECIAL.sub(r"\\\1", shown).replace("@", "&#64;")
    return shown.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Yield a table, its first ``left`` columns text and the others figures; the rows past a number are counted."""
    every = list(rows)
    yield "| " + " | ".join(headings) + " |"
    yield "|" + "|".join("---" if index < left else "---:" for index in range(len(headings))) + "|"
    for row in every[:MOST_ROWS]:
        yield "| " + " | ".join(row) + " |"
    yield ""
    if len(every) > MOST_ROWS:
        yield f"… and {len(every) - MOST_ROWS:,} more rows, which the HTML form shows."
        yield ""


def _machines(report: Report) -> dict[str, str]:
    return {row.id: safe(row.name, 60) for row in report.machines}


def _head(report: Report) -> Iterator[str]:
    machines, records = len(report.machines), len(report.records)
    yield "# coremlbench report"
    yield ""
    yield (
        f"{records:,} record{'' if records == 1 else 's'} of {machines:,} machine{'' if machines == 1 else 's'}, "
        f"made {text.day(report.made)} by coremlbench {report.coremlbench}."
    )
    yield ""
    for problem in report.problems[:MOST_ROWS]:
        yield f"- left out: {safe(problem, 300)}"
    if report.problems:
        yield ""


def _answers(report: Report) -> Iterator[str]:
    yield "## Where each model should run"
    yield ""
    machines = _machines(report)
    for models, answer in views.answers(report)[:MOST_ROWS]:
        mark = " *(stand-in, not Core ML)*" if answer.kind == "stand-in" else ""
        where = f" ({machines[answer.machine]})" if answer.machine in machines else ""
        yield f"- **{', '.join(safe(model, 60) for model in models)}**{mark}: {safe(answer.text, 400)}{where}"
    if not report.answers:
        yield "No model has been converted or timed yet: `coremlbench convert-and-time` fills this part."
    yield ""


def _timing(report: Report) -> Iterator[str]:
    yield "## Every model on every unit"
    yield ""
    machines = _machines(report)
    tables = views.cell_tables(report)
    for table in tables:
        yield f"**{machines[table.machine]}** ({KIND_WORDS[table.kind]}): p50 of a call, 95% interval, p95"
        yield ""
        rows = [
            [
                safe(model, 60),
                safe(views.variant_words(variant, list(cells.values()))) + (f", batch {batch}" if batch != 1 else ""),
                *(_cell(cells.get(column)) for column in table.columns),
            ]
            for model, _, variants in table.rows
            for variant, batch, cells in variants
        ]
        yield from _table(
            ["model", "variant", *(safe(views.column_words(column)) for column in table.columns)], rows, left=2
        )
    if not tables:
        yield "Nothing has been timed yet: `coremlbench convert-and-time` fills this part."
        yield ""


def _cell(cell: CellRow | None) -> str:
    if cell is None:
        return text.NOTHING
    if cell.p50 is None:
        return f"failed: {safe(cell.failure, 80)}"
    interval = f" ({text.between(cell.low, cell.high)})" if cell.low is not None else ""
    notes = "".join(f"<br>{safe(note, 120)}" for note in (*views.cell_notes(cell), views.strayed_to(cell)) if note)
    return f"**{text.seconds(cell.p50)}**{interval}<br>p95 {text.seconds(cell.p95)}{notes}"


def _variants(report: Report) -> Iterator[str]:
    if not report.variants:
        return
    yield "## Accuracy and size by variant"
    yield ""
    yield from _table(
        ["model", "variant", "verdict", "size", "accuracy", "change, points", "same class", "largest error"],
        (
            [
                safe(row.model, 60),
                safe(row.variant) + (f", batch {row.batch}" if row.batch != 1 else ""),
                safe(row.verdict),
                format_bytes(row.bytes),
                text.percent(row.accuracy_after),
                text.points(row.accuracy_before, row.accuracy_after),
                text.percent(row.agreement),
                views.share(row.relative_error),
            ]
            for row in report.variants
        ),
        left=3,
    )


def _training(report: Report) -> Iterator[str]:
    yield "## Training by machine"
    yield ""
    machines = _machines(report)
    found = views.trainings(report)
    for training in found:
        yield f"### {safe(training.title, 60)}"
        yield ""
        yield f"Compared: {training.metric}."
        yield ""
        for group in training.groups:
            marked = safe(group.work, 160) if group.is_protocol else f"not the protocol: {safe(group.work, 160)}"
            yield f"**Measured**, {marked}"
            yield ""
            rows = (_trained(row, machines) for row in group.rows)
            yield from _table(["machine", "first epoch", "time", "× the fastest", "test accuracy", "runs"], rows)
        if training.published:
            yield "*Published by others*"
            yield ""
            yield from _table(
                ["machine", "published", "source"],
                (
                    [safe(each.machine), safe(views.published_figure(each)), safe(each.source)]
                    for each in training.published
                ),
            )
    if not found:
        yield "Nothing has been trained yet: `coremlbench train` and `coremlbench createml` fill this part."
        yield ""


def _trained(row: TrainingRow, machines: dict[str, str]) -> list[str]:
    device = f" on {safe(row.device, 20)}" if row.device else ""
    range_of = f" ({text.between(row.low, row.high)})" if row.low is not None else ""
    failed = f", {row.failed} failed" if row.failed and row.seconds is not None else ""
    return [
        machines[row.machine] + device,
        text.seconds(row.first_epoch),
        f"failed: {safe(row.failure)}" if row.failure else f"**{text.seconds(row.seconds)}**",
        text.NOTHING if row.ratio is None else f"{row.ratio:.2f}",
        text.percent(row.accuracy),
        f"{row.runs:,}{range_of}{failed}",
    ]


def _classifiers(report: Report) -> Iterator[str]:
    if not report.classifiers:
        return
    machines = _machines(report)
    yield "## The Create ML run"
    yield ""
    for run in report.classifiers[:3]:
        right = text.percent(run.test_accuracy)
        yield f"**{safe(run.data, 60)} on {machines[run.machine]}**: test accuracy {right} of "
        yield f"{run.test:,} pictures, the whole run {text.seconds(run.seconds)}, features of {safe(run.extractor, 40)}"
        yield ""
        yield from _classes(run)


def _classes(run: ClassifierRun) -> Iterator[str]:
    yield from _table(
        ["class", "pictures", "precision", "recall"],
        (
            [safe(each.name, 40), f"{each.images:,}", text.percent(each.precision), text.percent(each.recall)]
            for each in run.per_class
        ),
    )


def _failures(report: Report) -> Iterator[str]:
    if not report.failures:
        return
    machines = _machines(report)
    yield "## What failed, and why"
    yield ""
    for each in report.failures[:MOST_FAILURES]:
        yield (
            f"- **{safe(each.subject, 100)}** on {machines[each.machine]}: {safe(each.kind, 40)}"
            + (f", {each.count} times. " if each.count > 1 else ". ")
            + f"{safe(each.reason, 400)} *What to do:* {safe(each.hint, 400)}"
        )
        yield from _log(each)
    if len(report.failures) > MOST_FAILURES:
        yield f"- … and {len(report.failures) - MOST_FAILURES:,} more, which the HTML form shows"
    yield ""


def _log(failure: FailureRow) -> Iterator[str]:
    """Yield the last lines of a log in a fence that is longer than any in it."""
    if not failure.log_tail:
        return
    lines = [text.cut(text.plain(line), 300) for line in failure.log_tail[-12:]]
    ticks = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)
    yield ""
    yield f"  {fence}text"
    yield from (f"  {line}" for line in lines)
    yield f"  {fence}"


def _warnings(report: Report) -> Iterator[str]:
    if not report.warnings:
        return
    machines = _machines(report)
    yield "## Conditions and warnings"
    yield ""
    for each in report.warnings[:MOST_ROWS]:
        yield f"- {safe(each.text, 300)} ({machines[each.machine]})"
    yield ""


def _plots(report: Report) -> Iterator[str]:
    from coremlbench.render.plots import plots

    drawn = plots(report)
    if drawn:
        yield "## Plots"
        yield ""
    for plot in drawn:
        yield f"![{safe(plot.alternative, 600)}](plots/{plot.name}.png)"
        yield ""


def _method() -> Iterator[str]:
    yield "## Method"
    yield ""
    yield (
        "A p50 is the geometric mean of the rounds' medians, each round a fresh process; its interval is Student's t "
        "over the rounds. Published figures were measured by others, host figures by another runtime than Core ML, "
        "and a stand-in's figures mean nothing outside the tests: none of them shares a column with Core ML's. "
        "The HTML and JSON forms name the record of every figure."
    )
