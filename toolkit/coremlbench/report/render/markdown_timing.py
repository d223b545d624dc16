"""The Markdown report's tables of timed models: times, loads, and where the operations ran."""

from __future__ import annotations

from collections.abc import Iterator

from coremlbench.report.labels import KIND_LABELS, LEVEL_LABEL
from coremlbench.report.render import text, views
from coremlbench.report.render.markdown_text import (
    Numbers,
    batch_suffix,
    escape,
    escaped_machine_names,
    link,
    table_lines,
)
from coremlbench.report.types import CellRow, Report
from coremlbench.system.formatting import format_count


def times(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield the lines of the matrix of models and units, a table for each machine and kind of figure."""
    tables = views.cell_tables(report)
    if not tables:
        return
    yield "## Every model on every unit"
    yield ""
    for table in tables:
        figures = ["p50 of a call", LEVEL_LABEL, "p95"]
        figures += ["the floor's share of it"] if any(cell.floor_share is not None for cell in table.cells) else []
        figures += ["energy"] if any(cell.energy_joules is not None for cell in table.cells) else []
        yield f"{_machine_label(report, table)}: {', '.join(figures)}"
        yield ""
        rows = [
            [
                escape(model, 60),
                escape(views.variant_label(variant, list(cells.values()))) + batch_suffix(batch),
                *(_cell(cells.get(column), numbers) for column in table.columns),
            ]
            for model, _, variants in table.rows
            for variant, batch, cells in variants
        ]
        yield from table_lines(
            ["model", "variant", *(escape(views.column_label(column)) for column in table.columns)], rows, left=2
        )


def _machine_label(report: Report, table: views.CellTable) -> str:
    return f"**{escaped_machine_names(report)[table.machine]}** ({KIND_LABELS[table.kind]})"


def _cell(cell: CellRow | None, numbers: Numbers) -> str:
    if cell is None:
        return text.NO_VALUE
    if cell.p50 is None:
        return f"{link('failed', cell.record, numbers)}: {escape(cell.failure, 80)}"
    interval = f" ({text.time_range(cell.low, cell.high)})" if cell.low is not None else ""
    notes = [
        f"p95 {text.seconds(cell.p95)}",
        f"floor {text.percent(cell.floor_share, 0)}" if cell.floor_share is not None else "",
        text.energy(cell.energy_joules) if cell.energy_joules is not None else "",
        *(escape(note, 120) for note in (*views.short_notes(cell), views.cell_fallback_note(cell))),
    ]
    figure = link(f"**{text.seconds(cell.p50)}**", cell.record, numbers)
    return f"{figure}{interval}" + "".join(f"<br>{note}" for note in notes if note)


def _name_columns(cell: CellRow) -> list[str]:
    unit = escape(views.column_label((cell.runtime, cell.unit)))
    return [escape(cell.model, 60), escape(views.variant_label(cell.variant, [cell])) + batch_suffix(cell.batch), unit]


def loads(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield the lines on load times: compiled, first and cached."""
    tables = [(table, [cell for cell in table.cells if cell.first_load_seconds]) for table in views.cell_tables(report)]
    if any(cells for _, cells in tables):
        yield "## Loading, cold and cached"
        yield ""
    for table, cells in tables:
        if not cells:
            continue
        yield _machine_label(report, table)
        yield ""
        rows = (
            [
                *_name_columns(cell),
                text.seconds(cell.compile_seconds),
                link(f"**{text.seconds(cell.first_load_seconds)}**", cell.record, numbers),
                text.seconds(cell.cached_load_seconds),
                text.seconds(cell.first_predict_seconds),
            ]
            for cell in cells
        )
        headings = ["model", "variant", "asked for", "compiling", "first load", "cached load", "first call"]
        yield from table_lines(headings, rows, left=3)


def placement(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield the lines on where Core ML plans the operations, or why that is unknown."""
    tables = [(table, views.cells_with_plan(table.cells)) for table in views.cell_tables(report)]
    if any(cells for _, cells in tables):
        yield "## Where the operations ran"
        yield ""
    for table, cells in tables:
        if not cells:
            continue
        yield f"{_machine_label(report, table)}: what Core ML plans, as shares of its own estimate of the cost"
        yield ""
        rows = (
            [
                *_name_columns(cell),
                ", ".join(
                    f"{escape(device)} {text.percent(share, 0)} ({format_count(cell.plan_ops.get(device, 0), 'op')})"
                    for device, share in sorted(views.plan_shares(cell).items(), key=lambda item: -item[1])
                )
                or text.NO_VALUE,
                link(escape(cell.ran_on or "not known", 160), cell.record, numbers),
            ]
            for cell in cells
        )
        yield from table_lines(["model", "variant", "asked for", "share of the cost", "ran on"], rows, left=5)
