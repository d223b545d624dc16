"""The report as JSON, and the schema it keeps to: for programs, with every figure in SI units."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from coremlbench.report.types import Report


def render(report: Report) -> bytes:
    """Return the report as JSON text; a figure that is not a number becomes null, text stays as it was recorded."""
    from pydantic_core import PydanticSerializationError

    try:
        return _adapter().dump_json(report, indent=1) + b"\n"  # type: ignore[no-any-return]  # pydantic's is Any
    except PydanticSerializationError:  # half a character, as a file's name may have: JSON can escape it
        return json.dumps(_finite(asdict(report)), indent=1).encode() + b"\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the report; it is published as ``docs/report.schema.json``."""
    made: dict[str, Any] = _with_nulls(_adapter().json_schema(mode="serialization"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "coremlbench report", **made}


def _with_nulls(value: Any) -> Any:
    """Return a schema in which a number may be null: what was not a number when it was recorded."""
    if isinstance(value, dict):
        if value.get("type") == "number":
            return {**value, "type": ["number", "null"]}
        return {key: _with_nulls(each) for key, each in value.items()}
    return [_with_nulls(each) for each in value] if isinstance(value, list) else value


def _finite(value: Any) -> Any:
    """Return JSON values with null for what is not a number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Report)
