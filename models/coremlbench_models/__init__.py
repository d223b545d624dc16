"""The networks that coremlbench trains, one file each.

``NETWORKS`` is the registry: a new network is a new file with a ``build`` function, and a row here. Nothing of
TensorFlow is imported before a network is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Network:
    """One network: its file, the input of its protocol (height, width, channels), and what it takes pixels times.

    ``scale`` is 1/255 for networks that take pixels from 0 to 1 and 1 for those that rescale inside.
    ``pretrained`` names the published weights that the protocol starts from, if any. ``parameters`` counts all
    of them, frozen ones included, for ``input_shape`` and 10 classes.
    """

    name: str
    module: str
    input_shape: tuple[int, int, int]
    scale: float
    parameters: int
    pretrained: str | None = None

    def build(
        self, input_shape: tuple[int, int, int] | None = None, classes: int = 10, *, weights: str | None = None
    ) -> Any:
        """Return the network as an uncompiled ``keras.Model``; the first call imports TensorFlow (seconds)."""
        module = importlib.import_module(f"{__name__}.{self.module}")
        return module.build(input_shape or self.input_shape, classes, weights=weights)


NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        Network("tinyvgg", "tinyvgg", (224, 224, 3), 1 / 255, 283_920),
        Network("efficientnetb0", "efficientnetb0", (224, 224, 3), 1.0, 4_062_381, pretrained="imagenet"),
        Network("lenet", "lenet", (28, 28, 1), 1 / 255, 585_958),
        Network("mnist-cnn", "mnist_cnn", (28, 28, 1), 1 / 255, 1_199_882),
        Network("fashion-mnist", "fashion_mnist", (28, 28, 1), 1 / 255, 101_770),
        Network("cifar10-resnet50", "cifar10_resnet50", (32, 32, 3), 1 / 255, 23_608_202),
    )
}
