"""Read the records of a report and write its files; no other module of the report opens files."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from coremlbench.report.build import build_report
from coremlbench.report.types import Report, Source
from coremlbench.runs import store
from coremlbench.runs.record_paths import RECORD_FILE, REPORTS_DIR, record_paths
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.files import atomic_write
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.records import Record
from coremlbench.types.training_records import Trained

FORMATS = ("html", "md", "json", "plots")
MAX_PICTURE_BYTES = 200_000
_JPEG = b"\xff\xd8\xff"


Redact = Callable[[list[Source], list[str]], tuple[list[Source], list[str]]]
"""Returns the records of a report and the sentences on unreadable ones without personal data."""


def read_report(
    results: Sequence[Path],
    output: Path,
    *,
    now: datetime | None = None,
    pictures: bool = True,
    redact: Redact | None = None,
) -> Report:
    """Return the report of all records below ``results``, each a results folder, a run's folder or a ``run.json``.

    Its paths of records are relative to ``output``, the folder of the report. A record that cannot be read is a
    sentence among the report's ``problems``. Without ``pictures`` it has no test images. ``now`` is the report's time.
    ``redact`` is applied to what was read, before the report is made of it.

    Raises:
        InputError: one of ``results`` does not exist or cannot be read.
    """
    sources: list[Source] = []
    problems: list[str] = []
    time = (now or datetime.now(timezone.utc)).astimezone(timezone.utc).isoformat(timespec="seconds")
    with _without_garbage_collection():
        for folder in results:
            link = _relative_path(folder, output)
            for path in _record_paths(folder):
                try:
                    record = store.load(path)
                except store.UnreadableRecordError as error:
                    problems.append(str(error))
                    continue
                images = _sample_images(record, path.parent) if pictures else {}
                inner = path.relative_to(folder).as_posix()
                address = link if not link or inner == "." else f"{link}/{inner}"
                sources.append(Source(record, address, images))
        if redact is not None:
            sources, problems = redact(sources, problems)
        return build_report(sources, problems, made=time)


def save_report(
    results: Sequence[Path],
    output: Path | None = None,
    *,
    formats: Sequence[str] = FORMATS,
    pictures: bool = True,
    redact: Redact | None = None,
) -> tuple[Path, ...]:
    """Save the report of all records below ``results`` and return the paths of its files, the HTML first.

    They are saved in ``output``, or in a new folder in the folder ``reports`` of the first of ``results``.

    ``redact`` is that of ``read_report``.

    Raises:
        InputError: one of ``results`` does not exist or cannot be read.
        CoremlbenchError: the folder of the report cannot be written.
    """
    now = datetime.now(timezone.utc)
    output = output or default_output(results, now)
    report = read_report(results, output, now=now, pictures=pictures, redact=redact)
    return write_report(report, output, formats)


def default_output(results: Sequence[Path], now: datetime) -> Path:
    """Return the folder of a report that is made now: in ``reports`` of the first of ``results``, a run's beside it."""
    first = results[0] if results[0].is_dir() else results[0].parent
    if (first / RECORD_FILE).exists():
        first = first.parent
    return first / REPORTS_DIR / now.strftime("%Y%m%d-%H%M%S")


def write_report(report: Report, output: Path, formats: Sequence[str] = FORMATS) -> tuple[Path, ...]:
    """Save a report in a folder and return the paths of its files, the HTML first.

    Raises:
        CoremlbenchError: the folder cannot be written.
    """
    from coremlbench.report.render import render_files

    paths = []
    with _without_garbage_collection():
        content = render_files(report, formats)
    try:
        for name, data in content.items():
            path = output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, data)
            paths.append(path)
    except OSError as error:
        raise CoremlbenchError(
            f"The report cannot be saved in {output} ({error.strerror}); name another folder with --output."
        ) from error
    return tuple(paths)


def save_page(results: Path, run: Path) -> Path:
    """Save the report of all records of ``results`` in every format and return the path of its page.

    Its folder is reports/<name of the run's folder>.

    Raises:
        CoremlbenchError: the folder of the report cannot be written.
    """
    return save_report([results], results / REPORTS_DIR / run.name)[0]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector: thousands of records hold no cycles, and the search takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _record_paths(folder: Path) -> list[Path]:
    """Return the path of a record, or those of all records at any depth below a folder."""
    if folder.is_file():
        return [folder]
    try:
        return list(record_paths(folder))
    except FileNotFoundError as error:
        raise InputError(
            f"There is no results folder {folder}; name one that holds runs, or measure something first: "
            f"`{advised_command('createml', '--scale', '0.1', results=folder)}`."
        ) from error
    except OSError as error:
        raise InputError(f"The results folder {folder} cannot be read ({error.strerror}); name another.") from error


def _relative_path(path: Path, output: Path) -> str:
    """Return the path relative to the report's folder; "" where it would lead through folders that name their owner.

    So it would where only the file system's root, or the folder of all home folders, is above both.
    """
    import os

    records, report = path.absolute(), output.absolute()
    shared = Path(os.path.commonpath([records, report]))
    if shared == Path(shared.anchor) or (Path.home().absolute().is_relative_to(shared) and shared != Path.home()):
        return ""
    return Path(os.path.relpath(records, report)).as_posix()


def _sample_images(record: Record, folder: Path) -> dict[str, bytes]:
    """Return a run's test images by their paths in the record: JPEG files in its folder, at most 200 kB each."""
    images: dict[str, bytes] = {}
    if isinstance(record.outcome, Trained):
        for sample in record.outcome.samples:
            path = (folder / sample.path).resolve()
            with suppress(OSError, ValueError):
                if path.is_relative_to(folder.resolve()) and path.stat().st_size <= MAX_PICTURE_BYTES:
                    data = path.read_bytes()
                    if data.startswith(_JPEG):
                        images[sample.path] = data
    return images
