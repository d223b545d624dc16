"""The experiments of the article with their protocols, and the deviations of a run from its protocol."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from coremlbench.types.deviations import Deviation, parse_deviation
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
    """Return the experiments with these names in the catalogue's order, all of them if there are no names.

    Raises:
        InputError: a name is not in the catalogue; the message lists those that are.
    """
    requested = set(names)
    known = [experiment.name for experiment in EXPERIMENTS]
    for name in sorted(requested - set(known)):
        close = difflib.get_close_matches(name, known, n=1)
        suggestion = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(f"There is no experiment {name!r}{suggestion}; choose from {', '.join(known)}.")
    return tuple(experiment for experiment in EXPERIMENTS if not requested or experiment.name in requested)


def deviations(experiment: Experiment, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts of the settings in ``options`` that differ from the protocol, in a fixed order.

    Settings that are not in ``options`` are not compared. No protocol has ``extraction``, ``engine``, ``processes`` and
    ``units``; they are in ``options`` only if they were chosen.
    """
    protocol: dict[str, Any] = {
        "dataset": experiment.dataset,
        "train": experiment.train,
        "test": experiment.test,
        "classes": experiment.classes,
        "input_shape": experiment.input_shape,
        "epochs": experiment.epochs,
        "batch": experiment.batch,
        "learning_rate": experiment.learning_rate,
        "weights": experiment.weights,
        "iterations": experiment.iterations,
        "augmentation": experiment.augmentation,
        "extractor": experiment.extractor,
        "extraction": "",
        "engine": "",
        "processes": 0,
        "units": "",
    }
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    return tuple(
        str(Deviation(setting, _value_text(setting, values[setting])))
        for setting, expected in protocol.items()
        if setting in values and values[setting] != expected
    )


def workload_deviations(texts: Iterable[str]) -> frozenset[str]:
    """Return those of a run's deviations that change the amount of computation.

    Only runs with the same ones have comparable times. Another dataset, another learning rate and random weights change
    what is learnt, but not how much is computed.
    """
    return frozenset(text for text in texts if not _same_workload(parse_deviation(text)))


def _same_workload(deviation: Deviation) -> bool:
    return deviation.setting in {"dataset", "learning_rate"} or deviation == Deviation("weights", "random")


def _value_text(setting: str, value: Any) -> str:
    """Return the value of a setting as text: 7,500; 224x224x3; "none" for an empty list; "random" for no weights."""
    if setting == "weights" and value is None:
        return "random"
    if setting in {"train", "test"}:
        return f"{value:,}"
    if setting == "learning_rate":
        return f"{value:g}"
    if isinstance(value, tuple):
        return ("x" if setting == "input_shape" else ", ").join(map(str, value)) or "none"
    return str(value)
