"""``coremlbench report``: all measurements on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from coremlbench.cli.commands.parameters import CommaList, json_option, split_names
from coremlbench.cli.commands.redaction import redact_option, redacted_sources
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.formatting import format_count
from coremlbench.system.paths import results_folder

FORMATS = ("html", "md", "json", "plots")


def parse_formats(value: str) -> tuple[str, ...]:
    """Return the formats named in "html,md", in the order of ``FORMATS``.

    Raises:
        ValueError: a name is unknown, or there is none.
    """
    names = set(split_names(value))
    unknown = sorted(names - set(FORMATS))
    if unknown or not names:
        wrong = unknown[0] if unknown else value
        raise ValueError(f"{wrong!r} is not a form of the report; choose from {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in names)


def save_run_report(results: Path, run: Path, *, quiet: bool) -> None:
    """Save the HTML report of all records when a run has ended, and print its path unless ``quiet``.

    An error is printed and not raised: the run itself is saved and keeps its exit code.
    """
    from coremlbench.report.files import save_page
    from coremlbench.types.errors import CoremlbenchError

    try:
        page = save_page(results, run)
    except CoremlbenchError as error:
        click.echo(str(error), err=True)
        return
    except Exception as error:  # noqa: BLE001 - a fault in rendering must not fail a run that is saved
        click.echo(
            f"The report of this run could not be made ({type(error).__name__}: {error}); the run itself is saved, "
            f"and `{advised_command('report', results)}` tries again.",
            err=True,
        )
        return
    if not quiet:
        click.echo(f"report: {page}")


@click.command(short_help="All measurements of any number of machines as one page.")
@click.argument("results", nargs=-1, metavar="[RESULTS]...", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    type=CommaList("forms", parse_formats, lambda: FORMATS),
    default=",".join(FORMATS),
    show_default=True,
    help="The formats to save, separated by commas.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the report.  [default: a new one in the folder reports of the first RESULTS]",
)
@click.option("--pictures/--no-pictures", default=True, show_default=True, help="Include some of the test images.")
@redact_option
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@json_option
def report(
    results: tuple[Path, ...],
    formats: tuple[str, ...],
    output: Path | None,
    pictures: bool,
    redact: bool,
    open_page: bool,
    as_json: bool,
) -> None:
    """Save a report of all records below RESULTS: results folders of any number of machines, or single runs.

    Without RESULTS it is ./results. The page is one self-contained HTML file; beside it are Markdown for an issue,
    JSON for other programs, and the plots as SVG and PNG. With --json, the report is printed as JSON, and nothing is
    saved unless --output names a folder.

    \b
    coremlbench report --open
    coremlbench report results ~/from-the-air --output comparison

    A record that cannot be read is listed in the report and does not stop it.
    """  # noqa: D301 - \b tells click to keep the lines
    from coremlbench.report.files import read_report, save_report

    folders = results or (results_folder(),)
    redaction = redacted_sources if redact else None
    if as_json:
        from coremlbench.report.render import json

        content = read_report(folders, output or Path(), pictures=pictures, redact=redaction)
        click.echo(json.render(content), nl=False)
        if output is None:
            return
    paths = save_report(folders, output, formats=formats, pictures=pictures, redact=redaction)
    if not as_json:
        _print_paths(paths)
    if open_page:
        click.launch(str(paths[0]))


def _print_paths(paths: Sequence[Path]) -> None:
    """Print the path of the first file, and in a line the names of the others; plots are counted."""
    first = paths[0]
    click.echo(f"saved: {first}")
    others = [path.name for path in paths[1:] if path.parent == first.parent]
    plots = sum(path.parent.name == "plots" for path in paths)
    if plots:
        others.append(f"plots/ ({format_count(plots, 'file')})")
    if others:
        click.echo(f"beside it: {', '.join(others)}")
