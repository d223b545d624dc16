"""One round of one cell: loads a model on one unit of one runtime, checks what it gives, and times each call.

It is a process of its own because Core ML has been seen to kill (coremltools issue 2758), abort (2757) and hang it, and
because calls within a process are not independent of one another.

The request holds ``runtime``, ``unit``, the paths ``package``, ``compiled``, ``original`` (each or ``None``; a
compiled model goes before its package), ``inputs`` and ``expected`` (``.npz``: an array for each input or output, its
first axis the samples), ``warmup_calls``, ``warmup_seconds``, ``calls``, ``seconds``, ``sustain_seconds`` (or
``None``) and ``samples``, the ``.npz`` to write; ``allow_code`` is optional.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.runtimes import RUNTIMES, Loaded, is_stand_in
from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.timing import Artefact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUSTAINED_POINTS = 60
"""Into how many stretches a sustained run is cut, none shorter than a second."""


class WrongOutputError(CoremlbenchError):
    """The runtime's outputs are not those of the model: its times would mean nothing."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the times of loading and of the first prediction, and where the samples are.

    ``first_load_seconds`` is cold only where the system has no copy of the model from earlier in its cache;
    ``second_load_seconds`` is that of the same model in the same process, after it was unloaded.

    Raises:
        WrongOutputError: the outputs have other names or sizes than the expected ones, or are no numbers.
    """
    runtime, unit = RUNTIMES[request["runtime"]], request["unit"]
    if "original" not in runtime.takes:
        # coremltools imports TensorFlow when it is there: seconds and memory, and threads beside what is timed.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    report("start", 0, 1, f"starting {runtime.version}")
    runtime.start(unit)
    model = _model(request, runtime.takes)

    def load() -> Loaded:
        return runtime.load(model, unit, allow_code=request.get("allow_code", False))

    report("load", 0, 2, f"loading '{model.name}' for {unit}")
    first_load, loaded = _timed(load)
    loaded.unload()
    del loaded
    report("load", 1, 2, "loading it again")
    second_load, loaded = _timed(load)
    samples = [loaded.prepare(sample) for sample in _samples(Path(request["inputs"]))]
    report("first predict", 0, 1, f"first prediction on {unit}")
    first_predict, _ = _timed(lambda: loaded.predict(samples[0]))
    result = {
        "runtime_version": runtime.version,
        "stand_in": runtime.name == "coreml" and is_stand_in(),
        "first_load_seconds": first_load,
        "second_load_seconds": second_load,
        "first_predict_seconds": first_predict,
        "output_error": None,
        "notes": [],
    }
    if request.get("expected"):
        report("check outputs", 0, len(samples), "comparing the outputs with the expected ones")
        result["output_error"] = output_error(loaded, samples, _arrays(Path(request["expected"])))
    following, predict = itertools.cycle(samples).__next__, loaded.predict
    result |= _time(lambda: predict(following()), loaded, request, report)
    return result


def _time(
    call: Callable[[], Any],
    loaded: Loaded,
    request: Mapping[str, Any],
    report: Report,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Any]:
    """Return the result's part on the timed calls, after writing all of them to the file of samples.

    ``clock`` returns nanoseconds.
    """
    from coremlbench.timing.conditions import thermal_state
    from coremlbench.timing.energy import energy_meter
    from coremlbench.timing.measurement_loop import sustain, time_calls

    report("time", 0, request["calls"], "warming up, then timing")
    timed = time_calls(
        call,
        warmup_calls=request["warmup_calls"],
        warmup_seconds=request["warmup_seconds"],
        calls=request["calls"],
        seconds=request["seconds"],
        own_seconds=loaded.own_seconds if loaded.own_seconds() is not None else None,
        meter=energy_meter(),
        alive=lambda done: report("time", done, 0, "timing"),
        clock=clock,
    )
    found: dict[str, Any] = {
        "calls": len(timed.wall),
        "warmup_calls": timed.warmup_calls,
        "warmup_seconds": timed.warmup_seconds,
        "energy_joules": timed.joules,
        "samples_sha256": _save(Path(request["samples"]), timed.wall, timed.own),
        "sustained": [],
    }
    seconds = request.get("sustain_seconds")
    if seconds:
        began = clock()

        def tell(_: object = None) -> None:
            report("sustain", round((clock() - began) / 1e9), round(seconds), "calling without pause")

        tell()
        stretch = max(1.0, seconds / SUSTAINED_POINTS)
        points = sustain(call, seconds, stretch, thermal_state=thermal_state, on_point=tell, alive=tell, clock=clock)
        found["sustained"] = [asdict(point) for point in points]
    return found


def output_error(loaded: Loaded, samples: list[Any], expected: Mapping[str, NDArray[Any]]) -> float:
    """Return the largest difference from the expected outputs, as a share of the range of all that are expected.

    Outputs are matched by name, or as the only one on both sides, since the original's have other names.

    Raises:
        WrongOutputError: they cannot be matched, or are no numbers where numbers are expected.
    """
    import numpy as np

    if any(len(values) != len(samples) for values in expected.values()):
        raise WrongOutputError("The file of expected outputs does not hold one for each sample of the inputs.")
    largest, low, high = 0.0, np.inf, -np.inf
    for index, sample in enumerate(samples):
        outputs = loaded.outputs(loaded.predict(sample))
        for name, values in expected.items():
            wanted = np.asarray(values[index], np.float64).reshape(-1)
            given = outputs.get(name, next(iter(outputs.values())) if len(outputs) == len(expected) == 1 else None)
            if given is None or given.shape != wanted.shape:
                raise WrongOutputError(
                    f"The expected output '{name}' has {wanted.size} numbers; the model gave "
                    f"{ {each: value.size for each, value in outputs.items()} }: it is not the model that was expected."
                )
            if not np.isfinite(given[np.isfinite(wanted)]).all():
                raise WrongOutputError(f"The output '{name}' is not a number where the expected one is.")
            finite = np.isfinite(wanted)
            largest = max(largest, float(np.abs(given - wanted)[finite].max(initial=0)))
            low, high = min(low, wanted[finite].min(initial=low)), max(high, wanted[finite].max(initial=high))
    return float(largest / (high - low)) if high > low else largest


def _model(request: Mapping[str, Any], takes: tuple[Artefact, ...]) -> Path:
    """Return the path of the best form of the model that the runtime takes and the request has."""
    for artefact in takes:
        if request.get(artefact):
            return Path(request[artefact])
    raise InputError(
        f"The runtime '{request['runtime']}' takes a model as {' or '.join(takes)}, and the request has none."
    )


def _samples(path: Path) -> list[dict[str, NDArray[Any]]]:
    arrays = _arrays(path)
    count = min((len(array) for array in arrays.values()), default=0)
    if count == 0:
        raise InputError(f"'{path.name}' holds no samples to predict.")
    return [{name: array[index] for name, array in arrays.items()} for index in range(count)]


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _save(path: Path, wall: NDArray[np.float64], own: NDArray[np.float64] | None) -> str:
    """Return the hash of the file, written whole, that holds the seconds of every call."""
    import io

    import numpy as np

    from coremlbench.system.files import write_whole

    content = io.BytesIO()
    if own is None:
        np.savez_compressed(content, wall=wall)
    else:
        np.savez_compressed(content, wall=wall, own=own)
    write_whole(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    value = action()
    return time.perf_counter() - began, value


if __name__ == "__main__":
    run(work)
