"""JSON of numbers that are not finite, and back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from pydantic import ValidationError

from coremlbench.system import serialization
from coremlbench.types.conversion import Proof
from coremlbench.types.timing import Measurement, Round, TimingRecord
from coremlbench.types.training_records import EpochRow
from tests.record_samples import conversion, timing, variant


def strict(value: Any) -> Any:
    """Return the value after a way through JSON; numbers that are not finite are an error there."""
    return json.loads(json.dumps(serialization.to_json(value), allow_nan=False))


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_every_number_of_a_proof_may_be_missing_a_value(broken: float) -> None:
    proof = variant("fp16").proof
    assert proof is not None
    numbers = [field.name for field in fields(Proof) if isinstance(getattr(proof, field.name), float)]
    assert {"max_error", "mean_error", "range", "signal_to_noise", "agreement", "accuracy_after"} <= set(numbers)
    for name in numbers:
        missing: dict[str, Any] = {name: broken}
        content = strict(replace(proof, **missing))
        assert content[name] is None
        read = serialization.from_json(Proof, content)
        again = getattr(read, name)
        assert again is None or math.isnan(again)
        assert strict(read) == content


def test_a_timing_with_numbers_that_are_not_finite_is_read_again() -> None:
    record = timing(1)
    cell = record.measurements[0]
    broken = replace(cell.rounds[0], mean=math.nan, seconds=math.inf, quantiles=(math.nan, 1.0))
    record = replace(record, measurements=(replace(cell, rounds=(broken,), output_error=math.inf),))
    content = strict(record)
    again = serialization.from_json(TimingRecord, content)
    assert math.isnan(again.measurements[0].rounds[0].seconds)
    assert again.measurements[0].output_error is None
    assert strict(again) == content


def test_what_is_finite_is_unchanged() -> None:
    record = conversion(1)
    assert serialization.from_json(type(record), strict(record)) == record
    assert serialization.from_json(EpochRow, {**asdict(EpochRow(1, 2.0, 3, 0.5)), "loss": None}).loss != 0


def test_other_errors_are_told() -> None:
    with pytest.raises(ValidationError, match="calls"):
        serialization.from_json(Round, {**strict(timing(1).measurements[0].rounds[0]), "calls": "many"})
    with pytest.raises(ValidationError, match="rounds"):
        serialization.from_json(Measurement, {**strict(timing(1).measurements[0]), "rounds": None})
    with pytest.raises(ValidationError):
        serialization.from_json(float, None)
