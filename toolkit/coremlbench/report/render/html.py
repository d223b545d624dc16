"""The report as one self-contained HTML file: no script, no request, nothing but its own style and figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from coremlbench.report import labels
from coremlbench.report.render import text, views
from coremlbench.report.types import RecordRow, Report
from coremlbench.system.formatting import format_bytes

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SHORT, WHOLE = 160, 20_000
"""Characters of a foreign text that are shown, and that its unfolded form holds."""
SHOWN_ROWS = 12
SHOWN_FAILURES = 20
MAX_CONFUSION_CLASSES = 20


@dataclass(frozen=True)
class Names:
    """How machines and records are called in this report: a machine's name, a record's number."""

    machines: dict[str, Markup]
    labels: dict[str, str]
    numbers: dict[str, int]

    def machine(self, identity: str) -> Markup:
        """Return the machine's name."""
        return self.machines.get(identity) or brief(identity)

    def label(self, identity: str) -> str:
        """Return the machine's name for where there is no markup."""
        return self.labels.get(identity, identity)


def render(report: Report) -> bytes:
    """Return the report as UTF-8 HTML."""
    from coremlbench.report.render import plots

    environment = _environment()
    names = Names(
        {row.id: brief(row.name, 80) for row in report.machines},
        {row.id: row.name for row in report.machines},
        {row.id: number for number, row in enumerate(report.records, start=1)},
    )
    drawn: dict[str, list[tuple[plots.Plot, str]]] = {}
    for plot in plots.plots(report, plots.INLINE):
        drawn.setdefault(plot.section, []).append((plot, plots.inline(plot)))
    page = environment.get_template("report.html").render(
        report=report,
        names=names,
        plots=drawn,
        views=views,
        words=labels,
        trainings=views.trainings(report),
        records=_records_by_machine(report),
        summary=_summary(report),
        shown_rows=SHOWN_ROWS,
        shown_failures=SHOWN_FAILURES,
        largest_confusion=MAX_CONFUSION_CLASSES,
    )
    return page.encode("utf-8", "backslashreplace")


def foreign(value: object, length: int = SHORT) -> Markup:
    """Return text from outside as text: escaped, its direction its own, a long one folded."""
    from markupsafe import Markup

    shown = text.plain(str(value))
    if len(shown) <= length:
        return Markup("<bdi>{}</bdi>").format(shown)
    whole = text.cut(shown, WHOLE)
    beginning = Markup('<details class="long"><summary><bdi>{}</bdi></summary>').format(text.cut(shown, length))
    return beginning + Markup('<pre tabindex="0"><bdi>{}</bdi></pre></details>').format(whole)


def brief(value: object, length: int = 40) -> Markup:
    """Return text from outside cut to a few words, the whole of it in a title."""
    return _brief(str(value), length)


@lru_cache(maxsize=4096)
def _brief(value: str, length: int) -> Markup:
    from markupsafe import Markup

    shown = text.plain(value)
    if len(shown) <= length:
        return Markup("<bdi>{}</bdi>").format(shown)
    return Markup('<bdi title="{}">{}</bdi>').format(text.cut(shown, 400), text.cut(shown, length))


def log(lines: tuple[str, ...]) -> str:
    """Return the end of a log as text of at most so many characters."""
    whole = "\n".join(text.plain(line, lines=True) for line in lines)
    return whole if len(whole) <= WHOLE else text.ELLIPSIS + whole[-WHOLE:]


def _summary(report: Report) -> str:
    """Return in a line what the report is made of."""
    kinds = [
        (sum(row.kind == kind for row in report.records), word)
        for kind, word in (("training", "training"), ("conversion", "conversion"), ("timing", "timing"))
    ]
    runs = ", ".join(f"{count:,} {word}" for count, word in kinds if count)
    machines = f"{len(report.machines):,} machine{'' if len(report.machines) == 1 else 's'}"
    total = f"{len(report.records):,} record{'' if len(report.records) == 1 else 's'}"
    return f"{total} of {machines}: {runs}" if report.records else "no records"


def _records_by_machine(report: Report) -> list[tuple[str, list[RecordRow]]]:
    by_machine: dict[str, list[RecordRow]] = {row.id: [] for row in report.machines}
    for row in report.records:
        by_machine[row.machine].append(row)
    return list(by_machine.items())


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """Return Jinja with escaping on, its templates from this package and an error for each name it does not know."""
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
        "day": text.day,
        "foreign": foreign,
        "brief": brief,
        "log": log,
        "address": text.address,
        "plain": text.plain,
        "label": lambda value: text.cut(text.plain(value), 100),
    }
    environment.globals |= {"between": text.between, "points": text.points}
    return environment
