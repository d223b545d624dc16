"""Dataclasses of ``types`` to JSON values and back, for messages between processes and for saved records."""

from __future__ import annotations

import copy
import math
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return a dataclass as JSON values: paths as text, tuples as lists, numbers that are not finite as null."""
    kind: Any = type(value)
    return finite_or_none(_adapter(kind).dump_python(value, mode="json"))


def from_json(kind: type[T], value: Any) -> T:
    """Return a dataclass from JSON values; null in place of a number is NaN.

    Raises:
        ValueError: a field is missing or of the wrong type; the message names it.
    """
    key: Any = kind
    result: T = validate(_adapter(key), value)
    return result


def validate(adapter: Any, content: Any) -> Any:
    """Return what a ``TypeAdapter`` makes of JSON values; null in place of a number becomes NaN.

    Raises:
        pydantic.ValidationError: a field is missing or of the wrong type.
    """
    from pydantic import ValidationError

    try:
        return adapter.validate_python(content)
    except ValidationError as problem:
        errors = [error for error in problem.errors() if error["type"] == "float_type" and error["input"] is None]
        nulls = [error["loc"] for error in errors if error["loc"]]
        if not nulls:
            raise
    readable = copy.deepcopy(content)
    for location in nulls:
        _set_nan(readable, location)
    return adapter.validate_python(readable)


def finite_or_none(value: Any) -> Any:
    """Return JSON values with ``None`` in place of NaN and infinite numbers.

    ``pydantic_core.to_json`` does the same, but raises for the lone surrogates of file names that are not UTF-8.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_none(item) for item in value]
    return value


def allow_null_numbers(schema: Any) -> Any:
    """Return a JSON Schema in which every number may be null, for NaN and infinite figures."""
    if isinstance(schema, dict):
        if schema.get("type") == "number":
            return {**schema, "type": ["number", "null"]}
        return {key: allow_null_numbers(item) for key, item in schema.items()}
    return [allow_null_numbers(item) for item in schema] if isinstance(schema, list) else schema


def _set_nan(content: Any, location: tuple[int | str, ...]) -> None:
    """Set the value at a pydantic error location to NaN; parts that name a member of a union are skipped."""
    *parents, last = location
    for part in parents:
        with suppress(KeyError, TypeError):
            content = content[part]
    content[last] = math.nan


@cache
def _adapter(kind: Any) -> Any:
    """Return the ``TypeAdapter`` of a type; to make one takes pydantic a tenth of a second."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
