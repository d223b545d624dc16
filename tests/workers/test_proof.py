"""Comparison of a package with its original: outputs, final activation, labels, input shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.types.conversion import LOGITS, OUTPUT
from coremlbench.types.errors import CoremlbenchError
from coremlbench.workers.proof import _compare
from tests.mil_programs import Builder, numbers, saved
from tests.small_packages import classifier

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",  # as above
    ),
]
SAMPLES = numbers((600, 6), 0)
WEIGHT = numbers((6, 4), 1)
SCORES = SAMPLES @ WEIGHT
Network = Callable[..., Any]


def softmax(values: Any) -> Any:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def prove(
    folder: Path, package: Network | PackageRunner, expected: dict[str, Any], precision: str = "fp32", **settings: Any
) -> dict[str, Any]:
    """Return the result for a package that takes SAMPLES, or the samples in ``settings``."""
    samples, ready = settings.pop("samples", SAMPLES), settings.pop("ready", False)
    np.save(folder / "samples.npy", samples)
    np.savez(folder / "expected.npz", **expected)
    if not isinstance(package, PackageRunner):
        package = PackageRunner.from_program(saved(package, {"image": samples[:1]}))
    request = {"folder": str(folder), "scale": 1.0, "original": "NumPy", "data": "numbers", "classes": None}
    request |= {"labels": [], "class_origin": "known", **settings}
    requested = {"key": "x", "without_original": False, "precision": None if ready else precision}
    return _compare(requested, package, precision, request, lambda *_, **__: None)


def scores(image: Any) -> Any:
    return Builder.matmul(x=image, y=WEIGHT, name="scores")


def test_the_same_network_is_proven(tmp_path: Path) -> None:
    expected = {OUTPUT: softmax(SCORES), LOGITS: SCORES}
    proof = prove(tmp_path, lambda image: Builder.softmax(x=scores(image), axis=-1), expected)["proof"]
    assert (proof["verdict"], proof["agreement"]) == ("proven", 1.0)


def test_another_activation_behind_the_same_logits_is_wrong(tmp_path: Path) -> None:
    expected = {OUTPUT: softmax(SCORES), LOGITS: SCORES}
    proof = prove(tmp_path, lambda image: Builder.sigmoid(x=scores(image)), expected)["proof"]
    assert proof["max_error"] < 1e-6
    assert proof["verdict"] == "wrong"
    assert "but the outputs differ by" in proof["reason"]
    assert "it ends in another activation" in proof["reason"]


def test_each_output_is_held_against_its_own(tmp_path: Path) -> None:
    risk = 1 / (1 + np.exp(-SCORES[:, 3:]))
    expected = {OUTPUT: np.concatenate([SCORES[:, :3] * 1000, risk], axis=1)}

    def network(image: Any, sign: float) -> Any:
        price = Builder.matmul(x=image, y=WEIGHT[:, :3] * np.float32(1000), name="price")
        return price, Builder.sigmoid(x=Builder.matmul(x=image, y=WEIGHT[:, 3:] * np.float32(sign)), name="risk")

    right = prove(tmp_path, lambda image: network(image, 1), expected)["proof"]
    wrong = prove(tmp_path, lambda image: network(image, -1), expected)["proof"]
    assert right["verdict"] == "proven"
    assert wrong["verdict"] == "wrong"
    assert wrong["original"].endswith("outputs compared; the worst output is risk")
    assert wrong["range"] <= 1


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "palettized-4"])
def test_two_classes_of_a_thousand_exchanged_are_wrong(tmp_path: Path, precision: str) -> None:
    weight = np.random.default_rng(2).normal(size=(6, 1000)).astype(np.float32)
    order = np.arange(1000)
    order[[17, 800]] = 800, 17
    expected = {OUTPUT: SAMPLES @ weight}
    proof = prove(tmp_path, lambda image: Builder.matmul(x=image, y=weight[:, order]), expected, precision=precision)[
        "proof"
    ]
    assert proof["verdict"] == "wrong"
    assert proof["worst_value"] in {17, 800}
    assert "the signal of the value" in proof["reason"] or proof["signal_to_noise"] < 40


def test_a_package_of_another_shape_is_another_model(tmp_path: Path) -> None:
    samples = numbers((4, 6, 4, 1), 0)
    expected = {OUTPUT: samples.reshape(4, -1)}

    def network(image: Any) -> Any:
        return Builder.reshape(x=image, shape=(1, 24))

    for shape, fits in (((6, 4), True), ((1, 6, 4), True), ((4, 6), False), ((24,), False)):
        package = PackageRunner.from_program(saved(network, {"image": numbers((1, *shape), 0)}))
        if fits:
            assert prove(tmp_path, package, expected, samples=samples)["proof"]["max_error"] == 0
        else:
            with pytest.raises(CoremlbenchError, match=r"takes inputs of .* and its original of 6x4x1: they are not"):
                prove(tmp_path, package, expected, samples=samples)


def checked(folder: Path, package: Path, classes: list[str], order: list[int] | None = None, **settings: Any) -> Any:
    """Return the result of a package of pictures of three classes, compared with itself in ``order``."""
    runner = PackageRunner.load(package)
    pictures = np.random.default_rng(0).integers(0, 256, (600, *runner.shape), dtype=np.uint8)
    expected = {name: value[:, order or [0, 1, 2]] for name, value in runner.predict(pictures).items()}
    return prove(folder, runner, expected, samples=pictures, labels=classes, ready=True, **settings)


def test_labels_in_another_order_are_compared_by_name(tmp_path: Path) -> None:
    package = classifier(tmp_path).package  # dog, bird, cat
    other = ["cat", "bird", "dog"]
    right = checked(tmp_path, package, ["dog", "bird", "cat"])
    moved = checked(tmp_path, package, other, [2, 1, 0])
    exchanged = checked(tmp_path, package, other)
    assert [result["proof"]["verdict"] for result in (right, moved, exchanged)] == ["proven", "proven", "wrong"]
    assert [result["only_labels_wrong"] for result in (right, moved, exchanged)] == [False, False, True]
    assert right["notes"] == []
    assert moved["notes"] == exchanged["notes"]
    assert moved["notes"][0].startswith("The package's labels (dog, bird, cat) are in another order than")
    assert exchanged["proof"]["reason"].startswith(
        "the package's labels stand at the values of other classes: 'cat' is"
    )


@pytest.mark.parametrize(
    ("labels", "verdict", "says"),
    [
        (["dog", "birds", "cat"], "wrong", "'bird' is called 'birds'"),
        (["bird", "dog", "Katze"], "wrong", "'dog' is called 'bird'"),
        (["Hund", "Vogel", "Katze"], "degraded", "none of the package's labels"),
        (["DOG ", "Bird", "cat"], "proven with caveats", "'DOG ' for 'dog', 'Bird' for 'bird'."),
        (["dog", "dog", "cat"], "wrong", "'bird' is called 'dog'"),
        (["x", "x", "cat"], "wrong", "the package's label 'x' stands for several classes"),
        ([0, 1, 2], "proven with caveats", "the numbers of the classes"),
        ([1, 2, 3], "degraded", "none of the package's labels (1, 2, 3)"),
    ],
)
def test_labels_of_every_kind(tmp_path: Path, labels: list[str] | list[int], verdict: str, says: str) -> None:
    result = checked(tmp_path, classifier(tmp_path, labels).package, ["dog", "bird", "cat"])
    proof = result["proof"]
    assert proof["verdict"] == verdict
    assert says in proof["reason"] + "".join(caveat["text"] for caveat in proof["caveats"])


def test_labels_where_the_class_names_are_unknown_and_the_reverse(tmp_path: Path) -> None:
    unknown = checked(tmp_path, classifier(tmp_path).package, [])
    assert [caveat["code"] for caveat in unknown["proof"]["caveats"]] == ["labels"]
    unlabelled = prove(tmp_path, scores, {OUTPUT: SCORES}, labels=["a", "b", "c", "d"], ready=True)
    assert unlabelled["proof"]["verdict"] == "proven"
    assert unlabelled["notes"] == ["The package has no labels; the model's classes are a, b, c, …."]
    assert prove(tmp_path, scores, {OUTPUT: SCORES}, labels=["a", "b", "c", "d"])["notes"] == []


def test_a_package_of_pictures_for_a_model_of_numbers_is_noted(tmp_path: Path) -> None:
    package = PackageRunner.load(classifier(tmp_path).package)
    pictures = np.random.default_rng(0).integers(0, 256, (8, *package.shape), dtype=np.uint8)
    numbers_of = pictures.astype(np.float32) / np.float32(255)
    result = prove(tmp_path, package, package.predict(pictures), samples=numbers_of, scale=1 / 255)
    assert result["proof"]["max_error"] == 0
    assert "pixel values times 0.00392157 were given to the model" in result["notes"][0]


def test_outputs_of_other_kinds_are_judged_by_their_own_rules(tmp_path: Path) -> None:
    anchors = np.float32(400) * numbers((5, 2), 3)

    def network(image: Any, shift: float) -> Any:
        nothing = Builder.mul(x=Builder.reduce_mean(x=image, keep_dims=False), y=0.0)
        values = scores(image)
        place = Builder.reduce_argmax(x=values, axis=1, name="place")
        return values, Builder.add(x=nothing, y=anchors + np.float32(shift), name="anchors"), place

    everywhere = np.tile(anchors.reshape(-1), (len(SAMPLES), 1))
    expected = {OUTPUT: np.concatenate([SCORES, everywhere, SCORES.argmax(axis=1, keepdims=True)], axis=1)}
    for batch in (1, 8):
        for shift, verdict in ((0.0, "proven"), (900.0, "wrong")):
            program = saved(partial(network, shift=shift), {"image": SAMPLES[:batch]})
            package = PackageRunner.from_program(program, batchless=(1,))
            proof = prove(tmp_path, package, expected)["proof"]
            assert proof["verdict"] == verdict
        assert proof["reason"].startswith("the output is the same for every input")
        assert proof["original"].endswith("the worst output is anchors")


def test_other_indices_are_wrong(tmp_path: Path) -> None:
    def network(image: Any) -> Any:
        return Builder.reduce_argmin(x=scores(image), axis=1)

    proof = prove(tmp_path, network, {OUTPUT: SCORES.argmax(axis=1, keepdims=True)})["proof"]
    assert proof["verdict"] == "wrong"
    assert proof["agreement"] == 0


def test_an_output_of_a_whole_batch_is_compared_for_single_samples_only(tmp_path: Path) -> None:
    def network(image: Any) -> Any:
        return scores(image), Builder.reduce_mean(x=image, keep_dims=False, name="level")

    means = SAMPLES.mean(axis=1, keepdims=True)
    expected = {OUTPUT: np.concatenate([SCORES, means], axis=1)}
    single = PackageRunner.from_program(saved(network, {"image": SAMPLES[:1]}), batchless=(1,))
    assert prove(tmp_path, single, expected)["proof"]["verdict"] == "proven"
    several = PackageRunner.from_program(saved(network, {"image": SAMPLES[:8]}), batchless=(1,))
    with pytest.raises(CoremlbenchError, match=r"Its output level is computed from all samples.*--batch 1 only"):
        prove(tmp_path, several, expected)
