"""The option --redact of what is passed on: pages, records and bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from coremlbench.report.types import Source
    from coremlbench.types.records import Record


def redact_option(function: Any) -> Any:
    """Add the flag --redact to a command."""
    return click.option(
        "--redact",
        is_flag=True,
        help="For passing on: without user and host names, folders, serial numbers, identifiers of machines, and "
        "pictures from your own folders.",
    )(function)


def redacted(records: Sequence[Record]) -> list[Record]:
    """Return records without what identifies their machines and owners."""
    from coremlbench.diagnostics.selftest.bundle import machine_owner
    from coremlbench.diagnostics.shared_records import redact_records

    return redact_records(records, machine_owner())


def redacted_sources(sources: list[Source], problems: list[str]) -> tuple[list[Source], list[str]]:
    """Return the records of a report and the sentences on unreadable ones without what identifies anybody.

    Paths of records are relative to their results folders, and pictures of the users' own datasets are left out.
    """
    from coremlbench.diagnostics.selftest.bundle import machine_owner
    from coremlbench.diagnostics.shared_records import is_public_dataset, redact_texts

    records = redacted([source.record for source in sources])
    clean = [
        replace(
            source,
            record=record,
            path=f"{record.id}/{PurePosixPath(source.path).name}",
            pictures=source.pictures if is_public_dataset(source.record) else {},
        )
        for source, record in zip(sources, records, strict=True)
    ]
    return clean, redact_texts(problems, [source.record for source in sources], machine_owner())
