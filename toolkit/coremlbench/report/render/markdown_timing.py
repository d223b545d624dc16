"""The Markdown form's tables of timed models: times, loads, and where the operations ran."""

from __future__ import annotations

from collections.abc import Iterator

from coremlbench.report.labels import KIND_WORDS
from coremlbench.report.render import text, views
from coremlbench.report.render.markdown_text import Numbers, batch_words, machine_names, of, safe, table_lines
from coremlbench.report.types import CellRow, Report


def times(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield the matrix: every model on every unit, a table for each machine and kind of figure."""
    yield "## Every model on every unit"
    yield ""
    tables = views.cell_tables(report)
    for table in tables:
        told = ["p50 of a call", "95% interval", "p95"]
        told += ["the floor's share of it"] if any(cell.floor_share is not None for cell in table.cells) else []
        told += ["energy"] if any(cell.energy_joules is not None for cell in table.cells) else []
        yield f"{_whose(report, table)}: {', '.join(told)}"
        yield ""
        rows = [
            [
                safe(model, 60),
                safe(views.variant_words(variant, list(cells.values()))) + batch_words(batch),
                *(_cell(cells.get(column), numbers) for column in table.columns),
            ]
            for model, _, variants in table.rows
            for variant, batch, cells in variants
        ]
        yield from table_lines(
            ["model", "variant", *(safe(views.column_words(column)) for column in table.columns)], rows, left=2
        )
    if not tables:
        yield "Nothing has been timed yet: `coremlbench convert-and-time` fills this part."
        yield ""


def _whose(report: Report, table: views.CellTable) -> str:
    return f"**{machine_names(report)[table.machine]}** ({KIND_WORDS[table.kind]})"


def _cell(cell: CellRow | None, numbers: Numbers) -> str:
    if cell is None:
        return text.NOTHING
    if cell.p50 is None:
        return f"{of('failed', cell.record, numbers)}: {safe(cell.failure, 80)}"
    interval = f" ({text.between(cell.low, cell.high)})" if cell.low is not None else ""
    notes = [
        f"p95 {text.seconds(cell.p95)}",
        f"floor {text.percent(cell.floor_share, 0)}" if cell.floor_share is not None else "",
        text.energy(cell.energy_joules) if cell.energy_joules is not None else "",
        *(safe(note, 120) for note in (*views.short_notes(cell), views.cell_fallback_note(cell))),
    ]
    figure = of(f"**{text.seconds(cell.p50)}**", cell.record, numbers)
    return f"{figure}{interval}" + "".join(f"<br>{note}" for note in notes if note)


def _named(cell: CellRow) -> list[str]:
    unit = safe(views.column_words((cell.runtime, cell.unit)))
    return [safe(cell.model, 60), safe(views.variant_words(cell.variant, [cell])) + batch_words(cell.batch), unit]


def loads(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield how long loading took, the first time and from the cache."""
    tables = [(table, [cell for cell in table.cells if cell.first_load_seconds]) for table in views.cell_tables(report)]
    if any(cells for _, cells in tables):
        yield "## Loading, cold and cached"
        yield ""
    for table, cells in tables:
        if not cells:
            continue
        yield _whose(report, table)
        yield ""
        rows = (
            [
                *_named(cell),
                text.seconds(cell.compile_seconds),
                of(f"**{text.seconds(cell.first_load_seconds)}**", cell.record, numbers),
                text.seconds(cell.cached_load_seconds),
                text.seconds(cell.first_predict_seconds),
            ]
            for cell in cells
        )
        headings = ["model", "variant", "asked for", "compiling", "first load", "cached load", "first call"]
        yield from table_lines(headings, rows, left=3)


def placement(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield where Core ML plans the operations, or why it is not known."""
    tables = [(table, views.planned(table.cells)) for table in views.cell_tables(report)]
    if any(cells for _, cells in tables):
        yield "## Where the operations ran"
        yield ""
    for table, cells in tables:
        if not cells:
            continue
        yield f"{_whose(report, table)}: what Core ML plans, as shares of its own estimate of the cost"
        yield ""
        rows = (
            [
                *_named(cell),
                ", ".join(
                    f"{safe(device)} {text.percent(share, 0)} ({cell.plan_ops.get(device, 0)} ops)"
                    for device, share in sorted(views.plan_shares(cell).items(), key=lambda each: -each[1])
                )
                or text.NOTHING,
                of(safe(cell.ran_on or "not known", 160), cell.record, numbers),
            ]
            for cell in cells
        )
        yield from table_lines(["model", "variant", "asked for", "share of the cost", "ran on"], rows, left=5)
