"""One small network as a package, as an ONNX file and in NumPy, for the tests of `convert --check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.mil_programs import Builder, ct, types

RANDOM = np.random.default_rng(5)
FILTERS = RANDOM.normal(0, 0.4, (8, 3, 1, 1)).astype(np.float32)
HEAD = RANDOM.normal(0, 0.4, (5, 8 * 4 * 6)).astype(np.float32)
SIZE = (4, 6)
"""Height and width of the pictures."""
OTHER_HEAD = np.where(np.arange(5)[:, np.newaxis] == 2, -HEAD, HEAD)
"""A weight of another model: one class has the opposite sign."""
SWAPPED_FILTERS = FILTERS[:, ::-1]
"""The filters of a network that takes BGR for RGB."""


def predict(pictures: np.ndarray, filters: np.ndarray = FILTERS, head: np.ndarray = HEAD) -> np.ndarray:
    """Return the scores (n, 5) of pictures (n, 3, height, width)."""
    maps = np.maximum(np.einsum("nchw,fc->nfhw", pictures.astype(np.float32), filters[:, :, 0, 0]), 0)
    return np.asarray(maps.reshape(len(pictures), -1) @ head.T, np.float32)


def package(
    path: Path,
    *,
    filters: np.ndarray = FILTERS,
    head: np.ndarray = HEAD,
    batch: int = 1,
    softmax: bool = False,
    image: Any = None,
    classes: Sequence[str] = (),
) -> Path:
    """Save the network as a package in float32; ``image`` is a ``ct.ImageType`` for one that takes pictures."""

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(batch, 3, *SIZE))], opset_version=ct.target.iOS16)
    def program(picture: Any) -> Any:
        x = Builder.relu(x=Builder.conv(x=picture, weight=filters))
        scores = Builder.linear(x=Builder.reshape(x=x, shape=(batch, -1)), weight=head, name="scores")
        return Builder.softmax(x=scores, axis=-1, name="probabilities") if softmax else scores

    settings: dict[str, Any] = {"inputs": [image]} if image is not None else {}
    if classes:
        settings["classifier_config"] = ct.ClassifierConfig(list(classes))
    return save_float32(program, path, **settings)


def image_type(scale: float = 1 / 255, order: str = "RGB") -> Any:
    """Return the input of a package that takes pictures."""
    return ct.ImageType(name="picture", shape=(1, 3, *SIZE), scale=scale, color_layout=getattr(ct.colorlayout, order))


def onnx_file(
    path: Path,
    *,
    head: np.ndarray = HEAD,
    shape: Sequence[int | str] = ("n", 3, *SIZE),
    softmax: bool = False,
    names: tuple[str, str] = ("picture", "scores"),
    kind: int = TensorProto.FLOAT,
    **save: Any,
) -> Path:
    """Save the network as an ONNX file with an input of this shape and type; ``save`` goes to ``onnx.save``."""
    taken, given = names
    nodes = [
        helper.make_node("Cast", [taken], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "filters"], ["maps"]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("Flatten", ["positive"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head"], ["logits" if softmax else given], transB=1),
    ]
    nodes += [helper.make_node("Softmax", ["logits"], [given])] if softmax else []
    weights = [numpy_helper.from_array(FILTERS, "filters"), numpy_helper.from_array(head, "head")]
    inputs = [helper.make_tensor_value_info(taken, kind, list(shape))]
    return save_graph(path, nodes, inputs, [given], weights, **save)


def save_graph(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[str],
    weights: Sequence[Any] = (),
    **save: Any,
) -> Path:
    """Save an ONNX graph whose outputs have any shape."""
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "graph", list(inputs), given, list(weights))
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    onnx.save(model, str(path), **save)
    return path


def program_of(path: Path, build: Any, specs: Sequence[tuple[tuple[int, ...], str]]) -> Path:
    """Save a package of the function ``build`` with inputs of these shapes and MIL types, named as its parameters."""
    inputs = [Builder.TensorSpec(shape=shape, dtype=types.string_to_builtin(kind)) for shape, kind in specs]
    program = Builder.program(input_specs=inputs, opset_version=ct.target.iOS16)(build)
    return save_float32(program, path)


def save_float32(program: Any, path: Path, **settings: Any) -> Path:
    """Save a program in float32; ``settings`` are more arguments of ``coremltools.convert``."""
    ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
        **settings,
    ).save(str(path))
    return path
