"""Worker: compare the classifier at the end of a Core ML pipeline with what a run trained, on recorded features."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the ``HeadComparison`` of the request's ``model`` and ``run``, and ``problem``.

    ``problem`` says why they cannot be compared, because they are different classifiers; "" where they were. The result
    is empty when the run recorded no features, or the model ends with another form of classifier.

    Raises:
        InputError: the run's classifier or its recorded features are damaged.
    """
    # Keep coremltools from importing TensorFlow: it takes seconds and memory, and nothing here uses it.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]

    from coremlbench.createml.classifier import load_head
    from coremlbench.createml.head_samples import compare_heads, read_head_samples
    from coremlbench.createml.vision_classifier import read_pipeline_head
    from coremlbench.types.errors import InputError

    report("prove", 0, 1, "comparing the classifier with the trained one")
    folder = Path(request["run"])
    samples = read_head_samples(folder)
    if samples is None:
        return {}
    trained = load_head(folder)
    try:
        saved = read_pipeline_head(Path(request["model"]))
    except InputError:  # another form of classifier, which only Core ML executes
        return {}
    try:
        comparison = compare_heads(trained, saved, samples)
    except InputError as problem:
        return {"problem": str(problem)}
    return {**asdict(comparison), "problem": ""}


if __name__ == "__main__":
    run(work)
