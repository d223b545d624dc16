"""Dataclasses of ``types`` to JSON values and back, for messages between processes and for saved records."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return a dataclass as JSON values: paths as text, tuples as lists, numbers that are not finite as null."""
    return _adapter(type(value)).dump_python(value, mode="json")


def from_json(kind: type[T], value: Any) -> T:
    """Return a dataclass from JSON values.

    Raises:
        ValueError: a field is missing or of the wrong type; the message names it.
    """
    return _adapter(kind).validate_python(value)  # type: ignore[no-any-return]


def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
