"""The data that lets ``--resume`` continue a failed run: extracted features, or a checkpoint of the last epoch.

It is written to the folder ``kept`` of the run's own folder while the run works, so that it survives any kind of
end. It is removed once the run trained, and only the newest three failed runs keep theirs.
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
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.files import TEMPORARY_PREFIX
from coremlbench.system.formatting import format_bytes, format_count
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import TrainingRecord

RESUME_DIR = store.RESUME_DIR
FEATURES_FILE, JOURNAL_FILE, CHECKPOINT_PATTERN = "features.f32", "features.jsonl", "epoch-*.npz"
SOLVER_STATE_FILE = "solver-state.npz"
SESSION_DIR, SESSION_STATE_FILE = "session", "session.json"
"""Create ML's own session, and a note of its last checkpoint: its ``phase`` and ``iteration``."""
MAX_RESUMABLE_RUNS = 3
"""Failed runs that keep resume data. A full Create ML run's features take 354 MB, a ResNet50 with Adam 284 MB."""
UNUSABLE_AFTER = ("disk-full", "gpu-fault", "untrusted-device", "createml-parameters", "createml-images")
"""Failure kinds after which resume data is removed: the disk has no room for it, it may be wrong, or it was refused."""


def note_resume_data(record: TrainingRecord, folder: Path) -> TrainingRecord:
    """Return the record of an ended run with a note on its resume data; data of no further use is removed."""
    progress = describe_progress(folder)
    if not isinstance(record.outcome, Failure) or record.outcome.kind in UNUSABLE_AFTER or not progress:
        remove_resume_data(folder)
        return record
    note = (
        f"Kept of this run: {progress}, {format_bytes(resume_data_bytes(folder))}; "
        f"`{store.resume_command(record, folder.parent)}` goes on with it. The newest {MAX_RESUMABLE_RUNS} broken runs "
        "keep theirs."
    )
    return replace(record, notes=(*record.notes, note), resume_note=note)


def describe_progress(folder: Path) -> str:
    """Return in words how far the resume data of a run goes, "" when there is none."""
    with suppress(OSError):
        checkpoint = newest_checkpoint(folder)
        if checkpoint is not None:
            return f"the network after epoch {int(checkpoint.stem.rpartition('-')[2])}"
        if (folder / RESUME_DIR / SESSION_STATE_FILE).is_file():
            return _describe_session(folder / RESUME_DIR)
        with (folder / RESUME_DIR / JOURNAL_FILE).open("rb") as lines:
            images = sum(line.endswith(b"\n") for line in lines) - 1  # the first line is the header
            solver = " and the solver's state" if (folder / RESUME_DIR / SOLVER_STATE_FILE).exists() else ""
            return f"the features of {format_count(images, 'image')}{solver}" if images > 0 else ""
    return ""


def _describe_session(data: Path) -> str:
    """Return in words how far the session of Create ML in a run's resume data is, "" when there is none."""
    with suppress(ValueError, KeyError):
        state = json.loads((data / SESSION_STATE_FILE).read_bytes())
        if (data / SESSION_DIR).is_dir():
            phase = {"extract": "extraction", "train": "training"}.get(state["phase"], state["phase"])
            return f"the session of Create ML after iteration {state['iteration']} of the {phase}"
    return ""


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of the last finished epoch in a run's resume data, None when there is none."""
    return max((folder / RESUME_DIR).glob(CHECKPOINT_PATTERN), default=None)


def resume_data_bytes(folder: Path) -> int:
    """Return the size of a run's resume data in bytes."""
    total = 0
    for path in (folder / RESUME_DIR).rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def remove_resume_data(folder: Path) -> None:
    """Remove a run's resume data, if there is any."""
    shutil.rmtree(folder / RESUME_DIR, ignore_errors=True)


def discard_superseded(record: TrainingRecord, folder: Path, by: str) -> TrainingRecord:
    """Remove the resume data of a failed run after the run ``by`` trained instead; return and save its record.

    In the record, the note that offers to resume the run is replaced by one that names ``by``.
    """
    remove_resume_data(folder)
    if not record.resume_note:
        return record
    notes = (note for note in record.notes if note != record.resume_note)
    superseded = f"Nothing is kept of this run any more, as {by} trained in its place."
    record = replace(record, notes=(*notes, superseded), resume_note="")
    with suppress(store.RecordNotSavedError):
        store.save(record, folder)
    return record


def prune(results: Path) -> None:
    """Remove the resume data of all runs that trained, and of all but the newest failed runs; skip running ones."""
    with suppress(OSError):
        failed_runs = 0
        for data in sorted(
            results.glob(f"*/{RESUME_DIR}"), reverse=True
        ):  # newest first: the names begin with the time
            folder = data.parent
            if store.is_running(folder):
                continue
            keep = failed_runs < MAX_RESUMABLE_RUNS and _has_failed(folder) and bool(describe_progress(folder))
            failed_runs += keep
            if keep and not any(data.glob(f"{TEMPORARY_PREFIX}*")):
                continue
            with suppress(OSError), store.lock_run(folder, timeout=0):  # fails if another process resumes it now
                for leftover in data.glob(f"{TEMPORARY_PREFIX}*"):
                    leftover.unlink(missing_ok=True)
                if not keep:
                    remove_resume_data(folder)


def link_resume_data(source: Path, folder: Path) -> None:
    """Give the run in ``folder`` the resume data of the run in ``source``.

    The features file is hard-linked where the file system allows it, as it is large; everything else is copied. Both
    runs may then write the same rows of the shared file: they compute the same values, and each run's own journal
    says which rows it relies on.
    """
    target = folder / RESUME_DIR
    target.mkdir(exist_ok=True)
    for path in sorted((source / RESUME_DIR).iterdir()):
        if path.name.startswith(TEMPORARY_PREFIX):
            continue
        if path.is_dir():
            shutil.copytree(path, target / path.name)
            continue
        if path.name == FEATURES_FILE:
            with suppress(OSError):
                os.link(path, target / path.name)
                continue
        shutil.copyfile(path, target / path.name)


def find_resumable_run(results: Path, experiments: Collection[str], run_id: str) -> tuple[TrainingRecord, Path]:
    """Return the record and the folder of the failed run to resume: ``run_id``, or with "" the newest possible one.

    Raises:
        InputError: there is none, or the named one trained, is still running, or has no resume data.
    """
    records, _ = store.load_trainings(results)
    if run_id:
        named = next((record for record in records if record.id == run_id), None)
        if named is None:
            command = advised_command("results", results=results)
            raise InputError(f"There is no run {run_id} in {results}; `{command}` lists the runs.")
        reason = _reason_not_resumable(named, results / run_id, experiments)
        if reason:
            raise InputError(f"Run {run_id} cannot be resumed: {reason}.")
        return named, results / run_id
    for record in reversed(records):
        if not _reason_not_resumable(record, results / record.id, experiments):
            return record, results / record.id
    raise InputError(
        f"No failed run of {' or '.join(sorted(experiments))} in {results} can be resumed; run it without --resume."
    )


def resumed_fields(record: TrainingRecord) -> dict[str, Any]:
    """Return the record fields of a run that resumes the run of ``record``."""
    note = f"This run resumes {record.id}: its times are not those of a whole run, and are not compared."
    return {"resumed_from": record.id, "notes": (note,)}


def resume_locked(
    failed: TrainingRecord, failed_folder: Path, run: Callable[[], tuple[TrainingRecord, Path]]
) -> tuple[TrainingRecord, Path]:
    """Call ``run`` and return what it returns; the failed run that it resumes is locked meanwhile.

    When the new run trained, the resume data of the failed run is removed.

    Raises:
        InputError: another process is resuming the same run.
    """
    from filelock import Timeout

    try:
        with store.lock_run(failed_folder):
            record, folder = run()
            if not isinstance(record.outcome, Failure):
                discard_superseded(failed, failed_folder, record.id)
    except Timeout as problem:
        raise InputError(
            f"Run {failed_folder.name} is being resumed by another process; wait for its end."
        ) from problem
    return record, folder


def check_same_settings(record: TrainingRecord, requested: Mapping[str, Any]) -> None:
    """Check that the settings given on the command line are those of the run to resume.

    Raises:
        InputError: a setting differs, so that the result would belong to neither of the two runs.
    """
    saved = {"engine": record.engine, **record.options}  # the options of older records do not name the engine
    for name, value in requested.items():
        recorded = saved.get(name)
        if json.dumps(value, default=list) != json.dumps(recorded, default=list):
            raise InputError(
                f"Run {record.id} had {name.replace('_', ' ')} {recorded}, not {value}; leave the option out to "
                "resume the run, or leave --resume out."
            )


def _reason_not_resumable(record: TrainingRecord, folder: Path, experiments: Collection[str]) -> str:
    """Return why a run cannot be resumed, as a clause for an error message; "" when it can."""
    if record.experiment not in experiments:
        return f"it is a run of {record.experiment}"
    if not isinstance(record.outcome, Failure):
        return "it has finished"
    if record.outcome.kind == "running" or store.is_running(folder):
        return "it is still running, or is being resumed already"
    if not describe_progress(folder):
        return "it has no resume data; run it without --resume"
    return ""


def _has_failed(folder: Path) -> bool:
    """Return whether a run's record says that it failed; True for an unreadable record, whose data stays."""
    with suppress(store.UnreadableRecordError):
        return isinstance(store.load(folder).outcome, Failure)
    return True
