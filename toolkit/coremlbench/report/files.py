"""Where a report's records are read from and where its files are written: the only code here that opens files."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from coremlbench.report.build import build_report
from coremlbench.report.types import Report, Source
from coremlbench.runs import store
from coremlbench.system.files import write_whole
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.records import Record
from coremlbench.types.training_records import Trained

REPORTS = "reports"
FORMATS = ("html", "md", "json", "plots")
MAX_PICTURE_BYTES = 200_000
_JPEG = b"\xff\xd8\xff"


def read_report(results: Sequence[Path], output: Path, *, now: datetime | None = None, pictures: bool = True) -> Report:
    """Return the report of all records below ``results``, each a results folder, a run's folder or a ``run.json``.

    The records' paths in it are relative to ``output``, the folder the report will lie in. A record that cannot be
    read is a sentence among the report's ``problems``. Without ``pictures`` no test picture is shown.

    Raises:
        InputError: one of ``results`` is not there.
    """
    sources: list[Source] = []
    problems: list[str] = []
    made = (now or datetime.now(timezone.utc)).astimezone(timezone.utc).isoformat(timespec="seconds")
    with _no_collection():
        for place in results:
            way = _relative(place, output)
            for path in _records_at(place):
                try:
                    record = store.load(path)
                except store.UnreadableRecordError as problem:
                    problems.append(str(problem))
                    continue
                shown = _pictures(record, path.parent) if pictures else {}
                below = path.relative_to(place).as_posix()
                sources.append(Source(record, way if below == "." else f"{way}/{below}", shown))
        return build_report(sources, problems, made=made)


def save_report(
    results: Sequence[Path],
    output: Path | None = None,
    *,
    formats: Sequence[str] = FORMATS,
    pictures: bool = True,
) -> tuple[Path, ...]:
    """Return the paths of the report's files, the HTML first: made from all records below ``results``, and saved.

    They go to ``output``, or to a new folder below ``reports`` in the first results folder.

    Raises:
        InputError: one of ``results`` is not there.
        CoremlbenchError: the folder of the report cannot be written.
    """
    from coremlbench.report.render import files

    now = datetime.now(timezone.utc)
    if output is None:
        first = results[0] if results[0].is_dir() else results[0].parent
        output = first / REPORTS / now.strftime("%Y%m%d-%H%M%S")
    report = read_report(results, output, now=now, pictures=pictures)
    paths = []
    with _no_collection():
        made = files(report, formats)
    try:
        for name, data in made.items():
            path = output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
            paths.append(path)
    except OSError as problem:
        raise CoremlbenchError(
            f"The report cannot be saved in {output} ({problem.strerror}); name another folder with --output."
        ) from problem
    return tuple(paths)


def save_page(results: Path, run: Path) -> Path:
    """Return the path of the page that stands at the end of a run: all records of ``results``, named after the run.

    Raises:
        CoremlbenchError: the folder of the report cannot be written.
    """
    return save_report([results], results / REPORTS / run.name, formats=("html",))[0]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let Python look for no reference cycles meanwhile: among thousands of records it finds none and takes a third."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _records_at(place: Path) -> Iterator[Path]:
    """Yield the paths of the records at or below a place that somebody named."""
    if place.is_file():
        yield place
        return
    if (place / store.RECORD).exists():
        yield place / store.RECORD
        return
    try:
        folders = sorted(each for each in place.iterdir() if each.is_dir())
    except FileNotFoundError as problem:
        raise InputError(
            f"There is no results folder {place}; name one that holds runs, or measure something first "
            f"(coremlbench createml --scale 0.1)."
        ) from problem
    except OSError as problem:
        raise InputError(f"The results folder {place} cannot be read ({problem.strerror}); name another.") from problem
    for folder in folders:
        if (folder / store.RECORD).exists():
            yield folder / store.RECORD


def _relative(path: Path, output: Path) -> str:
    """Return the way from the report's folder to a record, or the record's own path where there is none."""
    import os

    with suppress(ValueError):  # on another drive
        return Path(os.path.relpath(path.absolute(), output.absolute())).as_posix()
    return path.as_posix()


def _pictures(record: Record, folder: Path) -> dict[str, bytes]:
    """Return the run's small test pictures that are there, are JPEG and lie in its folder."""
    found: dict[str, bytes] = {}
    if isinstance(record.outcome, Trained):
        for sample in record.outcome.samples:
            path = (folder / sample.path).resolve()
            with suppress(OSError, ValueError):
                if path.is_relative_to(folder.resolve()) and path.stat().st_size <= MAX_PICTURE_BYTES:
                    data = path.read_bytes()
                    if data.startswith(_JPEG):
                        found[sample.path] = data
    return found
