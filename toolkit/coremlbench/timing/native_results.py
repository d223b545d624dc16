"""What the native runner writes, as the results that the Python workers return: the same figures from the same code."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.system.files import atomic_write
from coremlbench.timing.compute_plan import make_plan
from coremlbench.timing.output_errors import WrongOutputError, largest_output_error
from coremlbench.types.timing import ComputePlan, PlannedOp, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPSET_PREFIX = re.compile(r"^ios\d+\.")
OUTPUT_FILE = re.compile(r"output\.\d+\.f64")
MAX_SAMPLES_BYTES = 1 << 31
"""The most bytes that a file of samples or outputs may have."""


def plan_result(result: Mapping[str, Any], unit: UnitName) -> dict[str, Any]:
    """Return a plan as ``workers/plan.py`` returns it; operations without a device are left out.

    Raises:
        KeyError, TypeError, ValueError: the result is damaged.
    """
    operations = [
        PlannedOp(str(row["name"]), OPSET_PREFIX.sub("", row["kind"]), str(row["device"]), float(row.get("cost") or 0))
        for row in result["operations"]
        if row.get("device")
    ]
    plan = ComputePlan(failure=str(result["failure"])) if result["failure"] else make_plan(operations, unit)
    return {**asdict(plan), "stand_in": bool(result["standIn"])}


def compile_result(result: Mapping[str, Any], compiled: Path) -> dict[str, Any]:
    """Return a compilation as ``workers/compile.py`` returns it.

    Raises:
        KeyError, TypeError, ValueError: the result is damaged.
    """
    return {
        "compiled": str(compiled),
        "compile_seconds": float(result["compileSeconds"]),
        "runtime_version": str(result["runtimeVersion"]),
        "stand_in": bool(result["standIn"]),
    }


def timing_result(folder: Path, result: Mapping[str, Any], expected: Path | None, samples: Path) -> dict[str, Any]:
    """Return a timed round as ``workers/timing.py`` returns it, and write the file ``samples`` as it does.

    ``folder`` has the runner's files, ``expected`` is the ``.npz`` file of the expected outputs.

    Raises:
        KeyError, TypeError, ValueError, OSError: the result is damaged.
        WrongOutputError: the outputs are not those of the model.
    """
    error, notes = _output_error(folder, result["outputs"], expected)
    return {
        "runtime_version": str(result["runtimeVersion"]),
        "stand_in": bool(result["standIn"]),
        "first_load_seconds": float(result["firstLoadSeconds"]),
        "second_load_seconds": float(result["secondLoadSeconds"]),
        "first_predict_seconds": float(result["firstPredictSeconds"]),
        "output_error": error,
        "qos_class": None,
        "notes": notes,
        "calls": int(result["calls"]),
        "warmup_calls": int(result["warmupCalls"]),
        "warmup_seconds": float(result["warmupSeconds"]),
        "energy_joules": None,
        "samples_sha256": _convert_samples(folder / "samples.u64", int(result["calls"]), samples),
        "sustained": [
            {
                "seconds": float(point["seconds"]),
                "p50": float(point["p50"]),
                "p95": float(point["p95"]),
                "calls": int(point["calls"]),
                "thermal_state": point.get("thermalState"),
            }
            for point in result["sustained"]
        ],
    }


def _convert_samples(raw: Path, calls: int, samples: Path) -> str:
    """Write the seconds of each call to an ``.npz`` file as the Python worker does; return its SHA-256."""
    import numpy as np

    nanoseconds = _numbers(raw, "<u8")
    if len(nanoseconds) != calls:
        raise ValueError(f"{raw.name} holds {len(nanoseconds)} calls, and the result says {calls}")
    content = io.BytesIO()
    np.savez_compressed(content, wall=nanoseconds.astype(np.int64) / 1e9)
    atomic_write(samples, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def _numbers(path: Path, dtype: str) -> NDArray[Any]:
    import numpy as np

    if path.stat().st_size > MAX_SAMPLES_BYTES:
        raise ValueError(f"{path.name} is too large")
    return np.frombuffer(path.read_bytes(), dtype=dtype)


def _output_error(folder: Path, outputs: list[dict[str, Any]], expected: Path | None) -> tuple[float | None, list[str]]:
    """Return the largest difference from the expected outputs, and notes on outputs that were not compared."""
    import numpy as np

    if expected is None:
        return None, []
    with np.load(expected, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    unread = {str(output["name"]) for output in outputs if not output.get("file")} & set(arrays)
    notes = [f"The native runner does not read the output '{name}', so it was not compared." for name in sorted(unread)]
    compared = {name: values for name, values in arrays.items() if name not in unread}
    if not compared:
        return None, notes
    return largest_output_error(_samples_of(folder, outputs, compared), compared), notes


def _samples_of(
    folder: Path, outputs: list[dict[str, Any]], expected: Mapping[str, NDArray[Any]]
) -> Iterator[dict[str, NDArray[np.float64]]]:
    """Yield the outputs of each sample, float64 of shape (values,)."""
    count = len(next(iter(expected.values())))
    rows: dict[str, NDArray[np.float64]] = {}
    for output in outputs:
        file = output.get("file")
        if not file:
            continue
        if not OUTPUT_FILE.fullmatch(file):
            raise ValueError(f"'{file}' is no name of a file of outputs")
        values = _numbers(folder / file, "<f8")
        if len(values) % count:
            raise WrongOutputError(f"The output '{output['name']}' does not hold as many numbers for each sample.")
        rows[str(output["name"])] = values.reshape(count, -1)
    for index in range(count):
        yield {name: values[index] for name, values in rows.items()}
