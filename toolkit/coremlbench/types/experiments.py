"""Experiments, published figures, and the rows of their comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Metric = Literal["seconds per epoch", "total seconds", "pictures to model", "whole run"]
"""What is compared; ``whole run`` is for experiments of another release, of which nothing else is known."""


@dataclass(frozen=True)
class Experiment:
    """A row of the catalogue: one experiment of the article with its protocol, literally.

    ``dataset`` is the protocol's own; an experiment that takes ``"images"`` accepts every dataset of pictures in
    its place. ``input_shape`` is (height, width, channels). ``validates`` says whether every epoch ends with a pass
    over the test images, whose seconds then belong to the epoch as Keras prints it. ``weights`` names the published
    weights that the training starts from. ``"seconds per epoch"`` leaves the first epoch out.
    """

    name: str
    title: str
    family: Literal["create-ml", "tensorflow"]
    takes: Literal["images", "arrays"]
    dataset: str
    classes: int
    train: int
    test: int
    metric: Metric
    source: str
    network: str = ""
    input_shape: tuple[int, int, int] | None = None
    epochs: int = 0
    batch: int = 0
    learning_rate: float = 0.0
    validates: bool = False
    weights: str | None = None
    iterations: int = 0
    augmentation: tuple[str, ...] = ()
    extractor: str = ""


@dataclass(frozen=True)
class Published:
    """A figure that somebody else published: never mixed with measured ones.

    ``low`` and ``high`` are seconds, equal for a single figure, ``None`` where only the ending is known.
    """

    experiment: str
    machine: str
    metric: Metric
    source: str
    low: float | None = None
    high: float | None = None
    failed: bool = False
    note: str = ""


@dataclass(frozen=True)
class ComparisonRow:
    """One figure of one experiment: published by somebody, or measured here or on another machine.

    ``seconds`` is the middle of a published range, ``ratio`` is ``seconds`` over those of the reference record:
    above 1 for a slower machine, ``None`` between unlike amounts of work. ``figure`` is the text to print; a failure
    has one too. ``deviations`` say where a measured run is not the protocol.
    """

    experiment: str
    metric: Metric
    kind: Literal["published", "measured"]
    machine: str
    figure: str
    source: str
    seconds: float | None = None
    ratio: float | None = None
    failed: bool = False
    this_machine: bool = False
    reference: bool = False
    accuracy: float | None = None
    deviations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
