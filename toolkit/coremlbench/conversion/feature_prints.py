"""Models that begin with an extractor that is part of macOS: only Core ML runs them, and they are not judged.

Where such a model is that of a training run, the classifier behind the extractor is compared with what was trained, on
feature vectors that the run recorded on its Mac.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import PACKAGE_FORMATS
from coremlbench.model_files.core_ml_kinds import has_feature_print
from coremlbench.runs import store
from coremlbench.runs.stages import Stages
from coremlbench.runs.steps import result_of, worker
from coremlbench.types.conversion import ModelSource, Proof
from coremlbench.types.training_records import TrainingRecord

NOT_JUDGED = "An extractor that is part of macOS is in {where}, and only Core ML runs it"
"""The reason that every such proof begins with."""

HEAD_SILENCE = 300.0
"""Seconds without progress after which the comparison of the classifiers counts as hung."""


def begins_with_feature_print(source: ModelSource, options: ConvertOptions) -> bool:
    """Return whether a model, or the package that is compared with it, has an extractor that is part of macOS."""
    return bool(_with_feature_print(source, options))


def _with_feature_print(source: ModelSource, options: ConvertOptions) -> list[Path]:
    """Return those of the model and of the package to be checked that have an extractor that is part of macOS."""
    paths = [Path(options.check)] if options.check else []
    if source.format in (*PACKAGE_FORMATS, "createml"):
        paths.append(Path(source.path))
    return [path for path in paths if has_feature_print(path)]


def judge_feature_print(source: ModelSource, options: ConvertOptions, stages: Stages) -> Proof:
    """Return the proof of a model with an extractor that is part of macOS.

    It is ``not judged``, or ``wrong`` if the classifier behind the extractor is not the one that was trained.

    Raises:
        StageFailedError: the comparison of the classifiers failed.
    """
    where = " and ".join(dict.fromkeys(path.name for path in _with_feature_print(source, options)))
    begin = NOT_JUDGED.format(where=where)
    compared = _compare_classifiers(source, options, stages) if source.format == "createml" else {}
    if not compared:
        return _proof("not judged", f"{begin}, so that there is nothing to compare.", {})
    if compared["problem"]:
        return _proof("wrong", f"{begin}; but its classifier is not what was trained: {compared['problem']}", {})
    samples, equal = compared["samples"], compared["equal"]
    finding = (
        f"its classifier alone gives the class that was predicted after the training for {equal:,} of {samples:,} "
        f"recorded feature vectors, and logits that differ by {compared['difference']:.1g} of their range at most"
    )
    verdict = "not judged" if compared["difference"] <= MAX_DIFFERENCE else "wrong"
    return _proof(verdict, f"{begin}; {finding}.", compared)


def notes_of_training(source: ModelSource, options: ConvertOptions) -> tuple[str, ...]:
    """Return a note on how the saved model of a training run predicted on the Mac that trained it."""
    if source.format != "createml" or options.check:
        return ()
    record = store.load(Path(source.path).parent)
    agreement = record.model.agreement if isinstance(record, TrainingRecord) and record.model else None
    if agreement is None:
        return ()
    note = (
        f"On the machine that trained it, it predicted what was trained for {agreement.equal:,} of "
        f"{agreement.images:,} test images, run by {agreement.runtime}."
    )
    return (note,)


MAX_DIFFERENCE = 1e-6
"""The largest share of the logits' range that rounding explains with ease: both classifiers are in float64."""


def _proof(verdict: Any, reason: str, compared: Mapping[str, Any]) -> Proof:
    return Proof(
        verdict=verdict,
        reason=reason,
        runtime="NumPy, the classifier alone" if compared else "nothing",
        original="the trained classifier" if compared else "nothing",
        images=compared.get("samples", 0),
        data="recorded feature vectors" if compared else "images",
        max_error=compared.get("difference"),
        mean_error=None,
        range=1.0,
        signal_to_noise=None,
        agreement=compared["equal"] / compared["samples"] if compared else None,
    )


def _compare_classifiers(source: ModelSource, options: ConvertOptions, stages: Stages) -> dict[str, Any]:
    """Return the result of the worker ``pipeline_proof``; empty when there was nothing to compare."""
    folder = Path(source.path).parent
    request = {"model": options.check or source.path, "run": str(folder)}
    return result_of(stages.run("pipeline-proof", worker("pipeline_proof"), request, silence=HEAD_SILENCE))
