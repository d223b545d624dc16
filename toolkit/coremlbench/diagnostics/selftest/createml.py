"""Checks of the Create ML run: pictures, features, the solvers, Turi Create, and Apple's own Create ML."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coremlbench.createml
from coremlbench.diagnostics.selftest.checks import Context, DoesNotWorkError, NotHereError
from coremlbench.diagnostics.selftest.host import Host
from coremlbench.diagnostics.selftest.tools import run_tool
from coremlbench.diagnostics.selftest.workers import run_worker
from coremlbench.system import macos
from coremlbench.system.files import hash_file
from coremlbench.types.process import Limits

SWIFT_SOURCES = Path(coremlbench.createml.__file__).parent / "swift"
IMAGES = "images.json"
TRAIN, TEST = 20, 10
FEATURES, FEATURES_FILE = 8, "features"
ITERATIONS = 5
SIZE = (32, 32)
TURICREATE_LIMITS = Limits(deadline=45.0, memory_bytes=3 << 30)
SWIFT_LIMITS = Limits(deadline=60.0, memory_bytes=4 << 30)
INSTALL_SWIFT = "Install the Command Line Tools: `xcode-select --install`."
INSTALL_XCODE = (
    "Install Xcode from the App Store, then `sudo xcode-select -s /Applications/Xcode.app`; the Command Line Tools "
    "alone may lack Create ML."
)
SWIFT_PROGRAM = """\
import CreateML
import Foundation

let parameters = MLImageClassifier.ModelParameters(
    validation: .split(strategy: .automatic), maxIterations: 25, augmentation: [.rotation, .flip],
    algorithm: .transferLearning(featureExtractor: .scenePrint(revision: 1), classifier: .logisticRegressor))
print(MLImageClassifier.self, parameters)
"""
TURICREATE_TRAINING = """
import json, turicreate
frame = turicreate.SFrame({"x": [0.0, 0.1, 0.9, 1.0] * 5, "label": [0, 0, 1, 1] * 5})
model = turicreate.logistic_classifier.create(
    frame, "label", ["x"], max_iterations=5, validation_set=None, verbose=False)
print("proof:" + json.dumps({"turicreate": turicreate.__version__, "accuracy": model.training_accuracy}))
"""
"""It loads no TensorFlow, whose build for Intel Macs cannot run under Rosetta."""


def check_drawing(context: Context) -> str:
    """Return that a few pictures of the dataset drawn-food were drawn; their list is in the run's folder."""
    from coremlbench.system import serialization
    from coremlbench_datasets import DatasetRequest, find

    request = DatasetRequest(cache=context.folder / "datasets", train=TRAIN, test=TEST)
    images = find("drawn-food").prepare(request, lambda *_, **__: None)
    (context.folder / IMAGES).write_text(json.dumps(serialization.to_json(images)), encoding="utf-8")
    return f"{TRAIN} training and {TEST} test pictures of {len(images.classes)} classes were drawn"


def check_extraction(context: Context) -> str:
    """Return that the drawn pictures were decoded, resized, flipped, and turned into features by a tiny network.

    Raises:
        DoesNotWorkError: the features are not those of the network, which are computed again with NumPy.
    """
    import numpy as np

    from coremlbench.createml.feature_extraction import Part, Target, prepare_image, write_rows
    from coremlbench.createml.network_onnx import write_onnx

    kernel = np.random.default_rng(0).normal(0, 0.01, (1, 1, 3, FEATURES)).astype(np.float32)
    network = context.folder / "extractor.onnx"
    write_onnx(_network(kernel), network, bgr=False)
    paths = tuple(Path(image["path"]) for image in _images(context)["train"])
    target = Target(context.folder / FEATURES_FILE, SIZE, network)
    test_paths = tuple(Path(image["path"]) for image in _images(context)["test"])
    parts = [Part("train", paths, ("flip",)), Part("test", test_paths)]
    rows = write_rows(parts, target, lambda *_: None, processes=1)
    features = np.fromfile(target.path, np.float32).reshape(rows, FEATURES)
    pixels = np.asarray(prepare_image(paths[0], SIZE, (), (0, 0))[0], np.float64)
    expected = np.maximum(pixels @ kernel[0, 0].astype(np.float64), 0).mean(axis=(0, 1))
    if not np.allclose(features[0], expected, rtol=1e-3, atol=1e-3):
        raise DoesNotWorkError(
            f"the features of a picture are off by up to {float(np.abs(features[0] - expected).max()):.3g}",
            "Install the locked versions again: `make install`.",
        )
    return f"{rows} rows of {FEATURES} features from {TRAIN} pictures with flipped copies, and from {TEST} without"


def check_solver(context: Context) -> str:
    """Return that the built-in solver fitted a classifier to the features, and that its accuracy is true.

    Raises:
        DoesNotWorkError: with its coefficients, NumPy finds another accuracy.
    """
    import numpy as np

    images = _images(context)
    labels = {name: [image["label"] for image in images[name]] for name in ("train", "test")}
    features = np.fromfile(context.folder / FEATURES_FILE, np.float32).reshape(-1, FEATURES)
    first_test = len(features) - TEST
    request = {
        "features": context.folder / FEATURES_FILE,
        "features_sha256": hash_file(context.folder / FEATURES_FILE),
        "length": FEATURES,
        "parts": {"train": [0, first_test], "validation": [0, 0], "test": [first_test, len(features)]},
        "labels": {**labels, "validation": []},
        "iterations": ITERATIONS,
        "state": context.folder / "solver-state.npz",
    }
    fitted = run_worker(context, "train_builtin", request, "training the built-in solver")
    weights = np.array([[0.0] * (FEATURES + 1), *fitted["coefficients"].values()])  # the first class has none
    predicted = np.argmax(features[:first_test] @ weights[:, 1:].T + weights[:, 0], axis=1)
    accuracy = float(np.mean(predicted == np.repeat(labels["train"], first_test // TRAIN)))
    if abs(accuracy - fitted["training_accuracy"]) > 1.5 / first_test:  # one row may be on the border
        raise DoesNotWorkError(
            f"it says that {fitted['training_accuracy']:.1%} of the training rows are right, and {accuracy:.1%} are",
            "Train with `--engine turicreate`, and report this.",
        )
    return f"{fitted['solver_iterations']} iterations, {accuracy:.0%} of {first_test} training rows right"


def _images(context: Context) -> Any:
    return json.loads((context.folder / IMAGES).read_text(encoding="utf-8"))


def _network(kernel: Any) -> Any:
    """Return an extractor of one convolution (ReLU) and the mean over all pixels."""
    from coremlbench.createml.network import Layer, Network

    convolution = {
        "filters": FEATURES,
        "kernel_size": [1, 1],
        "strides": [1, 1],
        "padding": "valid",
        "data_format": "channels_last",
        "dilation_rate": [1, 1],
        "activation": "relu",
        "use_bias": False,
    }
    layers = (
        Layer("data", "InputLayer", (), {"batch_input_shape": [None, *SIZE, 3], "dtype": "float32"}),
        Layer("conv", "Conv2D", ("data",), convolution, {"kernel": kernel}),
        Layer("pool", "GlobalAveragePooling2D", ("conv",), {"data_format": "channels_last"}),
    )
    return Network(SIZE, layers, "data", "pool")


def check_turicreate(context: Context) -> str:
    """Return that Turi Create fits a regression, in its environment.

    Raises:
        NotHereError: its environment was not made yet; a self-test downloads nothing.
        DoesNotWorkError: it does not.
    """
    from coremlbench.createml.turicreate_environment import CHILD_ENVIRONMENT, TURICREATE, installed_python

    python = installed_python(TURICREATE, context.cache)
    if python is None:
        raise NotHereError("its environment was not made yet; the first run that asks for it does that")
    with tempfile.TemporaryDirectory(prefix="coremlbench-") as scratch:
        ended = run_tool(
            *("env", f"TMPDIR={scratch}", f"TURI_LOG_PATH={scratch}"),
            *(f"{name}={value}" for name, value in CHILD_ENVIRONMENT.items()),
            *(str(python), "-I", "-c", TURICREATE_TRAINING),
            timeout=40,
        )
    proofs = [line.removeprefix("proof:") for line in ended.output.splitlines() if line.startswith("proof:")]
    if not proofs:
        last = (ended.errors.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        raise DoesNotWorkError(
            f"its regression failed: {last[:200]}",
            f"Remove {python.parents[1]}, so that the next run makes it again.",
        )
    proof = json.loads(proofs[0])
    return f"Turi Create {proof['turicreate']} fits a regression (training accuracy {proof['accuracy']:.0%})"


def swift_missing(host: Host) -> str:
    """Return why a machine needs no Swift compiler, "" on macOS."""
    return "" if host.is_mac else "only Create ML needs one, and that is a part of macOS"


def check_swift_compiler(context: Context) -> str:
    """Return the version of the Swift compiler.

    Raises:
        DoesNotWorkError: there is none.
    """
    del context
    if not macos.developer_tools():  # xcrun would open a window
        raise DoesNotWorkError("`xcode-select -p` names no developer tools, which have it", INSTALL_SWIFT)
    found = run_tool(macos.system_tool("xcrun") or "xcrun", "swiftc", "--version", timeout=30)
    version = next((line for line in (found.output + found.errors).splitlines() if "Swift version" in line), "")
    if found.returncode != 0 or not version:
        last = (found.errors.strip().splitlines() or ["it says nothing"])[-1]
        raise DoesNotWorkError(f"`xcrun swiftc --version` failed: {last[:200]}", INSTALL_SWIFT)
    return version.strip()


def check_createml_framework(context: Context) -> str:
    """Return that a program that names Create ML's image classifier compiles, and the toolkit's own Swift program.

    Raises:
        DoesNotWorkError: one does not.
    """
    source = context.folder / "createml.swift"
    source.write_text(SWIFT_PROGRAM, encoding="utf-8")
    _type_check([str(source)], "a program that imports CreateML", INSTALL_XCODE)
    own = sorted(SWIFT_SOURCES.glob("*.swift"))
    if own:
        _type_check(
            ["-parse-as-library", *map(str, own)],
            "the toolkit's program",
            "Report it, with the file of `coremlbench selftest --bundle FILE`.",
        )
    return "a program that names MLImageClassifier compiles" + (", and so does the toolkit's" if own else "")


def _type_check(arguments: Sequence[str], name: str, advice: str) -> None:
    """Raise ``DoesNotWorkError`` with the first error of Swift's compiler, if there is one."""
    xcrun = macos.system_tool("xcrun") or "xcrun"
    found = run_tool(xcrun, "swiftc", "-swift-version", "5", "-typecheck", *arguments, timeout=40)
    if found.returncode != 0:
        errors = [line for line in found.errors.splitlines() if "error:" in line] or [found.errors.strip()]
        raise DoesNotWorkError(f"{name} does not compile: {errors[0].rpartition('error:')[2].strip()[:200]}", advice)
