"""Whether a model's predictions for labelled images bear out the order of its class names.

The values of a model have an order and no names. Names that are taken from the folders of ``--data``, or that a user
gives, may be in another order than the values. The predictions tell: in a wrong order the images of one folder are
predicted as another one.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from coremlbench.model_files.formats import TENSORFLOW_FORMATS
from coremlbench.system import serialization
from coremlbench.system.formatting import format_count, format_percent
from coremlbench.types.conversion import OUTPUT, Caveat

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Indices = npt.NDArray[np.integer[Any]]

ClassOrigin = Literal["known", "supported", "assumed"]
"""How a model's class names are known: ``known`` for sure, or taken from the data, in an order that the predictions
``supported`` or that is only ``assumed``."""

Finding = Literal["supported", "undecided", "unrelated", "contradicted"]
"""``supported``: better than guessing, and no other order is better. ``contradicted``: another order is better.
``unrelated``: no better than guessing, with enough images to see it. ``undecided``: there are too few images."""

SIGNIFICANCE = 0.001
"""Largest probability of chance at which an order counts as better than another one, or than guessing."""
MIN_IMAGES_PER_CLASS = 10
"""Number of images per class from which predictions that are no better than guessing mean something."""
SHUFFLES, SHUFFLES_AT_ONCE = 2000, 100
"""Number of random exchanges of the images' labels that stand for guessing, and how many are held in memory."""
MIN_RECOMMENDED = 0.5
"""Smallest share of right images with which an order that was found from the predictions is recommended."""
NAMES_SHOWN, MAX_OPTION = 5, 200
"""Number of class names shown of an order, and the largest number of characters of a ``--classes`` that is shown."""


@dataclass(frozen=True)
class OrderEvidence:
    """What predictions say about the order of class names.

    Attributes:
        accuracy: The share of the ``images`` that are right with the classes in their order.
        better_order: The class names in the order with which significantly more are right; empty if there is none.
        better_accuracy: The share that is right with that one.
        better_by: What that order is sorted by; empty if it was found from the predictions alone.
    """

    finding: Finding
    images: int
    accuracy: float
    better_order: tuple[str, ...] = ()
    better_accuracy: float = 0.0
    better_by: str = ""


@dataclass(frozen=True)
class CheckedNames:
    """The origin of a model's class names, ``None`` if they are not to be used, and caveats on their order."""

    origin: ClassOrigin | None
    caveats: tuple[Caveat, ...]


def check_names(
    predicted: Indices, labels: Indices, classes: Sequence[str], *, dataset: str | None = None, option: bool = True
) -> CheckedNames:
    """Return whether a model's class names can be used.

    ``predicted`` and ``labels`` are those of ``examine_order``. ``dataset`` is the name of the data that the class
    names were taken from, ``None`` for names that are known; those are always used. ``option`` tells that ``--classes``
    can set other names.
    """
    evidence = examine_order(predicted, labels, classes)
    if dataset is not None:
        origins: dict[Finding, ClassOrigin | None] = {"supported": "supported", "undecided": "assumed"}
        caveat = _assumed_caveat(evidence, classes, dataset, option=option)
        return CheckedNames(origins.get(evidence.finding), (caveat,))
    contradicted = evidence.finding == "contradicted"
    return CheckedNames("known", (_contradicted_caveat(evidence, classes, option=option),) if contradicted else ())


def examine_order(predicted: Indices, labels: Indices, classes: Sequence[str]) -> OrderEvidence:
    """Return what the predictions say about the order of ``classes``.

    ``predicted`` is the index of each image's largest value, ``labels`` the index of its class among ``classes``.
    Two sorts of orders are tried: the usual ways to sort names, and the one that fits the predictions best. The latter
    is found on one half of the images and tested on the other, because it always fits the images it was found on.
    """
    import numpy as np

    right = predicted == labels
    candidates = []
    for sorted_by, order in _usual_orders(classes).items():
        hits = order[predicted] == labels
        if _significantly_better(hits, right):
            candidates.append((float(hits.mean()), sorted_by, order))
    if _significantly_better(_held_out_hits(predicted, labels, len(classes)), right):
        order = _best_order(predicted, labels, len(classes))
        candidates.append((float((order[predicted] == labels).mean()), "", order))
    accuracy = float(right.mean())
    if candidates:
        better, sorted_by, order = max(candidates, key=lambda candidate: (candidate[0], bool(candidate[1])))
        names = tuple(classes[index] for index in order)
        return OrderEvidence("contradicted", len(labels), accuracy, names, better, sorted_by)
    chance = _probability_of_guessing(predicted, labels)
    finding: Finding = "undecided"
    if chance <= SIGNIFICANCE:
        finding = "supported"
    elif chance > 0.05 and len(labels) >= MIN_IMAGES_PER_CLASS * len(np.unique(labels)):
        finding = "unrelated"
    return OrderEvidence(finding, len(labels), accuracy)


def _usual_orders(classes: Sequence[str]) -> Mapping[str, Indices]:
    """Return the usual orders of the classes that differ from theirs: for each index the index of its class."""
    import numpy as np

    from coremlbench_datasets.examination import natural_key

    keys: dict[str, Any] = {
        "as text, as Keras does": lambda name: name,
        "without regard to case": lambda name: (name.casefold(), name),
        "by the numbers in them": natural_key,
        "as decomposed text, as macOS stores names": lambda name: unicodedata.normalize("NFD", name),
    }
    orders: dict[str, Indices] = {}
    for sorted_by, key in keys.items():
        order = np.array(sorted(range(len(classes)), key=lambda index: key(classes[index])))
        known = [np.arange(len(classes)), *orders.values()]
        if not any(np.array_equal(order, other) for other in known):
            orders[sorted_by] = order
    return orders


def _best_order(predicted: Indices, labels: Indices, classes: int) -> Indices:
    """Return, for each index of the model's values, the class that makes the most images right.

    A class keeps its index where that makes no image less right.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((classes, classes))
    np.add.at(counts, (predicted, labels), 1)
    _, order = linear_sum_assignment(counts + 0.5 * np.eye(classes), maximize=True)
    return np.asarray(order)


def _held_out_hits(predicted: Indices, labels: Indices, classes: int) -> npt.NDArray[np.bool_]:
    """Return which images are right with the order that fits best the half of the images they are not in."""
    import numpy as np

    half = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        half[np.flatnonzero(labels == label)[1::2]] = 1
    hits = np.zeros(len(labels), np.bool_)
    for part in (0, 1):
        inside = half == part
        order = _best_order(predicted[~inside], labels[~inside], classes)
        hits[inside] = order[predicted[inside]] == labels[inside]
    return hits


def _significantly_better(hits: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> bool:
    """Return whether significantly more images are gained than lost with ``hits`` instead of ``right`` (sign test)."""
    from scipy.stats import binomtest

    gained, lost = int((hits & ~right).sum()), int((right & ~hits).sum())
    if gained <= lost:
        return False
    return float(binomtest(gained, gained + lost, alternative="greater").pvalue) <= SIGNIFICANCE


def _probability_of_guessing(predicted: Indices, labels: Indices) -> float:
    """Return the probability of so many right images if predictions had nothing to do with labels.

    It is the share of random exchanges of the labels with as many right images or more; always the same for the same
    images.
    """
    import numpy as np

    generator, right, as_good = np.random.default_rng(0), (predicted == labels).sum(), 0
    for _ in range(SHUFFLES // SHUFFLES_AT_ONCE):
        shuffled = generator.permuted(np.tile(labels, (SHUFFLES_AT_ONCE, 1)), axis=1)
        as_good += int(((shuffled == predicted).sum(axis=1) >= right).sum())
    return (1 + as_good) / (1 + SHUFFLES)


# --- caveats ------------------------------------------------------------------------------------------------


def _assumed_caveat(evidence: OrderEvidence, classes: Sequence[str], dataset: str, *, option: bool) -> Caveat:
    """Return the caveat of class names that were taken from a dataset."""
    keras = ", as Keras sorts folders" if list(classes) == sorted(classes) else ""
    assumed = f"assumed to be those of {dataset} in their order ({shorten_names(classes, NAMES_SHOWN)}{keras})"
    share = f"{format_percent(evidence.accuracy)} of the {format_count(evidence.images, 'image')}"
    remedy = "--classes sets them."
    match evidence.finding:
        case "supported":
            text = f"The class names were {assumed}; {share} are right so."
        case "undecided":
            images = format_count(evidence.images, "image is", "images are")
            text = f"The class names were {assumed}; the {images} too few to test that."
        case "unrelated":
            text = f"No class names are used: {assumed}, {share} are right, no more than by guessing."
        case "contradicted":
            text = f"No class names are used: {assumed}, {share} are right, {_better(evidence, classes)}"
            remedy = _remedy(evidence)
    return Caveat("class-order", f"{text} {remedy}" if option else text)


def _contradicted_caveat(evidence: OrderEvidence, classes: Sequence[str], *, option: bool) -> Caveat:
    """Return the caveat of known class names that seem to be in another order than the model's values."""
    order = shorten_names(classes, NAMES_SHOWN, evidence.better_order)
    text = (
        f"The class names ({order}) seem to be in another order than the model's values: "
        f"{format_percent(evidence.accuracy)} of the {format_count(evidence.images, 'image')} are right so, "
        f"{_better(evidence, classes)}"
    )
    return Caveat("class-order", f"{text} {_remedy(evidence)}" if option else text)


def _better(evidence: OrderEvidence, classes: Sequence[str]) -> str:
    order = f"sorted {evidence.better_by}" if evidence.better_by else "in another order"
    names = shorten_names(evidence.better_order, NAMES_SHOWN, classes)
    return f"and {format_percent(evidence.better_accuracy)} with the names {order} ({names})."


def _remedy(evidence: OrderEvidence) -> str:
    """Return the option that sets the better order, with the names where they fit into a command line.

    An order that was found from the predictions, and with which most are wrong still, is none to recommend.
    """
    if not evidence.better_by and evidence.better_accuracy < MIN_RECOMMENDED:
        return "--classes sets them."
    names = ",".join(evidence.better_order)
    usable = len(names) <= MAX_OPTION and re.fullmatch(r"[\w.,-]+", names)
    return f"--classes {names} sets that order." if usable else "--classes FILE, one name a line, sets the order."


def shorten_names(names: Sequence[str], count: int, others: Sequence[str] = ()) -> str:
    """Return the first names of a list in words, from the first difference on if that is behind the first ``count``.

    ``others`` is the list that the difference is to.
    """
    pairs = zip(names, others, strict=False)
    different = next((number for number, (name, other) in enumerate(pairs) if name != other), 0)
    start = different if different >= count else 0
    shown = [*(["…"] if start else []), *names[start : start + count], *(["…"] if len(names) > start + count else [])]
    return ", ".join(shown)


def check_class_order(original: Any, request: dict[str, Any], folder: Path) -> tuple[Any, str | None]:
    """Return the original with caveats on the order of its class names, and their ``ClassOrigin``.

    Assumed names that the predictions for the samples speak against are removed, and labels.npy with them: a package
    without labels is better than one with wrong labels. The result is stored in class-order.json, which a later
    process of the same conversion reads.
    """
    file, labels = folder / "class-order.json", folder / "labels.npy"
    caveats = tuple(caveat for caveat in original.caveats if caveat.code != "class-order")
    assumed = caveats != tuple(original.caveats)
    if file.is_file():
        result = json.loads(file.read_bytes())
    elif request["source"]["kind"] == "file" and request["source"]["format"] != "npz" and labels.is_file():
        import numpy as np

        class_indices = np.load(labels)
        with np.load(folder / "expected.npz", allow_pickle=False) as expected:
            predicted = expected[OUTPUT][: len(class_indices)].argmax(axis=1)
        checked = check_names(
            predicted,
            class_indices,
            original.classes,
            dataset=request["data"]["name"] if assumed else None,
            option=request["source"]["format"] in TENSORFLOW_FORMATS,
        )
        result = serialization.to_json(checked)
        file.write_text(json.dumps(result), encoding="utf-8")
    else:
        return original, "known"
    if result["origin"] is None:
        original = replace(original, classes=())
        labels.unlink(missing_ok=True)
    order_caveats = [serialization.from_json(Caveat, caveat) for caveat in result["caveats"]]
    return replace(original, caveats=(*caveats, *order_caveats)), result["origin"]
