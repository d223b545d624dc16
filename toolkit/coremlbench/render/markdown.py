"""The report as Markdown, for an issue or a README: the same story in fewer words."""

from __future__ import annotations

from coremlbench.report_types import Report


def render(report: Report, *, plots: bool = False) -> bytes:
    """Return the report as UTF-8 Markdown; with ``plots`` it shows the files that are saved beside it."""
    raise NotImplementedError
