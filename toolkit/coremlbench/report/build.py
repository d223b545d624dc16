"""Turn records of any number of machines into one ``Report``: pure functions, nothing is read or written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from coremlbench import __version__
from coremlbench.experiments.published import PUBLISHED
from coremlbench.report.answers import build_answers
from coremlbench.report.failures import failure_rows
from coremlbench.report.model_names import disambiguate_names
from coremlbench.report.timing import cell_rows, variant_rows
from coremlbench.report.training import classifier_runs, training_rows
from coremlbench.report.types import MachineRow, OriginRow, PublishedRow, RecordRow, Report, Source
from coremlbench.report.warnings import warning_rows
from coremlbench.types.conversion import ConversionRecord, Converted
from coremlbench.types.data import Provenance
from coremlbench.types.failure import Failure
from coremlbench.types.machine import Machine
from coremlbench.types.records import Record
from coremlbench.types.timing import Timed, TimingRecord
from coremlbench.types.training_records import Trained, TrainingRecord


def build_report(sources: Iterable[Source], problems: Sequence[str] = (), *, made: str) -> Report:
    """Return the report of these records; the order they come in does not matter.

    A record that was copied to several folders counts once. ``problems`` are sentences on records that could not be
    read, ``made`` is the time of the report.
    """
    found = _once(sources)
    records = disambiguate_names([source.record for source in found])
    trainings = [source for source in found if isinstance(source.record, TrainingRecord)]
    conversions = [record for record in records if isinstance(record, ConversionRecord)]
    timings = [record for record in records if isinstance(record, TimingRecord)]
    cells = cell_rows(timings)
    variants = variant_rows(conversions, timings)
    training = training_rows([each.record for each in trainings if isinstance(each.record, TrainingRecord)])
    return Report(
        made=made,
        coremlbench=__version__,
        records=tuple(_record_row(source) for source in found),
        machines=_machines(records),
        answers=build_answers(timings, conversions, cells, variants),
        timing=cells,
        variants=variants,
        training=training,
        published=_published(),
        classifiers=classifier_runs(trainings),
        failures=failure_rows(records),
        warnings=warning_rows(records),
        origins=_origins(records),
        problems=tuple(problems),
    )


def outcome_label(record: Record) -> str:
    """Return how a record's run ended in a word or two: "trained", "failed: memory-limit", "3 cells timed"."""
    outcome = record.outcome
    if isinstance(outcome, Failure):
        return "not ended yet" if outcome.kind == "running" else f"failed: {outcome.kind}"
    if isinstance(outcome, Trained):
        return "trained"
    if isinstance(outcome, Converted):
        wrong = outcome.degraded + outcome.wrong
        return f"{outcome.proven} proven, {wrong} degraded or wrong, {outcome.failed} failed"
    assert isinstance(outcome, Timed)
    return f"{outcome.cells} cells timed, {outcome.failed} failed"


def _once(sources: Iterable[Source]) -> list[Source]:
    """Return each record once, oldest first; of two copies the one that knows its end."""
    found: dict[tuple[str, str], Source] = {}
    for source in sources:
        key = (source.record.id, source.record.machine.id)
        known = found.get(key)
        if known is None or (source.record.ended, known.path) > (known.record.ended, source.path):
            found[key] = source
    return sorted(found.values(), key=lambda source: (source.record.started, source.record.id, source.path))


def _record_row(source: Source) -> RecordRow:
    record = source.record
    kind: Literal["training", "conversion", "timing"] = record.kind
    return RecordRow(
        id=record.id,
        kind=kind,
        experiment=record.experiment,
        machine=record.machine.id,
        started=record.started,
        seconds=record.seconds,
        outcome=outcome_label(record),
        path=source.path,
        command=record.command,
        coremlbench=record.coremlbench,
        schema=record.schema,
    )


# --- machines -----------------------------------------------------------------------------------------------


def _machines(records: Sequence[Record]) -> tuple[MachineRow, ...]:
    """Return every machine once, the most measured first; its id tells that two records are of the same one."""
    by_id: dict[str, list[Record]] = {}
    for record in records:
        by_id.setdefault(record.machine.id, []).append(record)
    names = Counter(_name(group[-1].machine) for group in by_id.values())
    rows = [_machine(group) for group in by_id.values()]
    rows = [row if names[row.name] == 1 else replace(row, name=f"{row.name} #{row.id[:6]}") for row in rows]
    return tuple(sorted(rows, key=lambda row: (-row.records, row.name, row.id)))


def _machine(records: Sequence[Record]) -> MachineRow:
    machines = [record.machine for record in records]
    newest = machines[-1]
    accelerators = dict.fromkeys(name for machine in machines for name in machine.accelerators)
    return MachineRow(
        id=newest.id,
        name=_name(newest),
        chip=newest.chip,
        model=newest.model,
        memory_bytes=newest.memory_bytes,
        logical_cores=newest.logical_cores,
        architecture=newest.architecture,
        systems=tuple(dict.fromkeys(f"{each.system} {each.system_version}".strip() for each in machines)),
        pythons=tuple(dict.fromkeys(each.python for each in machines if each.python)),
        accelerators=tuple(accelerators),
        rosetta=any(machine.rosetta for machine in machines),
        records=len(records),
        first=records[0].started,
        last=records[-1].started,
    )


def _name(machine: Machine) -> str:
    memory = f"{machine.memory_bytes / 2**30:.0f} GB"
    return f"{machine.model} ({machine.chip}, {memory})" if machine.model else f"{machine.chip} ({memory})"


# --- what figures rest on -----------------------------------------------------------------------------------


def _published() -> tuple[PublishedRow, ...]:
    return tuple(
        PublishedRow(
            experiment=each.experiment,
            metric=each.metric,
            machine=each.machine,
            source=each.source,
            low=each.low,
            high=each.high,
            text=each.note,
            failed=each.failed,
        )
        for each in PUBLISHED
    )


def _origins(records: Sequence[Record]) -> tuple[OriginRow, ...]:
    counts: Counter[tuple[Literal["data", "weights", "model"], Provenance]] = Counter()
    for record in records:
        if isinstance(record, TrainingRecord):
            if record.dataset is not None:
                counts["data", record.dataset.provenance] += 1
            if record.weights is not None:
                counts["weights", record.weights] += 1
        elif isinstance(record, ConversionRecord):
            if record.data is not None:
                counts["data", record.data] += 1
            if record.source is not None:
                counts["model", _of_model(record)] += 1
    return tuple(
        OriginRow(role, each.name, each.source, each.version, each.sha256, each.licence, each.note, count)
        for (role, each), count in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1].name, -item[1]))
    )


def _of_model(record: ConversionRecord) -> Provenance:
    source = record.source
    assert source is not None
    where = {"training-run": f"the run {source.training_run}", "random-weights": "random weights"}
    return Provenance(
        name=source.name,
        source=where.get(source.kind, f"a file ({source.format})"),
        sha256=source.sha256,
        note=source.note,
    )
