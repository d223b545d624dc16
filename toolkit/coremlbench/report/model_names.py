"""Unique names for models: two different files with one name get different names in the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from coremlbench.types.conversion import ConversionRecord, ModelSource
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord


def disambiguate_names(records: Sequence[Record]) -> list[Record]:
    """Return the records with a unique name for each model from a file: the second ``net`` becomes ``net (2)``.

    A file is identified by its name and SHA-256, on whatever machine it was converted or timed. A network of an
    experiment keeps the experiment's name also when it was trained again, since machines are compared by it.
    ``records`` are oldest first.
    """
    sources = [named_source for record in records for named_source in _named_sources(record)]
    taken = {name for name, source in sources if source.kind != "file"}
    names: dict[tuple[str, str], str] = {}
    for _, source in sources:
        if source.kind == "file" and (source.name, source.sha256) not in names:
            numbered = (source.name if number == 1 else f"{source.name} ({number})" for number in count(1))
            name = next(candidate for candidate in numbered if candidate not in taken)
            names[source.name, source.sha256] = name
            taken.add(name)
    return [_rename_models(record, names) for record in records]


def _named_sources(record: Record) -> list[tuple[str, ModelSource]]:
    """Return the names of a record's models in that record, each with the model's source."""
    if isinstance(record, TimingRecord):
        return [(model.name, model.source) for model in record.models]
    if isinstance(record, ConversionRecord) and record.source is not None:
        return [(record.source.name, record.source)]
    return []


def _rename_models(record: Record, names: dict[tuple[str, str], str]) -> Record:
    """Return the record with the names that ``names`` has by name and SHA-256 of a source."""
    new_names = {
        name: names[source.name, source.sha256]
        for name, source in _named_sources(record)
        if source.kind == "file" and names[source.name, source.sha256] != name
    }
    if not new_names:
        return record
    if isinstance(record, TimingRecord):
        return replace(
            record,
            models=tuple(replace(model, name=new_names.get(model.name, model.name)) for model in record.models),
            measurements=tuple(
                replace(cell, model=new_names.get(cell.model, cell.model)) for cell in record.measurements
            ),
        )
    assert isinstance(record, ConversionRecord)
    assert record.source is not None
    name = new_names[record.source.name]
    return replace(record, experiment=name, source=replace(record.source, name=name))
