"""``coremlbench report``: all measurements on one page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coremlbench.cli.commands.parameters import CommaList, csv_option, json_option, results_option, split_names
from coremlbench.cli.commands.record_arguments import no_records_sentence
from coremlbench.cli.commands.redaction import redact_option, redacted_sources
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.formatting import format_count
from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    from coremlbench.report.types import Report

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
            f"and `{advised_command('report', results=results)}` tries again.",
            err=True,
        )
        return
    if not quiet:
        click.echo(f"report: {page}")


@click.command(short_help="All measurements of any number of machines as one page.")
@click.argument("arguments", nargs=-1, metavar="[FOLDER|ID]...")
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
    help="The folder of the report.  [default: a new one in the folder reports of the first FOLDER]",
)
@click.option("--pictures/--no-pictures", default=True, show_default=True, help="Include some of the test images.")
@redact_option
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@results_option
@json_option
@csv_option("a line for each figure, with its interval")
def report(
    arguments: tuple[str, ...],
    formats: tuple[str, ...],
    output: Path | None,
    pictures: bool,
    redact: bool,
    open_page: bool,
    results: Path,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Save a report of records: of folders of any number of machines, or of single runs.

    An argument that is an existing path is a folder of runs at any depth, a record, or a model in a run's folder; any
    other is the beginning of a run's id in the results folder. Without arguments it is the results folder. The page is
    one self-contained HTML file; beside it are Markdown for an issue, JSON for other programs, and the plots as SVG and
    PNG. With --json or --csv, the report is printed as such, and nothing is saved unless --output names a folder.

    \b
    coremlbench report --open
    coremlbench report results ~/from-the-air --output comparison

    A record that cannot be read is listed in the report and does not stop it.
    """  # noqa: D301 - \b tells click to keep the lines
    from coremlbench.report.files import default_output, read_report, write_report
    from coremlbench.runs.record_paths import locate_records

    places = locate_records(arguments, results)
    now = datetime.now(timezone.utc)
    printed = as_json or as_csv
    folder = output or (Path() if printed else default_output(places, now))
    redaction = redacted_sources if redact else None
    content = read_report(places, folder, now=now, pictures=pictures, redact=redaction)
    if not content.records:
        for problem in content.problems:
            click.echo(problem, err=True)
        raise InputError(no_records_sentence(places, len(content.problems)))
    if printed:
        _print_data(content, as_csv=as_csv)
        if output is None:
            return
    paths = write_report(content, folder, formats)
    if not printed:
        _print_paths(paths)
        _print_records_read(content)
    if open_page:
        click.launch(str(paths[0]))


def _print_data(report: Report, *, as_csv: bool) -> None:
    """Print a report as JSON, or its figures as CSV."""
    if as_csv:
        from coremlbench.cli.terminal.csv_output import print_csv
        from coremlbench.report.csv_rows import FIGURE_COLUMNS, figure_rows

        print_csv(figure_rows(report), FIGURE_COLUMNS)
    else:
        from coremlbench.report.render import json

        click.echo(json.render(report), nl=False)


def _print_records_read(report: Report) -> None:
    """Print how many records the report is of, and to standard error which ones could not be read, and why."""
    left_out = len(report.problems)
    click.echo(
        f"{format_count(len(report.records), 'record')} of {format_count(len(report.machines), 'machine')}"
        + (f"; {left_out:,} could not be read and {'is' if left_out == 1 else 'are'} left out:" if left_out else "")
    )
    for problem in report.problems:
        click.echo(f"  {problem}", err=True)


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
