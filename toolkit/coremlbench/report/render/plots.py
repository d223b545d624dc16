"""The report's plots, for HTML and for files."""

from __future__ import annotations

from dataclasses import replace

from coremlbench.report.render.figures import LIGHT, Palette, Plot, plot_text, rc_style
from coremlbench.report.render.plots_history import plot_histories
from coremlbench.report.render.plots_sweeps import plot_sweeps
from coremlbench.report.render.plots_timing import plot_latencies, plot_sizes, plot_sustained
from coremlbench.report.render.plots_training import plot_iterations, plot_training_times
from coremlbench.report.types import Report


def draw_plots(report: Report, palette: Palette = LIGHT) -> tuple[Plot, ...]:
    """Return the plots that the report has data for, a limited number of each kind."""
    import matplotlib as mpl

    with mpl.rc_context(rc_style(palette)):
        names = {row.id: plot_text(row.name, 44) for row in report.machines}
        plots = (
            *plot_latencies(report, names, palette),
            *plot_sustained(report, names, palette),
            *plot_sizes(report),
            *plot_sweeps(report, names),
            *plot_histories(report, names, palette),
            *plot_training_times(report, names, palette),
            *plot_iterations(report, names, palette),
        )
    return tuple(replace(plot, palette=palette) for plot in plots)
