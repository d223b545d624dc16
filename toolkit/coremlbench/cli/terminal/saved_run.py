"""Terminal output of a saved run: what was printed when it ended."""

from __future__ import annotations

from pathlib import Path

from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord


def print_saved_run(record: Record, folder: Path) -> None:
    """Print all of a run, as its command did at its end."""
    if isinstance(record, TimingRecord):
        from coremlbench.cli.terminal.timing import print_timing

        print_timing(record, folder)
    elif isinstance(record, ConversionRecord):
        from coremlbench.cli.terminal.conversion import print_conversions

        print_conversions([(record, folder)])
    elif record.experiment == "createml":
        from coremlbench.cli.terminal.createml import print_createml_run

        print_createml_run(record, folder)
    else:
        from coremlbench.cli.terminal.training import print_run

        print_run(record, folder)
