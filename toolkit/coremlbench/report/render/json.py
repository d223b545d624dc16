"""Render the report as JSON with its figures in SI units, and its JSON Schema."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from coremlbench.report.types import Report
from coremlbench.system.serialization import allow_null_numbers, finite_or_none


def render(report: Report) -> bytes:
    """Return the report as UTF-8 JSON; NaN and infinite figures become null, text is unchanged."""
    from pydantic_core import PydanticSerializationError

    try:
        return _adapter().dump_json(report, indent=1) + b"\n"  # type: ignore[no-any-return]  # pydantic's is Any
    except PydanticSerializationError:  # a lone surrogate, as in a file name that is not UTF-8; JSON can escape it
        return json.dumps(finite_or_none(asdict(report)), indent=1).encode() + b"\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the report, which is published as ``docs/report.schema.json``."""
    schema_of_report: dict[str, Any] = allow_null_numbers(_adapter().json_schema(mode="serialization"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "coremlbench report",
        **schema_of_report,
    }


def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Report)
