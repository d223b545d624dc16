"""Checkpoints of a training after each epoch, from which another process can resume it.

A checkpoint holds the finished epochs and all variables of the network and the optimizer, the states of random
generators included, so that dropout continues with the same numbers. It is written atomically; the previous checkpoint
is removed afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coremlbench.runs.resume_data import CHECKPOINT_PATTERN
from coremlbench.system import serialization
from coremlbench.system.files import atomic_writer
from coremlbench.types.errors import InputError
from coremlbench.types.training_records import EpochRow

METADATA_KEY, FINGERPRINT_KEY = "about", "made of"
"""Names in the file, of the JSON metadata and in it of the fingerprint."""


def write(folder: Path, model: Any, rows: Sequence[EpochRow], fingerprint: Sequence[Any]) -> Path:
    """Write a checkpoint after the last epoch in ``rows``, and return its path.

    ``fingerprint`` holds JSON values that identify the training.
    """
    import numpy as np

    folder.mkdir(exist_ok=True)
    path = folder / CHECKPOINT_PATTERN.replace("*", f"{rows[-1].epoch:06}")
    metadata = json.dumps({"epochs": [asdict(row) for row in rows], FINGERPRINT_KEY: fingerprint})
    arrays = {f"variable {index:06}": np.asarray(variable) for index, variable in enumerate(_variables(model))}
    with atomic_writer(path) as file:
        np.savez(file, **{METADATA_KEY: np.array(metadata), **arrays})  # type: ignore[arg-type]  # allow_pickle is not among them
    for older in folder.glob(CHECKPOINT_PATTERN):
        if older != path:
            older.unlink(missing_ok=True)
    return path


def read(file: Path, model: Any, fingerprint: Sequence[Any]) -> list[EpochRow]:
    """Restore the variables of the model and its optimizer from a checkpoint; return the finished epochs.

    Raises:
        InputError: the file is damaged, or is the checkpoint of another training.
    """
    import numpy as np

    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            metadata = json.loads(str(arrays[METADATA_KEY]))
            names = [name for name in arrays.files if name.startswith("variable ")]
            values = [arrays[name] for name in sorted(names)]
    except (OSError, ValueError, KeyError) as problem:
        raise InputError("The checkpoint of the failed run cannot be read; run it again without --resume.") from problem
    shapes = [tuple(variable.shape) for variable in variables]
    if metadata[FINGERPRINT_KEY] != json.loads(json.dumps(fingerprint)) or [value.shape for value in values] != shapes:
        raise InputError(
            "The data, the network, the machine or its software differ from those of the failed run; run it again "
            "without --resume."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return [serialization.from_json(EpochRow, row) for row in metadata["epochs"]]


def _variables(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
