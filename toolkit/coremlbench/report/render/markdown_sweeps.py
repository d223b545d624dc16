"""The Markdown report's part on sweeps: time per image, throughput and memory by batch and input shape."""

from __future__ import annotations

from collections.abc import Iterator

from coremlbench.report.labels import KIND_LABELS, RUNTIME_LABELS, UNIT_LABELS
from coremlbench.report.render import text
from coremlbench.report.render.markdown_text import Numbers, escape, escaped_machine_names, link, table_lines
from coremlbench.report.sweeps import SweepRow, sweeps
from coremlbench.report.types import CellRow, Report
from coremlbench.system.formatting import format_bytes


def sweep_tables(report: Report, numbers: Numbers) -> Iterator[str]:
    """Yield the lines on models that were timed in several batches or shapes; none if there is no such model."""
    found = sweeps(report.timing)
    if not found:
        return
    machines = escaped_machine_names(report)
    yield "## By batch and input shape"
    yield ""
    for sweep in found:
        machine = machines.get(sweep.machine, escape(sweep.machine))
        yield f"**{escape(sweep.model, 60)}** on {machine} ({KIND_LABELS[sweep.rows[0].cell.kind]})"
        yield ""
        yield from table_lines(
            ["cell", "shape", "batch", "p50 of a call", "per image", "images/s", "peak memory"],
            (_columns(row, numbers) for row in sweep.rows),
            left=2,
        )


def _columns(row: SweepRow, numbers: Numbers) -> list[str]:
    cell = row.cell
    shown = text.seconds(cell.p50) if cell.p50 is not None else "failed"
    return [
        escape(sweep_cell_name(cell)),
        row.shape or text.NO_VALUE,
        str(cell.batch),
        link(shown, cell.record, numbers),
        text.seconds(row.seconds_per_image),
        throughput(row),
        memory(cell),
    ]


def sweep_cell_name(cell: CellRow) -> str:
    """Return the variant, the runtime and the unit of a cell in words."""
    runtime, unit = RUNTIME_LABELS.get(cell.runtime, cell.runtime), UNIT_LABELS.get(cell.unit, cell.unit)
    return f"{cell.variant}, {runtime}, {unit}{', native runner' if cell.runner == 'native' else ''}"


def throughput(row: SweepRow) -> str:
    """Return images a second with three digits, or a dash."""
    return text.NO_VALUE if row.images_per_second is None else text.significant3(row.images_per_second)


def memory(cell: CellRow) -> str:
    """Return the peak memory of the processes, and macOS's footprint where it is known, or a dash."""
    processes = format_bytes(cell.peak_bytes) if cell.peak_bytes else text.NO_VALUE
    return processes + (f", footprint {format_bytes(cell.footprint_bytes)}" if cell.footprint_bytes else "")
