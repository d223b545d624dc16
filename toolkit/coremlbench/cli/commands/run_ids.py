"""The parameter type of saved runs, which the shell completes."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


class RunId(click.ParamType[str]):
    """The beginning of a run's id, or the path of its folder."""

    name = "id"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the ids of the runs in the results folder that begin so, newest first."""
        del param
        from coremlbench.runs.lookup import run_ids
        from coremlbench.system.paths import results_folder

        results = ctx.params.get("results") or results_folder()
        return [CompletionItem(run) for run in reversed(run_ids(results)) if run.startswith(incomplete)]


RUN_ID = RunId()
