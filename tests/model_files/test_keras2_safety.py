import inspect
import json
from pathlib import Path
from typing import Any

import h5py
import pytest

from coremlbench.model_files.formats import check, read_config
from coremlbench.model_files.keras2_safety import (
    SAFE_FUNCTIONS,
    SAFE_NAMESPACES,
    check_keras_2,
    is_safe_function,
)
from coremlbench.types.errors import InputError

UNSAFE = [
    (
        {"class_name": "function", "config": "os.system", "module": "keras.src.utils.data_utils"},
        "takes function from the module keras.src.utils.data_utils",
    ),
    (
        {"class_name": "get_file", "config": {"name": "x"}, "module": "keras.utils"},
        "takes get_file from the module keras.utils",
    ),
    ({"class_name": "function", "config": "load_model", "module": "keras.models"}, "names the function load_model"),
    ({"class_name": "function", "config": "os.system", "module": "builtins"}, "names the function os.system"),
    (
        {"class_name": "function", "config": "relu", "module": "builtins", "registered_name": "os.system"},
        "names the function relu",
    ),
    ({"class_name": "os.system", "config": {}, "module": "keras.src.layers.core.dense"}, "names the class os.system"),
    (
        {"class_name": "TFOpLambda", "config": {"name": "x", "function": "io.write_file"}},
        "has a layer x that calls TensorFlow's io.write_file",
    ),
    ({"class_name": "TFOpLambda", "config": {"name": "x", "function": "saved_model.load"}}, "saved_model.load"),
    ({"class_name": "SlicingOpLambda", "config": {"name": "x", "function": "print"}}, "TensorFlow's print"),
    ({"class_name": "TFOpLambda", "config": {"name": "x", "function": ["nn.relu"]}}, "calls TensorFlow's"),
    (
        {
            "class_name": "ClassMethod",
            "config": {"name": "x", "cls_symbol": "io.TFRecordWriter", "method_name": "write"},
        },
        "io.TFRecordWriter's write",
    ),
    (
        {"class_name": "InstanceMethod", "config": {"name": "x", "method_name": "__class__"}},
        "calls a tensor's __class__",
    ),
    ({"class_name": "InstanceProperty", "config": {"name": "x", "attr_name": "_op"}}, "calls a tensor's _op"),
]

SAFE = [
    {"class_name": "Dense", "config": {"name": "x", "activation": "relu"}},
    {"class_name": "Dense", "config": {"name": "x"}, "module": "keras.layers", "registered_name": None},
    {"class_name": "Functional", "config": {"name": "x"}, "module": "keras.src.engine.functional"},
    {"class_name": "LSTMCell", "config": {"name": "x"}, "module": "tf_keras.src.layers.rnn.lstm"},
    {"class_name": "GlorotUniform", "config": {"seed": None}, "module": "keras.initializers"},
    {"class_name": "function", "config": "relu", "module": "builtins", "registered_name": "function"},
    {"class_name": "TFOpLambda", "config": {"name": "x", "function": "compat.v1.nn.conv2d"}},
    {"class_name": "TFOpLambda", "config": {"name": "x", "function": "reshape"}},
    {"class_name": "SlicingOpLambda", "config": {"name": "x", "function": "__operators__.getitem"}},
    {"class_name": "ClassMethod", "config": {"name": "x", "cls_symbol": "RaggedTensor", "method_name": "from_tensor"}},
    {"class_name": "InstanceProperty", "config": {"name": "x", "attr_name": "flat_values"}},
]


def h5_file(path: Path, part: dict[str, Any]) -> Path:
    """Write a file whose configuration holds ``part`` in a model in a model."""
    config = {"class_name": "Sequential", "config": {"layers": [part]}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": [config]}})
    return path


@pytest.mark.parametrize(("part", "sentence"), UNSAFE)
def test_what_could_run_code_is_refused(tmp_path: Path, part: dict[str, Any], sentence: str) -> None:
    path = h5_file(tmp_path / "model.h5", part)
    with pytest.raises(InputError) as refused:
        check_keras_2("model.h5", read_config(path, "h5"))
    assert sentence in str(refused.value)
    assert "--allow-code" in str(refused.value)


@pytest.mark.parametrize("part", SAFE)
def test_what_keras_2_writes_passes(tmp_path: Path, part: dict[str, Any]) -> None:
    path = h5_file(tmp_path / "model.h5", part)
    check(path, "h5", allow_code=False)
    check_keras_2("model.h5", read_config(path, "h5"))


@pytest.mark.parametrize(
    "name",
    [
        *("math.truediv", "nn.relu", "compat.v1.transpose", "linalg.set_diag", "image.resize", "math.special.dawsn"),
        *("keras.activations.relu", "keras.backend.sum", "__operators__.add", "concat", "cast"),
    ],
)
def test_functions_that_only_compute_are_safe(name: str) -> None:
    assert is_safe_function(name)


@pytest.mark.parametrize(
    "name",
    [
        *("io.read_file", "compat.v1.read_file", "py_function", "numpy_function", "load_op_library", "print", ""),
        *("raw_ops.WriteFile", "saved_model.load", "data.Dataset", "io.gfile.rmtree", "mathematics.add", "math."),
        *("keras.activations.deserialize", "keras.backend.function", "keras.utils.get_file", "keras.models.load_model"),
        *("quantization.experimental.quantize_saved_model", "random.fixed_unigram_candidate_sampler"),
    ],
)
def test_other_functions_are_not(name: str) -> None:
    assert not is_safe_function(name)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
def test_the_functions_that_are_listed_exist_and_none_takes_a_path() -> None:
    import tensorflow as tf
    import tf_keras

    roots = {"keras": tf_keras, "__operators__": None}
    functions = {name: find(tf, name) or find(tf.compat.v1, name) for name in SAFE_FUNCTIONS}
    assert [name for name, function in functions.items() if function is None] == []
    for namespace in SAFE_NAMESPACES:
        root, _, inner = namespace.partition(".")
        module = find(roots[root], inner) if root in roots else find(tf, namespace)
        names = [name for name in dir(module) if is_safe_function(f"{namespace}.{name}")] if module else []
        assert len(names) > 3 or root == "__operators__"
        functions |= {f"{namespace}.{name}": getattr(module, name) for name in names}
    paths = {
        f"{name}({parameter})"
        for name, function in functions.items()
        if inspect.isfunction(function)
        for parameter in inspect.signature(function).parameters
        if any(word in parameter.split("_") for word in ("file", "filename", "path", "dir", "directory", "url"))
    }
    assert paths == set()


def find(root: Any, name: str) -> Any:
    """Return the value of a dotted name below a module, ``None`` where there is none."""
    for part in name.split(".") if root is not None else ():
        root = getattr(root, part, None)
    return root
