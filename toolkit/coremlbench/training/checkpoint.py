"""What a training leaves after each epoch so that another process can go on with it: every variable, and the epochs.

The variables are those of the network (its random generators too, so that dropout goes on with the same numbers) and
of the optimizer. The file is whole or absent; the one before is there until the new one is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coremlbench.runs.resume_data import CHECKPOINTS
from coremlbench.system import serialization
from coremlbench.system.files import written_whole
from coremlbench.types.errors import InputError
from coremlbench.types.training_records import EpochRow


def write(folder: Path, model: Any, rows: Sequence[EpochRow], made_of: Mapping[str, Any]) -> Path:
    """Return the file of the state after the last of ``rows``; ``made_of`` is what decides the training."""
    import numpy as np

    folder.mkdir(exist_ok=True)
    path = folder / CHECKPOINTS.replace("*", f"{rows[-1].epoch:06}")
    about = json.dumps({"epochs": [asdict(row) for row in rows], "made of": made_of})
    arrays = {f"variable {index:06}": np.asarray(each) for index, each in enumerate(_variables(model))}
    with written_whole(path) as file:
        np.savez(file, **{"about": np.array(about), **arrays})  # type: ignore[arg-type]  # allow_pickle is not among them
    for older in folder.glob(CHECKPOINTS):
        if older != path:
            older.unlink(missing_ok=True)
    return path


def read(file: Path, model: Any, made_of: Mapping[str, Any]) -> list[EpochRow]:
    """Return the epochs that were done, with every variable of the model and its optimizer as it was after them.

    Raises:
        InputError: the file is of another training, or broken.
    """
    import numpy as np

    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    try:
        with np.load(file, allow_pickle=False) as kept:
            about = json.loads(str(kept["about"]))
            names = [name for name in kept.files if name.startswith("variable ")]
            values = [kept[name] for name in sorted(names)]
    except (OSError, ValueError, KeyError) as problem:
        raise InputError(
            "The state that the broken run kept cannot be read; run it again without --resume."
        ) from problem
    shapes = [tuple(each.shape) for each in variables]
    if about["made of"] != json.loads(json.dumps(made_of)) or [value.shape for value in values] != shapes:
        raise InputError(
            "The data, the network, this machine or its software is not what the broken run had; run it again "
            "without --resume."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return [serialization.from_json(EpochRow, row) for row in about["epochs"]]


def _variables(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
