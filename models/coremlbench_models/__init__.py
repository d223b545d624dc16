"""The networks that coremlbench trains, one module each.

A new network is a new module with a ``build`` function and an entry of ``NETWORKS``. TensorFlow is imported only when a
network is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Network:
    """One network: its name, its module and its properties.

    ``input_shape`` is (height, width, channels) in its protocol. ``scale`` is the factor for pixels: 1/255 for networks
    that take values from 0 to 1, 1 for those that contain a rescaling layer. ``parameters`` is their number for
    ``input_shape`` and 10 classes, frozen ones included. ``pretrained`` names the published weights of the protocol.
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
