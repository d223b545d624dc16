"""Reports as bytes: a renderer for each form, all from the same ``Report``; nothing here reads or writes files."""

from __future__ import annotations

from collections.abc import Sequence

from coremlbench.report.types import Report


def files(report: Report, formats: Sequence[str]) -> dict[str, bytes]:
    """Return the report's files by name in these forms (``html``, ``md``, ``json``, ``plots``), the HTML first."""
    made: dict[str, bytes] = {}
    if "html" in formats:
        from coremlbench.report.render import html

        made["report.html"] = html.render(report)
    if "md" in formats:
        from coremlbench.report.render import markdown

        made["report.md"] = markdown.render(report, plots="plots" in formats)
    if "json" in formats:
        from coremlbench.report.render import json

        made["report.json"] = json.render(report)
    if "plots" in formats:
        from coremlbench.report.render import plots

        for plot in plots.plots(report):
            made[f"plots/{plot.name}.svg"] = plots.svg(plot)
            made[f"plots/{plot.name}.png"] = plots.png(plot)
    return made
