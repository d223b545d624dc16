"""Build one ``Report`` from the records of any number of machines; no file is read or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from coremlbench import __version__
from coremlbench.experiments.published import PUBLISHED
from coremlbench.report.answers import build_answers
from coremlbench.report.failures import failure_rows
from coremlbench.report.history import history_rows
from coremlbench.report.labels import outcome_label
from coremlbench.report.local_paths import without_local_paths
from coremlbench.report.model_names import disambiguate_names
from coremlbench.report.timing import cell_rows, variant_rows
from coremlbench.report.training import classifier_runs, training_rows
from coremlbench.report.types import MachineRow, OriginRow, PublishedRow, RecordRow, Report, Source
from coremlbench.report.warnings import warning_rows
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.data import Provenance
from coremlbench.types.machine import Machine
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import TrainingRecord


def build_report(sources: Iterable[Source], problems: Sequence[str] = (), *, made: str) -> Report:
    """Return the report of these records, which can be in any order; copies of a record count once.

    ``problems`` are sentences on records that could not be read, ``made`` is the report's ISO 8601 time.
    """
    unique = deduplicate(sources)
    records = disambiguate_names([source.record for source in unique])
    trainings = [source for source in unique if isinstance(source.record, TrainingRecord)]
    conversions = [record for record in records if isinstance(record, ConversionRecord)]
    timings = [record for record in records if isinstance(record, TimingRecord)]
    cells = cell_rows(timings)
    variants = variant_rows(conversions, timings)
    training = training_rows([source.record for source in trainings if isinstance(source.record, TrainingRecord)])
    report = Report(
        made=made,
        coremlbench=__version__,
        records=tuple(_record_row(source) for source in unique),
        machines=_machine_rows(records),
        answers=build_answers(timings, conversions, cells, variants),
        timing=cells,
        variants=variants,
        training=training,
        published=_published_rows(),
        classifiers=classifier_runs(trainings),
        failures=failure_rows(records),
        warnings=warning_rows(records),
        origins=_origin_rows(records),
        history=history_rows(timings),
        problems=tuple(problems),
    )
    return without_local_paths(report)


def deduplicate(sources: Iterable[Source]) -> list[Source]:
    """Return each record once, oldest first; of several copies the one that ended last."""
    sources_by_record: dict[tuple[str, str], Source] = {}
    for source in sources:
        key = (source.record.id, source.record.machine.id)
        known = sources_by_record.get(key)
        if known is None or (source.record.ended, known.path) > (known.record.ended, source.path):
            sources_by_record[key] = source
    return sorted(sources_by_record.values(), key=lambda source: (source.record.started, source.record.id, source.path))


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


def _machine_rows(records: Sequence[Record]) -> tuple[MachineRow, ...]:
    """Return one row for each machine id, those with most records first; equal names get a part of the id."""
    by_id: dict[str, list[Record]] = {}
    for record in records:
        by_id.setdefault(record.machine.id, []).append(record)
    names = Counter(_machine_name(group[-1].machine) for group in by_id.values())
    rows = [_machine_row(group) for group in by_id.values()]
    rows = [row if names[row.name] == 1 else replace(row, name=f"{row.name} #{row.id[:6]}") for row in rows]
    return tuple(sorted(rows, key=lambda row: (-row.records, row.name, row.id)))


def _machine_row(records: Sequence[Record]) -> MachineRow:
    machines = [record.machine for record in records]
    newest = machines[-1]
    accelerators = dict.fromkeys(name for machine in machines for name in machine.accelerators)
    return MachineRow(
        id=newest.id,
        name=_machine_name(newest),
        chip=newest.chip,
        model=newest.model,
        memory_bytes=newest.memory_bytes,
        logical_cores=newest.logical_cores,
        architecture=newest.architecture,
        systems=tuple(dict.fromkeys(f"{machine.system} {machine.system_version}".strip() for machine in machines)),
        pythons=tuple(dict.fromkeys(machine.python for machine in machines if machine.python)),
        accelerators=tuple(accelerators),
        rosetta=any(machine.rosetta for machine in machines),
        records=len(records),
        first=records[0].started,
        last=records[-1].started,
    )


def _machine_name(machine: Machine) -> str:
    memory = f"{machine.memory_bytes / 2**30:.0f} GB" + (", virtual machine" if machine.virtual_machine else "")
    return f"{machine.model} ({machine.chip}, {memory})" if machine.model else f"{machine.chip} ({memory})"


# --- published figures, and sources of data, weights and models ---------------------------------------------


def _published_rows() -> tuple[PublishedRow, ...]:
    return tuple(
        PublishedRow(
            experiment=figure.experiment,
            metric=figure.metric,
            machine=figure.machine,
            source=figure.source,
            low=figure.low,
            high=figure.high,
            text=figure.note,
            failed=figure.failed,
        )
        for figure in PUBLISHED
    )


def _origin_rows(records: Sequence[Record]) -> tuple[OriginRow, ...]:
    """Return the sources of data, weights and models, each with the number of records that use it."""
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
                counts["model", _model_provenance(record)] += 1
    return tuple(
        OriginRow(role, origin.name, origin.source, origin.version, origin.sha256, origin.licence, origin.note, count)
        for (role, origin), count in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1].name, -item[1]))
    )


def _model_provenance(record: ConversionRecord) -> Provenance:
    """Return where the model of a conversion is from: a training run, random weights, or a file of some format."""
    source = record.source
    assert source is not None
    origins = {"training-run": f"the run {source.training_run}", "random-weights": "random weights"}
    return Provenance(
        name=source.name,
        source=origins.get(source.kind, f"a file ({source.format})"),
        sha256=source.sha256,
        note=source.note,
    )
