"""Compare the labels of a package with the class names of its original, and lower the verdict where they differ.

Two names are equal if they differ only in case, in the white space around them, or in their Unicode form.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coremlbench.conversion.class_order import ClassOrigin, shorten_names
from coremlbench.conversion.proof import with_caveats, with_finding
from coremlbench.system.formatting import format_count
from coremlbench.types.conversion import PROVEN, Caveat, Proof, Verdict

Pairs = tuple[tuple[str, str], ...]
"""Names of classes, each with the label that the package has for it."""

NAMES_SHOWN = 3


@dataclass(frozen=True)
class LabelComparison:
    """The labels of a package beside the class names of its original.

    Attributes:
        labels: The package's labels, in the order of its values.
        classes: The original's class names, in the order of its values.
        order: For each class the index of its label: a permutation. Classes and labels without a counterpart are
            paired by their index, then in order.
        moved: Whether a class has its label at another index than its own.
        displaced: Classes with the label at their own index where that is the name of another class.
        misnamed: Classes without a label, paired with one that is the name of another class (a repeated label).
        renamed: Classes without a label, paired with one that is no class.
        respelled: Classes whose label is another spelling of their name.
        numbered: Whether the labels are the numbers from 0 on, and the classes have other names.
        repeated: Labels that stand for several classes.
    """

    labels: tuple[str, ...]
    classes: tuple[str, ...]
    order: tuple[int, ...]
    moved: bool = False
    displaced: Pairs = ()
    misnamed: Pairs = ()
    renamed: Pairs = ()
    respelled: Pairs = ()
    numbered: bool = False
    repeated: tuple[str, ...] = ()


def compare_labels(labels: Sequence[str], classes: Sequence[str]) -> LabelComparison:
    """Return how labels and class names correspond.

    Raises:
        ValueError: there are not as many labels as classes.
    """
    if len(labels) != len(classes):
        raise ValueError(f"{format_count(len(labels), 'label')} for {format_count(len(classes), 'class', 'classes')}")
    label_keys, class_keys = _comparable(labels, classes)
    matches = _match(label_keys, class_keys)
    order = _complete(matches)
    numbered = [label.strip() for label in labels] == [str(index) for index in range(len(labels))]
    pairs = [(name, labels[index]) for name, index in zip(classes, order, strict=True)]
    alone = [number for number, index in enumerate(matches) if index is None]
    moved = any(index not in {None, number} for number, index in enumerate(matches))
    known = set(class_keys)
    return LabelComparison(
        labels=tuple(labels),
        classes=tuple(classes),
        order=order,
        moved=moved,
        displaced=tuple(
            (classes[number], labels[number])
            for number, key in enumerate(label_keys)
            if key in known and key != class_keys[number]
        ),
        misnamed=tuple(pairs[number] for number in alone if label_keys[order[number]] in known),
        renamed=tuple(pairs[number] for number in alone if label_keys[order[number]] not in known),
        respelled=tuple(
            pair for pair, index in zip(pairs, matches, strict=True) if index is not None and pair[0] != pair[1]
        ),
        numbered=numbered and bool(alone) and not moved,
        repeated=tuple(label for label, count in Counter(labels).items() if count > 1),
    )


def indices_of(names: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    """Return the index among ``classes`` of each of ``names``, ``None`` if one of them is no class."""
    name_keys, class_keys = _comparable(names, classes)
    indices = {key: index for index, key in reversed([*enumerate(class_keys)])}
    positions = [indices.get(key) for key in name_keys]
    return None if None in positions else [index for index in positions if index is not None]


def _comparable(*lists: Sequence[str]) -> list[list[str]]:
    """Return lists of names in a form in which equal names are the same text.

    The form ignores as much as it can without making two names of one list the same.
    """
    for form in _FORMS:
        keys = [[form(name) for name in names] for names in lists]
        if all(len(set(of_one)) == len(set(names)) for of_one, names in zip(keys, lists, strict=True)):
            return keys
    return [list(names) for names in lists]


def _trimmed(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", _trimmed(name).casefold())


_FORMS: tuple[Callable[[str], str], ...] = (_folded, _trimmed)


def _match(labels: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """Return for each class the index of an equal label that no other class has; its own index first."""
    matches: list[int | None] = [number if labels[number] == name else None for number, name in enumerate(classes)]
    unused: dict[str, list[int]] = {}
    for index in reversed(range(len(labels))):
        if matches[index] is None:
            unused.setdefault(labels[index], []).append(index)
    for number, name in enumerate(classes):
        if matches[number] is None and unused.get(name):
            matches[number] = unused[name].pop()
    return matches


def _complete(matches: Sequence[int | None]) -> tuple[int, ...]:
    """Return a permutation in which the classes without a match have the indices that are left."""
    left = set(range(len(matches))) - set(matches)
    order = [number if index is None and number in left else index for number, index in enumerate(matches)]
    rest = iter(sorted(left - set(order)))
    return tuple(next(rest) if index is None else index for index in order)


# --- verdict ------------------------------------------------------------------------------------------------


_SEVERITIES: dict[str, dict[ClassOrigin, Verdict | None]] = {
    "displaced": {"known": "wrong", "supported": "degraded", "assumed": None},
    "renamed": {"known": "wrong", "supported": None, "assumed": None},
    "all renamed": {"known": "degraded", "supported": None, "assumed": None},
    "repeated": {"known": "degraded", "supported": "degraded", "assumed": "degraded"},
}
"""The verdict that a difference of the labels leads to at least; ``None`` is a caveat. Class names that were taken from
the data are no certainty, so that no package is ``wrong`` for them. Some other names among the model's are another
class to a user of the package; other names for all classes may be those of another language."""


def judge_labels(
    comparison: LabelComparison, by_index: Proof, by_name: Proof, origin: ClassOrigin
) -> tuple[Proof, list[str]]:
    """Return the proof of a package with labels, and notes.

    ``by_index`` compares each value with the original's at the same index, ``by_name`` in ``comparison.order``. The
    labels are in their places if they moved together with the values.
    """
    exchanged = comparison.moved and _fits_better(by_index, by_name)
    by_names = comparison.moved and (origin == "known" or not exchanged)
    proof, notes = (by_name, [_order_note(comparison)]) if by_names else (by_index, [])
    pairs = comparison.displaced if exchanged else comparison.misnamed
    findings = []
    if pairs:
        findings.append(("displaced", f"the package's labels stand at the values of other classes: {_calls(pairs)}"))
    if comparison.renamed and not comparison.numbered:
        some = len(comparison.renamed) < len(comparison.classes)
        findings.append(("renamed" if some else "all renamed", _renamed_text(comparison)))
    if comparison.repeated and not comparison.misnamed:
        findings.append(("repeated", f"the package's label {comparison.repeated[0]!r} stands for several classes"))
    caveats = _spelling_caveats(comparison)
    for kind, text in reversed(findings):  # the last one that is added stands first in the reason
        verdict = _SEVERITIES[kind][origin]
        if verdict is None:
            sentence = f"{text[0].upper()}{text[1:]}. The model's class names are assumed; --classes sets them."
            caveats.append(Caveat("labels", sentence))
        else:
            proof = with_finding(proof, verdict, text)
    return with_caveats(proof, caveats), notes


def unlabelled_note(classes: Sequence[str]) -> str:
    """Return the note on a package without labels, whose original's class names are known."""
    return f"The package has no labels; the model's classes are {shorten_names(classes, NAMES_SHOWN)}."


def uncompared_caveat(labels: Sequence[str]) -> Caveat:
    """Return the caveat of a package with labels, whose original's class names are not known."""
    text = (
        f"The package's labels ({shorten_names(labels, NAMES_SHOWN)}) were not compared, as the names of the model's "
        "classes are not known; --classes names them."
    )
    return Caveat("labels", text)


def _fits_better(by_index: Proof, by_name: Proof) -> bool:
    """Return whether the values are the original's at the same index, and not those at the index of the same name."""

    def ratio(proof: Proof) -> float:
        return math.inf if proof.signal_to_noise is None else proof.signal_to_noise

    return by_name.verdict not in PROVEN and by_index.verdict != "wrong" and ratio(by_index) > ratio(by_name)


def _order_note(comparison: LabelComparison) -> str:
    labels = shorten_names(comparison.labels, NAMES_SHOWN, comparison.classes)
    classes = shorten_names(comparison.classes, NAMES_SHOWN, comparison.labels)
    shared = "those that are the same" if comparison.renamed or comparison.misnamed else "they"
    return (
        f"The package's labels ({labels}) are in another order than the model's classes ({classes}): {shared} are "
        "compared by name."
    )


def _renamed_text(comparison: LabelComparison) -> str:
    if len(comparison.renamed) < len(comparison.classes):
        return f"the package has other names for classes of the model: {_calls(comparison.renamed)}"
    return (
        f"none of the package's labels ({shorten_names(comparison.labels, NAMES_SHOWN)}) is a class of the model "
        f"({shorten_names(comparison.classes, NAMES_SHOWN)})"
    )


def _spelling_caveats(comparison: LabelComparison) -> list[Caveat]:
    caveats = []
    if comparison.numbered:
        names = shorten_names(comparison.classes, NAMES_SHOWN)
        text = f"The package's labels are the numbers of the classes, not their names ({names})."
        caveats.append(Caveat("labels", text))
    if comparison.respelled:
        spelt = _listed([f"{label!r} for {name!r}" for name, label in comparison.respelled])
        text = f"The package spells names of classes in another way: {spelt}."
        caveats.append(Caveat("labels", text))
    return caveats


def _calls(pairs: Pairs) -> str:
    """Return pairs of a class and its label in words, the first few of them."""
    return _listed([f"{name!r} is called {label!r}" for name, label in pairs])


def _listed(parts: Sequence[str]) -> str:
    more = len(parts) - NAMES_SHOWN
    return ", ".join(parts[:NAMES_SHOWN]) + (f", and {more} more" if more > 0 else "")
