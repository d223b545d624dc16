"""Validation of recorded inputs and outputs: what is taken, and one sentence for each mistake."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from coremlbench.conversion.originals.recorded_arrays import check_arrays, load_arrays, read_recorded
from coremlbench.conversion.package_signature import PackageInput, PackageOutput, PackageSignature
from coremlbench.types.errors import InputError

ARRAY = PackageInput("x", (1, 3, 4, 6))
BATCHES = PackageInput("x", (4, 3, 4, 6))
IMAGE = PackageInput("picture", (1, 3, 4, 6), "uint8", "RGB")
SCORES = PackageOutput("var_21", (1, 5))
ONE = PackageSignature("m.mlpackage", (ARRAY,), (SCORES,))
PICTURES = replace(ONE, inputs=(IMAGE,))
TWO = PackageSignature(
    "m.mlpackage",
    (PackageInput("ids", (1, 8), "int32"), PackageInput("mask", (1, 8))),
    (PackageOutput("first", (1, 4)), PackageOutput("second", (1, 2, 3))),
)
N = 7


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def recorded(signature: PackageSignature = ONE) -> dict[str, np.ndarray]:
    """Return arrays that fit a signature of this module."""
    if signature is TWO:
        return {
            "input_ids": np.arange(N * 8).reshape(N, 8),
            "input_mask": floats(N, 8),
            "output_first": floats(N, 4),
            "output_second": floats(N, 2, 3),
        }
    return {"input": pixels(N, 4, 6, 3) if signature is PICTURES else floats(N, 3, 4, 6), "output": floats(N, 5)}


# --- what is taken ------------------------------------------------------------------------------------------


def test_one_input_and_one_output_need_no_names() -> None:
    arrays = recorded()
    taken = check_arrays("io.npz", arrays, ONE)
    np.testing.assert_array_equal(taken.samples, arrays["input"])
    np.testing.assert_array_equal(taken.outputs, arrays["output"])
    assert (taken.labels, taken.classes, taken.width) == (None, (), 5)
    assert taken.matches == "Taken from the recorded arrays: input for x, output for var_21."
    named = check_arrays("io.npz", {"input_x": arrays["input"], "output_var_21": arrays["output"]}, ONE)
    np.testing.assert_array_equal(named.samples, taken.samples)
    assert named.matches == ""


def test_several_inputs_and_outputs_stand_side_by_side() -> None:
    arrays = recorded(TWO)
    taken = check_arrays("io.npz", arrays, TWO)
    assert taken.samples.dtype.names == ("ids", "mask")
    assert taken.samples["ids"].dtype == np.int32
    np.testing.assert_array_equal(taken.samples["ids"], arrays["input_ids"])
    np.testing.assert_array_equal(taken.outputs[:, :4], arrays["output_first"])
    np.testing.assert_array_equal(taken.outputs[:, 4:], arrays["output_second"].reshape(N, 6))
    assert taken.width is None


@pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "uint8"])
def test_numbers_of_any_type_become_those_of_the_package(dtype: str) -> None:
    given_input = (recorded()["input"] * 10 + 40).astype(dtype)
    taken = check_arrays("io.npz", {**recorded(), "input": given_input}, ONE)
    assert taken.samples.dtype == np.float32
    np.testing.assert_array_equal(taken.samples, given_input.astype(np.float32))


def test_a_dimension_of_one_may_be_there_or_not() -> None:
    arrays = recorded()
    taken = check_arrays("io.npz", {"input": arrays["input"][:, None], "output": arrays["output"][:, None]}, ONE)
    np.testing.assert_array_equal(taken.samples, arrays["input"])
    np.testing.assert_array_equal(taken.outputs, arrays["output"])


def test_samples_of_a_batch_package_are_single_or_whole_calls() -> None:
    batches = PackageSignature("m.mlpackage", (BATCHES,), (PackageOutput("y", (4, 5)),))
    single = check_arrays("io.npz", recorded(), batches)
    assert (single.samples.shape, single.outputs.shape) == ((N, 3, 4, 6), (N, 5))
    whole = check_arrays("io.npz", {"input": floats(N, 4, 3, 4, 6), "output": floats(N, 4, 5)}, batches)
    assert (whole.samples.shape, whole.outputs.shape, whole.width) == ((N, 4, 3, 4, 6), (N, 20), None)
    unbatched = replace(batches, outputs=(PackageOutput("y", (5,)),))
    assert check_arrays("io.npz", {"input": floats(N, 4, 3, 4, 6), "output": floats(N, 5)}, unbatched).width is None
    with pytest.raises(InputError, match=r"has the shape 3x4x6, and the package takes x as 4x3x4x6"):
        check_arrays("io.npz", recorded(), unbatched)


def test_grey_pictures_may_lack_their_channel() -> None:
    grey = replace(PICTURES, inputs=(PackageInput("picture", (1, 1, 4, 6), "uint8", "GRAYSCALE"),))
    arrays = {"input": pixels(N, 4, 6), "output": floats(N, 5)}
    assert check_arrays("io.npz", arrays, grey).samples.shape == (N, 4, 6, 1)


def test_an_output_that_does_not_depend_on_the_batch() -> None:
    anchors = replace(ONE, outputs=(PackageOutput("anchors", (136, 2)),))
    assert check_arrays("io.npz", {**recorded(), "output": floats(N, 136, 2)}, anchors).outputs.shape == (N, 272)


def test_labels_and_classes() -> None:
    extras = {"labels": np.arange(N) % 5, "classes": np.array(list("abcde"))}
    taken = check_arrays("io.npz", {**recorded(), **extras}, ONE)
    assert taken.labels is not None
    assert (taken.labels.tolist(), taken.classes) == ([0, 1, 2, 3, 4, 0, 1], tuple("abcde"))


def test_infinite_outputs_are_outputs() -> None:
    arrays = recorded()
    arrays["output"][2, 1] = -np.inf
    assert np.isinf(check_arrays("io.npz", arrays, ONE).outputs[2, 1])


# --- mistakes -----------------------------------------------------------------------------------------------


def without(name: str) -> dict[str, Any]:
    return {name: None}


MISTAKES: list[tuple[PackageSignature, dict[str, Any], str]] = [
    (ONE, without("output"), r"lacks the array output: m.mlpackage gives var_21, so record output, or output_var_21"),
    (
        ONE,
        without("input"),
        r"lacks the array input: m.mlpackage takes x, so record input, or input_x; it holds output",
    ),
    (TWO, without("output_second"), r"lacks the array output_second: .*so record output_first, output_second"),
    (TWO, {**without("input_ids"), "input": floats(N, 8)}, r"lacks the array input_ids"),
    (
        ONE,
        {"outputs": floats(N, 5)},
        r"holds the array outputs, which has no meaning; this package needs input, output",
    ),
    (ONE, {"output": floats(N - 1, 5)}, r"different numbers of samples \(input 7, output 6\)"),
    (ONE, {"input": floats(0, 3, 4, 6), "output": floats(0, 5)}, r"has the shape \(0, 3, 4, 6\), and no sample"),
    (ONE, {"output": np.float32(1)}, r"The array output in io.npz has the shape \(\), and no sample"),
    (
        ONE,
        {"input": floats(N, 4, 6, 3)},
        r"shape 4x6x3, and the package takes x as 3x4x6: the array has its channels last",
    ),
    (ONE, {"input": floats(N, 3, 6, 4)}, r"has the shape 3x6x4, and the package takes x as 3x4x6; each row"),
    (ONE, {"output": floats(N, 6)}, r"array output in io.npz has the shape 6, and the package gives var_21 as 5"),
    (TWO, {"output_second": floats(N, 3, 2)}, r"has the shape 3x2, and the package gives second as 2x3.*transpose it"),
    (ONE, {"input": np.full((N, 3, 4, 6), "a")}, r"The array input in io.npz has the type <U1, and numbers are needed"),
    (ONE, {"input": floats(N, 3, 4, 6) * 1j}, r"has the type complex64, and numbers are needed"),
    (ONE, {"input": np.full((N, 3, 4, 6), np.inf)}, r"504 values that are not finite, the first in sample 0"),
    (ONE, {"output": np.where(np.arange(N)[:, None] == 3, np.nan, floats(N, 5))}, r"5 values .* first in sample 3"),
    (
        ONE,
        {"input": floats(N, 3, 4, 6).astype(np.float64) * 1e60},
        r"values that float32, the package's type, does not",
    ),
    (ONE, {"input": np.full((N, 3, 4, 6), 2**24 + 1)}, r"integers that float32, the package's type, does not hold"),
    (TWO, {"input_ids": floats(N, 8)}, r"The package takes int32, and the array input_ids in io.npz has other numbers"),
    (TWO, {"input_ids": np.full((N, 8), 2**31)}, r"The package takes int32, and the array input_ids"),
    (
        PICTURES,
        {"input": floats(N, 4, 6, 3)},
        r"as 8-bit images, and .* has the type float32; record the pixels before",
    ),
    (PICTURES, {"input": pixels(N, 3, 4, 6)}, r"channels first and the package channels last; .*\(n, 4, 6, 3\), RGB"),
    (PICTURES, {"input": pixels(N, 6, 4, 3)}, r"has the shape 6x4x3, and the package takes picture as 4x6x3"),
    (ONE, {"labels": np.arange(N)}, r"labels in io.npz go from 0 to 6, and the package gives 5 values"),
    (ONE, {"labels": -np.ones(N, int)}, r"labels in io.npz go from -1 to -1"),
    (ONE, {"labels": np.zeros((N, 5), int)}, r"labels in io.npz has the type int64 and the shape \(7, 5\)"),
    (ONE, {"labels": np.zeros(N)}, r"labels in io.npz has the type float64 and the shape \(7,\); record the index"),
    (TWO, {"labels": np.zeros(N, int)}, r"does not give one value for each class; leave them out"),
    (ONE, {"classes": np.array(["a", "b"])}, r"names 2 classes, and the package gives 5 values"),
    (ONE, {"classes": np.array(list("abcda"))}, r"Each class in io.npz needs a name of its own"),
    (ONE, {"classes": np.arange(5)}, r"The array classes in io.npz has the type int64; record a list of names"),
    (
        ONE,
        {"input": np.repeat(floats(1, 3, 4, 6), N, axis=0)},
        r"samples 0 and 1 of io.npz have equal inputs and different outputs: .*model.eval\(\)",
    ),
]


@pytest.mark.parametrize(("signature", "changes", "sentence"), MISTAKES)
def test_mistakes(signature: PackageSignature, changes: dict[str, Any], sentence: str) -> None:
    arrays = {**recorded(signature), **changes}
    with pytest.raises(InputError, match=sentence) as raised:
        check_arrays(
            "io.npz", {name: np.asarray(array) for name, array in arrays.items() if array is not None}, signature
        )
    assert_one_sentence(raised.value)


def assert_one_sentence(error: InputError) -> None:
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    assert text[0].isupper() or text.startswith("io.npz")


SHAPES = st.sampled_from(
    [(N, 3, 4, 6), (N, 4, 6, 3), (N, 1, 3, 4, 6), (N, 5), (N,), (N + 1, 5), (1, 5), (0, 5), (), (5, N)]
)
DTYPES = st.sampled_from(["float16", "float32", "float64", "uint8", "int32", "int64", "bool", "complex64", "<U2", "S2"])
NAMES = st.sampled_from(["input", "output", "input_x", "output_var_21", "labels", "classes", "x", ""])
ANY_ARRAY = st.tuples(DTYPES, SHAPES).flatmap(lambda kind: arrays_of.arrays(*kind))


@settings(max_examples=80, deadline=None)
@given(changes=st.dictionaries(NAMES, ANY_ARRAY, max_size=4), signature=st.sampled_from([ONE, PICTURES]))
def test_any_arrays_are_taken_as_they_are_or_give_one_sentence(
    changes: dict[str, np.ndarray], signature: PackageSignature
) -> None:
    arrays = {**recorded(signature), **changes}
    try:
        taken = check_arrays("io.npz", arrays, signature)
    except InputError as error:
        assert_one_sentence(error)
        return
    (item,) = signature.inputs
    given_input = arrays["input" if "input" in arrays else f"input_{item.name}"]
    given_output = arrays["output" if "output" in arrays else "output_var_21"]
    assert taken.samples.shape == (N, *item.sample_shape(whole=False))
    assert taken.samples.dtype == np.dtype(item.dtype)
    np.testing.assert_array_equal(taken.samples.reshape(-1), given_input.reshape(-1).astype(item.dtype))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(taken.outputs.reshape(-1), given_output.reshape(-1).astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(N)), rows=st.integers(0, N - 1))
def test_what_belongs_together_stays_together(order: list[int], rows: int) -> None:
    arrays = recorded(TWO)
    shuffled = check_arrays("io.npz", {name: array[order] for name, array in arrays.items()}, TWO)
    plain = check_arrays("io.npz", arrays, TWO)
    for name in ("ids", "mask"):
        np.testing.assert_array_equal(shuffled.samples[name][rows], plain.samples[name][order[rows]])
    np.testing.assert_array_equal(shuffled.outputs[rows], plain.outputs[order[rows]])


# --- files --------------------------------------------------------------------------------------------------


def test_a_file_is_read_with_its_arrays(tmp_path: Path) -> None:
    arrays = recorded()
    save_arrays: Any = np.savez_compressed
    save_arrays(tmp_path / "io.npz", **arrays)
    taken = read_recorded(tmp_path / "io.npz", ONE)
    np.testing.assert_array_equal(taken.samples, arrays["input"])


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    rows = np.empty(2, object)
    rows[:] = [[1], [1, 2]]
    np.savez(tmp_path / "io.npz", input=floats(2, 3), output=rows)
    with pytest.raises(InputError, match=r"The array output in io.npz holds Python objects.*pickles are never opened"):
        load_arrays(tmp_path / "io.npz")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    save_arrays: Any = np.savez
    save_arrays(tmp_path / "io.npz", **recorded())
    whole = (tmp_path / "io.npz").read_bytes()
    (tmp_path / "io.npz").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"io.npz cannot be read as a NumPy archive .*; it is truncated or damaged"):
        load_arrays(tmp_path / "io.npz")


def test_a_member_that_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "io.npz", "w") as archive:
        archive.writestr("input.npy", b"no array")
        archive.writestr("output.npy", b"no array")
    with pytest.raises(InputError, match=r"The array input in io.npz has the type .S8, and numbers are needed"):
        read_recorded(tmp_path / "io.npz", ONE)
