"""What must hold after a kill, wherever it hit.

Every record can be read; every phase, epoch, image's features, variant and round that was finished before is still
there, and a run that had ended is what it was; the start of the next run removes every temporary file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from coremlbench.runs import resume_data, store
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord

AFTER = "after the run"
"""The phase from a run's last record to the end of its process: the page is written, and the results are shown."""
LEFTOVERS = ("*/.writing-*", "*/kept/.writing-*", "*/work", "*/scratch", "*/run.lock")


@dataclass(frozen=True)
class Known:
    """What had been done, as it could be seen on disk just before the kill: by run folder.

    ``endings`` are the outcomes of runs that had ended, ``resumed`` the broken runs that others go on with.
    """

    phase: str
    phases: dict[Path, int] = field(default_factory=dict)
    images: dict[Path, int] = field(default_factory=dict)
    epochs: dict[Path, int] = field(default_factory=dict)
    variants: dict[Path, int] = field(default_factory=dict)
    rounds: dict[Path, int] = field(default_factory=dict)
    endings: dict[Path, str] = field(default_factory=dict)
    resumed: dict[Path, Path] = field(default_factory=dict)


def known_of(results: Path, earlier: Collection[Path], last: str) -> Known:
    """Return what is finished of the runs that began since; it must be found again after the kill.

    ``last`` is the kind of record after whose end nothing more is worked on.
    """
    known = Known("start")
    phase = known.phase
    for folder in sorted({path.parent for path in results.glob("*/run.json")} - set(earlier)):
        with suppress(OSError, store.UnreadableRecordError):
            record = store.load(folder)
            unfinished = record.outcome.status == "failed" and record.outcome.kind in ("running", store.UNFINISHED_KIND)
            _count(known, record, folder)
            if unfinished:
                phase = _stage(folder)
                if getattr(record, "resumed_from", ""):
                    known.resumed[folder] = results / getattr(record, "resumed_from", "")
            else:
                known.endings[folder] = record.outcome.status
                phase = AFTER if record.kind == last else "between runs"
        known.images[folder] = images_kept(folder)
        with suppress(OSError):
            known.epochs[folder] = (folder / "work" / "train" / "epochs.jsonl").read_bytes().count(b"\n")
    for broken in known.resumed.values():
        known.images[broken] = images_kept(broken)
    return Known(phase, *(getattr(known, name) for name in list(Known.__dataclass_fields__)[1:]))


def _count(known: Known, record: Record, folder: Path) -> None:
    known.phases[folder] = len(record.phases)
    known.variants[folder] = variants_of(record)
    known.rounds[folder] = rounds_of(record)


def variants_of(record: Record) -> int:
    """Return how many variants of a conversion have a package or a failure."""
    variants = record.variants if isinstance(record, ConversionRecord) else ()
    return sum(bool(variant.path or variant.failure) for variant in variants)


def rounds_of(record: Record) -> int:
    """Return how many rounds of all cells were timed, or failed."""
    return sum(len(cell.rounds) for cell in record.measurements) if isinstance(record, TimingRecord) else 0


def images_kept(folder: Path) -> int:
    """Return of how many images the features are kept."""
    with suppress(OSError):
        return max(0, (folder / resume_data.RESUME_DIR / resume_data.JOURNAL_FILE).read_bytes().count(b"\n") - 1)
    return 0


def _stage(folder: Path) -> str:
    """Return the stage that an unfinished run is in, by the newest folder with a request."""
    stages = []
    for request in (folder / "work").glob("*/request.json"):
        with suppress(OSError):
            stages.append((request.stat().st_mtime, request.parent.name))
    name = max(stages, default=(0.0, "between stages"))[1]
    return "time" if name.startswith("time-") else name


def missing(known: Known, results: Path) -> list[str]:
    """Return a sentence for each record that cannot be read, and for all that was finished and is gone."""
    _, problems = store.load_all(results)
    broken = list(problems)
    for folder in known.phases:
        try:
            record = store.load(folder)
        except (OSError, store.UnreadableRecordError) as problem:
            broken.append(str(problem))
            continue
        status = record.outcome.status
        if known.endings.get(folder, status) != status:
            broken.append(f"the run had {known.endings[folder]}, and its record says {status}")
        for what, before, now in (
            ("phases", known.phases, len(record.phases)),
            ("variants", known.variants, variants_of(record)),
            ("rounds", known.rounds, rounds_of(record)),
        ):
            if now < before.get(folder, 0):
                broken.append(f"{before[folder]} {what} were finished, and the record has {now}")
        packages = [variant.path for variant in record.variants] if isinstance(record, ConversionRecord) else []
        broken += [f"the record names {path}, which is gone" for path in packages if not (folder / path).exists()]
        if status != "failed":
            continue
        broken += _lost(known, folder)
        if folder in known.resumed and images_kept(known.resumed[folder]) < known.images[known.resumed[folder]]:
            broken.append("the features of the run that was gone on with are no longer there")
    return broken


def _lost(known: Known, folder: Path) -> list[str]:
    """Return a sentence for features and epochs that a broken run had and does not keep."""
    lost = []
    images, epochs = known.images.get(folder, 0), known.epochs.get(folder, 0)
    if images_kept(folder) < images:
        lost.append(f"the features of {images} images were finished, {images_kept(folder)} are kept")
    checkpoint = resume_data.newest_checkpoint(folder)
    if epochs and (checkpoint is None or int(checkpoint.stem.rpartition("-")[2]) < epochs):
        lost.append(f"{epochs} epochs were finished, and {checkpoint} is kept")
    return lost


def sweep(results: Path) -> None:
    """Do what a run does at its start, a minute later: a younger folder without a record may be of one that begins."""
    for path in (*results.glob(f"*/{store.LOCK_FILE}"), *results.glob("*")):
        with suppress(OSError):
            os.utime(path, (time.time() - 120,) * 2)
    store.remove_stale(results)
    resume_data.prune(results)


def left_behind(results: Path, temporary: Path) -> list[str]:
    """Return a sentence on the temporary files that are still there; an empty ``temporary`` folder is removed."""
    left = [str(path.relative_to(results)) for pattern in LEFTOVERS for path in results.glob(pattern)]
    left += [str(path.relative_to(results)) for path in results.glob("*") if not any(path.iterdir())]
    left += [path.name for path in temporary.iterdir()]
    if not left:
        temporary.rmdir()
    return [f"left behind: {', '.join(sorted(left)[:5])}"] if left else []
