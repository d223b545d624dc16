"""``coremlbench report``: everything that was measured, as one page to keep and to send on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coremlbench.cli.commands.parameters import json_option
from coremlbench.system.paths import results_folder

FORMATS = ("html", "md", "json", "plots")


class Formats(click.ParamType[tuple[str, ...]]):
    """Forms of a report by name, with a comma between."""

    name = "forms"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the forms in their order."""
        if isinstance(value, tuple):
            return value
        asked = {each.strip() for each in str(value).split(",")} - {""}
        unknown = sorted(asked - set(FORMATS))
        if unknown or not asked:
            wrong = unknown[0] if unknown else str(value)
            self.fail(f"{wrong!r} is not a form of the report; choose from {', '.join(FORMATS)}.", param, ctx)
        return tuple(each for each in FORMATS if each in asked)


def page_at_the_end(results: Path, run: Path, *, quiet: bool) -> None:
    """Save the page of all records at the end of a run and tell its path; the run has its result whatever happens."""
    from coremlbench.report.files import save_page
    from coremlbench.types.errors import CoremlbenchError

    try:
        page = save_page(results, run)
    except CoremlbenchError as problem:
        click.echo(str(problem), err=True)
        return
    except Exception as problem:  # noqa: BLE001  the run is saved: a fault in drawing must not take it back
        click.echo(
            f"The report of this run could not be made ({type(problem).__name__}: {problem}); the run itself is saved, "
            f"and `coremlbench report {results}` tries again.",
            err=True,
        )
        return
    if not quiet:
        click.echo(f"report: {page}")


@click.command(short_help="Everything measured, of any number of machines, as one page to keep and send on.")
@click.argument("results", nargs=-1, metavar="[RESULTS]...", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    type=Formats(),
    default=",".join(FORMATS),
    show_default=True,
    help="The forms to save, with a comma between.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the report.  [default: a new one below reports in the first RESULTS]",
)
@click.option("--pictures/--no-pictures", default=True, show_default=True, help="Show some of the test pictures.")
@click.option("--open", "open_it", is_flag=True, help="Open the page in the browser.")
@json_option
def report(
    results: tuple[Path, ...],
    formats: tuple[str, ...],
    output: Path | None,
    pictures: bool,
    open_it: bool,
    as_json: bool,
) -> None:
    """Save a report of all records below RESULTS: results folders of any number of machines, or single runs.

    Without RESULTS it is ./results. The page is one HTML file that loads nothing and can be sent on; beside it are
    Markdown for an issue, JSON for other programs, and the plots as SVG and PNG. With --json, the report itself as
    JSON on standard output, and nothing is saved unless --output says where.

    \b
    coremlbench report --open
    coremlbench report results ~/from-the-air --output comparison

    A record that cannot be read is listed in the report and does not stop it.
    """  # noqa: D301  \\b is click's mark for lines that are not to be joined
    from coremlbench.report.files import read_report, save_report

    places = results or (results_folder(),)
    if as_json:
        from coremlbench.report.render import json

        whole = read_report(places, output or Path(), pictures=pictures)
        click.echo(json.render(whole), nl=False)
        if output is None:
            return
    paths = save_report(places, output, formats=formats, pictures=pictures)
    first = paths[0]
    if not as_json:
        click.echo(f"saved: {first}")
        others = [path.name for path in paths[1:] if path.parent == first.parent]
        drawn = len([path for path in paths if path.parent.name == "plots"])
        beside = [*others, *([f"plots/ ({drawn} files)"] if drawn else [])]
        if beside:
            click.echo(f"beside it: {', '.join(beside)}")
    if open_it:
        click.launch(str(first))
