"""That the stand-in is as strict as coremltools' native module, without coremltools' own Python code around it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.coreml_stand_in import NATIVE, Behaviour, Failing
from tests.coreml_stand_in.errors import FrameworkError
from tests.coreml_stand_in.inputs import features_of, to_feature
from tests.coreml_stand_in.interface import CLASSES, NEWEST_SPECIFICATION
from tests.coreml_stand_in.interpreter_lock import wait_with_lock
from tests.coreml_stand_in.native import make_module
from tests.coreml_stand_in.plan import operator_name

if TYPE_CHECKING:
    from tests.small_packages import Small

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder of weights to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ),
]

ARRAY = np.ones((1, 3, 8, 6), np.float32)
READ_ONLY = ARRAY.copy()
READ_ONLY.flags.writeable = False
NOT_CONVERTIBLE = {
    "int64": ARRAY.astype(np.int64),
    "int8": ARRAY.astype(np.int8),
    "uint8": ARRAY.astype(np.uint8),
    "float16": ARRAY.astype(np.float16),
    "bool": ARRAY.astype(bool),
    "text": np.array(["a"]),
    "read-only": READ_ONLY,
    "broadcast": np.broadcast_to(np.float32(1), (2, 2)),
    "no dimension": np.array(1.0, np.float32),
    "a scalar of NumPy's": np.float32(1),
    "a truth value of NumPy's": np.True_,
    "nothing": None,
    "a buffer": bytearray(b"abc"),
    "an integer of more than 64 bits": 2**63,
    "a dictionary of lists": {"a": [1]},
    "a dictionary of two kinds": {"a": 1.0, 2: 1.0},
}


@pytest.mark.parametrize("value", NOT_CONVERTIBLE.values(), ids=NOT_CONVERTIBLE)
def test_what_the_native_module_cannot_convert_is_printed_and_raised(
    value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match=r"^value type not convertible$"):
        to_feature(value)
    assert capsys.readouterr().out.startswith("Error: value type not convertible:\n")


def test_a_value_becomes_a_feature_of_a_kind() -> None:
    for value, kind in (
        (True, "int64"),
        (np.int64(3), "int64"),
        (1.5, "double"),
        (np.float64(1.5), "double"),
        ("text", "string"),
        ({"a": 1.0}, "dictionary"),
        (ARRAY.astype(np.int32), "multiArray"),
        (ARRAY.astype(np.float64), "multiArray"),
        (Image.new("RGBA", (2, 2)), "image"),
    ):
        feature = to_feature(value)
        assert feature is not None
        assert feature.kind == kind


def test_lists_are_left_out_and_keys_are_text() -> None:
    assert features_of({"x": [1.0, 2.0], "y": (1,)}) == {}
    with pytest.raises(RuntimeError, match="Unable to cast Python instance of type <class 'int'>"):
        features_of({1: ARRAY})


def test_core_ml_is_told_strides_but_not_the_byte_order() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    strided = to_feature(values[:, ::2])
    swapped = to_feature(values.astype(">f4"))
    assert strided is not None
    assert swapped is not None
    np.testing.assert_array_equal(strided.value, values[:, ::2])
    assert not np.array_equal(swapped.value, values)
    with pytest.raises(RuntimeError, match=r"Caught an unknown exception!"):
        to_feature(values[::-1])


def test_images_are_pillows_and_of_four_modes() -> None:
    with pytest.raises(RuntimeError, match=r"^Unsupported image type P\. Supported types are: RGB, RGBA, L\.$"):
        to_feature(Image.new("P", (2, 2)))

    class Imitated:
        mode, size, width, height = "RGB", (2, 2), 2, 2

    with pytest.raises(RuntimeError, match="not convertible"):
        to_feature(Imitated())


def test_an_error_is_the_property_list_of_its_user_info() -> None:
    error = FrameworkError('the shape 1 × 2 of "x"', "below")
    assert error.user_info() == (
        '{\n    NSLocalizedDescription = "the shape 1 \\U00d7 2 of \\"x\\"";\n'
        '    NSUnderlyingError = "Error Domain=com.apple.CoreML Code=0 \\"below\\" '
        'UserInfo={NSLocalizedDescription=below}";\n}'
    )


# --- a model ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    from tests.small_packages import network

    return network(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Small:
    from tests.small_packages import classifier

    return classifier(tmp_path_factory.mktemp("classifier"), (7, 5, 6))


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder of compiled models."""
    folder = tmp_path / "compiled models, größer"
    folder.mkdir()
    return folder


def load(small: Small, temporary: Path, unit: str = "CPU_ONLY", **behaviour: Any) -> Any:
    module: Any = make_module(NATIVE, Behaviour(temporary=str(temporary), **behaviour))
    return module._MLModelProxy(str(small.package), unit, "", {}, None)


def test_a_prediction_gives_new_arrays_of_float32_and_its_own_time(small: Small, temporary: Path) -> None:
    model = load(small, temporary)
    assert model.get_load_duration_in_nano_seconds() > 0
    assert model.get_last_predict_duration_in_nano_seconds() is None
    first, second = model.predict({"x": ARRAY}, None), model.predict({"x": ARRAY, "other": 1}, None)
    took = model.get_last_predict_duration_in_nano_seconds()
    assert isinstance(took, int)
    assert first["scores"].dtype == np.float32
    assert first["scores"].flags.writeable
    assert not np.shares_memory(first["scores"], second["scores"])
    with pytest.raises(RuntimeError, match="not convertible"):
        model.predict({"x": ARRAY.astype(np.int64)}, None)
    assert model.get_last_predict_duration_in_nano_seconds() == took, "a failed call has no time"
    (batch,) = model.batchPredict([{"x": ARRAY.astype(np.float64)}])
    np.testing.assert_array_equal(batch["scores"], first["scores"])


def test_a_model_compiled_by_its_load_is_removed_with_it(small: Small, temporary: Path) -> None:
    model = load(small, temporary)
    (compiled,) = temporary.iterdir()
    assert model.get_compiled_model_path() == str(compiled)
    again = type(model)(f"{compiled}/", "CPU_ONLY", "", {})
    del again
    assert compiled.exists(), "a compiled model that was given is kept"
    del model
    assert not compiled.exists()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Feature x is required but not specified."),
        ({"x": [[1.0]]}, "Feature x is required but not specified."),
        ({"x": 1.0}, "The model expects input feature x to be an array, but the input is of type 2."),
        ({"x": ARRAY[0]}, r"For input feature 'x', the provided shape 3 \U00d7 8 \U00d7 6 is not compatible with"),
        ({"x": ARRAY[..., :5]}, "MultiArray shape (1 x 3 x 8 x 5) does not match the shape (1 x 3 x 8 x 6) specified"),
    ],
    ids=["missing", "a list", "a number", "the number of dimensions", "the size"],
)
def test_inputs_that_a_model_does_not_take_are_errors_of_core_ml(
    small: Small, temporary: Path, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(RuntimeError) as caught:
        load(small, temporary).predict(inputs, None)
    assert message in str(caught.value)
    assert str(caught.value).startswith('{\n    NSLocalizedDescription = "')


def test_images_have_the_size_and_the_mode_of_the_model(pictures: Small, temporary: Path) -> None:
    model = load(pictures, temporary)
    for image, message in (
        (Image.new("RGB", (8, 6)), "Image size 8 x 6 not in allowed set of image sizes"),
        (Image.new("L", (6, 8)), "another pixel format"),
        (ARRAY, "to be an image, but the input (MultiArray : Float32 1 \\U00d7 3 \\U00d7 8 \\U00d7 6 array)"),
    ):
        with pytest.raises(RuntimeError) as caught:
            model.predict({"image": image}, None)
        assert message in str(caught.value)
    outputs = model.predict({"image": Image.new("RGBA", (6, 8))}, None)
    (label,) = [value for value in outputs.values() if isinstance(value, int)]
    (probabilities,) = [value for value in outputs.values() if isinstance(value, dict)]
    assert set(probabilities) == {5, 6, 7}
    assert {type(key) for key in probabilities} == {int}
    assert probabilities[label] == max(probabilities.values())


def test_a_package_that_cannot_be_compiled_has_the_description_alone(small: Small, temporary: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        load(small, temporary, macos=(12, 6))
    assert str(caught.value) == (
        'Error compiling model: "Error reading protobuf spec. validator error: The model supplied is of version 7, '
        'intended for a newer version of Xcode. This version of Xcode supports model version 6 or earlier.".'
    )
    with pytest.raises(RuntimeError, match=r"^\{\n    NSLocalizedDescription = "):
        load(small, temporary, failing=(Failing("load", "raise"),))


def test_arguments_are_positional_and_of_the_kinds_of_the_table(small: Small, temporary: Path) -> None:
    module: Any = make_module(NATIVE, Behaviour(temporary=str(temporary)))
    model = load(small, temporary)
    for call in (
        lambda: model.predict({"x": ARRAY}),  # the state has no default
        lambda: model.predict({"x": ARRAY}, state=None),
        lambda: model.predict([{"x": ARRAY}], None),
        lambda: module._MLModelProxy(small.package, "ALL", "", {}),
        lambda: module._MLModelProxy("bad \udcff name", "ALL", "", {}),
        lambda: module._MLModelProxy.compileModel(Path("x")),
        module._State,
        module._MLModelAssetProxy,
    ):
        with pytest.raises(TypeError, match=r"incompatible|No constructor"):
            call()
    assert module._MLModelProxy.maximum_supported_specification_version() == NEWEST_SPECIFICATION
    assert module._MLNeuralEngineComputeDeviceProxy().get_total_core_count() == 0


def test_every_entry_of_the_table_says_where_it_was_read() -> None:
    assert len(CLASSES) == 9
    for table in CLASSES:
        assert table.source.startswith("CoreMLPython.mm:")
        assert all(method.source.startswith("CoreMLPython.mm:") for method in table.methods)


def test_operators_have_the_prefix_of_their_opset_but_for_constants() -> None:
    assert operator_name("const", "CoreML7") == "const"
    assert operator_name("conv", "CoreML7") == "ios17.conv"
    assert operator_name("conv", "CoreML6") == "ios16.conv"
    assert operator_name("conv", "CoreML9") == "ios26.conv"


# --- the interpreter lock -----------------------------------------------------------------------------------


def test_no_other_thread_runs_while_core_ml_works() -> None:
    beats, ended, interval = [0], threading.Event(), sys.getswitchinterval()

    def beat() -> None:
        while not ended.wait(0.0001):
            beats[0] += 1

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        while beats[0] < 3:
            time.sleep(0.001)
        sys.setswitchinterval(1000)  # only code that releases the lock gives it away
        seen = beats[0]
        while beats[0] < seen + 3:  # a request for the lock from before the new interval has been granted
            time.sleep(0.001)
        before = beats[0]
        wait_with_lock(0.05)
        assert beats[0] == before
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        thread.join()


def test_handlers_in_python_wait_until_core_ml_is_done() -> None:
    ran_at: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: ran_at.append(time.monotonic()))
    try:
        started = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        wait_with_lock(0.1)
        while not ran_at:
            time.sleep(0.001)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ran_at[0] - started >= 0.1
