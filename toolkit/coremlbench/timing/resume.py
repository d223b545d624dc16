"""Resume a matrix that was interrupted: the same cells, orders and seed. Rounds that were timed are not repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from coremlbench.runs import store
from coremlbench.runs.lifecycle import Save, continue_and_record
from coremlbench.runs.stages import Stages
from coremlbench.system import serialization
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.files import hash_path
from coremlbench.system.formatting import format_count
from coremlbench.system.machine import describe_machine
from coremlbench.timing.available_units import MachineCapabilities, detect_units
from coremlbench.timing.matrix import MatrixProgress, MatrixRun, OnRound, describe_run
from coremlbench.timing.native_program import ensure_native_runner
from coremlbench.timing.plan import ORIGINAL, Cell, MatrixPlan, TimedPackage, TimingOptions
from coremlbench.timing.round_runners import round_runner
from coremlbench.types.conversion import ModelFileOptions, Variant
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.timing import Measurement, TimingRecord

PackageKey = tuple[str, str, int]
"""The model, variant and batch size of a package."""


def resume(
    run: str,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    on_round: OnRound | None = None,
    capabilities: MachineCapabilities | None = None,
) -> tuple[TimingRecord, Path]:
    """Return the record of a resumed matrix and its folder, which stays the same.

    ``run`` is the id of the matrix or its beginning; "" means the newest unfinished one.

    Raises:
        InputError: there is no such matrix, it is still running, it is another machine's, or a package has changed.
    """
    capabilities = capabilities or detect_units()
    record = find_unfinished(run, results)
    options = saved_options(record)
    if options.runner == "native":
        ensure_native_runner()
    plan = _restore_plan(record, results, capabilities)
    progress = MatrixProgress(on_progress)
    kit = Path(record.options["kit"]) if record.options.get("kit") and not record.kit else None  # not written yet

    def work(known: TimingRecord, folder: Path, stages: Stages, save: Save[TimingRecord]) -> TimingRecord:
        runner = round_runner(folder, stages, options, capabilities)
        return MatrixRun(known, plan, runner, save, progress, on_round, kit).run()

    description = describe_run(
        options, command, plan, {key: record.options[key] for key in ("packages", "not_here", "kit")}
    )
    return continue_and_record(description, _reopen(record), results / record.id, work, on_progress=progress)


def describe_unfinished(record: TimingRecord) -> str:
    """Return in words how far an unfinished matrix is."""
    done, total = sum(len(row.rounds) for row in record.measurements), sum(map(len, record.orders))
    return f"{done} of {format_count(total, 'round')} of {format_count(len(record.measurements), 'cell')}"


def find_unfinished(run: str, results: Path) -> TimingRecord:
    """Return the record of the newest unfinished matrix whose id starts with ``run``.

    Raises:
        InputError: there is none, or it cannot be resumed on this machine.
    """
    records, _ = store.load_all(results)
    matrices = [record for record in records if isinstance(record, TimingRecord) and (results / record.id).is_dir()]
    if run:
        matrices = [record for record in matrices if record.id.startswith(run)]
        if not matrices:
            command = advised_command("results", results=results)
            raise InputError(f"There is no matrix '{run}' under {results}; `{command}` lists the runs.")
    unfinished = [record for record in matrices if isinstance(record.outcome, Failure)]
    if not unfinished:
        what = f"The matrix {matrices[-1].id} is finished" if run else f"There is no unfinished matrix under {results}"
        command = advised_command("convert-and-time", results=results)
        raise InputError(f"{what}; run `{command}` without --resume for a new one.")
    record = unfinished[-1]
    _check_resumable(record, results)
    return record


def _check_resumable(record: TimingRecord, results: Path) -> None:
    """Raise ``InputError`` when a matrix is still running, has no planned round, or is another machine's."""
    if store.is_running(results / record.id):
        raise InputError(f"The matrix {record.id} is still running; wait for its end, or stop it with Ctrl-C.")
    if not record.orders:
        raise InputError(f"The matrix {record.id} ended before its first round; start it anew without --resume.")
    if record.machine.id != describe_machine().id:
        raise InputError(
            f"The matrix {record.id} was begun on another machine ({record.machine.chip}), and its rounds would not "
            "compare with those of this one; start a new one without --resume."
        )


def saved_options(record: TimingRecord) -> TimingOptions:
    """Return the settings of a recorded matrix."""
    names = {field.name for field in fields(TimingOptions)}
    return serialization.from_json(TimingOptions, {key: record.options[key] for key in record.options if key in names})


def _reopen(record: TimingRecord) -> TimingRecord:
    """Return the record as it goes on: with a note, and without the failures of cells that had no round.

    Those cells failed because inputs or a compiled model were missing, and both are made again.
    """
    done = sum(len(row.rounds) for row in record.measurements)
    left = sum(map(len, record.orders)) - done
    note = f"Resumed after {format_count(done, 'round')} of cells, with {left} to go."
    rows = tuple(row if row.rounds else replace(row, failure=None) for row in record.measurements)
    return replace(record, measurements=rows, notes=(*record.notes, note))


def _restore_plan(record: TimingRecord, results: Path, capabilities: MachineCapabilities) -> MatrixPlan:
    """Return the cells of a record, each with its package.

    Raises:
        InputError: a package, or an original that TensorFlow runs, is missing or has changed; or a unit is unavailable.
    """
    locations: dict[PackageKey, dict[str, Any]] = {
        (location["model"], location["variant"], location["batch"]): location for location in record.options["packages"]
    }
    variants: dict[PackageKey, Variant] = {
        (model.name, variant.name, variant.batch): variant for model in record.models for variant in model.variants
    }
    file_options = {model.name: model.source.file_options for model in record.models}
    packages = {
        key: _restore_package(key[0], locations[key], variants[key], file_options[key[0]], results) for key in locations
    }
    _check_originals(record, locations, packages)
    cells = []
    for index, row in enumerate(record.measurements):
        if reason := capabilities.unavailable_reason(row.runtime, row.unit):
            raise InputError(f"The matrix {record.id} cannot be resumed on this machine. {reason}")
        cells.append(Cell(index, packages[_package_key(row, packages)], row.runtime, row.unit))
    return MatrixPlan(tuple(packages.values()), tuple(cells), tuple(record.options["not_here"]))


def _package_key(row: Measurement, packages: dict[PackageKey, TimedPackage]) -> PackageKey:
    """Return the package of a row; for TensorFlow the first one of the same model and batch size."""
    if row.variant == ORIGINAL and row.runtime == "tensorflow":
        return next(key for key in packages if (key[0], key[2]) == (row.model, row.batch))
    return (row.model, row.variant, row.batch)


def _restore_package(
    model: str, location: dict[str, Any], variant: Variant, file_options: ModelFileOptions, results: Path
) -> TimedPackage:
    """Return a package from its recorded location; ``InputError`` when it is missing or has changed."""
    path = results / location["path"]  # an absolute path stays as it is
    if not path.exists():
        raise InputError(f"The package {path} is gone, and the matrix cannot go on without it; start a new one.")
    if hash_path(path) != variant.sha256:
        raise InputError(f"The package {path} is not the one that was timed before; start a new matrix.")
    original = results / location["original"] if location["original"] else None
    return TimedPackage(model, variant, path, original, file_options=file_options)


def _check_originals(
    record: TimingRecord, locations: dict[PackageKey, dict[str, Any]], packages: dict[PackageKey, TimedPackage]
) -> None:
    """Raise ``InputError`` when an original that TensorFlow runs is missing or has changed.

    The hash of an original with random weights is with its location; older records have none, and it is not checked.
    """
    sources = {model.name: model.source for model in record.models}
    keys = {row.model: _package_key(row, packages) for row in record.measurements if row.runtime == "tensorflow"}
    for model, key in keys.items():
        original = packages[key].original
        if original is None or not original.exists():
            raise InputError(
                f"The original of {model} is gone, and the matrix cannot go on without it; start a new one."
            )
        has_random_weights = sources[model].kind == "random-weights"
        expected = locations[key].get("original_sha256") if has_random_weights else sources[model].sha256
        if expected and hash_path(original) != expected:
            raise InputError(f"The original {original} is not the one that was timed before; start a new matrix.")
        _check_custom_objects(sources[model].file_options)


def _check_custom_objects(options: ModelFileOptions) -> None:
    """Raise ``InputError`` when the file with an original's own classes is missing or has changed."""
    if not options.custom_objects:
        return
    path = Path(options.custom_objects)
    if not path.is_file() or hash_path(path) != options.custom_objects_sha256:
        raise InputError(
            f"{path} is not the --custom-objects file that the matrix was begun with; restore it, or start "
            "a new matrix."
        )
