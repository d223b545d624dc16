"""The experiments of the article, literal rows of their protocols, and what is said when a run leaves them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from coremlbench.types.errors import InputError
from coremlbench.types.experiments import Experiment

_FOOD = "food101-10"

EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        name="createml",
        title="Create ML image classifier",
        family="create-ml",
        takes="images",
        dataset=_FOOD,
        classes=10,
        train=7500,
        test=2500,
        metric="pictures to model",
        iterations=25,
        augmentation=("flip", "rotation"),
        extractor="VisionFeaturePrint_Scene",
        source="the article",
    ),
    Experiment(
        name="tinyvgg",
        title="TinyVGG",
        family="tensorflow",
        takes="images",
        dataset=_FOOD,
        classes=10,
        train=7500,
        test=2500,
        metric="seconds per epoch",
        network="tinyvgg",
        input_shape=(224, 224, 3),
        epochs=5,
        batch=32,
        learning_rate=0.001,
        validates=True,
        source="the article",
    ),
    # Batches of 32, 16 and 8 were tried first and failed for lack of memory on the M1.
    Experiment(
        name="efficientnetb0",
        title="EfficientNetB0, transfer learning",
        family="tensorflow",
        takes="images",
        dataset=_FOOD,
        classes=10,
        train=750,
        test=625,
        metric="seconds per epoch",
        network="efficientnetb0",
        input_shape=(224, 224, 3),
        epochs=5,
        batch=4,
        learning_rate=0.001,
        validates=True,
        weights="imagenet",
        source="the article",
    ),
    Experiment(
        name="lenet",
        title="LeNet on MNIST",
        family="tensorflow",
        takes="arrays",
        dataset="mnist",
        classes=10,
        train=60_000,
        test=10_000,
        metric="seconds per epoch",
        network="lenet",
        input_shape=(28, 28, 1),
        epochs=5,
        batch=32,
        learning_rate=0.001,
        validates=True,
        source="the article; the network of apple/tensorflow_macos issue 10",
    ),
    # The row that the author's published seconds belong to: they were posted in that issue.
    Experiment(
        name="mnist-cnn",
        title="the tensorflow_macos benchmark on MNIST",
        family="tensorflow",
        takes="arrays",
        dataset="mnist",
        classes=10,
        train=60_000,
        test=10_000,
        metric="seconds per epoch",
        network="mnist-cnn",
        input_shape=(28, 28, 1),
        epochs=12,
        batch=128,
        learning_rate=0.001,
        validates=True,
        source="apple/tensorflow_macos issue 25",
    ),
    # Trained, then tested once. Epochs and batch are those of the tutorial, 5 and Keras's default 32.
    Experiment(
        name="fashion-mnist",
        title="Keras's beginner classifier on Fashion-MNIST",
        family="tensorflow",
        takes="arrays",
        dataset="fashion-mnist",
        classes=10,
        train=60_000,
        test=10_000,
        metric="total seconds",
        network="fashion-mnist",
        input_shape=(28, 28, 1),
        epochs=5,
        batch=32,
        learning_rate=0.001,
        source="the article; TensorFlow's quickstart for beginners",
    ),
    # The article gives the network, the data and the epochs; the batch is Keras's default.
    Experiment(
        name="cifar10-resnet50",
        title="ResNet50 on CIFAR-10",
        family="tensorflow",
        takes="arrays",
        dataset="cifar10",
        classes=10,
        train=50_000,
        test=10_000,
        metric="total seconds",
        network="cifar10-resnet50",
        input_shape=(32, 32, 3),
        epochs=10,
        batch=32,
        learning_rate=0.001,
        source="the article",
    ),
)


def select(names: Iterable[str] = ()) -> tuple[Experiment, ...]:
    """Return the experiments of these names in the catalogue's order, or all of them when no name is given.

    Raises:
        InputError: A name is not in the catalogue; the sentence lists those that are.
    """
    wanted = set(names)
    known = [experiment.name for experiment in EXPERIMENTS]
    for name in sorted(wanted - set(known)):
        close = difflib.get_close_matches(name, known, n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(f"There is no experiment {name!r}{meant}; choose from {', '.join(known)}.")
    return tuple(experiment for experiment in EXPERIMENTS if not wanted or experiment.name in wanted)


def deviations(experiment: Experiment, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return in words where ``options`` are not the experiment's protocol, in a fixed order; empty when they are.

    Only the settings that are in ``options`` are compared; no protocol says who runs an extractor and with how many
    processes, so these are there only when a run was told. A table prints "not the protocol: batch 64".
    """
    found = []
    for key, protocol, words in (
        ("dataset", experiment.dataset, "dataset {}"),
        ("train", experiment.train, "{:,} training images"),
        ("test", experiment.test, "{:,} test images"),
        ("classes", experiment.classes, "{} classes"),
        ("input_shape", experiment.input_shape, "input {}"),
        ("epochs", experiment.epochs, "epochs {}"),
        ("batch", experiment.batch, "batch {}"),
        ("learning_rate", experiment.learning_rate, "learning rate {:g}"),
        ("weights", experiment.weights, "{} weights"),
        ("iterations", experiment.iterations, "iterations {}"),
        ("augmentation", experiment.augmentation, "augmentation {}"),
        ("extractor", experiment.extractor, "extractor {}"),
        ("extraction", "", "extraction {}"),
        ("processes", 0, "processes {}"),
    ):
        if key not in options:
            continue
        value = tuple(options[key]) if isinstance(options[key], (list, tuple)) else options[key]
        if value != protocol:
            found.append(words.format(_words(key, value)))
    return tuple(found)


_SAME_WORK = ("dataset ", "learning rate ", "random weights")
"""How deviations begin that change what is learnt, but not how much is computed."""


def workload_deviations(found: Iterable[str]) -> frozenset[str]:
    """Return those of a run's deviations that change how much is computed: only runs that share them compare."""
    return frozenset(each for each in found if not each.startswith(_SAME_WORK))


def _words(key: str, value: Any) -> Any:
    """Return how a setting's value is said: 224x224x3, "none" for nothing, "random" for no weights."""
    if key == "weights" and value is None:
        return "random"
    if isinstance(value, tuple):
        return ("x" if key == "input_shape" else ", ").join(str(part) for part in value) or "none"
    return value
