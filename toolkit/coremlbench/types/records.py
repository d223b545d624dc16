"""The union of all kinds of records."""

from __future__ import annotations

from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import TrainingRecord

Record = TrainingRecord | ConversionRecord | TimingRecord
"""The content of a ``run.json``; its ``kind`` tells which type it is."""
