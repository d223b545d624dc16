"""Render the report as Markdown, shorter than the HTML, for an issue or a README."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from coremlbench.report.labels import KIND_LABELS, LEVEL_LABEL, verdict_with_caveats
from coremlbench.report.render import text, views
from coremlbench.report.render.markdown_history import history
from coremlbench.report.render.markdown_sweeps import sweep_tables
from coremlbench.report.render.markdown_text import (
    MAX_ROWS,
    Numbers,
    batch_suffix,
    escape,
    escaped_machine_names,
    link,
    table_lines,
)
from coremlbench.report.render.markdown_timing import loads, placement, times
from coremlbench.report.render.summary import Cell, missing, summary
from coremlbench.report.types import ClassifierRun, FailureRow, RecordRow, Report, TrainingRow, VariantRow
from coremlbench.system.formatting import format_bytes, format_count
from coremlbench.system.proportions import format_accuracy
from coremlbench.timing.statistics import CLOCK_TICK, CONFIDENCE_LEVEL

MAX_FAILURES = 10
MAX_URL_LENGTH = 500


def render(report: Report, *, plots: bool = False) -> bytes:
    """Return the report as UTF-8 Markdown; with ``plots`` it includes the PNG files in the folder ``plots``."""
    numbers = {row.id: number for number, row in enumerate(report.records, start=1) if _can_link(row)}
    parts = [
        _head(report),
        _summary(report, numbers),
        _answers(report, numbers),
        _classifiers(report, numbers),
        times(report, numbers),
        sweep_tables(report, numbers),
        history(report, numbers),
        _variants(report, numbers),
        _training(report, numbers),
        loads(report, numbers),
        placement(report, numbers),
        _failures(report, numbers),
        _warnings(report),
        _plots(report) if plots else (),
        _method(),
        _records(report, numbers),
        _missing(report),
    ]
    lines = [line for part in parts for line in part]
    lines += _link_targets(report, lines)
    return ("\n".join(lines).rstrip() + "\n").encode("utf-8", "backslashreplace")


def _can_link(row: RecordRow) -> bool:
    return bool(row.path) and len(text.relative_url(row.path)) <= MAX_URL_LENGTH


def _link_targets(report: Report, lines: Iterable[str]) -> Iterator[str]:
    """Yield the URLs of the records that the lines link to."""
    used = {int(number) for line in lines for number in re.findall(r"\]\[r(\d{1,9})\]", line)}
    for number, row in enumerate(report.records, start=1):
        if number in used and _can_link(row):
            yield f"[r{number}]: <{text.relative_url(row.path)}>"


def _head(report: Report) -> Iterator[str]:
    machines, records = len(report.machines), len(report.records)
    yield "# coremlbench report"
    yield ""
    yield (
        f"{format_count(records, 'record')} of {format_count(machines, 'machine')}, "
        f"made {text.timestamp(report.made)} by coremlbench {report.coremlbench}."
    )
    yield ""
    for problem in report.problems[:MAX_ROWS]:
        yield f"- left out: {escape(problem, 300)}"
    if report.problems:
        yield ""


def _summary(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield the first table: each model, its best unit, how sure that is, speed, accuracy lost, size and energy."""
    overview = summary(report)
    if not overview.rows:
        return
    machines = escaped_machine_names(report)
    several = len(report.machines) > 1
    kind = f" ({KIND_LABELS[overview.kind]})" if overview.kind else ""
    yield "## In short" + kind
    yield ""
    rows = [
        [
            escape(row.model, 60) + (f"<br>{machines[row.machine]}" if several else ""),
            *(_summary_cell(cell, numbers) for cell in row.cells),
        ]
        for row in overview.rows
    ]
    yield from table_lines(["model", *(column.lower() for column in overview.columns)], rows, left=len(rows[0]))
    if overview.omitted:
        yield f"… and {format_count(overview.omitted, 'more model')}."
        yield ""


def _summary_cell(cell: Cell, numbers: Numbers) -> str:
    figure = link(f"**{escape(cell.figure)}**", cell.record, numbers) if cell.figure else text.NO_VALUE
    return f"{figure}<br>{escape(cell.note)}" if cell.note else figure


def _missing(report: Report) -> Iterator[str]:
    sentences = missing(report)
    if not sentences:
        return
    yield "## What is not here"
    yield ""
    yield from (f"- {_escape_around_code(sentence)}" for sentence in sentences[:MAX_ROWS])
    yield ""


def _escape_around_code(sentence: str) -> str:
    """Return a sentence escaped, except for the commands of this program in backticks."""
    parts = re.split(r"(`[a-z -]+`)", text.truncate(sentence, 400))
    return "".join(part if index % 2 else escape(part, 400) for index, part in enumerate(parts))


def _answers(report: Report, numbers: Numbers) -> Iterator[str]:
    answers = views.measured_answers(report)
    if not answers:
        return
    yield "## Where each model should run"
    yield ""
    machines = escaped_machine_names(report)
    for models, answer in answers[:MAX_ROWS]:
        mark = " *(stand-in, not Core ML)*" if answer.kind == "stand-in" else ""
        machine = f" ({machines[answer.machine]})" if answer.machine in machines else ""
        record = f" {link('record', answer.record, numbers)}" if answer.record in numbers else ""
        names = ", ".join(escape(model, 60) for model in models)
        yield f"- **{names}**{mark}: {escape(answer.text, 400)}{machine}{record}"
    yield ""


def _variants(report: Report, numbers: Numbers) -> Iterator[str]:
    if not report.variants:
        return
    yield "## Accuracy and size by variant"
    yield ""
    yield from table_lines(
        [
            *("model", "variant", "verdict", "size", "accuracy of the package, 95% interval", "change, points"),
            *("same class", "largest error", "SNR", "compared with"),
        ],
        (
            [
                escape(row.model, 60),
                escape(row.variant) + batch_suffix(row.batch),
                escape(verdict_with_caveats(row.verdict, row.caveat_codes) or text.NO_VALUE),
                link(format_bytes(row.bytes), row.record, numbers),
                format_accuracy(row.accuracy_after, row.images, text.NO_VALUE),
                text.percentage_points(row.accuracy_before, row.accuracy_after),
                text.percent(row.agreement),
                views.largest_error(row),
                views.signal_to_noise(row),
                escape(f"{row.images:,} {row.data}".strip(), 60),
            ]
            for row in report.variants
        ),
        left=3,
    )
    yield from _variant_notes(report.variants)


def _variant_notes(rows: Iterable[VariantRow]) -> Iterator[str]:
    """Yield each caveat, and the reason of each package that is not proven, with the packages that it is about."""
    packages: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for note in views.variant_notes(row):
            name = escape(row.variant) + batch_suffix(row.batch)
            packages.setdefault(note, {}).setdefault(row.model, []).append(name)
    for note, models in list(packages.items())[:MAX_ROWS]:
        names = "; ".join(f"**{escape(model, 60)}** {', '.join(names)}" for model, names in models.items())
        yield f"- {names}: {escape(note, 400)}"
    if len(packages) > MAX_ROWS:
        yield f"- … and {len(packages) - MAX_ROWS:,} more, which the HTML form shows"
    if packages:
        yield ""


def _training(report: Report, numbers: Numbers) -> Iterator[str]:
    if not report.training:
        return
    yield "## Training by machine"
    yield ""
    machines = escaped_machine_names(report)
    trainings = views.training_views(report)
    for training in trainings:
        yield f"### {escape(training.title, 60)}"
        yield ""
        yield f"Compared: {training.metric}."
        yield ""
        for group in training.groups:
            deviation = "" if group.is_protocol else "not the protocol: "
            yield f"**Measured**, {deviation}{escape(group.work, 160)}"
            yield ""
            headings = [
                "machine",
                "first epoch",
                "time",
                "× the fastest",
                "test accuracy, 95% interval",
                "data",
                "runs",
            ]
            rows = (_training_cells(row, machines, numbers) for row in group.rows)
            yield from table_lines(headings, rows)
        if training.published:
            yield "*Published by others*"
            yield ""
            yield from table_lines(
                ["machine", "published", "source"],
                (
                    [escape(row.machine), escape(views.published_figure(row)), escape(row.source)]
                    for row in training.published
                ),
            )


def _training_cells(row: TrainingRow, machines: dict[str, str], numbers: Numbers) -> list[str]:
    device = f" on {escape(row.device, 20)}" if row.device else ""
    time_range = f" ({text.time_range(row.low, row.high)})" if row.low is not None else ""
    failed = f", {row.failed} failed" if row.failed and row.seconds is not None else ""
    return [
        machines[row.machine] + device,
        text.seconds(row.first_epoch),
        f"{link('failed', row.record, numbers)}: {escape(row.failure)}"
        if row.failure
        else link(f"**{text.seconds(row.seconds)}**", row.record, numbers),
        text.NO_VALUE if row.ratio is None else f"{row.ratio:.2f}",
        format_accuracy(row.accuracy, row.test_images, text.NO_VALUE),
        escape(row.data or text.NO_VALUE, 40),
        f"{row.runs:,}{time_range}{failed}",
    ]


def _classifiers(report: Report, numbers: Numbers) -> Iterator[str]:
    if not report.classifiers:
        return
    machines = escaped_machine_names(report)
    yield "## The Create ML run"
    yield ""
    for run in report.classifiers[:3]:
        accuracy = link(format_accuracy(run.test_accuracy, run.test), run.record, numbers)
        yield f"**{escape(run.data, 60)} on {machines[run.machine]}**: test accuracy {accuracy}"
        extractor = escape(run.extractor, 40)
        yield f"test pictures, the whole run {text.seconds(run.seconds)}, features of {extractor}"
        yield ""
        yield from _classes(run)


def _classes(run: ClassifierRun) -> Iterator[str]:
    yield from table_lines(
        ["class", "pictures", "precision", "recall"],
        (
            [escape(result.name, 40), f"{result.images:,}", text.percent(result.precision), text.percent(result.recall)]
            for result in run.per_class
        ),
    )


def _failures(report: Report, numbers: Numbers) -> Iterator[str]:
    if not report.failures:
        return
    machines = escaped_machine_names(report)
    yield "## What failed, and why"
    yield ""
    for failure in report.failures[:MAX_FAILURES]:
        yield (
            f"- **{escape(failure.subject, 100)}** on {machines[failure.machine]}: "
            + link(escape(failure.kind, 40), failure.record, numbers)
            + (f", {failure.count} times. " if failure.count > 1 else ". ")
            + f"{escape(failure.reason, 400)} *What to do:* {escape(failure.hint, 400)}"
        )
        yield from _log(failure)
    if len(report.failures) > MAX_FAILURES:
        yield f"- … and {len(report.failures) - MAX_FAILURES:,} more, which the HTML form shows"
    yield ""


def _log(failure: FailureRow) -> Iterator[str]:
    """Yield the last lines of a log in a code fence that is longer than any run of backticks in them."""
    if not failure.log_tail:
        return
    lines = [text.truncate(text.sanitize(line), 300) for line in failure.log_tail[-12:]]
    longest_run = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest_run + 1)
    yield ""
    yield f"  {fence}text"
    yield from (f"  {line}" for line in lines)
    yield f"  {fence}"


def _warnings(report: Report) -> Iterator[str]:
    if not report.warnings:
        return
    machines = escaped_machine_names(report)
    yield "## Conditions and warnings"
    yield ""
    for warning in report.warnings[:MAX_ROWS]:
        yield f"- {escape(warning.text, 300)} ({machines[warning.machine]})"
    yield ""


def _plots(report: Report) -> Iterator[str]:
    from coremlbench.report.render.plots import draw_plots

    plots = draw_plots(report)
    if plots:
        yield "## Plots"
        yield ""
    for plot in plots:
        yield f"![{escape(plot.alternative, 600)}](plots/{plot.name}.png)"
        yield ""


def _method() -> Iterator[str]:
    yield "## Method"
    yield ""
    yield (
        "A p50 is the geometric mean of the rounds' medians, each round a fresh process. Its "
        f"{LEVEL_LABEL} is exp(m ± (t·s/√n + c)): m and s are the mean and the standard deviation (n − 1) of the "
        f"logarithms of the n medians, t is the {50 + 50 * CONFIDENCE_LEVEL:.0f}% quantile of Student's t with n − 1 "
        f"degrees of freedom, c is half a tick of the clock ({CLOCK_TICK * 1e9 / 2:.3g} ns) over the smallest median. "
        "The medians stand in the HTML and JSON forms. The 95% interval of an accuracy is Wilson's. Published figures "
        "were measured by others, host figures by another runtime than Core ML, and a stand-in's figures mean nothing "
        "outside the tests: none of them shares a column with Core ML's. A figure leads to its record, a file that is "
        "not part of this page; the others of its cell or row are from the same one."
    )
    yield ""


def _records(report: Report, numbers: Numbers) -> Iterator[str]:
    if not report.records:
        return
    yield "## Machines and records"
    yield ""
    yield from table_lines(
        ["machine", "system", "accelerators", "records"],
        (
            [
                escape(row.name, 60),
                escape("; ".join(row.systems), 80),
                escape(", ".join(row.accelerators) or text.NO_VALUE, 80),
                f"{row.records:,}",
            ]
            for row in report.machines
        ),
        left=3,
    )
    machines = escaped_machine_names(report)
    for row in report.records[:MAX_ROWS]:
        record = link(escape(row.id, 80), row.id, numbers)
        yield f"- {record}: {escape(row.outcome, 100)} ({machines[row.machine]})"
    if len(report.records) > MAX_ROWS:
        yield f"- … and {len(report.records) - MAX_ROWS:,} more, which the HTML form shows"
    yield ""
