"""Renderers of a ``Report`` in all formats, as bytes; they read and write no report files."""

from __future__ import annotations

from collections.abc import Sequence

from coremlbench.report.types import Report


def render_files(report: Report, formats: Sequence[str]) -> dict[str, bytes]:
    """Return the report's files by name in the given formats (``html``, ``md``, ``json``, ``plots``), HTML first."""
    files: dict[str, bytes] = {}
    if "html" in formats:
        from coremlbench.report.render import html

        files["report.html"] = html.render(report)
    if "md" in formats:
        from coremlbench.report.render import markdown

        files["report.md"] = markdown.render(report, plots="plots" in formats)
    if "json" in formats:
        from coremlbench.report.render import json

        files["report.json"] = json.render(report)
    if "plots" in formats:
        from coremlbench.report.render import figures, plots

        for plot in plots.draw_plots(report):
            files[f"plots/{plot.name}.svg"] = figures.svg(plot)
            files[f"plots/{plot.name}.png"] = figures.png(plot)
    return files
