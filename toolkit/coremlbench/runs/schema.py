"""The JSON Schema of ``coremlbench results --json``, which is published as ``docs/results.schema.json``."""

from __future__ import annotations

from typing import Any

from coremlbench.runs.store import json_schema
from coremlbench.system.serialization import allow_null_numbers
from coremlbench.types.training_records import SCHEMA

RECORD_TYPES = ("TrainingRecord", "ConversionRecord", "TimingRecord")


def results_schema() -> dict[str, Any]:
    """Return the schema of an array of records; numbers may be null, in place of NaN and infinite figures.

    Its ``version`` is that of the records that this release writes. Records of older releases have a lower number in
    their field ``schema``, and keep to it too.
    """
    schema: dict[str, Any] = allow_null_numbers(json_schema())
    definitions = schema.pop("$defs")
    for name in RECORD_TYPES:
        definitions[name]["properties"]["schema"] = {"type": "integer", "minimum": 1, "maximum": SCHEMA}
        definitions[name]["required"] = sorted({*definitions[name]["required"], "kind", "schema"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "coremlbench results --json",
        "description": "An array of records, oldest first; the field kind of each tells its type.",
        "version": SCHEMA,
        "type": "array",
        "items": schema,
        "$defs": definitions,
    }
