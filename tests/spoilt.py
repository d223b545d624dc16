"""Saved packages that are not what was saved: weights of one op, or labels, are changed in the package's own file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {1: np.float16, 2: np.float32}


def spoil(package: Path, op: str) -> None:
    """Turn round the sign of every other weight of the op of this kind and number, such as "conv 1" for the second."""
    import coremltools

    kind, number = op.split()
    spec = coremltools.utils.load_spec(str(package))
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    chosen = [each for each in block.operations if each.type == kind][int(number)]
    weights = "weight" if "weight" in chosen.inputs else "y"
    name = chosen.inputs[weights].arguments[0].name
    (const,) = [each for each in block.operations if each.outputs and each.outputs[0].name == name]
    _perturb(next(package.rglob("weight.bin")), int(const.attributes["val"].blobFileValue.offset))


def relabel(package: Path, labels: dict[str, str]) -> None:
    """Give classes of a classifier other labels, by their present ones; its values stay where they are."""
    import coremltools

    file = next(package.rglob("*.mlmodel"))
    spec = coremltools.utils.load_spec(str(package))
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    (classify,) = [op for op in block.operations if op.type == "classify"]
    changed = 0
    for value in classify.inputs["classes"].arguments[0].value.immediateValue.list.values:
        (label,) = value.immediateValue.tensor.strings.values
        if label in labels:
            value.immediateValue.tensor.strings.values[0] = labels[label]
            changed += 1
    assert changed == len(labels)
    file.write_bytes(spec.SerializeToString())


def _perturb(file: Path, place: int) -> None:
    """Change the weights whose record begins at ``place``: a mark, their type, their bytes and where they lie."""
    content = bytearray(file.read_bytes())
    mark, kind, size, start = struct.unpack_from("<IIQQ", content, place)
    assert mark == 0xDEADBEEF
    values: Any = np.frombuffer(bytes(content[start : start + size]), TYPES[kind]).copy()
    values[::2] = -values[::2]
    content[start : start + size] = values.tobytes()
    file.write_bytes(content)
