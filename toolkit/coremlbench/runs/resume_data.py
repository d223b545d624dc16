"""What a broken run keeps for ``--resume``: the features that were extracted, or the last finished epoch.

It lies in the run's own folder, in ``kept``, from the moment it is made, so that no kind of end can lose it; a run
that trained has none. At most the newest three broken runs keep theirs.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.runs import store
from coremlbench.system.files import TEMPORARY
from coremlbench.system.formatting import format_bytes
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import TrainingRecord

KEPT = store.KEPT
FEATURES, JOURNAL, CHECKPOINTS = "features.f32", "features.jsonl", "epoch-*.npz"
MOST_RUNS = 3
"""Broken runs that keep what they did; a whole Create ML run's features take 354 MB, a ResNet50 with Adam 284 MB."""
TOLD = "Kept of this run: "
WORTHLESS = ("disk-full", "gpu-fault", "untrusted-device")
"""After these nothing is kept: there is no room for it, or it is not to be trusted."""


def told(record: TrainingRecord, folder: Path) -> TrainingRecord:
    """Return the record of an ended run, with a note on what is kept of it; what is of no use any more is removed."""
    done = describe(folder)
    if not isinstance(record.outcome, Failure) or record.outcome.kind in WORTHLESS or not done:
        forget(folder)
        return record
    command = "createml" if record.experiment == "createml" else "train"
    note = (
        f"{TOLD}{done}, {format_bytes(size(folder))}; `coremlbench {command} --resume {record.id}` goes "
        f"on with it. The newest {MOST_RUNS} broken runs keep theirs."
    )
    return replace(record, notes=(*record.notes, note))


def describe(folder: Path) -> str:
    """Return in words what a run's folder holds for a resumed one, empty when that is nothing."""
    with suppress(OSError):
        checkpoint = newest_checkpoint(folder)
        if checkpoint is not None:
            return f"the network after epoch {int(checkpoint.stem.rpartition('-')[2])}"
        with (folder / KEPT / JOURNAL).open("rb") as lines:
            images = sum(line.endswith(b"\n") for line in lines) - 1
            return f"the features of {images:,} images" if images > 0 else ""
    return ""


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the file of the last finished epoch that a run keeps."""
    return max((folder / KEPT).glob(CHECKPOINTS), default=None)


def size(folder: Path) -> int:
    """Return the bytes on disk of what a run keeps."""
    total = 0
    for path in (folder / KEPT).glob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def forget(folder: Path) -> None:
    """Remove what a run keeps."""
    shutil.rmtree(folder / KEPT, ignore_errors=True)


def superseded(record: TrainingRecord, folder: Path, by: str) -> TrainingRecord:
    """Return the record of a broken run, of which nothing is kept any more as another one trained in its place.

    Its note on what was kept goes from the record and from its file too, or it would promise what is gone.
    """
    forget(folder)
    notes = tuple(note for note in record.notes if not note.startswith(TOLD))
    if notes == record.notes:
        return record
    record = replace(record, notes=(*notes, f"Nothing is kept of this run any more, as {by} trained in its place."))
    with suppress(store.RecordNotSavedError):
        store.save(record, folder)
    return record


def limit(results: Path) -> None:
    """Remove what is kept of runs that trained, and of all but the newest broken ones, but of none that still runs."""
    with suppress(OSError):
        broken = 0
        for kept in sorted(results.glob(f"*/{KEPT}"), reverse=True):  # folders are named by their time
            folder = kept.parent
            if store.is_running(folder):
                continue
            stays = broken < MOST_RUNS and _is_broken(folder) and bool(describe(folder))
            broken += stays
            if stays and not any(kept.glob(f"{TEMPORARY}*")):
                continue
            with suppress(OSError), store.hold(folder, timeout=0):  # or else somebody goes on with it now
                for leftover in kept.glob(f"{TEMPORARY}*"):
                    leftover.unlink(missing_ok=True)
                if not stays:
                    forget(folder)


def take(source: Path, folder: Path) -> None:
    """Give a run's folder what another one keeps, without a second copy where the file system has links.

    The features of both are the same file then; rows that are added to it are those that the other run would have
    added, and its journal, which is copied, does not know of them.
    """
    target = folder / KEPT
    target.mkdir(exist_ok=True)
    for path in sorted((source / KEPT).iterdir()):
        if path.name.startswith(TEMPORARY):
            continue
        if path.name == FEATURES:
            with suppress(OSError):
                os.link(path, target / path.name)
                continue
        shutil.copyfile(path, target / path.name)


def broken_run(results: Path, experiments: Collection[str], wanted: str) -> tuple[TrainingRecord, Path]:
    """Return the record and the folder of the broken run to go on with: the named one, or the newest that can be.

    Raises:
        InputError: there is none, or the named one trained, still runs, or has kept nothing.
    """
    records, _ = store.load_trainings(results)
    if wanted:
        found = [record for record in records if record.id == wanted]
        if not found:
            raise InputError(f"There is no run {wanted} in {results}; `coremlbench results` lists the runs.")
        reason = _why_not(found[0], results / wanted, experiments)
        if reason:
            raise InputError(f"Run {wanted} cannot be resumed: {reason}.")
        return found[0], results / wanted
    for record in reversed(records):
        if not _why_not(record, results / record.id, experiments):
            return record, results / record.id
    raise InputError(
        f"No broken run of {' or '.join(sorted(experiments))} in {results} has kept anything to go on with; run it "
        "without --resume."
    )


def resumed(record: TrainingRecord) -> dict[str, Any]:
    """Return the fields of the record of a run that goes on with this one."""
    note = f"This run goes on with {record.id}: its times are not those of a whole run, and are not compared."
    return {"resumed_from": record.id, "notes": (note,)}


def go_on(
    before: TrainingRecord, broken: Path, run: Callable[[], tuple[TrainingRecord, Path]]
) -> tuple[TrainingRecord, Path]:
    """Return what ``run`` does, with the broken run (its record, its folder) held meanwhile.

    Once it trained, nothing is kept of either.

    Raises:
        InputError: another process resumes the same run.
    """
    from filelock import Timeout

    try:
        with store.hold(broken):
            record, folder = run()
            if not isinstance(record.outcome, Failure):
                superseded(before, broken, record.id)
    except Timeout as problem:
        raise InputError(f"Run {broken.name} is being resumed by another process; wait for its end.") from problem
    return record, folder


def check_same(record: TrainingRecord, wanted: Mapping[str, Any]) -> None:
    """Compare the settings asked for with those of the run to go on with.

    Raises:
        InputError: one is not the same; the rest of the run would not be the run that broke.
    """
    for name, value in wanted.items():
        had = record.options.get(name)
        if json.dumps(value, default=list) != json.dumps(had, default=list):
            raise InputError(
                f"Run {record.id} had {name.replace('_', ' ')} {had}, not {value}; leave the option out to go on with "
                "it, or leave --resume out."
            )


def _why_not(record: TrainingRecord, folder: Path, experiments: Collection[str]) -> str:
    """Return why a run cannot be gone on with, empty when it can."""
    if record.experiment not in experiments:
        return f"it is a run of {record.experiment}"
    if not isinstance(record.outcome, Failure):
        return "it came to its end"
    if record.outcome.kind == "running" or store.is_running(folder):
        return "it is still running, or resumed already"
    if not describe(folder):
        return "nothing of it was kept; run it without --resume"
    return ""


def _is_broken(folder: Path) -> bool:
    """Return whether a run's record says that it failed; one that cannot be read is left as it is."""
    with suppress(store.UnreadableRecordError):
        return isinstance(store.load(folder).outcome, Failure)
    return True
