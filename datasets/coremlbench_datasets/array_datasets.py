"""The datasets of small images by name: each is one module of this package, and one entry here."""

from __future__ import annotations

from coremlbench_datasets.arrays import ArrayDataset
from coremlbench_datasets.cifar10 import CIFAR10
from coremlbench_datasets.fashion_mnist import FASHION_MNIST
from coremlbench_datasets.mnist import MNIST

ARRAY_DATASETS: dict[str, ArrayDataset] = {dataset.name: dataset for dataset in (MNIST, FASHION_MNIST, CIFAR10)}
"""NumPy is imported only when a dataset is prepared."""
