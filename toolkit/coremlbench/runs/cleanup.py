"""Free disk space of saved runs: delete whole runs, or the large files of old ones. Records of others stay."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from coremlbench.runs import store
from coremlbench.runs.lookup import find_run, run_ids
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.files import folder_bytes
from coremlbench.system.formatting import format_count
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.errors import InputError
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord

REPORTS_DIR = "reports"
SAMPLES_DIR = "samples"
DEFAULT_AGE = 30 * 86400.0
"""Seconds after which a run counts as old."""


@dataclass(frozen=True)
class RemovedFiles:
    """What was removed of a run, in words, and its size. ``notes`` say what depends on it."""

    run: str
    what: tuple[str, ...]
    bytes: int
    notes: tuple[str, ...] = ()


def delete_runs(names: Sequence[str], results: Path, *, dry_run: bool = False) -> list[RemovedFiles]:
    """Delete runs with their records, models, logs and pages, and return what was deleted.

    ``names`` are ids or beginnings that only one id has. All of them are checked before the first is deleted. With
    ``dry_run`` nothing is deleted.

    Raises:
        InputError: there is no such run, it or another one there is in progress, or it cannot be deleted.
    """
    folders: dict[str, Path] = {}
    for name in names:
        if not name:  # find_run would take the newest run
            command = advised_command("results", results=results)
            raise InputError(f"--delete takes the id of a run, and was given an empty one; `{command}` lists the ids.")
        _, folder = find_run(name, results)
        if folder.parent.resolve() != results.resolve():
            raise InputError(f"{folder} is not in {results}; name its results folder with --results.")
        if store.is_running(folder):
            raise InputError(f"The run {folder.name} is still running; end it before it is deleted.")
        folders[folder.name] = folder
    for run_id in run_ids(results):
        if store.is_running(results / run_id):
            raise InputError(
                f"The run {run_id} is in progress in {results} and may need what others made; "
                "delete runs when it has ended."
            )
    records, _ = store.load_all(results)
    removed = [_describe_run(folder, records, folders) for folder in folders.values()]
    if not dry_run:
        for folder in folders.values():
            _delete(folder)
            with suppress(OSError):
                shutil.rmtree(results / REPORTS_DIR / folder.name)
    return removed


def _delete(folder: Path) -> None:
    """Remove a run's folder under its lock, the record last, so that an interrupted removal can be repeated."""
    try:
        with store.lock_run(folder, timeout=0):
            for path in folder.iterdir():
                if path.name not in {store.RECORD_FILE, store.LOCK_FILE}:
                    _remove(path)
            (folder / store.RECORD_FILE).unlink()
        folder.rmdir()
    except OSError as error:  # filelock's Timeout is an OSError
        raise InputError(f"{folder} cannot be deleted: {error}; end what uses it, and delete it again.") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _describe_run(folder: Path, records: Sequence[Record], deleted: Collection[str]) -> RemovedFiles:
    """Return what a run's folder holds, and which other runs were made from it."""
    packages = sum(1 for path in folder.glob("*.mlpackage"))
    files = sum(1 for path in folder.rglob("*") if path.is_file())
    what = ["its record", *([format_count(packages, "package")] if packages else []), format_count(files, "file")]
    if (folder.parent / REPORTS_DIR / folder.name).is_dir():
        what.append("its report")
    users = [record.id for record in records if record.id not in deleted and folder.name in _sources(record)]
    notes = (f"made from it, and kept: {', '.join(users)}",) if users else ()
    return RemovedFiles(folder.name, tuple(what), folder_bytes(folder), notes)


def _sources(record: Record) -> set[str]:
    """Return the ids of the runs whose models or packages a run used."""
    if isinstance(record, ConversionRecord):
        return {record.source.training_run} if record.source else set()
    if isinstance(record, TimingRecord):
        return {model.conversion_run for model in record.models} | {m.source.training_run for m in record.models}
    return set()


# --- large files of old runs --------------------------------------------------------------------------------


def _samples(record: Record, folder: Path) -> Iterator[Path]:
    """Yield the raw samples of a matrix; its record keeps the quantiles of every round."""
    if isinstance(record, TimingRecord):
        yield from folder.glob(f"{SAMPLES_DIR}/*.npz")


def _resume_data(record: Record, folder: Path) -> Iterator[Path]:
    """Yield the folder of what ``--resume`` continues from."""
    del record
    if (folder / store.RESUME_DIR).is_dir():
        yield folder / store.RESUME_DIR


def _random_models(record: Record, folder: Path) -> Iterator[Path]:
    """Yield the models and packages with random weights, which the same seed makes again."""
    if isinstance(record, ConversionRecord) and record.source and record.source.kind == "random-weights":
        yield from folder.glob("*.mlpackage")
        yield from folder.glob("*.onnx")
        yield from folder.glob("original.keras")


PRUNED: dict[str, tuple[str, Callable[[Record, Path], Iterator[Path]]]] = {
    "samples": ("raw samples of timings", _samples),
    "resume": ("data for --resume", _resume_data),
    "random": ("models and packages with random weights", _random_models),
}
"""What ``prune_runs`` removes, by name: in words, and the files of a run."""


def prune_runs(
    kinds: Sequence[str],
    results: Path,
    *,
    older_than: float = DEFAULT_AGE,
    dry_run: bool = False,
    now: datetime | None = None,
) -> list[RemovedFiles]:
    """Remove large files of the runs that began more than ``older_than`` seconds ago, and return what was removed.

    ``kinds`` are names of ``PRUNED``. Records stay as they are, and running runs are left alone. With ``dry_run``
    nothing is removed.
    """
    records, _ = store.load_all(results)
    time = now or datetime.now(timezone.utc)
    removed = []
    for record in records:
        folder = results / record.id
        if not folder.is_dir() or store.is_running(folder) or _age(record, time) < older_than:
            continue
        paths = {kind: list(PRUNED[kind][1](record, folder)) for kind in kinds}
        what = tuple(PRUNED[kind][0] for kind, found in paths.items() if found)
        if what:
            size = sum(_bytes(path) for found in paths.values() for path in found)
            removed.append(RemovedFiles(record.id, what, size))
            if not dry_run:
                _remove_all([path for found in paths.values() for path in found])
    return removed


def _remove_all(paths: Sequence[Path]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            try:
                _remove(path)
            except OSError as error:
                raise InputError(f"{path} cannot be removed: {error.strerror}; check its permissions.") from error


def _age(record: Record, now: datetime) -> float:
    """Return the seconds since a run began; 0 for a record without a readable time, which then counts as new."""
    try:
        started = datetime.fromisoformat(record.started)
    except ValueError:
        return 0.0
    started = started if started.tzinfo else started.replace(tzinfo=timezone.utc)
    return (now - started).total_seconds()


def _bytes(path: Path) -> int:
    return folder_bytes(path) if path.is_dir() else path.stat().st_size
