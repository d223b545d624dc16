"""Worker for one round of one cell: loads a model on one unit of one runtime, checks its outputs, times each call.

Each round is a process of its own because Core ML has been seen to be killed (coremltools issue 2758), to abort (2757)
and to hang, and because calls within a process are not independent of one another.

The request holds ``runtime`` and ``unit``; the paths ``package``, ``compiled`` and ``original``, each of which may be
``None``; the paths ``inputs`` and ``expected`` of ``.npz`` files with an array for each input or output, whose first
axis is the samples; ``warmup_calls``, ``warmup_seconds``, ``calls`` and ``seconds``; ``sustain_seconds`` or ``None``;
the path ``samples`` of the ``.npz`` file to write; and optionally ``allow_code``
and ``file_options``, a ``ModelFileOptions``.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.runtimes import RUNTIMES, Loaded, is_stand_in
from coremlbench.runtimes.coreml import CoreML, core_ml_errors
from coremlbench.supervision.worker_main import Report, run
from coremlbench.system import serialization
from coremlbench.system.footprint import peak_footprint
from coremlbench.system.scheduling import request_user_initiated
from coremlbench.timing.output_errors import WrongOutputError, largest_output_error
from coremlbench.types.conversion import ModelFileOptions
from coremlbench.types.errors import InputError
from coremlbench.types.timing import Artefact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUSTAINED_BLOCKS = 60
"""The number of blocks of a sustained run; each is a second or longer."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the times of loading and of the first prediction, the output error, and the results of the timed calls.

    ``first_load_seconds`` includes the work of a first load only if the system has no cached copy of the model.
    ``second_load_seconds`` is that of the same model in the same process, after it was unloaded.

    Raises:
        InputError: the request has no form of the model that the runtime takes, or no samples.
        WrongOutputError: the outputs differ in name or size from the expected ones, or are not finite.
    """
    qos_class = request_user_initiated()
    runtime, unit = RUNTIMES[request["runtime"]], request["unit"]
    if "original" not in runtime.takes:
        # coremltools would import TensorFlow, which takes seconds and memory and starts threads beside the timed calls.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    report("start", 0, 1, f"starting {runtime.version}")
    runtime.start(unit)
    model = _model_path(request, runtime.takes)
    file_options = serialization.from_json(ModelFileOptions, request.get("file_options", {}))

    def load() -> Loaded:
        if isinstance(runtime, CoreML):
            return runtime.load(model, unit, package=Path(request["package"]) if request.get("package") else None)
        return runtime.load(model, unit, allow_code=request.get("allow_code", False), file_options=file_options)

    report("load", 0, 2, f"loading '{model.name}' for {unit}")
    first_load, loaded = _measure(load)
    loaded.unload()
    del loaded
    report("load", 1, 2, "loading it again")
    second_load, loaded = _measure(load)
    samples = [loaded.prepare(sample) for sample in _load_samples(Path(request["inputs"]))]
    report("first predict", 0, 1, f"first prediction on {unit}")
    with core_ml_errors(unit) if isinstance(runtime, CoreML) else nullcontext():
        first_predict, _ = _measure(lambda: loaded.predict(samples[0]))
        result = {
            "runtime_version": runtime.version,
            "stand_in": runtime.name == "coreml" and is_stand_in(),
            "first_load_seconds": first_load,
            "second_load_seconds": second_load,
            "first_predict_seconds": first_predict,
            "output_error": None,
            "qos_class": qos_class,
            "notes": [],
        }
        if request.get("expected"):
            result["output_error"] = output_error(loaded, samples, _load_arrays(Path(request["expected"])), report)
        result |= _time(_cycle(loaded, samples), loaded, request, report)
        result["footprint_bytes"] = peak_footprint()
    return result


def _cycle(loaded: Loaded, samples: list[Any]) -> Callable[[], Any]:
    """Return a function that predicts one sample after the other, again and again."""
    next_sample, predict = itertools.cycle(samples).__next__, loaded.predict
    return lambda: predict(next_sample())


def _time(
    call: Callable[[], Any],
    loaded: Loaded,
    request: Mapping[str, Any],
    report: Report,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Any]:
    """Time the calls, write their seconds to the file of samples, and return the part of the result about them.

    ``clock`` returns nanoseconds.
    """
    from coremlbench.timing.energy import energy_meter
    from coremlbench.timing.measurement_loop import time_calls

    report("time", 0, request["calls"], "warming up, then timing")
    timed = time_calls(
        call,
        warmup_calls=request["warmup_calls"],
        warmup_seconds=request["warmup_seconds"],
        calls=request["calls"],
        seconds=request["seconds"],
        runtime_seconds=loaded.runtime_seconds if loaded.runtime_seconds() is not None else None,
        meter=energy_meter(),
        heartbeat=lambda done: report("time", done, 0, "timing"),
        clock=clock,
    )
    seconds = request.get("sustain_seconds")
    return {
        "calls": len(timed.wall),
        "warmup_calls": timed.warmup_calls,
        "warmup_seconds": timed.warmup_seconds,
        "energy_joules": timed.joules,
        "samples_sha256": _save_samples(Path(request["samples"]), timed.wall, timed.runtime),
        "sustained": _sustain(call, seconds, report, clock) if seconds else [],
    }


def _sustain(call: Callable[[], Any], seconds: float, report: Report, clock: Callable[[], int]) -> list[dict[str, Any]]:
    """Call without pause for ``seconds``; return the points as JSON values, with progress within blocks too."""
    from coremlbench.system.conditions import thermal_state
    from coremlbench.timing.measurement_loop import sustain

    start = clock()

    def report_progress(_: object = None) -> None:
        report("sustain", round((clock() - start) / 1e9), round(seconds), "calling without pause")

    report_progress()
    points = sustain(
        call,
        seconds,
        max(1.0, seconds / SUSTAINED_BLOCKS),
        thermal_state=thermal_state,
        on_point=report_progress,
        heartbeat=report_progress,
        clock=clock,
    )
    return [asdict(point) for point in points]


def output_error(loaded: Loaded, samples: list[Any], expected: Mapping[str, NDArray[Any]], report: Report) -> float:
    """Return the largest difference from the expected outputs; see ``largest_output_error``.

    Each sample is reported: nothing else can be said during a prediction, which holds Python's interpreter lock.

    Raises:
        WrongOutputError: outputs cannot be matched, or are not finite where finite values are expected.
    """
    if any(len(values) != len(samples) for values in expected.values()):
        raise WrongOutputError("The file of expected outputs does not hold one for each sample of the inputs.")

    def outputs() -> Iterator[dict[str, NDArray[np.float64]]]:
        for index, sample in enumerate(samples):
            report("check outputs", index, len(samples), "comparing the outputs with the expected ones")
            yield loaded.outputs(loaded.predict(sample))

    return largest_output_error(outputs(), expected)


def _model_path(request: Mapping[str, Any], takes: tuple[Artefact, ...]) -> Path:
    """Return the path of the first form of the model in ``takes`` that the request has; ``InputError`` without any."""
    for artefact in takes:
        if request.get(artefact):
            return Path(request[artefact])
    raise InputError(
        f"The runtime '{request['runtime']}' takes a model as {' or '.join(takes)}, and the request has none."
    )


def _load_samples(path: Path) -> list[dict[str, NDArray[Any]]]:
    """Return the samples of an ``.npz`` file, each with one array for each input; ``InputError`` without any."""
    arrays = _load_arrays(path)
    count = min((len(array) for array in arrays.values()), default=0)
    if count == 0:
        raise InputError(f"'{path.name}' holds no samples to predict.")
    return [{name: array[index] for name, array in arrays.items()} for index in range(count)]


def _load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _save_samples(path: Path, wall: NDArray[np.float64], runtime: NDArray[np.float64] | None) -> str:
    """Write the seconds of every call to an ``.npz`` file atomically; return its SHA-256.

    Its arrays are ``wall`` and, for a runtime with its own clock, ``own``.
    """
    import io

    import numpy as np

    from coremlbench.system.files import atomic_write

    content = io.BytesIO()
    if runtime is None:
        np.savez_compressed(content, wall=wall)
    else:
        np.savez_compressed(content, wall=wall, own=runtime)
    atomic_write(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def _measure(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that ``action`` took, and its result."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    run(work)
