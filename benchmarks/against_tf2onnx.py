"""Time the reference runtime against ONNX Runtime on the same network exported by tf2onnx, both in one run.

    pip install --no-deps tf2onnx==1.17.0 flatbuffers     into a folder of its own, put on PYTHONPATH
    python benchmarks/against_tf2onnx.py MobileNetV2 ResNet50 EfficientNetB0

The two take turns, each going first every other time, so that whatever else the machine does falls on both alike;
what is compared is the processor time of a prediction on one thread. The exit code is 1 when ours takes more than
LIMIT times as long.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from applications import build, convert, images

ROUNDS = 40
LIMIT = 1.05
"""The ratio above which ours counts as slower: two equal sides have been seen up to 3% apart."""
DEFAULT = ("MobileNetV2", "ResNet50", "EfficientNetB0")


def exported(model: Any) -> bytes:
    """Return the network as tf2onnx exports it, with its own optimisers."""
    import tensorflow as tf
    import tf2onnx  # type: ignore[import-not-found]  # not a dependency: see above
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")]
    tf.config.run_functions_eagerly(True)
    traced = tf.function(lambda image: model(image, training=False), input_signature=signature).get_concrete_function()
    tf.config.run_functions_eagerly(False)
    frozen = convert_variables_to_constants_v2(traced)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph.as_graph_def(), name="")
        made = tf2onnx.tfonnx.process_tf_graph(
            graph, input_names=["image:0"], output_names=[frozen.outputs[0].name], opset=18
        )
        return bytes(tf2onnx.optimizer.optimize_graph(made).make_model(model.name).SerializeToString())


def session(graph: bytes) -> Any:
    """Return a session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def compare(name: str) -> float:
    """Return the ratio of the median seconds, and print both."""
    import numpy as np

    from coremlbench.runtimes.reference import ReferenceRuntime

    model = build(name)
    with tempfile.TemporaryDirectory() as folder:
        convert(model, Path(folder) / "model.mlpackage")
        ours = ReferenceRuntime.load(Path(folder) / "model.mlpackage", threads=1)
    theirs = session(exported(model))
    sample, name_of_theirs = images(model, 1, 1), theirs.get_inputs()[0].name
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours.predict({"image": sample})[ours.outputs[0]],
        "theirs": lambda: theirs.run(None, {name_of_theirs: sample})[0],
    }
    results = {side: call() for side, call in calls.items()}
    seconds: dict[str, list[float]] = {side: [] for side in calls}
    for number in range(ROUNDS):
        for side in sorted(calls, reverse=bool(number % 2)):
            started = time.process_time()
            calls[side]()
            seconds[side].append(time.process_time() - started)
    first, second = statistics.median(seconds["ours"]), statistics.median(seconds["theirs"])
    error = np.abs(results["ours"] - results["theirs"]).max() / np.ptp(results["theirs"])
    print(
        f"{name}: reference runtime {first * 1e3:.2f} ms, tf2onnx {second * 1e3:.2f} ms, ratio {first / second:.3f}, "
        f"largest difference {error:.1e} of the range",
        flush=True,
    )
    return first / second


if __name__ == "__main__":
    ratios = [compare(name) for name in sys.argv[1:] or DEFAULT]
    sys.exit(max(ratios) > LIMIT)
