"""What coremltools cannot convert is told with the op and the layer, and only with remedies that are some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from coremlbench.conversion.originals import open_original
from coremlbench.conversion.originals.conversion_errors import explain_conversion_errors
from coremlbench.conversion.originals.traced_model import make_tracer
from coremlbench.conversion.sources import source_of_file
from coremlbench.types.errors import InputError

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and Keras warn about each other
]


def failure(model: Any, folder: Path) -> str:
    """Return the sentence with which a model is not converted."""
    if isinstance(model, keras.Model):
        model.save(folder / "m.keras")
        source = source_of_file(folder / "m.keras")
    else:
        tf.saved_model.save(model, str(folder / "m"), signatures=model.__call__)
        source = source_of_file(folder / "m")
    original = open_original(source, {})
    with pytest.raises(InputError) as raised:
        original.convert("float16", batch=1, target="macOS13")
    sentence = str(raised.value)
    assert sentence.endswith(".")
    assert len(sentence.splitlines()) == 1
    return sentence


def module(compute: Any, shape: tuple[int, ...] = (1, 4)) -> Any:
    """Return a module of TensorFlow that computes a function."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
        def __call__(self, x: Any) -> Any:
            return compute(x)

    return Module()


def test_an_output_that_no_input_leads_to_is_named(tmp_path: Path) -> None:
    image = keras.Input((4,))
    scores = layers.Dense(4)(image)
    fixed = keras.ops.zeros_like(scores[0]) + keras.ops.arange(4, dtype="float32")
    sentence = failure(keras.Model(image, [scores, fixed]), tmp_path)
    assert sentence.startswith("The output 'functional")
    assert sentence.endswith(
        "is the same for every input, and coremltools drops such an output; save the model without it."
    )


def written_in_a_loop(size: int, *, dynamic: bool) -> Any:
    """Return a function that collects six rows of its input in a ``TensorArray``."""

    def compute(x: Any) -> Any:
        rows = tf.TensorArray(tf.float32, size=size, dynamic_size=dynamic, element_shape=[1, 4])

        def body(step: Any, rows: Any) -> Any:
            return step + 1, rows.write(step, tf.tanh(tf.gather(x, step, axis=1)))

        _, rows = tf.while_loop(lambda step, _: step < 6, body, [tf.constant(0), rows])
        return tf.transpose(rows.stack(), [1, 0, 2])

    return compute


def test_an_array_that_grows_in_a_loop_is_named(tmp_path: Path) -> None:
    sentence = failure(module(written_in_a_loop(0, dynamic=True), (1, 6, 4)), tmp_path)
    assert sentence.startswith("The model fills a TensorArray of dynamic size ('")
    assert sentence.endswith("give it its number of elements: tf.TensorArray(..., size=N).")


def test_an_array_of_known_size_is_converted(tmp_path: Path) -> None:
    saved = module(written_in_a_loop(6, dynamic=True), (1, 6, 4))
    tf.saved_model.save(saved, str(tmp_path / "m"), signatures=saved.__call__)
    original = open_original(source_of_file(tmp_path / "m"), {})
    package = original.convert("float32", batch=1, target="macOS13")
    (output,) = package.get_spec().description.output
    assert list(output.type.multiArrayType.shape) == [1, 6, 4]


def test_a_tensor_of_too_many_dimensions_is_named_with_its_layer(tmp_path: Path) -> None:
    image = keras.Input((4, 4, 6))
    attention = layers.MultiHeadAttention(2, 3, attention_axes=(1, 2), name="attend")(image, image)
    sentence = failure(keras.Model(image, attention), tmp_path)
    assert "of the layer attend) gives a tensor of 6 dimensions, and Core ML's tensors have at most 5" in sentence


@pytest.mark.parametrize(
    ("compute", "sentence"),
    [
        (
            lambda x: tf.cast(tf.cast(x, tf.bfloat16, name="small") * 2, tf.float32),
            "('small') computes in bfloat16, a type that Core ML does not have; give its .keras file, or save",
        ),
        (
            lambda x: tf.math.real(tf.signal.fft(tf.cast(x, tf.complex64, name="wide"))),
            "('wide') computes in complex64, a type that Core ML does not have; build it without.",
        ),
        (
            lambda x: tf.reduce_sum(tf.reshape(x, (1, 1, 2, 1, 2, 1, 1), name="many"), axis=[1, 2]),
            "gives a tensor of 7 dimensions",
        ),
    ],
)
def test_what_core_ml_does_not_have_is_named_in_a_saved_model(tmp_path: Path, compute: Any, sentence: str) -> None:
    assert sentence in failure(module(compute), tmp_path)


def fail_with(error: Exception) -> None:
    raise error


def test_an_error_of_which_nothing_is_known_names_the_op_of_the_innermost_function() -> None:
    """The functions are compiled as a file of coremltools, whose frames are the ones that are looked into."""
    concrete = make_tracer(lambda x: x * 2, (4,))(1)
    source = "def outer(node, raising):\n    raising(node)\ndef inner(op):\n    raise KeyError('gone')\n"
    functions: dict[str, Any] = {}
    exec(compile(source, "/lib/coremltools/converters/some.py", "exec"), functions)

    class Op:
        def __init__(self, name: str, **kinds: str) -> None:
            self.name = name
            self.__dict__.update(kinds)

    with pytest.raises(InputError) as raised, explain_conversion_errors(concrete, {"net_dense": "dense"}):
        functions["outer"](
            Op("net/dense/MatMul", op="MatMul"), lambda _: functions["inner"](Op("x_1", op_type="linear"))
        )
    assert str(raised.value) == (
        "coremltools fails at Core ML's linear ('x_1'): KeyError: 'gone'; build the model without it."
    )
    with pytest.raises(InputError) as raised, explain_conversion_errors(concrete, {"net_dense": "dense"}):
        functions["outer"](Op("net/dense/MatMul", op="MatMul"), lambda _: fail_with(KeyError("gone")))
    assert "at TensorFlow's MatMul ('net/dense/MatMul' of the layer dense): KeyError: 'gone'" in str(raised.value)
    with pytest.raises(InputError) as raised, explain_conversion_errors(concrete, {}):
        functions["inner"](None)
    assert str(raised.value) == "coremltools fails to convert the model (KeyError: 'gone')."


def test_an_op_of_a_newer_system_names_the_target() -> None:
    concrete = make_tracer(lambda x: x * 2, (4,))(1)
    text = "No available version for sdpa in iOS16. Please update the minimum_deployment_target to at least iOS18"
    with pytest.raises(InputError) as raised, explain_conversion_errors(concrete, {}):
        raise ValueError(text)
    assert str(raised.value) == f"An op of the model needs a newer system ({text}); give --target macOS15."


def test_our_own_errors_and_a_lack_of_memory_pass_as_they_are() -> None:
    concrete = make_tracer(lambda x: x * 2, (4,))(1)
    for problem in (InputError("ours."), MemoryError()):
        with pytest.raises(type(problem)) as raised, explain_conversion_errors(concrete, {}):
            raise problem
        assert raised.value is problem
