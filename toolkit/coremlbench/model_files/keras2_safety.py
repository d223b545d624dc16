"""Check the configuration of a Keras 2 model for what would run code or reach files while ``tf_keras`` loads it.

``tf_keras`` has no safe mode for HDF5 files. A configuration can name any attribute of a module, and a layer can be any
function of TensorFlow that is called with constants of the file, ``tf.io.write_file`` for instance. So what a
configuration may name is listed here, and the rest is refused. ``formats.check`` refuses Lambda layers and modules that
are not Keras's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from coremlbench.model_files.formats import dictionaries, layer_name
from coremlbench.types.errors import InputError

SAFE_MODULES = re.compile(
    r"builtins|(tf_)?keras|(tf_)?keras(\.src)?\.(activations|constraints|dtensor|engine|initializers|layers|losses|metrics"
    r"|mixed_precision|models|optimizers|regularizers)(\.\w+)*"
)
"""The modules of Keras 2 that hold layers and what they are made with; the others fetch files or load models."""

FUNCTION_MODULES = re.compile(r"builtins|(tf_)?keras(\.src)?\.(activations|initializers|losses|metrics)(\.\w+)*")
"""The modules whose functions a configuration may name; they take tensors."""

SAFE_NAMESPACES = (
    *("math", "nn", "linalg", "image", "signal", "bitwise", "dtypes", "random", "strings", "quantization", "sets"),
    *("ragged", "sparse", "__operators__", "keras.activations", "keras.backend"),
)
"""Namespaces of TensorFlow's functions that compute with tensors alone."""

UNSAFE_NAMES = {
    *("get", "deserialize"),  # make an object from a configuration
    *("rnn", "function", "map_fn", "foldl", "foldr", "map_values", "map_flat_values"),  # call a function
    "fixed_unigram_candidate_sampler",  # reads a file
    *("set_value", "batch_set_value", "set_floatx", "set_epsilon", "set_image_data_format", "set_learning_phase"),
    *("manual_variable_initialization", "clear_session", "reset_uids", "set_seed", "set_global_generator"),
}
"""Functions in them that do more than compute; those from ``set_value`` on change Keras itself."""

SAFE_FUNCTIONS = {
    *("abs", "acos", "acosh", "add", "add_n", "argmax", "argmin", "argsort", "asin", "asinh", "atan", "atan2", "atanh"),
    *("approx_top_k", "as_string", "batch_to_space", "batch_to_space_nd", "bitcast", "boolean_mask", "broadcast_to"),
    *("cast", "clip_by_global_norm", "clip_by_norm", "complex", "conv", "dynamic_partition", "dynamic_stitch"),
    *("clip_by_value", "concat", "constant", "convert_to_tensor", "cos", "cosh", "cumsum", "divide", "einsum"),
    *("ensure_shape", "equal", "exp", "expand_dims", "eye", "fill", "floor", "floor_div", "gather", "gather_nd"),
    *("greater", "greater_equal", "identity", "less", "less_equal", "linspace", "log", "logical_and", "logical_not"),
    *("logical_or", "logical_xor", "matmul", "maximum", "meshgrid", "minimum", "mod", "multiply", "negative", "norm"),
    *(
        "not_equal",
        "one_hot",
        "ones",
        "ones_like",
        "pad",
        "pow",
        "range",
        "rank",
        "realdiv",
        "reduce_all",
        "reduce_any",
    ),
    *("reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "repeat", "reshape"),
    *("reverse", "reverse_sequence", "roll", "round", "rsqrt", "saturate_cast", "scalar_mul", "scatter_nd"),
    *("searchsorted", "sequence_mask", "shape", "shape_n", "sigmoid", "sign", "sin", "sinh", "size", "slice", "sort"),
    *(
        "space_to_batch",
        "space_to_batch_nd",
        "space_to_depth",
        "depth_to_space",
        "split",
        "sqrt",
        "square",
        "squared_difference",
        "squeeze",
    ),
    *("stack", "stop_gradient", "strided_slice", "subtract", "tan", "tanh", "tensor_scatter_nd_add"),
    *("tensor_scatter_nd_max", "tensor_scatter_nd_min", "tensor_scatter_nd_sub", "tensor_scatter_nd_update"),
    *("tensordot", "tile", "to_double", "to_float", "to_int32", "to_int64", "transpose", "truediv", "truncatediv"),
    *("truncatemod", "unique", "unique_with_counts", "unravel_index", "unstack", "where", "where_v2", "zeros"),
    *("zeros_like", "debugging.check_numerics", "debugging.assert_all_finite"),
}
"""Functions of TensorFlow outside of these namespaces that compute with tensors alone."""

TENSOR_CLASSES = ("RaggedTensor", "SparseTensor")
"""Classes of TensorFlow whose methods a configuration may name."""


def check_keras_2(name: str, config: Any) -> None:
    """Raise ``InputError`` if loading a Keras 2 file of this name and configuration could run code or reach files."""
    for part in dictionaries(config):
        for reason in _unsafe_parts(part):
            raise InputError(
                f"{name} {reason}, which could run code or reach files on this machine while it is loaded; if you "
                "trust where it comes from, convert it with --allow-code."
            )


def _unsafe_parts(part: dict[str, Any]) -> Iterator[str]:
    """Yield a reason for what a dictionary of a configuration names without being allowed to."""
    kind, module, config = part.get("class_name"), part.get("module"), part.get("config")
    if not isinstance(kind, str):
        return
    if isinstance(module, str) and not SAFE_MODULES.fullmatch(module):
        yield f"takes {kind} from the module {module}"
    if kind == "function":
        names = (config, part.get("registered_name"))
        if not isinstance(module, str) or not FUNCTION_MODULES.fullmatch(module) or not all(map(_is_plain, names)):
            yield f"names the function {config} of the module {module}"
    elif not _is_plain(kind.rpartition(">")[2]):  # "os.system" would be looked up in a module that imports os
        yield f"names the class {kind}"
    if not isinstance(config, dict):
        return
    layer = layer_name(part) or kind
    function = config.get("function")
    if kind in {"TFOpLambda", "SlicingOpLambda"} and not is_safe_function(function):
        yield f"has a layer {layer} that calls TensorFlow's {function}"
    method = config.get("method_name", config.get("attr_name", ""))
    foreign_class = kind == "ClassMethod" and config.get("cls_symbol") not in TENSOR_CLASSES
    if foreign_class or (kind in {"ClassMethod", "InstanceMethod", "InstanceProperty"} and not _is_public(method)):
        yield f"has a layer {layer} that calls {config.get('cls_symbol', 'a tensor')}'s {method}"


def is_safe_function(symbol: Any) -> bool:
    """Return whether a function of TensorFlow, by its public name, only computes with tensors."""
    if not isinstance(symbol, str):
        return False
    name = symbol.removeprefix("compat.v1.")
    namespace, _, last = name.rpartition(".")
    if name in SAFE_FUNCTIONS:
        return True
    inside = any(namespace == safe or namespace.startswith(f"{safe}.") for safe in SAFE_NAMESPACES)
    return inside and last.isidentifier() and last not in UNSAFE_NAMES and "experimental" not in namespace


def _is_plain(name: Any) -> bool:
    return name is None or (isinstance(name, str) and name.isidentifier())


def _is_public(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier() and not name.startswith("_")
