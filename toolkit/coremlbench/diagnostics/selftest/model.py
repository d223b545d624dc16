"""A tiny model, and the checks of what makes, executes, proves, times and reports models on any system."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.diagnostics.selftest.checks import Context, DoesNotWorkError
from coremlbench.diagnostics.selftest.host import Host
from coremlbench.diagnostics.selftest.workers import run_worker
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.tensorflow_extra import has_tensorflow, install_advice
from coremlbench.types.conversion import PROVEN
from coremlbench.types.process import Limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGE, INPUTS, EXPECTED = "tiny.mlpackage", "inputs.npz", "expected.npz"
"""Names of the tiny model, its samples and the outputs that NumPy computes for them, in the run's folder."""
SHAPE = (1, 3, 8, 8)
SAMPLES, CLASSES, FILTERS = 4, 5, 16
CALLS = 20
MAX_OUTPUT_ERROR = 0.02
"""Largest error of an output as a share of the range of all. Core ML computes in float16, with errors below 0.002."""
TENSORFLOW_LIMITS = Limits(deadline=45.0, memory_bytes=3 << 30)
"""TensorFlow's import alone takes up to ten seconds."""
REINSTALL = "Install the locked versions again: `make install`."


def tensorflow_missing(host: Host) -> str:
    """Return why TensorFlow is not here, "" where it is installed."""
    del host
    return "" if has_tensorflow() else f"TensorFlow is not installed; {install_advice()}"


def check_tiny_model(context: Context) -> str:
    """Return that coremltools made an ML Program of one convolution; the package is in the run's folder."""
    sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]  # coremltools would import it needlessly
    import numpy as np

    random = np.random.default_rng(0)
    kernel = random.normal(0, 0.5, (FILTERS, SHAPE[1], 1, 1)).astype(np.float16).astype(np.float32)
    head = random.normal(0, 0.5, (CLASSES, FILTERS)).astype(np.float16).astype(np.float32)
    pixels = random.normal(0, 1, (SAMPLES, *SHAPE)).astype(np.float16).astype(np.float32)
    _save_package(context.folder / PACKAGE, kernel, head)
    np.savez(context.folder / INPUTS, x=pixels)
    np.savez(context.folder / EXPECTED, scores=_expected_scores(pixels, kernel, head))
    import coremltools

    return f"coremltools {coremltools.__version__} made an ML Program"


def _save_package(path: Path, kernel: NDArray[np.float32], head: NDArray[np.float32]) -> None:
    """Save convolution, ReLU, mean over the pixels, product and softmax as an ML Program in float16."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coremltools' imports warn
        import coremltools as ct
        from coremltools.converters.mil import Builder

        @Builder.program(input_specs=[Builder.TensorSpec(shape=SHAPE)])  # type: ignore[untyped-decorator,unused-ignore]
        def program(x: Any) -> Any:
            filtered = Builder.relu(x=Builder.conv(x=x, weight=kernel))
            means = Builder.reduce_mean(x=filtered, axes=[2, 3], keep_dims=False)
            return Builder.softmax(x=Builder.linear(x=means, weight=head), axis=-1, name="scores")

        model = ct.convert(
            program, convert_to="mlprogram", minimum_deployment_target=ct.target.macOS12, skip_model_load=True
        )
        model.save(str(path))


def _expected_scores(
    pixels: NDArray[np.float32], kernel: NDArray[np.float32], head: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the outputs in float64 of shape (samples, 1, classes), by NumPy alone."""
    import numpy as np

    filtered = np.maximum(np.einsum("sbchw,fc->sbfhw", pixels.astype(np.float64), kernel[:, :, 0, 0]), 0)
    logits = filtered.mean(axis=(3, 4)) @ head.T.astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return scores


def timing_request(context: Context, runtime: str, unit: str, **forms: Path) -> dict[str, Any]:
    """Return the request to the worker ``timing`` for a few calls of the tiny model; ``forms`` are its paths."""
    return {
        "runtime": runtime,
        "unit": unit,
        "package": None,
        "compiled": None,
        "original": None,
        **forms,
        "inputs": context.folder / INPUTS,
        "expected": context.folder / EXPECTED,
        "warmup_calls": 3,
        "warmup_seconds": 0.0,
        "calls": CALLS,
        "seconds": 0.0,
        "sustain_seconds": None,
        "samples": samples_path(context, unit),
    }


def samples_path(context: Context, unit: str) -> Path:
    """Return where the seconds of every call on a unit are."""
    return context.folder / f"samples-{unit}.npz"


def median_milliseconds(context: Context, unit: str) -> float:
    """Return the median of the timed calls on a unit."""
    import numpy as np

    with np.load(samples_path(context, unit)) as samples:
        return float(1e3 * np.median(samples["wall"]))


def check_outputs(result: dict[str, Any], where: str) -> str:
    """Return how far the outputs of the worker ``timing`` are from NumPy's, in words.

    Raises:
        DoesNotWorkError: too far.
    """
    error = result["output_error"]
    if error > MAX_OUTPUT_ERROR:
        raise DoesNotWorkError(
            f"{where} gives other outputs than the model's weights: the largest error is {100 * error:.3g}% of their "
            "range",
            f"Trust no figure of {where}, and report this together with the file of `coremlbench selftest --bundle "
            "FILE`.",
        )
    return f"outputs match (largest error {100 * error:.2g}% of their range)"


def check_reference_runtime(context: Context) -> str:
    """Return that the reference runtime executes the tiny model, gives NumPy's outputs, and is timed.

    Raises:
        DoesNotWorkError: it does not.
    """
    request = timing_request(context, "reference", "host-cpu", package=context.folder / PACKAGE)
    result = run_worker(context, "timing", request, "timing on ONNX Runtime")
    matching = check_outputs(result, "ONNX Runtime")
    return f"{result['runtime_version']}: {median_milliseconds(context, 'host-cpu'):.2g} ms, {matching}"


def check_conversion(context: Context) -> str:
    """Return that a small network was converted to Core ML and proven; the record is in the run's folder.

    Without TensorFlow the tiny model is compressed instead.

    Raises:
        DoesNotWorkError: it was not, or the proof does not say so.
    """
    from coremlbench.conversion.job import convert_models
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.conversion.sources import random_weights_source, source_of_file
    from coremlbench.types.failure import Failure

    with_tensorflow = not tensorflow_missing(context.host)
    source = random_weights_source("fashion-mnist", 0) if with_tensorflow else source_of_file(context.folder / PACKAGE)
    options = ConvertOptions(variants=("fp32" if with_tensorflow else "int8",), images=16, jobs=1)
    ((record, _),) = convert_models(
        [source],
        options,
        results=context.folder / "results",
        command=["coremlbench", "selftest"],
        on_progress=lambda _: None,
    )
    variant = record.variants[-1] if record.variants else None  # of a package the first is the package itself
    failure = record.outcome if isinstance(record.outcome, Failure) else variant.failure if variant else None
    if failure is not None:
        raise DoesNotWorkError(failure.reason, failure.hint)
    assert variant is not None  # a conversion without packages has failed
    assert variant.proof is not None  # as has one whose proof failed
    if variant.proof.verdict not in PROVEN:
        raise DoesNotWorkError(f"{source.name} is {variant.proof.verdict}: {variant.proof.reason}", REINSTALL)
    return f"{source.name} became a Core ML model, {variant.proof.verdict} against its original"


def check_report(context: Context) -> str:
    """Return that a report of the records so far was built in every format.

    Raises:
        DoesNotWorkError: a file is missing.
    """
    from coremlbench.report.files import save_report

    results = context.folder / "results"
    results.mkdir(exist_ok=True)
    paths = save_report([results], context.folder / "report")
    empty = [path.name for path in paths if not path.stat().st_size]
    suffixes = {path.suffix for path in paths}
    if empty or not {".html", ".md", ".json"} <= suffixes:
        raise DoesNotWorkError(f"the report has {', '.join(sorted(path.name for path in paths))}", REINSTALL)
    return f"{', '.join(sorted(suffix[1:] for suffix in suffixes))} of {len(list(results.glob('*/run.json')))} record"


def check_training(context: Context) -> str:
    """Return that TensorFlow trained a small network for one step, and on which device.

    Raises:
        DoesNotWorkError: it crashed, or the loss is not a number.
    """
    request = {"device": "auto", "compare": False, "seed": 0, "one_step": True}
    result = run_worker(context, "device", request, "one training step")
    version, device = result["versions"]["tensorflow"], f"{result['device']} {result['name']}".strip()
    if not math.isfinite(result["loss"]):
        raise DoesNotWorkError(
            f"after one step on {device} the loss is {result['loss']}",
            f"Train on the CPU: `{advised_command('train', '--device', 'cpu', results=context.results)}`.",
        )
    return f"TensorFlow {version} trained one step on {device}, loss {result['loss']:.3f}"
