"""The datasets of small images by name: each is one file of this folder, and one row here."""

from __future__ import annotations

from coremlbench_datasets.arrays import ArrayDataset
from coremlbench_datasets.cifar10 import CIFAR10
from coremlbench_datasets.fashion_mnist import FASHION_MNIST
from coremlbench_datasets.mnist import MNIST

ARRAY_DATASETS: dict[str, ArrayDataset] = {each.name: each for each in (MNIST, FASHION_MNIST, CIFAR10)}
"""Their modules import nothing heavy: arrays are read when one is prepared."""
