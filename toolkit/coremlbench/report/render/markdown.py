"""The report as Markdown, for an issue or a README: the same story in fewer words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from coremlbench.report.render import text, views
from coremlbench.report.render.markdown_text import (
    MAX_ROWS,
    Numbers,
    batch_words,
    machine_names,
    of,
    safe,
    table_lines,
)
from coremlbench.report.render.markdown_timing import loads, placement, times
from coremlbench.report.types import ClassifierRun, FailureRow, RecordRow, Report, TrainingRow
from coremlbench.system.formatting import format_bytes

MAX_FAILURES = 10
MAX_URL_LENGTH = 500


def render(report: Report, *, plots: bool = False) -> bytes:
    """Return the report as UTF-8 Markdown; with ``plots`` it shows the files that are saved beside it."""
    numbers = {row.id: number for number, row in enumerate(report.records, start=1) if _may_lead(row)}
    parts = [
        _head(report),
        _answers(report, numbers),
        times(report, numbers),
        loads(report, numbers),
        placement(report, numbers),
        _variants(report, numbers),
        _training(report, numbers),
        _classifiers(report, numbers),
        _failures(report, numbers),
        _warnings(report),
        _plots(report) if plots else (),
        _method(),
        _records(report, numbers),
    ]
    lines = [line for part in parts for line in part]
    lines += _addresses(report, lines)
    return ("\n".join(lines).rstrip() + "\n").encode("utf-8", "backslashreplace")


def _may_lead(row: RecordRow) -> bool:
    return len(text.address(row.path)) <= MAX_URL_LENGTH


def _addresses(report: Report, lines: Iterable[str]) -> Iterator[str]:
    """Yield the addresses of the records that the lines lead to."""
    used = {int(number) for line in lines for number in re.findall(r"\]\[r(\d{1,9})\]", line)}
    for number, row in enumerate(report.records, start=1):
        if number in used and _may_lead(row):
            yield f"[r{number}]: <{text.address(row.path)}>"


def _head(report: Report) -> Iterator[str]:
    machines, records = len(report.machines), len(report.records)
    yield "# coremlbench report"
    yield ""
    yield (
        f"{records:,} record{'' if records == 1 else 's'} of {machines:,} machine{'' if machines == 1 else 's'}, "
        f"made {text.day(report.made)} by coremlbench {report.coremlbench}."
    )
    yield ""
    for problem in report.problems[:MAX_ROWS]:
        yield f"- left out: {safe(problem, 300)}"
    if report.problems:
        yield ""


def _answers(report: Report, numbers: Numbers) -> Iterator[str]:
    yield "## Where each model should run"
    yield ""
    machines = machine_names(report)
    for models, answer in views.answers(report)[:MAX_ROWS]:
        mark = " *(stand-in, not Core ML)*" if answer.kind == "stand-in" else ""
        where = f" ({machines[answer.machine]})" if answer.machine in machines else ""
        record = f" {of('record', answer.record, numbers)}" if answer.record in numbers else ""
        yield f"- **{', '.join(safe(model, 60) for model in models)}**{mark}: {safe(answer.text, 400)}{where}{record}"
    if not report.answers:
        yield "No model has been converted or timed yet: `coremlbench convert-and-time` fills this part."
    yield ""


def _variants(report: Report, numbers: Numbers) -> Iterator[str]:
    if not report.variants:
        return
    yield "## Accuracy and size by variant"
    yield ""
    yield from table_lines(
        ["model", "variant", "verdict", "size", "accuracy", "change, points", "same class", "largest error", "SNR"],
        (
            [
                safe(row.model, 60),
                safe(row.variant) + batch_words(row.batch),
                safe(row.verdict),
                of(format_bytes(row.bytes), row.record, numbers),
                text.percent(row.accuracy_after),
                text.points(row.accuracy_before, row.accuracy_after),
                text.percent(row.agreement),
                views.share(row.relative_error),
                "–" if row.signal_to_noise is None else f"{row.signal_to_noise:.0f} dB",
            ]
            for row in report.variants
        ),
        left=3,
    )


def _training(report: Report, numbers: Numbers) -> Iterator[str]:
    yield "## Training by machine"
    yield ""
    machines = machine_names(report)
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
            rows = (_trained(row, machines, numbers) for row in group.rows)
            yield from table_lines(["machine", "first epoch", "time", "× the fastest", "test accuracy", "runs"], rows)
        if training.published:
            yield "*Published by others*"
            yield ""
            yield from table_lines(
                ["machine", "published", "source"],
                (
                    [safe(each.machine), safe(views.published_figure(each)), safe(each.source)]
                    for each in training.published
                ),
            )
    if not found:
        yield "Nothing has been trained yet: `coremlbench train` and `coremlbench createml` fill this part."
        yield ""


def _trained(row: TrainingRow, machines: dict[str, str], numbers: Numbers) -> list[str]:
    device = f" on {safe(row.device, 20)}" if row.device else ""
    range_of = f" ({text.between(row.low, row.high)})" if row.low is not None else ""
    failed = f", {row.failed} failed" if row.failed and row.seconds is not None else ""
    return [
        machines[row.machine] + device,
        text.seconds(row.first_epoch),
        f"{of('failed', row.record, numbers)}: {safe(row.failure)}"
        if row.failure
        else of(f"**{text.seconds(row.seconds)}**", row.record, numbers),
        text.NOTHING if row.ratio is None else f"{row.ratio:.2f}",
        text.percent(row.accuracy),
        f"{row.runs:,}{range_of}{failed}",
    ]


def _classifiers(report: Report, numbers: Numbers) -> Iterator[str]:
    if not report.classifiers:
        return
    machines = machine_names(report)
    yield "## The Create ML run"
    yield ""
    for run in report.classifiers[:3]:
        right = of(text.percent(run.test_accuracy), run.record, numbers)
        yield f"**{safe(run.data, 60)} on {machines[run.machine]}**: test accuracy {right} of "
        yield f"{run.test:,} pictures, the whole run {text.seconds(run.seconds)}, features of {safe(run.extractor, 40)}"
        yield ""
        yield from _classes(run)


def _classes(run: ClassifierRun) -> Iterator[str]:
    yield from table_lines(
        ["class", "pictures", "precision", "recall"],
        (
            [safe(each.name, 40), f"{each.images:,}", text.percent(each.precision), text.percent(each.recall)]
            for each in run.per_class
        ),
    )


def _failures(report: Report, numbers: Numbers) -> Iterator[str]:
    if not report.failures:
        return
    machines = machine_names(report)
    yield "## What failed, and why"
    yield ""
    for each in report.failures[:MAX_FAILURES]:
        yield (
            f"- **{safe(each.subject, 100)}** on {machines[each.machine]}: "
            + of(safe(each.kind, 40), each.record, numbers)
            + (f", {each.count} times. " if each.count > 1 else ". ")
            + f"{safe(each.reason, 400)} *What to do:* {safe(each.hint, 400)}"
        )
        yield from _log(each)
    if len(report.failures) > MAX_FAILURES:
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
    machines = machine_names(report)
    yield "## Conditions and warnings"
    yield ""
    for each in report.warnings[:MAX_ROWS]:
        yield f"- {safe(each.text, 300)} ({machines[each.machine]})"
    yield ""


def _plots(report: Report) -> Iterator[str]:
    from coremlbench.report.render.plots import plots

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
        "A figure leads to its record; the others of its cell or row are from the same one."
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
                safe(row.name, 60),
                safe("; ".join(row.systems), 80),
                safe(", ".join(row.accelerators) or text.NOTHING, 80),
                f"{row.records:,}",
            ]
            for row in report.machines
        ),
        left=3,
    )
    machines = machine_names(report)
    for row in report.records[:MAX_ROWS]:
        record = of(safe(row.id, 80), row.id, numbers)
        yield f"- {record}: {safe(row.outcome, 80)} ({machines[row.machine]})"
    if len(report.records) > MAX_ROWS:
        yield f"- … and {len(report.records) - MOST_ROWS:,} more, which the HTML form shows"
    yield ""
