"""The Markdown report's part on history: the steps, and the first and the newest figure of each cell."""

from __future__ import annotations

from collections.abc import Iterator

from coremlbench.report.history_types import HistoryRow
from coremlbench.report.labels import KIND_LABELS, RUNTIME_LABELS, UNIT_LABELS
from coremlbench.report.render import text
from coremlbench.report.render.markdown_text import (
    Numbers,
    batch_suffix,
    escape,
    escaped_machine_names,
    link,
    table_lines,
)
from coremlbench.report.types import Report
from coremlbench.system.formatting import format_count


def history(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield the lines on cells that were measured often enough to tell a step; none if there is no such cell."""
    if not report.history:
        return
    machines = escaped_machine_names(report)
    steps = sum(len(row.steps) for row in report.history)
    yield "## The same cells over time"
    yield ""
    yield f"{format_count(len(report.history), 'cell')} in five runs or more: {format_count(steps, 'step')} in them."
    yield ""
    yield from table_lines(
        ["model", "cell", "machine", "runs", "first", "newest", "steps"],
        (
            [
                escape(row.model, 60),
                escape(cell_name(row)) + batch_suffix(row.batch),
                machines.get(row.machine, escape(row.machine)),
                str(len(row.points)),
                link(text.seconds(row.points[0].seconds), row.points[0].record, numbers),
                link(text.seconds(row.points[-1].seconds), row.points[-1].record, numbers),
                "<br>".join(link(escape(step.text), step.record, numbers) for step in row.steps) or "none",
            ]
            for row in report.history
        ),
        left=3,
    )


def cell_name(row: HistoryRow) -> str:
    """Return the variant, the runtime and the unit of a history in words, and that its figures are a stand-in's."""
    stand_in = f" ({KIND_LABELS[row.kind]})" if row.kind == "stand-in" else ""
    runtime, unit = RUNTIME_LABELS.get(row.runtime, row.runtime), UNIT_LABELS.get(row.unit, row.unit)
    runner = ", native runner" if row.runner == "native" else ""
    return f"{row.variant}, {runtime}, {unit}{runner}{stand_in}"
