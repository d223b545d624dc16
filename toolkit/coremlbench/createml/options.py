"""The settings of a Create ML run, and where they differ from the article's protocol."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from coremlbench.createml.extractors import ObtainedExtractor
from coremlbench.createml.vision_feature_print import ALL_UNITS
from coremlbench.experiments.catalogue import deviations, select
from coremlbench.failures.retry import Retry
from coremlbench.runs.retries import UNCHANGED
from coremlbench.types.data import ImageSet
from coremlbench.types.timing import UnitName
from coremlbench_datasets.parallel import cores


@dataclass(frozen=True)
class CreateMLOptions:
    """The settings of a Create ML run; the defaults are the article's.

    ``train`` and ``test`` are numbers of images, None for all that a folder has. ``timeout`` and ``silence`` are
    seconds, ``memory_limit`` is bytes. ``processes`` is the number of processes that extract features, None for one
    per core; where Core ML runs the extractor they only prepare images. ``units`` are its compute units, None for all.
    ``verify`` lets the other solver train on the same features, to compare. ``feature_revision`` and
    ``reuse_features`` are Create ML's own: which extractor it has, and whether it starts from the features of an
    earlier run and keeps them for the next.
    """

    dataset: str = "drawn-food"
    source: str | None = None
    train: int | None = 7500
    test: int | None = 2500
    iterations: int = 25
    augment: tuple[str, ...] = ("rotation", "flip")
    extractor: str = "auto"
    extraction: str = "pipelined"
    engine: str = "auto"
    units: UnitName | None = None
    feature_revision: int = 1
    reuse_features: bool = False
    verify: bool = False
    seed: int = 0
    timeout: float | None = None
    silence: float | None = None
    memory_limit: int | None = None
    processes: int | None = None

    def remedied(self, retry: Retry) -> tuple[CreateMLOptions, str]:
        """Return the settings for the next attempt, and a description of the change."""
        if retry is Retry.LESS_MEMORY and self.engine == "createml":
            return self, f"{UNCHANGED}, as Create ML itself decides how much memory it takes"
        if retry is Retry.LESS_MEMORY:
            processes = self.processes or cores()
            if processes == 1:
                return self, f"{UNCHANGED}, as fewer than one process cannot extract"
            fewer = processes // 2
            return replace(self, processes=fewer), f"with {fewer} extracting side by side in place of {processes}"
        if retry is Retry.ON_CPU_WITH_NEW_SEED:
            return replace(self, seed=self.seed + 1), f"with seed {self.seed + 1} in place of {self.seed}"
        return self, UNCHANGED


def deviations_of(
    options: CreateMLOptions, images: ImageSet | None = None, obtained: ObtainedExtractor | None = None
) -> tuple[str, ...]:
    """Return the differences from the article's protocol, as far as they are known without the data or the extractor.

    The extractor counts, because ``auto`` selects what the machine offers and extractors differ in their amount of
    computation: runs with different ones must not be compared as equal. ``--extraction turicreate`` is no deviation
    for the protocol's own extractor, which only Turi Create can run. Create ML and Turi Create are the protocol's
    engines; another one computes the same in another time, and so do fewer compute units.
    """
    (experiment,) = select(["createml"])
    settings: dict[str, Any] = {
        "dataset": options.dataset,
        "train": options.train,
        "test": options.test,
        "iterations": options.iterations,
        "augmentation": tuple(sorted(options.augment)),
    }
    if images is not None:
        settings |= {"train": len(images.train), "test": len(images.test), "classes": len(images.classes)}
    extractor = options.extractor if obtained is None else obtained.extractor.name
    settings |= {"extractor": None if extractor == "auto" else extractor, "processes": options.processes}
    if options.extraction == "turicreate" and extractor != experiment.extractor:
        settings["extraction"] = options.extraction
    if options.engine not in ("auto", "turicreate", "createml"):
        settings["engine"] = options.engine
    if options.units not in (None, ALL_UNITS):
        settings["units"] = options.units
    return deviations(experiment, {name: value for name, value in settings.items() if value is not None})
