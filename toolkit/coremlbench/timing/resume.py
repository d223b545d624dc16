"""Go on with a matrix that was interrupted: the same cells, orders and seed; what was timed is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from coremlbench.runs import store
from coremlbench.runs.lifecycle import Save, continued
from coremlbench.runs.stages import Stages
from coremlbench.system import serialization
from coremlbench.system.files import hash_path
from coremlbench.system.machine import describe_machine
from coremlbench.timing.matrix import Here, OnRound, measure, run_of, this_machine
from coremlbench.timing.plan import ORIGINAL, Cell, Package, Plan, TimingOptions
from coremlbench.timing.rounds import Bench, Ticker
from coremlbench.types.conversion import Variant
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.timing import Measurement, TimingRecord


def resume(
    run: str,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    on_round: OnRound | None = None,
    here: Here | None = None,
) -> tuple[TimingRecord, Path]:
    """Return the record of a matrix that goes on in its own folder; ``run`` is its id, "" the newest unfinished one.

    Raises:
        InputError: there is no such matrix, it is still running, it is another machine's, or a package has changed.
    """
    here = here or this_machine()
    record = find(run, results)
    options = options_of(record)
    plan = _plan(record, results, here)
    ticker = Ticker(on_progress)
    left = sum(map(len, record.orders)) - sum(len(row.rounds) for row in record.measurements)
    note = f"Resumed after {sum(len(row.rounds) for row in record.measurements)} rounds of cells, with {left} to go."
    # Cells that had no round failed for want of inputs or of a compiled model, which are made anew.
    rows = tuple(row if row.rounds else replace(row, failure=None) for row in record.measurements)
    record = replace(record, measurements=rows, notes=(*record.notes, note))

    # A kit that was wanted and is not there yet is left now.
    kit = Path(record.options["kit"]) if record.options.get("kit") and not record.kit else None

    def work(known: TimingRecord, folder: Path, stages: Stages, save: Save[TimingRecord]) -> TimingRecord:
        bench = Bench(folder, stages, options, here.worker, kit, stand_in=here.stand_in)
        return measure(known, plan, bench, save, ticker, on_round)

    packages = {key: record.options[key] for key in ("packages", "not_here", "kit")}
    return continued(run_of(options, command, plan, packages), record, results / record.id, work, on_progress=ticker)


def find(run: str, results: Path) -> TimingRecord:
    """Return the record of a matrix that has rounds to go.

    Raises:
        InputError: there is none, or it cannot go on here.
    """
    records, _ = store.load_all(results)
    timings = [each for each in records if isinstance(each, TimingRecord)]
    if run:
        timings = [each for each in timings if each.id.startswith(run)]
        if not timings:
            raise InputError(f"There is no matrix '{run}' under {results}; `coremlbench results` lists the runs.")
    unfinished = [each for each in timings if isinstance(each.outcome, Failure)]
    if not unfinished:
        what = f"The matrix {timings[-1].id} is finished" if run else f"There is no unfinished matrix under {results}"
        raise InputError(f"{what}; run `coremlbench convert-and-time` without --resume for a new one.")
    record = unfinished[-1]
    if store.is_running(results / record.id):
        raise InputError(f"The matrix {record.id} is still running; wait for its end, or stop it with Ctrl-C.")
    if not record.orders:
        raise InputError(f"The matrix {record.id} ended before its first round; start it anew without --resume.")
    machine = describe_machine()
    if record.machine.id != machine.id:
        raise InputError(
            f"The matrix {record.id} was begun on another machine ({record.machine.chip}), and its rounds would not "
            "compare with those of this one; start a new one without --resume."
        )
    return record


def options_of(record: TimingRecord) -> TimingOptions:
    """Return the settings that a matrix was begun with."""
    known = {each.name for each in fields(TimingOptions)}
    return serialization.from_json(TimingOptions, {key: value for key, value in record.options.items() if key in known})


def _plan(record: TimingRecord, results: Path, here: Here) -> Plan:
    """Return the cells of a record, each with its package as it lies here.

    Raises:
        InputError: a package is gone or another one, or the original of one that TensorFlow runs.
    """
    entries = {(each["model"], each["variant"], each["batch"]): each for each in record.options["packages"]}
    variants = {
        (model.name, variant.name, variant.batch): variant for model in record.models for variant in model.variants
    }
    packages = {key: _package(key[0], entry, variants[key], results) for key, entry in entries.items()}
    _check_originals(record, entries, packages)
    cells = []
    for index, row in enumerate(record.measurements):
        if reason := here.why_not_here(row.runtime, row.unit):
            raise InputError(f"The matrix {record.id} cannot go on here. {reason}")
        cells.append(Cell(index, packages[_key(row, packages)], row.runtime, row.unit))
    return Plan(tuple(packages.values()), tuple(cells), tuple(record.options["not_here"]))


def _key(row: Measurement, packages: dict[tuple[Any, ...], Any]) -> tuple[Any, ...]:
    """Return which package a row belongs to; the row of an original belongs to the first one of its model."""
    if row.variant == ORIGINAL and row.runtime == "tensorflow":
        return next(key for key in packages if (key[0], key[2]) == (row.model, row.batch))
    return (row.model, row.variant, row.batch)


def _package(model: str, entry: dict[str, Any], variant: Variant, results: Path) -> Package:
    path = results / entry["path"]  # an absolute path stays as it is
    if not path.exists():
        raise InputError(f"The package {path} is gone, and the matrix cannot go on without it; start a new one.")
    if hash_path(path) != variant.sha256:
        raise InputError(f"The package {path} is not the one that was timed before; start a new matrix.")
    original = results / entry["original"] if entry["original"] else None
    return Package(model, variant, path, original)


def _check_originals(
    record: TimingRecord, entries: dict[tuple[Any, ...], dict[str, Any]], packages: dict[tuple[Any, ...], Package]
) -> None:
    """Raise ``InputError`` unless the originals that TensorFlow runs are still those of the rounds before.

    Those of random weights are known by the file that the conversion kept; older records do not tell its hash.
    """
    sources = {model.name: model.source for model in record.models}
    used = {row.model: _key(row, packages) for row in record.measurements if row.runtime == "tensorflow"}
    for model, key in used.items():
        original = packages[key].original
        if original is None or not original.exists():
            raise InputError(
                f"The original of {model} is gone, and the matrix cannot go on without it; start a new one."
            )
        drawn = sources[model].kind == "random-weights"
        wanted = entries[key].get("original_sha256") if drawn else sources[model].sha256
        if wanted and hash_path(original) != wanted:
            raise InputError(f"The original {original} is not the one that was timed before; start a new matrix.")
