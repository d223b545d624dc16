"""What a model's predictions for labelled images say about the order of its class names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.conversion.class_order import check_names, examine_order, shorten_names

NUMBERS = sorted(str(number) for number in range(12))  # 0, 1, 10, 11, 2, …


def images(classes: int, each: int) -> Any:
    return np.repeat(np.arange(classes), each)


def predictions(labels: Any, right: float, seed: int = 0, classes: int | None = None) -> Any:
    """Return predictions of which a share is right and the rest are guessed."""
    random = np.random.default_rng(seed)
    guessed = random.integers(0, classes or labels.max() + 1, len(labels))
    return np.where(random.random(len(labels)) < right, labels, guessed)


def indices_in(true_order: list[str], assumed_order: list[str], labels: Any) -> Any:
    """Return the model's indices for labels, given by the assumed order, of a model whose values have the true one."""
    return np.array([true_order.index(name) for name in assumed_order])[labels]


@pytest.mark.parametrize(("right", "each"), [(1.0, 6), (0.6, 20), (0.3, 40)])
def test_the_right_order_is_supported_by_good_and_by_poor_models(right: float, each: int) -> None:
    labels = images(12, each)
    evidence = examine_order(predictions(labels, right), labels, NUMBERS)
    assert (evidence.finding, evidence.better_order, evidence.images) == ("supported", (), 12 * each)
    assert evidence.accuracy == float((predictions(labels, right) == labels).mean())


@pytest.mark.parametrize(
    ("true_order", "assumed_order", "sorted_by"),
    [
        (sorted(NUMBERS, key=int), NUMBERS, "by the numbers in them"),
        (NUMBERS, sorted(NUMBERS, key=int), "as text, as Keras does"),
        (["apple", "Banana", "cherry", "Zebra"], ["Banana", "Zebra", "apple", "cherry"], "without regard to case"),
        (["eis", "éclair", "zeit"], ["eis", "zeit", "éclair"], "as decomposed text, as macOS stores names"),
        (["dog", "cat", "bird"], ["bird", "cat", "dog"], ""),
        (["b", "c", "d", "a"], ["a", "b", "c", "d"], ""),
    ],
)
@pytest.mark.parametrize("right", [1.0, 0.7])
def test_a_wrong_order_is_contradicted_and_the_right_one_is_named(
    true_order: list[str], assumed_order: list[str], sorted_by: str, right: float
) -> None:
    labels = images(len(assumed_order), 30)
    predicted = indices_in(true_order, assumed_order, predictions(labels, right))
    evidence = examine_order(predicted, labels, assumed_order)
    assert evidence.finding == "contradicted"
    assert list(evidence.better_order) == true_order
    assert evidence.better_by == sorted_by
    assert evidence.accuracy < 0.5 < evidence.better_accuracy


def test_two_classes_of_many_that_are_exchanged_are_seen() -> None:
    labels = images(50, 10)
    exchanged = np.arange(50)
    exchanged[[7, 31]] = 31, 7
    classes = [f"class {number:02}" for number in range(50)]
    evidence = examine_order(exchanged[predictions(labels, 0.9)], labels, classes)
    assert evidence.finding == "contradicted"
    assert [evidence.better_order[7], evidence.better_order[31]] == ["class 31", "class 07"]


@pytest.mark.parametrize(("classes", "each"), [(2, 5), (3, 30), (12, 6), (12, 12)])
def test_guesses_are_no_evidence_for_an_order(classes: int, each: int) -> None:
    labels, names = images(classes, each), [str(number) for number in range(classes)]
    findings = [examine_order(predictions(labels, 0.0, seed), labels, names).finding for seed in range(50)]
    assert findings.count("supported") + findings.count("contradicted") <= 1  # each is significant at 0.001
    assert (findings.count("unrelated") > 40) == (each >= 10)
    assert "unrelated" not in findings or each >= 10


@given(st.integers(2, 12), st.integers(1, 40), st.integers(0, 1000), st.floats(0.3, 1))
def test_a_model_is_never_contradicted_where_its_classes_have_their_order(
    classes: int, each: int, seed: int, right: float
) -> None:
    labels = images(classes, each)
    names = [f"{number:02}" for number in range(classes)]
    evidence = examine_order(predictions(labels, right, seed), labels, names)
    assert evidence.finding != "contradicted"
    assert evidence == examine_order(predictions(labels, right, seed), labels, names)


def test_a_model_that_says_the_same_of_every_image_is_no_evidence() -> None:
    labels = np.repeat([0, 1, 2], [80, 10, 10])
    assert examine_order(np.zeros(100, np.int64), labels, ["a", "b", "c"]).finding == "unrelated"


def test_a_single_image_and_classes_without_images() -> None:
    assert examine_order(np.array([1]), np.array([1]), ["a", "b"]).finding == "undecided"
    labels = images(3, 30)
    assert examine_order(labels, labels, ["a", "b", "c", "d", "e"]).finding == "supported"


# --- class names and their caveats --------------------------------------------------------------------------


def test_assumed_names_that_images_support() -> None:
    labels = images(12, 6)
    checked = check_names(labels, labels, NUMBERS, dataset="pets")
    assert checked.origin == "supported"
    (caveat,) = checked.caveats
    assert caveat.code == "class-order"
    assert caveat.text == (
        "The class names were assumed to be those of pets in their order (0, 1, 10, 11, 2, …, as Keras sorts folders); "
        "100.0% of the 72 images are right so. --classes sets them."
    )


def test_assumed_names_in_a_wrong_order_are_not_used() -> None:
    labels = images(12, 6)
    checked = check_names(indices_in(sorted(NUMBERS, key=int), NUMBERS, labels), labels, NUMBERS, dataset="pets")
    assert checked.origin is None
    assert checked.caveats[0].text == (
        "No class names are used: assumed to be those of pets in their order (0, 1, 10, 11, 2, …, as Keras sorts "
        "folders), 16.7% of the 72 images are right, and 100.0% with the names sorted by the numbers in them "
        "(0, 1, 2, 3, 4, …). --classes 0,1,2,3,4,5,6,7,8,9,10,11 sets that order."
    )


def test_assumed_names_without_evidence() -> None:
    few, many = images(3, 2), images(3, 100)
    names = ["b", "a", "c"]
    undecided = check_names(predictions(few, 0.0), few, names, dataset="pets")
    unrelated = check_names(predictions(many, 0.0), many, names, dataset="pets")
    assert (undecided.origin, unrelated.origin) == ("assumed", None)
    assert undecided.caveats[0].text == (
        "The class names were assumed to be those of pets in their order (b, a, c); the 6 images are too few to test "
        "that. --classes sets them."
    )
    assert "images are right, no more than by guessing. --classes sets them." in unrelated.caveats[0].text


@pytest.mark.parametrize(("option", "remedy"), [(True, "--classes dog,cat,bird sets that order."), (False, "")])
def test_known_names_are_used_and_doubted(option: bool, remedy: str) -> None:
    labels = images(3, 30)
    names = ["bird", "cat", "dog"]
    assert check_names(labels, labels, names, option=option).caveats == ()
    checked = check_names(2 - labels, labels, names, option=option)
    assert checked.origin == "known"
    (caveat,) = checked.caveats
    assert caveat.text == (
        "The class names (bird, cat, dog) seem to be in another order than the model's values: 33.3% of the 90 images "
        f"are right so, and 100.0% with the names in another order (dog, cat, bird). {remedy}".rstrip()
    )


def test_names_are_shown_from_the_first_difference() -> None:
    first, second = [*"abcdefghij"], [*"abcdefjhig"]
    assert shorten_names(first, 3) == "a, b, c, …"
    assert shorten_names(first, 3, second) == "…, g, h, i, …"
    assert shorten_names(first, 7, second) == "a, b, c, d, e, f, g, …"
    assert shorten_names(first, 10, second) == "a, b, c, d, e, f, g, h, i, j"
    assert shorten_names(first, 3, first) == "a, b, c, …"


def test_an_order_with_which_most_images_are_wrong_is_not_recommended() -> None:
    labels = images(6, 60)
    names = [*"abcdef"]
    predicted = (predictions(labels, 0.2) + 1) % 6
    checked = check_names(predicted, labels, names, dataset="pets")
    assert checked.origin is None
    assert checked.caveats[0].text.endswith("with the names in another order (f, a, b, c, d, …). --classes sets them.")


def test_names_that_a_shell_would_split_are_left_to_a_file() -> None:
    labels = images(3, 30)
    for names in (["a b", "c", "d"], ["$(x)", "c", "d"], [f"{'x' * 99}{number}" for number in range(3)]):
        (caveat,) = check_names(2 - labels, labels, names).caveats
        assert caveat.text.endswith("--classes FILE, one name a line, sets the order.")
