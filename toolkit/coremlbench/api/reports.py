"""Reports: of results folders, or as saved before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from coremlbench.api.runs import PathLike
from coremlbench.report import files
from coremlbench.report.types import REPORT_SCHEMA, Report
from coremlbench.system import serialization
from coremlbench.system.paths import results_folder
from coremlbench.types.errors import InputError


def open_report(*sources: PathLike) -> Report:
    """Return the report of all records below ``sources``, or the one that was saved as the file ``report.json``.

    Sources are results folders of any number of machines, or single runs; without one it is the results folder of the
    command line. Each part of the report is a tuple of flat rows: ``pandas.DataFrame(report.timing)``.

    Raises:
        InputError: a source does not exist, or is no report that this release can read.
    """
    paths = _paths(sources)
    if len(paths) == 1 and paths[0].suffix == ".json" and paths[0].name != "run.json":
        return _saved_report(paths[0])
    return files.read_report(paths, Path())


def save_report(
    *sources: PathLike, output: PathLike, formats: Sequence[str] = files.FORMATS, pictures: bool = True
) -> tuple[Path, ...]:
    """Save the report of all records below ``sources`` in the folder ``output``; return the paths of its files.

    ``formats`` are some of html, md, json and plots. Without ``pictures`` it has no test images.

    Raises:
        InputError: a source does not exist, or a format is unknown.
        CoremlbenchError: the folder cannot be written.
    """
    unknown = [name for name in formats if name not in files.FORMATS]
    if unknown or not formats:
        raise InputError(f"The formats of a report are {', '.join(files.FORMATS)}, not {list(formats)}.")
    return files.save_report(
        _paths(sources), Path(output).expanduser().absolute(), formats=tuple(formats), pictures=pictures
    )


def _paths(sources: Sequence[PathLike]) -> list[Path]:
    return [Path(source).expanduser() for source in sources] or [results_folder()]


def _saved_report(path: Path) -> Report:
    try:
        content = json.loads(path.read_bytes())
        if content["kind"] != "report" or content["schema"] > REPORT_SCHEMA:
            raise InputError(
                f"{path} is of the kind {content['kind']!r} and the schema {content['schema']}, and this release reads "
                f"reports up to schema {REPORT_SCHEMA}."
            )
        return serialization.from_json(Report, content)
    except OSError as error:
        raise InputError(f"The report {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no report that `coremlbench report` saved as JSON.") from error
