"""Write ``docs/ops.md`` from the reference runtime's ops and the saved result of ``benchmarks/op_tests.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coremlbench.mil_onnx.ops import OPS
from coremlbench.system.files import atomic_write

PAGE = Path(__file__).with_name("ops.md")
RESULT = Path(__file__).parents[1] / "benchmarks" / "op_tests.json"
OUTCOMES = ("equal", "differ", "not supported")
UNKNOWN = {
    **dict.fromkeys(
        ("random_bernoulli", "random_categorical", "random_normal", "random_uniform"), "no two runs are equal"
    ),
    "conv_quantized": "no current converter makes it",
}
"""Ops of coremltools that the reference runtime does not know, and why."""

HEAD = """# Ops, tried with Apple's own tests

The wheel of coremltools holds Apple's tests of its ops: each converts a small program, predicts with Core ML on a Mac
and compares. `python benchmarks/op_tests.py --save` runs them with the reference runtime in Core ML's place, with their
own tolerances; this page is made from its result (coremltools {version}) and from the code by `make docs`. The cases
are a sample with a seed: {sample}.

| tests | compared | equal | differ | not supported | equal, of those compared |
|---|---:|---:|---:|---:|---:|
{kinds}

A case is not compared when it compares nothing itself, needs an old neural network, is known by Apple to fail, or has a
random op in it.

## Ops

`forms` are the types and ranks of an op's inputs that were tried; `tried` are the compared cases whose program holds
the op. A case that differs counts for each op of its program.

| op | forms | tried | equal | differ | not supported | why |
|---|---:|---:|---:|---:|---:|---|
{ops}

## What differs, and why

| test | cases | of | outcome | why |
|---|---:|---:|---|---|
{differences}
"""


def document() -> str:
    """Return the page."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    return HEAD.format(
        version=result["coremltools"],
        sample=result["sample"],
        kinds="\n".join(_kinds(result["kinds"])),
        ops="\n".join(_op(name, result["ops"].get(name)) for name in sorted({*OPS, *UNKNOWN})),
        differences="\n".join(_difference(row) for row in result["differences"]),
    )


def _kinds(kinds: dict[str, dict[str, int]]) -> list[str]:
    total = {outcome: sum(count[outcome] for count in kinds.values()) for outcome in OUTCOMES}
    return [_kind(name, count) for name, count in [*kinds.items(), ("all", total)]]


def _kind(name: str, count: dict[str, int]) -> str:
    compared = sum(count.values())
    cells = [name, compared, *(count[outcome] for outcome in OUTCOMES), f"{count['equal'] / max(1, compared):.1%}"]
    return f"| {' | '.join(map(str, cells))} |"


def _op(name: str, count: dict[str, Any] | None) -> str:
    if name in UNKNOWN:
        return f"| `{name}` | | | | | | not known: {UNKNOWN[name]} |"
    if count is None:
        return f"| `{name}` | 0 | 0 | 0 | 0 | 0 | no test of Apple's in the sample; tests/mil_onnx has some |"
    numbers = [count["forms"], sum(count[outcome] for outcome in OUTCOMES), *(count[outcome] for outcome in OUTCOMES)]
    return f"| `{name}` | {' | '.join(map(str, numbers))} | {_cell('; '.join(count.get('why', ())))} |"


def _difference(row: dict[str, Any]) -> str:
    return f"| {row['test']} | {row['cases']} | {row['compared']} | {row['outcome']} | {_cell(row['why'])} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    atomic_write(PAGE, document().encode())
