"""The public functions for use from Python: runs, samples, reports, conversion and proof.

What is listed in ``__all__`` keeps its names and meanings between releases; ``docs/python-api.md`` has examples. All
other modules may change.
"""

from __future__ import annotations

from coremlbench.api.conversions import convert, prove
from coremlbench.api.reports import open_report, save_report
from coremlbench.api.runs import SavedRun, list_runs, open_record, open_run
from coremlbench.api.samples import CallSamples, read_samples
from coremlbench.types.errors import CoremlbenchError, InputError

__all__ = [
    "CallSamples",
    "CoremlbenchError",
    "InputError",
    "SavedRun",
    "convert",
    "list_runs",
    "open_record",
    "open_report",
    "open_run",
    "prove",
    "read_samples",
    "save_report",
]
