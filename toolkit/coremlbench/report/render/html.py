"""Render the report as one self-contained HTML file without scripts and requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from coremlbench.report import labels
from coremlbench.report.render import markdown_sweeps, summary, text, views
from coremlbench.report.render.markdown_history import cell_name
from coremlbench.report.sweeps import sweeps
from coremlbench.report.types import RecordRow, Report
from coremlbench.system.formatting import format_bytes, format_count
from coremlbench.system.phase_labels import phase_label
from coremlbench.system.proportions import accuracy_bounds, format_bounds
from coremlbench.timing.statistics import CLOCK_TICK, CONFIDENCE_LEVEL

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SHOWN_CHARACTERS, MAX_CHARACTERS = 160, 20_000
"""Characters of an untrusted text that are shown, and that can be unfolded."""
SHOWN_ROWS = 12
SHOWN_FAILURES = 20
MAX_CONFUSION_CLASSES = 20


@dataclass(frozen=True)
class Names:
    """The names of machines and the numbers of records in a report, by id; ``plain_machines`` are without markup."""

    machines: dict[str, Markup]
    plain_machines: dict[str, str]
    record_numbers: dict[str, int]

    def machine(self, identity: str) -> Markup:
        """Return the machine's name as markup, or its id if it is unknown."""
        return self.machines.get(identity) or brief(identity)

    def plain_machine(self, identity: str) -> str:
        """Return the machine's name as text, for attributes."""
        return self.plain_machines.get(identity, identity)


def render(report: Report) -> bytes:
    """Return the report as UTF-8 HTML."""
    from coremlbench.report.render import figures, plots

    environment = _environment()
    names = Names(
        {row.id: brief(row.name, 80) for row in report.machines},
        {row.id: row.name for row in report.machines},
        {row.id: number for number, row in enumerate(report.records, start=1)},
    )
    drawn: dict[str, list[tuple[figures.Plot, str]]] = {}
    for plot in plots.draw_plots(report, figures.INLINE):
        drawn.setdefault(plot.section, []).append((plot, figures.inline(plot)))
    page = environment.get_template("report.html").render(
        report=report,
        names=names,
        plots=drawn,
        views=views,
        labels=labels,
        cell_name=cell_name,
        sweeps=sweeps(report.timing),
        sweep_text=markdown_sweeps,
        trainings=views.training_views(report),
        records=_records_by_machine(report),
        count_line=_summary(report),
        shown_rows=SHOWN_ROWS,
        shown_failures=SHOWN_FAILURES,
        max_confusion_classes=MAX_CONFUSION_CLASSES,
        overview=summary.summary(report),
        sections=summary.sections(report),
        missing=summary.missing(report),
        level=CONFIDENCE_LEVEL,
        tick=CLOCK_TICK,
    )
    return page.encode("utf-8", "backslashreplace")


def escape_untrusted(value: object, length: int = SHOWN_CHARACTERS) -> Markup:
    """Return text as escaped markup, isolated from the direction of the text around it; a long one can be unfolded."""
    from markupsafe import Markup

    shown = text.sanitize(str(value))
    if len(shown) <= length:
        return Markup("<bdi>{}</bdi>").format(shown)
    full = text.truncate(shown, MAX_CHARACTERS)
    summary = Markup('<details class="long"><summary><bdi>{}</bdi></summary>').format(text.truncate(shown, length))
    return summary + Markup('<pre tabindex="0"><bdi>{}</bdi></pre></details>').format(full)


def brief(value: object, length: int = 40) -> Markup:
    """Return text as escaped markup, truncated; the full text is in its title."""
    return _brief(str(value), length)


@lru_cache(maxsize=4096)
def _brief(value: str, length: int) -> Markup:
    from markupsafe import Markup

    shown = text.sanitize(value)
    if len(shown) <= length:
        return Markup("<bdi>{}</bdi>").format(shown)
    return Markup('<bdi title="{}">{}</bdi>').format(text.truncate(shown, 400), text.truncate(shown, length))


def join_log(lines: tuple[str, ...]) -> str:
    """Return the lines of a log as text, at most its last ``MAX_CHARACTERS``."""
    joined = "\n".join(text.sanitize(line, lines=True) for line in lines)
    return joined if len(joined) <= MAX_CHARACTERS else text.ELLIPSIS + joined[-MAX_CHARACTERS:]


def _summary(report: Report) -> str:
    """Return, for instance, "3 records of 2 machines: 2 training, 1 timing"."""
    counts = Counter(row.kind for row in report.records)
    runs = ", ".join(f"{counts[kind]:,} {kind}" for kind in ("training", "conversion", "timing") if counts[kind])
    machines = format_count(len(report.machines), "machine")
    total = format_count(len(report.records), "record")
    return f"{total} of {machines}: {runs}" if report.records else "no records"


def _bounds(accuracy: float, images: int) -> str:
    """Return the 95% interval of an accuracy in percent: "68 to 76"."""
    return format_bounds(*accuracy_bounds(accuracy, images))


def _records_by_machine(report: Report) -> list[tuple[str, list[RecordRow]]]:
    by_machine: dict[str, list[RecordRow]] = {row.id: [] for row in report.machines}
    for row in report.records:
        by_machine[row.machine].append(row)
    return list(by_machine.items())


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """Return the Jinja environment: escaping on, templates from this package, unknown names raise an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("coremlbench.report.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": text.seconds,
        "percent": text.percent,
        "energy": text.energy,
        "bytes": format_bytes,
        "phase": phase_label,
        "count": format_count,
        "timestamp": text.timestamp,
        "untrusted": escape_untrusted,
        "brief": brief,
        "log": join_log,
        "url": text.relative_url,
        "sanitize": text.sanitize,
        "label": lambda value: text.truncate(text.sanitize(value), 100),
    }
    environment.globals |= {
        "bounds": _bounds,
        "time_range": text.time_range,
        "percentage_points": text.percentage_points,
    }
    return environment
