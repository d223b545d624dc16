"""Every kind of record that a run may leave."""

from __future__ import annotations

from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import TrainingRecord

Record = TrainingRecord | ConversionRecord | TimingRecord
"""Whatever a ``run.json`` holds, told apart by ``kind``."""
