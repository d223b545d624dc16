"""Labels of packages beside the class names of their originals: what corresponds, and what it does to a verdict."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.conversion.class_order import ClassOrigin
from coremlbench.conversion.label_comparison import (
    LabelComparison,
    compare_labels,
    indices_of,
    judge_labels,
    uncompared_caveat,
    unlabelled_note,
)
from coremlbench.types.conversion import Proof, Verdict

NAMES = st.lists(st.text(max_size=4), min_size=1, max_size=8, unique=True)
WORDS = st.lists(st.sampled_from(["cat", "dog", "bird", "fish", "straße", "äpfel", "7"]), min_size=2, unique=True)
ANIMALS = ["cat", "dog", "bird", "fish"]


def proof(verdict: Verdict, signal_to_noise: float | None) -> Proof:
    return Proof(
        verdict=verdict,
        reason="figures.",
        runtime="",
        original="",
        images=500,
        data="",
        max_error=0.0,
        mean_error=0.0,
        range=1.0,
        signal_to_noise=signal_to_noise,
    )


GOOD, BAD = proof("proven", 60.0), proof("wrong", -3.0)


def judged(labels: list[str], by_index: Proof, by_name: Proof, origin: ClassOrigin = "known") -> Proof:
    return judge_labels(compare_labels(labels, ANIMALS), by_index, by_name, origin)[0]


# --- what corresponds ---------------------------------------------------------------------------------------


@given(NAMES)
def test_the_same_names_have_no_difference(names: list[str]) -> None:
    comparison = compare_labels(names, names)
    assert comparison == LabelComparison(tuple(names), tuple(names), tuple(range(len(names))))


@given(st.data(), NAMES)
def test_every_class_finds_its_label(data: st.DataObject, names: list[str]) -> None:
    labels = data.draw(st.permutations(names))
    comparison = compare_labels(labels, names)
    assert [labels[index] for index in comparison.order] == names
    moved = [(name, label) for name, label in zip(names, labels, strict=True) if name != label]
    assert (comparison.moved, list(comparison.displaced)) == (bool(moved), moved)
    assert not comparison.misnamed
    assert not comparison.renamed
    assert not comparison.respelled
    assert not comparison.repeated


@given(st.data(), st.lists(st.text(max_size=3), min_size=1, max_size=8))
def test_each_label_has_one_class_whatever_the_names(data: st.DataObject, labels: list[str]) -> None:
    classes = data.draw(st.lists(st.text(max_size=3), min_size=len(labels), max_size=len(labels)))
    comparison = compare_labels(labels, classes)
    assert sorted(comparison.order) == list(range(len(labels)))
    if labels != classes:
        assert comparison.moved or comparison.misnamed or comparison.renamed or comparison.respelled
    assert set(comparison.misnamed) <= set(zip(classes, (labels[index] for index in comparison.order), strict=True))


@given(
    st.data(),
    WORDS,
    st.sampled_from([str.upper, str.title, lambda name: f" {name}\n", lambda name: unicodedata.normalize("NFD", name)]),
)
def test_case_white_space_and_unicode_forms_make_no_other_name(
    data: st.DataObject, names: list[str], spell: Callable[[str], str]
) -> None:
    order = data.draw(st.permutations(range(len(names))))
    comparison = compare_labels([spell(names[index]) for index in order], names)
    assert [order[index] for index in comparison.order] == list(range(len(names)))
    assert comparison.renamed == comparison.misnamed == ()
    assert set(comparison.respelled) == {(name, spell(name)) for name in names if spell(name) != name}


def test_names_that_differ_in_case_alone_are_two_where_both_are_classes() -> None:
    assert compare_labels(["a", "A"], ["A", "a"]).displaced == (("A", "a"), ("a", "A"))
    assert compare_labels([" a", "A"], ["a", "A"]).respelled == (("a", " a"),)


def test_classes_without_a_label_are_paired_by_their_index_and_then_in_order() -> None:
    comparison = compare_labels(["dog", "cat", "birds", "fish"], ANIMALS)
    assert comparison.order == (1, 0, 2, 3)
    assert comparison.displaced == (("cat", "dog"), ("dog", "cat"))
    assert comparison.renamed == (("bird", "birds"),)
    moved = compare_labels(["horse", "cat", "dog", "cow"], ANIMALS)
    assert moved.order == (1, 2, 0, 3)
    assert moved.renamed == (("bird", "horse"), ("fish", "cow"))


def test_a_repeated_label_misnames_a_class() -> None:
    comparison = compare_labels(["cat", "cat", "bird", "fish"], ANIMALS)
    assert (comparison.misnamed, comparison.repeated) == ((("dog", "cat"),), ("cat",))
    assert compare_labels(["x", "x", "bird", "fish"], ANIMALS).renamed == (("cat", "x"), ("dog", "x"))


def test_numbers_in_their_order_are_no_other_names() -> None:
    assert compare_labels(["0", "1", "2", "3"], ANIMALS).numbered
    assert not compare_labels(["1", "2", "3", "4"], ANIMALS).numbered
    assert not compare_labels(["0", "2", "1", "3"], ANIMALS).numbered
    assert not compare_labels(["0", "1"], ["0", "1"]).numbered
    numbers = compare_labels(["0", "1", "2", "3"], ["0", "1", "10", "2"])  # folders in the order of Keras
    assert not numbers.numbered
    assert (numbers.moved, numbers.displaced) == (True, (("10", "2"),))


def test_other_numbers_of_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="3 labels for 4 classes"):
        compare_labels(["a", "b", "c"], ANIMALS)


@given(st.data(), NAMES)
def test_indices_of_names(data: st.DataObject, classes: list[str]) -> None:
    chosen = data.draw(st.lists(st.sampled_from(classes), unique=True))
    assert indices_of(chosen, classes) == [classes.index(name) for name in chosen]


def test_indices_of_other_spellings_and_of_others() -> None:
    assert indices_of(["Dog ", "FISH"], ANIMALS) == [1, 3]
    assert indices_of(["dog", "cow"], ANIMALS) is None
    assert indices_of([], ANIMALS) == []


# --- what it does to a verdict ------------------------------------------------------------------------------


def test_labels_that_moved_with_their_values_are_proven() -> None:
    comparison = compare_labels(["dog", "cat", "bird", "fish"], ANIMALS)
    result, notes = judge_labels(comparison, BAD, GOOD, "known")
    assert result == GOOD
    (note,) = notes
    assert note == (
        "The package's labels (dog, cat, bird, …) are in another order than the model's classes (cat, dog, bird, …): "
        "they are compared by name."
    )


@pytest.mark.parametrize(
    "labels", [["dog", "cat", "bird", "fish"], ["Dog", "Cat", "Bird", "Fish"], ["dog", "cat", "birds", "fish"]]
)
@pytest.mark.parametrize("by_name", [BAD, proof("degraded", 5.0), proof("not judged", 5.0)])
def test_labels_that_moved_alone_are_wrong(labels: list[str], by_name: Proof) -> None:
    result = judged(labels, GOOD, by_name)
    assert result.verdict == "wrong"
    assert result.signal_to_noise == by_name.signal_to_noise
    says = "the package's labels stand at the values of other classes: 'cat' is called"
    assert result.reason.startswith(says)
    assert result.reason.endswith("figures.")
    assert ("'bird' is called 'birds'" in result.reason) == ("birds" in labels)


def test_noise_is_not_mistaken_for_labels_that_moved() -> None:
    labels = ["dog", "cat", "bird", "fish"]
    noisy = proof("degraded", 18.0)
    assert judged(labels, BAD, noisy) == noisy
    assert judged(labels, replace(BAD, signal_to_noise=-2.0), BAD) == BAD  # wrong in either order: the values are


def test_one_renamed_label_is_wrong_and_named() -> None:
    result = judged(["cat", "dog", "birds", "fish"], GOOD, GOOD)
    assert (result.verdict, result.caveats) == ("wrong", ())
    says = "the package has other names for classes of the model: 'bird' is called 'birds'; figures."
    assert result.reason == says
    assert judged(["cat", "dog", "birds", "fish"], BAD, BAD).verdict == "wrong"


def test_labels_that_are_all_others_are_degraded() -> None:
    result = judged(["Hund", "Katze", "Vogel", "Fisch"], GOOD, GOOD)
    assert result.verdict == "degraded"
    assert result.reason.startswith("none of the package's labels (Hund, Katze, Vogel, …) is a class of the model (cat")
    assert judged(["1", "2", "3", "4"], GOOD, GOOD).verdict == "degraded"


def test_numbers_and_spellings_are_caveats() -> None:
    numbers = judged(["0", "1", "2", "3"], GOOD, GOOD)
    assert numbers.verdict == "proven with caveats"
    assert [(caveat.code, caveat.text) for caveat in numbers.caveats] == [
        ("labels", "The package's labels are the numbers of the classes, not their names (cat, dog, bird, …).")
    ]
    spelt = judged(["Cat", "dog ", "bird", "fish"], GOOD, GOOD)
    assert spelt.verdict == "proven with caveats"
    assert "'Cat' for 'cat', 'dog ' for 'dog'." in spelt.caveats[0].text


def test_repeated_labels() -> None:
    misnamed = judged(["cat", "cat", "bird", "fish"], GOOD, GOOD)
    assert misnamed.verdict == "wrong"
    assert "'dog' is called 'cat'" in misnamed.reason
    unknown = judged(["x", "x", "bird", "fish"], GOOD, GOOD)
    assert unknown.verdict == "wrong"
    assert "the package's label 'x' stands for several classes" in unknown.reason


@pytest.mark.parametrize(("origin", "verdict"), [("supported", "degraded"), ("assumed", "proven with caveats")])
def test_nothing_is_wrong_by_names_that_are_assumed(origin: ClassOrigin, verdict: Verdict) -> None:
    labels = ["dog", "cat", "bird", "fish"]
    exchanged = judged(labels, GOOD, BAD, origin)
    assert (exchanged.verdict, exchanged.signal_to_noise) == (verdict, GOOD.signal_to_noise)
    assert "'cat' is called 'dog'" in exchanged.reason + "".join(caveat.text for caveat in exchanged.caveats)
    assert judged(labels, BAD, GOOD, origin) == GOOD
    renamed = judged(["cat", "dog", "birds", "fish"], GOOD, GOOD, origin)
    assert renamed.verdict == "proven with caveats"
    assert renamed.caveats[0].text == (
        "The package has other names for classes of the model: 'bird' is called 'birds'. The model's class names are "
        "assumed; --classes sets them."
    )


def test_what_is_said_where_only_one_side_has_names() -> None:
    assert unlabelled_note(ANIMALS) == "The package has no labels; the model's classes are cat, dog, bird, …."
    caveat = uncompared_caveat(ANIMALS)
    assert caveat.code == "labels"
    assert caveat.text.startswith("The package's labels (cat, dog, bird, …) were not compared")
