"""The Create ML run: set up, prepare data, extract features, train, evaluate, save the model.

Each stage is a supervised child process; after each, the record so far is saved.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from coremlbench.createml.engines.choice import ENGINES, FALLBACK, EngineChoice
from coremlbench.createml.engines.protocol import Engine, Save, Setup
from coremlbench.createml.export_stage import export_model
from coremlbench.createml.extraction_stage import extract_features
from coremlbench.createml.extractors import ObtainedExtractor
from coremlbench.createml.options import CreateMLOptions, deviations_of
from coremlbench.createml.pipeline_export import export_pipeline
from coremlbench.createml.run_context import Parts, RunContext, WorkerCommand
from coremlbench.createml.train_stage import train_classifier
from coremlbench.createml.validation_split import split_validation
from coremlbench.createml.verify_stage import verification_tools, verify_classifier
from coremlbench.runs import resume_data
from coremlbench.runs.stages import Stages
from coremlbench.runs.steps import data_request, dataset_record, result_of, with_phase
from coremlbench.runs.steps import worker as worker_command
from coremlbench.system import serialization
from coremlbench.types.data import ImageSet
from coremlbench.types.training_records import TrainingRecord


def train(
    options: CreateMLOptions,
    choice: EngineChoice,
    record: TrainingRecord,
    folder: Path,
    cache: Path,
    stages: Stages,
    save: Save,
    previous_run: Path | None = None,
    *,
    worker: WorkerCommand = worker_command,
) -> TrainingRecord:
    """Return the record of the finished run; ``save`` is called with the record so far after each stage.

    ``previous_run`` is the folder of the failed run to resume: what it had extracted and trained is reused. ``worker``
    is that of ``RunContext``.

    Raises:
        StageFailedError: a stage failed; the record last saved holds the results of the stages before.
    """
    run = RunContext(options, folder, cache, stages, worker)
    record, run, engine, setup = _set_up(run, record, choice)
    save(record)
    record, images, parts = _prepare_data(run, record, setup)
    save(record)
    if previous_run is not None:
        resume_data.link_resume_data(previous_run, folder)
    if engine.trains_on == "images":
        return engine.train(run, record, setup, images, parts, save)
    record, features = extract_features(run, record, setup, parts)
    save(record)
    record, trained = train_classifier(run, record, engine, setup, images, parts, features)
    save(record)
    if options.verify:
        record = verify_classifier(run, record, engine, setup, parts, features, trained)
        save(record)
    if setup.obtained.extractor.scene:
        return export_pipeline(run, record, setup.obtained, trained, features, images)
    return export_model(run, record, setup.obtained, trained, features, images)


def _set_up(
    run: RunContext, record: TrainingRecord, choice: EngineChoice
) -> tuple[TrainingRecord, RunContext, Engine, Setup]:
    """Obtain the extractor and make the engine's tools; return them, with the run and the engine for the rest of it.

    ``FALLBACK`` takes the place of a replaceable engine whose tools cannot be made.
    """
    ended = run.run_worker(
        "setup",
        {
            "extractor": run.options.extractor if choice.engine.trains_on == "features" else None,
            "extractors": choice.engine.extractors,
            "tools": choice.engine.tools,
            "optional_tools": verification_tools(run.options, choice.engine),
            "fallback_extractors": ENGINES[FALLBACK].extractors if choice.replaceable else None,
            "units": run.options.units,
            "cache": str(run.cache),
        },
    )
    result = result_of(ended)
    if result["problem"]:
        choice = EngineChoice(ENGINES[FALLBACK], result["problem"])
    if choice.engine.trains_on == "images":
        obtained = choice.engine.extractor(run.options)
    else:
        obtained = serialization.from_json(ObtainedExtractor, result["extractor"])
    setup = Setup(obtained, result["tools"], result["missing"], core_ml=choice.engine.core_ml)
    options = replace(run.options, engine=choice.engine.name)
    record = replace(
        record,
        engine=options.engine,
        weights=setup.obtained.provenance,
        options={
            **record.options,
            "engine": options.engine,
            "engine chosen": choice.reason,
            "extractor": setup.obtained.extractor.name,
            "extractor chosen": setup.obtained.reason,
        },
        deviations=deviations_of(options, obtained=setup.obtained),
    )
    return with_phase(record, ended, "setup", 1), replace(run, options=options), choice.engine, setup


def _prepare_data(run: RunContext, record: TrainingRecord, setup: Setup) -> tuple[TrainingRecord, ImageSet, Parts]:
    """Prepare the dataset and split off the validation images; return the images as a whole and by part."""
    ended = run.run_worker("data", data_request(run.options, run.cache))
    images = serialization.from_json(ImageSet, result_of(ended))
    training, validation = split_validation(images.train, run.options.seed)
    record = replace(
        record,
        dataset=dataset_record(images, validation=len(validation)),
        deviations=deviations_of(run.options, images, setup.obtained),
    )
    parts = {"train": training, "validation": validation, "test": images.test}
    return with_phase(record, ended, "data", images.examined), images, parts
