"""Change places of a JSON text: bytes changed at random are rarely JSON still, and get no further than its parser."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 1.5, 1e308, float("nan"), float("inf")),
    *("", "0", "\0", "a" * 300, "../../outside", "/etc/passwd", "<script>", "\ud800", "{}", "2026-13-45T99:99:99"),
    *([], {}, [[]], [None], {"": None}, {"class_name": 1}),
)
DEEP = 3000
"""More levels than Python's recursion limit."""


def mutate_json(data: bytes, seed: int) -> bytes | None:
    """Return the JSON text with values, keys or lists changed, the same for the same seed; ``None`` for no JSON."""
    try:
        root = [json.loads(data)]
    except (ValueError, RecursionError):
        return None
    generator = random.Random(seed)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        container, key = _place(root, generator)
        generator.choice(CHANGES)(root, container, key, generator)
        if not root:
            root.append(None)
    text = json.dumps(root[0])
    if generator.random() < 0.01:
        text = "[" * DEEP + text + "]" * DEEP
    return text.encode()


def _place(root: list[Any], generator: random.Random) -> tuple[Any, Any]:
    """Return a container in the value and a key in it."""
    places: list[tuple[Any, Any]] = []
    queue: list[Any] = [root]
    while queue:
        container = queue.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            places.append((container, key))
            if isinstance(container[key], (dict, list)):
                queue.append(container[key])
    return generator.choice(places)


def _neighbour(value: Any, generator: random.Random) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return generator.choice((-value, value + 1, value * 1000, float(value) if abs(value) < 1e300 else 0))
    if isinstance(value, str):
        cut = generator.randrange(len(value) + 1)
        return generator.choice((value[:cut], value + value, value[:cut] + "\n" + value[cut:], f"../{value}"))
    if isinstance(value, list):
        return value * 2
    return value


# --- what changes a place: the whole value in a list, the container, its key, and the generator -------------


def _replace(root: list[Any], container: Any, key: Any, generator: random.Random) -> None:
    del root
    container[key] = copy.deepcopy(generator.choice(VALUES))


def _vary(root: list[Any], container: Any, key: Any, generator: random.Random) -> None:
    del root
    container[key] = _neighbour(container[key], generator)


def _remove(root: list[Any], container: Any, key: Any, generator: random.Random) -> None:
    del root, generator
    del container[key]


def _copy(root: list[Any], container: Any, key: Any, generator: random.Random) -> None:
    other, name = _place(root, generator)
    container[key] = copy.deepcopy(other[name])


def _rename(root: list[Any], container: Any, key: Any, generator: random.Random) -> None:
    del root
    if isinstance(container, dict):
        container[generator.choice(("class_name", "config", "module", "name", "path", f"{key}x"))] = container.pop(key)
    else:
        generator.shuffle(container)


CHANGES = (_replace, _vary, _remove, _copy, _rename)
