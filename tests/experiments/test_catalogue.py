from __future__ import annotations

import pytest

from coremlbench.experiments.catalogue import EXPERIMENTS, deviations, select
from coremlbench.types.errors import InputError
from coremlbench_models import NETWORKS


def options_of_the_protocol(name: str) -> dict[str, object]:
    (experiment,) = select([name])
    keys = ("dataset", "train", "test", "classes", "epochs", "batch", "learning_rate", "weights")
    return {key: getattr(experiment, key) for key in keys}


def test_the_protocols_are_the_articles() -> None:
    rows = {e.name: (e.train, e.test, e.epochs, e.batch, e.metric) for e in EXPERIMENTS}
    assert rows == {
        "createml": (7500, 2500, 0, 0, "pictures to model"),
        "tinyvgg": (7500, 2500, 5, 32, "seconds per epoch"),
        "efficientnetb0": (750, 625, 5, 4, "seconds per epoch"),
        "lenet": (60_000, 10_000, 5, 32, "seconds per epoch"),
        "mnist-cnn": (60_000, 10_000, 12, 128, "seconds per epoch"),
        "fashion-mnist": (60_000, 10_000, 5, 32, "total seconds"),
        "cifar10-resnet50": (50_000, 10_000, 10, 32, "total seconds"),
    }
    createml = EXPERIMENTS[0]
    assert (createml.iterations, createml.augmentation) == (25, ("flip", "rotation"))


def test_every_tensorflow_experiment_has_its_network_at_its_input() -> None:
    for experiment in EXPERIMENTS:
        if experiment.family == "tensorflow":
            network = NETWORKS[experiment.network]
            assert experiment.input_shape == network.input_shape
            assert experiment.weights == network.pretrained


def test_select_keeps_the_catalogues_order() -> None:
    assert [e.name for e in select(["lenet", "tinyvgg"])] == ["tinyvgg", "lenet"]
    assert select() == EXPERIMENTS


def test_an_unknown_experiment_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no experiment 'lenett' \(did you mean lenet\?\); choose from createml, tin"):
        select(["lenett"])


@pytest.mark.parametrize("name", [e.name for e in EXPERIMENTS])
def test_the_protocol_itself_deviates_from_nothing(name: str) -> None:
    assert deviations(select([name])[0], options_of_the_protocol(name)) == ()


def test_deviations_are_said_in_words() -> None:
    (experiment,) = select(["efficientnetb0"])
    options = options_of_the_protocol("efficientnetb0") | {
        "dataset": "drawn-food",
        "train": 7500,
        "batch": 64,
        "epochs": 2,
        "weights": None,
        "input_shape": [64, 64, 3],
        "learning_rate": 0.01,
    }
    assert deviations(experiment, options) == (
        "dataset drawn-food",
        "7,500 training images",
        "input 64x64x3",
        "epochs 2",
        "batch 64",
        "learning rate 0.01",
        "random weights",
    )


def test_augmentation_left_out_is_a_deviation() -> None:
    (experiment,) = select(["createml"])
    assert deviations(experiment, {"augmentation": [], "iterations": 5}) == ("iterations 5", "augmentation none")
    assert deviations(experiment, {"augmentation": ["flip", "rotation"]}) == ()
