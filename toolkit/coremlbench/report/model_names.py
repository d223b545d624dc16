"""Names for models: those of two files that are called alike are told apart before anything is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from coremlbench.types.conversion import ConversionRecord, ModelSource
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord


def disambiguate_names(records: Sequence[Record]) -> list[Record]:
    """Return the records with a name of its own for each model of the user's: the second ``net`` is ``net (2)``.

    A file is known by its content, however it is called and wherever it was converted or timed. The network of an
    experiment keeps the experiment's name: trained again it is still that network, and machines compare by it.
    ``records`` are oldest first.
    """
    sources = [each for record in records for each in _sources(record)]
    taken = {name for name, source in sources if source.kind != "file"}
    names: dict[tuple[str, str], str] = {}
    for _, source in sources:
        if source.kind == "file" and (source.name, source.sha256) not in names:
            numbered = (source.name if number == 1 else f"{source.name} ({number})" for number in count(1))
            name = next(each for each in numbered if each not in taken)
            names[source.name, source.sha256] = name
            taken.add(name)
    return [_renamed(record, names) for record in records]


def _sources(record: Record) -> list[tuple[str, ModelSource]]:
    """Return a record's models by the names it has for them."""
    if isinstance(record, TimingRecord):
        return [(model.name, model.source) for model in record.models]
    if isinstance(record, ConversionRecord) and record.source is not None:
        return [(record.source.name, record.source)]
    return []


def _renamed(record: Record, names: dict[tuple[str, str], str]) -> Record:
    new = {
        name: names[source.name, source.sha256]
        for name, source in _sources(record)
        if source.kind == "file" and names[source.name, source.sha256] != name
    }
    if not new:
        return record
    if isinstance(record, TimingRecord):
        return replace(
            record,
            models=tuple(replace(each, name=new.get(each.name, each.name)) for each in record.models),
            measurements=tuple(replace(each, model=new.get(each.model, each.model)) for each in record.measurements),
        )
    assert isinstance(record, ConversionRecord)
    assert record.source is not None
    name = new[record.source.name]
    return replace(record, experiment=name, source=replace(record.source, name=name))
