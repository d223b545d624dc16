"""What an engine of the Create ML run is: the stages that differ between the libraries that train the classifier.

There are two kinds. A *feature engine* trains on features that the shared stage ``extract`` computed: the run sets up,
prepares the data, extracts, trains, evaluates and exports, and the engine only runs the stage ``train``. An *image
engine* gets the prepared images, and extracts, trains, evaluates and saves a model by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from coremlbench.createml.extractors import ObtainedExtractor
from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.run_context import Parts, RunContext
from coremlbench.types.data import ImageSet
from coremlbench.types.process import Exit
from coremlbench.types.training_records import TrainingRecord

Save = Callable[[TrainingRecord], None]


@dataclass(frozen=True)
class Setup:
    """What the stage ``setup`` obtained: the extractor, and the path of each tool that was asked for.

    ``tools`` are named as in ``workers.setup.TOOLS``; "turicreate" is the Python of Turi Create's environment.
    ``missing`` says of optional tools why they could not be made. ``core_ml`` tells that Core ML runs an extractor that
    is part of macOS, as the engine has it.
    """

    obtained: ObtainedExtractor
    tools: Mapping[str, str]
    missing: Mapping[str, str] = field(default_factory=dict)
    core_ml: bool = False


class EngineBase(Protocol):
    """What engines of both kinds have.

    ``name`` is the engine's in ``--engine``, in records, and the key of its version in a record's ``versions``.
    ``tools`` are the tools that the stage ``setup`` makes for it, ``extractors`` which extractors ``auto`` may select:
    those that the engine's extraction can run. With ``core_ml`` the extractors that are part of macOS are run by Core
    ML, on units that can be chosen; else by the engine itself.
    """

    @property
    def name(self) -> str:
        """Return the engine's name."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Return the names of the tools that the stage ``setup`` makes for it."""

    @property
    def extractors(self) -> tuple[str, ...]:
        """Return the extractors that it can use, by preference."""

    @property
    def core_ml(self) -> bool:
        """Return whether Core ML runs the extractors that are part of macOS."""

    def check(self, options: CreateMLOptions) -> None:
        """Check that the engine runs on this machine, with these settings.

        Raises:
            InputError: it does not; the message says why and what to do.
        """


class FeatureEngine(EngineBase, Protocol):
    """An engine that trains on extracted features."""

    @property
    def trains_on(self) -> Literal["features"]:
        """Return "features"."""

    def fit(self, run: RunContext, setup: Setup, request: Mapping[str, Any], *, stage: str = "train") -> Exit:
        """Run the stage ``train`` and return how it ended, with the result of ``workers.turicreate.train``.

        ``request`` is that of ``train_stage``: features, parts, labels and settings. ``stage`` is "verify" when the
        run was trained by another engine, and this one only to compare.

        Raises:
            StageFailedError: the stage failed.
        """

    def notes(self, record: TrainingRecord) -> tuple[str, ...]:
        """Return notes on how the engine ran, for the record of a training that has its versions."""


class ImageEngine(EngineBase, Protocol):
    """An engine that does all from the prepared images on."""

    @property
    def trains_on(self) -> Literal["images"]:
        """Return "images"."""

    def extractor(self, options: CreateMLOptions) -> ObtainedExtractor:
        """Return the extractor that the engine has itself."""

    def train(
        self, run: RunContext, record: TrainingRecord, setup: Setup, images: ImageSet, parts: Parts, save: Save
    ) -> TrainingRecord:
        """Extract, train, evaluate and save the model; return the finished record.

        ``save`` is called with the record so far after each stage.

        Raises:
            StageFailedError: a stage failed.
        """


Engine = FeatureEngine | ImageEngine
