"""The common course of a training run, whatever engine trains: one attempt, attempts with remedies, resuming."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from coremlbench.runs import resume_data
from coremlbench.runs.lifecycle import Run, RunLimits, run_and_record
from coremlbench.runs.retries import Remediable, run_with_retries
from coremlbench.runs.stages import Stages
from coremlbench.system import serialization
from coremlbench.system.conditions import read_conditions
from coremlbench.types.process import Progress
from coremlbench.types.training_records import TrainingRecord

SaveTraining = Callable[[TrainingRecord], None]


class TrainingOptions(Remediable, RunLimits, Protocol):
    """The settings of a training run: a dataclass of JSON values with limits and remedies."""


Options = TypeVar("Options", bound=TrainingOptions)


Train = Callable[[Options, TrainingRecord, Path, Stages, SaveTraining, Path | None], TrainingRecord]
"""An engine's work: options, first record, run's folder, stages, save function, folder of a run to resume or None."""


@dataclass(frozen=True)
class Engine(Generic[Options]):
    """What a training engine (Turi Create, TensorFlow) contributes to the common course of a run."""

    name: str
    options_type: type[Options]
    experiment_of: Callable[[Options], str]
    deviations_of: Callable[[Options], tuple[str, ...]]
    train: Train[Options]


@dataclass(frozen=True)
class TrainingJob(Generic[Options]):
    """Runs an engine and saves the records below ``results``; ``command`` is the command line that is recorded."""

    engine: Engine[Options]
    results: Path
    command: Sequence[str]
    on_progress: Callable[[Progress], None]

    def run_once(
        self, options: Options, extra_fields: Mapping[str, Any] | None = None, previous_run: Path | None = None
    ) -> tuple[TrainingRecord, Path]:
        """Run once; return the record, of a failed run too, and the run's folder.

        ``extra_fields`` are further fields of the record, ``previous_run`` is the folder of a run to resume.

        Raises:
            InputError: the results folder or the data cannot be used; nothing was measured and no record is left.
        """
        run = Run(
            record_type=TrainingRecord,
            experiment=self.engine.experiment_of(options),
            engine=self.engine.name,
            options=serialization.to_json(options),
            deviations=self.engine.deviations_of(options),
            command=self.command,
            limits=options,
            extra_fields={**(extra_fields or {}), "conditions_before": read_conditions()},
        )
        return run_and_record(
            run,
            lambda record, folder, stages, save: self.engine.train(options, record, folder, stages, save, previous_run),
            results=self.results,
            on_progress=self.on_progress,
        )

    def run_with_retries(self, options: Options, retries: int) -> list[tuple[TrainingRecord, Path]]:
        """Run, and after failures that a remedy may help run again, up to ``retries`` times; oldest attempt first.

        Raises:
            InputError: the results folder or the data cannot be used.
        """
        return run_with_retries(self.run_once, options, retries)

    def resume(
        self, failed: TrainingRecord, failed_folder: Path, limits: Mapping[str, Any]
    ) -> tuple[TrainingRecord, Path]:
        """Resume a failed run with its own settings but the given ``limits``; return the new record and its folder.

        Raises:
            InputError: another process is resuming the same run, or its resume data is not usable.
        """
        options = replace(self._options_of(failed), **limits)  # type: ignore[type-var]  # options are dataclasses
        return resume_data.resume_locked(
            failed,
            failed_folder,
            lambda: self.run_once(options, resume_data.resumed_fields(failed), failed_folder),
        )

    def _options_of(self, record: TrainingRecord) -> Options:
        """Return the settings that a record holds; entries that the run added to them are left out.

        The options of older records do not name the engine.
        """
        saved = {"engine": record.engine, **record.options}
        names = {field.name for field in fields(self.engine.options_type)}  # type: ignore[arg-type]  # as above
        return serialization.from_json(
            self.engine.options_type, {name: value for name, value in saved.items() if name in names}
        )
