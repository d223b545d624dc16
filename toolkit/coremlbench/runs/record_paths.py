"""Find the records below a folder, and those that an argument of a command names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from coremlbench.system.advised_commands import advised_command
from coremlbench.types.errors import InputError

RECORD_FILE = "run.json"
REPORTS_DIR = "reports"
PACKAGE_SUFFIXES = (".mlpackage", ".mlmodel", ".mlmodelc", ".keras", ".h5", ".onnx")
"""Suffixes of models, whose record is that of the run whose folder they are in."""


def record_paths(folder: Path) -> Iterator[Path]:
    """Yield the paths of all records below a folder, at any depth, in order of their folders' names.

    A folder with a record is a run's: nothing below it is searched. Neither are hidden folders, nor the reports in a
    results folder, as they can have copies of its records. Links to folders are followed, each folder once.

    Raises:
        OSError: the folder itself does not exist or cannot be read.
    """
    if os.path.lexists(folder / RECORD_FILE):
        yield folder / RECORD_FILE
        return
    status = folder.stat()
    yield from _search(folder, {(status.st_dev, status.st_ino)}, os.listdir(folder))  # noqa: PTH208 - names alone


def _search(folder: Path, seen: set[tuple[int, int]], names: Sequence[str]) -> Iterator[Path]:
    for name in sorted(names):
        inner = folder / name
        if name.startswith(".") or name == REPORTS_DIR or inner.suffix in PACKAGE_SUFFIXES:
            continue
        try:
            status = inner.stat()
            inner_names = os.listdir(inner)  # noqa: PTH208 - names alone, which is faster
        except OSError:  # a file, a link to nothing, or a folder that cannot be read
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            continue
        seen.add(identity)
        if RECORD_FILE in inner_names:
            yield inner / RECORD_FILE
        else:
            yield from _search(inner, seen, inner_names)


def locate_records(arguments: Sequence[str], results: Path) -> tuple[Path, ...]:
    """Return the folders and records that the arguments of a command name; without any it is ``results``.

    An argument that is an existing path is a folder of records, a record, or a model in a run's folder; any other is
    the beginning of the ids of runs in ``results``.

    Raises:
        InputError: an argument is neither, or a model is in no run's folder.
    """
    if not arguments:
        return (results,)
    located: dict[Path, None] = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        if is_path(argument):
            located[_run_of_model(path) if path.suffix in PACKAGE_SUFFIXES else path] = None
        else:
            located.update(dict.fromkeys(runs_named(argument, results)))
    return tuple(located)


def run_folders(places: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of all runs below folders and of single records, by their names, which are the runs' ids."""
    folders: dict[str, Path] = {}
    for place in places:
        with suppress(OSError):
            paths = [place] if place.is_file() else record_paths(place)
            folders.update((path.parent.name, path.parent) for path in paths)
    return folders


def is_path(argument: str) -> bool:
    """Return whether an argument of a command names something in the file system."""
    return bool(argument) and os.path.lexists(Path(argument).expanduser())


def runs_named(prefix: str, results: Path) -> tuple[Path, ...]:
    """Return the folders of the runs in ``results`` whose id begins with ``prefix``; an id is its folder's name.

    Raises:
        InputError: there is none.
    """
    try:
        folders = [path.parent for path in record_paths(results)]
    except OSError:
        folders = []
    named = tuple(folder for folder in folders if prefix and folder.name.startswith(prefix))
    if not named:
        command = advised_command("results", results=results)
        raise InputError(
            f"There is no folder and no run {prefix} under {results}; `{command}` lists the runs there are."
        )
    return named


def _run_of_model(model: Path) -> Path:
    """Return the folder of the run that made a model; raises ``InputError`` if it is in none."""
    for folder in model.absolute().parents:
        if (folder / RECORD_FILE).is_file():
            return folder
    raise InputError(
        f"{model} is in no run's folder, so that nothing is known of it; "
        f"`{advised_command('convert-and-time', model)}` measures it."
    )
