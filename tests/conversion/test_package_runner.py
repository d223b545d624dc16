from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.types.conversion import LOGITS, OUTPUT
from coremlbench.types.errors import InputError
from tests.mil_programs import Builder, numbers, saved

pytestmark = pytest.mark.tensorflow


def doubling_package() -> PackageRunner:
    """Return a package that doubles batches of 4 samples with 3 values."""
    return PackageRunner.from_program(saved(lambda image: Builder.mul(x=image, y=2.0), {"image": numbers((4, 3), 0)}))


def test_logits_are_what_goes_into_the_last_softmax() -> None:
    weight = numbers((5, 4), 1)

    def network(image: Any) -> Any:
        x = Builder.linear(x=image, weight=weight, name="scores")
        return Builder.identity(x=Builder.softmax(x=x, axis=-1))

    runner = PackageRunner.from_program(saved(network, {"image": numbers((1, 4), 0)}))
    samples = numbers((7, 4), 2)
    predictions = runner.predict(samples)
    assert runner.logits == "scores"
    np.testing.assert_allclose(predictions[LOGITS], samples @ weight.T, rtol=1e-5, atol=1e-5)
    powers = np.exp(samples @ weight.T)
    np.testing.assert_allclose(predictions[OUTPUT], powers / powers.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_a_last_batch_that_is_not_full_is_filled_and_cut() -> None:
    runner = PackageRunner.from_program(saved(lambda image: Builder.mul(x=image, y=2.0), {"image": numbers((4, 3), 0)}))
    samples = numbers((10, 3), 1)
    progress: list[int] = []
    predictions = runner.predict(samples, progress.append)
    assert runner.batch == 4
    assert progress == [4, 8, 10]
    assert list(predictions) == [OUTPUT]
    np.testing.assert_array_equal(predictions[OUTPUT], samples * 2)


def test_several_outputs_stand_side_by_side() -> None:
    def network(image: Any) -> Any:
        return Builder.add(x=image, y=1.0), Builder.reshape(x=image, shape=[1, 3, 1])

    samples = numbers((2, 3), 1)
    predictions = PackageRunner.from_program(saved(network, {"image": numbers((1, 3), 0)})).predict(samples)
    np.testing.assert_array_equal(predictions[OUTPUT], np.concatenate([samples + 1, samples], axis=1))


def test_a_softmax_over_space_is_no_classifiers() -> None:
    program = saved(lambda image: Builder.softmax(x=image, axis=1), {"image": numbers((1, 4, 5), 0)})
    assert PackageRunner.from_program(program).logits == ""


@pytest.mark.parametrize(
    ("shape", "vector"),
    [((1, 6), True), ((1, 6, 1, 1), True), ((1, 1, 1, 6), True), ((1, 2, 3), False), ((6, 1), False), ((1,), False)],
)
def test_what_can_be_the_classes_of_a_sample(shape: tuple[int, ...], vector: bool) -> None:
    inputs = {"image": numbers((shape[0], 6 // shape[0] if len(shape) > 1 else 1), 0)}
    runner = PackageRunner.from_program(saved(lambda image: Builder.reshape(x=image, shape=shape), inputs))
    assert runner.vector == vector


def test_two_outputs_are_no_classes() -> None:
    inputs = {"image": numbers((1, 6), 0)}
    program = saved(lambda image: (Builder.add(x=image, y=1.0), Builder.mul(x=image, y=2.0)), inputs)
    assert not PackageRunner.from_program(program).vector


def test_a_program_with_two_inputs_is_refused() -> None:
    inputs = {"one": numbers((1, 3), 0), "two": numbers((1, 3), 1)}
    with pytest.raises(InputError, match="takes 2 inputs"):
        PackageRunner.from_program(saved(lambda one, two: Builder.add(x=one, y=two), inputs))


def test_pictures_and_arrays_are_each_other_times_the_scale() -> None:
    runner = PackageRunner.from_program(saved(lambda image: Builder.mul(x=image, y=2.0), {"image": numbers((4, 3), 0)}))
    pixels = np.array([[0, 51, 255]], np.uint8)
    converted = runner.to_package_input(pixels, 1 / 255)
    np.testing.assert_allclose(converted, [[0, 0.2, 1]], rtol=1e-6)
    assert runner.to_package_input(converted, 1 / 255) is converted


@pytest.mark.parametrize("batch", [1, 4])
def test_an_output_without_the_batch_is_given_to_every_sample(batch: int) -> None:
    anchors = numbers((5, 2), 1)

    def network(image: Any) -> Any:
        nothing = Builder.mul(x=Builder.reduce_mean(x=image, keep_dims=False), y=0.0)
        return Builder.add(x=image, y=1.0), Builder.add(x=nothing, y=anchors)

    program = saved(network, {"image": numbers((batch, 3), 0)})
    samples = numbers((6, 3), 2)
    for runner in (PackageRunner.from_program(program, batchless=(1,)), PackageRunner.from_program(program)):
        known = batch > 1 or runner.batchless == (1,)  # 10 values are no multiple of 4
        assert runner.batchless == ((1,) if known else ())
        assert runner.widths == (3, 10)
        predictions = runner.predict(samples)[OUTPUT]
        np.testing.assert_array_equal(predictions[:, :3], samples + 1)
        np.testing.assert_array_equal(predictions[:, 3:], np.tile(anchors.reshape(-1), (6, 1)))


def test_whole_numbers_and_truth_values_are_told_apart_from_others() -> None:
    def network(image: Any) -> Any:
        place = Builder.reduce_argmax(x=image, axis=1)
        above = Builder.cast(x=Builder.greater(x=image, y=0.0), dtype="fp32")
        return Builder.cast(x=image, dtype="fp32"), place, Builder.cast(x=place, dtype="fp32"), above

    runner = PackageRunner.from_program(saved(network, {"image": numbers((1, 3), 0)}))
    assert runner.discrete == (1, 2, 3)


def test_a_list_of_indices_is_no_list_of_scores() -> None:
    program = saved(lambda image: Builder.reduce_argmax(x=image, axis=1), {"image": numbers((1, 4, 5), 0)})
    assert not PackageRunner.from_program(program).vector
