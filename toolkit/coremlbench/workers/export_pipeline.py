"""Worker: save the trained classifier as a Core ML pipeline of Apple's extractor, and let Core ML test it.

The counterpart of ``export`` for an extractor that is part of macOS.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Save the pipeline, the head and its samples; return the pipeline's agreement with the training, and versions.

    ``agreement`` is None where Core ML cannot run it; ``notes`` then say why.
    """
    # Keep coremltools from importing TensorFlow: it takes seconds and memory, and nothing here uses it.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import coremltools
    import numpy as np

    from coremlbench.createml.classifier import read_head
    from coremlbench.createml.head_samples import HEAD_SAMPLES, save_head_samples
    from coremlbench.createml.vision_classifier import save_pipeline
    from coremlbench.createml.vision_feature_print import SCENES
    from coremlbench.runtimes.coreml import CoreML, is_stand_in

    report("export", 0, len(request["images"]), "assembling the Core ML pipeline")
    folder, scene = Path(request["folder"]), SCENES[request["scene"]]
    head = read_head(request["classes"], request["coefficients"], request["length"])
    np.savez(folder / "head.npz", weights=head.weights, bias=head.bias, classes=np.array(head.classes))
    first, last = request["test_rows"]
    features = np.memmap(request["features"], np.float32, "r").reshape(-1, request["length"])
    save_head_samples(folder / HEAD_SAMPLES, features[first:last], request["predicted"])
    model = Path(request["model"])
    save_pipeline(head, scene, model, description=request["description"], metadata=request["metadata"])
    runtime = CoreML()
    reason = runtime.unavailable_reason(request["units"])
    agreement = None
    if not reason:
        equal = count_equal_predictions(model, request, report)
        agreement = {"runtime": runtime.version, "images": len(request["images"]), "equal": equal}
    return {
        "agreement": agreement,
        "notes": [f"The saved model was not run: {reason}"] if reason else [],
        "versions": {"coremltools": coremltools.__version__},
        "stand_in": is_stand_in(),
    }


def count_equal_predictions(model: Path, request: dict[str, Any], report: Report) -> int:
    """Return for how many test images Core ML predicts, with the saved pipeline, the class that the training did."""
    from coremlbench.createml.classifier import IMAGE_INPUT
    from coremlbench.createml.core_ml_extraction import BATCH
    from coremlbench.createml.feature_extraction import prepare_image
    from coremlbench.createml.vision_classifier import LABEL_OUTPUT
    from coremlbench.createml.vision_feature_print import SCENES
    from coremlbench.runtimes.coreml import CoreML

    runtime, size = CoreML(), SCENES[request["scene"]].size
    runtime.start(request["units"])
    loaded = runtime.load(model, request["units"])
    paths, equal = request["images"], 0
    expected = [request["classes"][label] for label in request["predicted"]]
    for start in range(0, len(paths), BATCH):
        images = [prepare_image(Path(path), size, (), ())[0] for path in paths[start : start + BATCH]]
        inputs: Any = [loaded.prepare({IMAGE_INPUT: image}) for image in images]
        predictions = loaded.predict(inputs)
        pairs = zip(predictions, expected[start : start + BATCH], strict=True)
        equal += sum(prediction[LABEL_OUTPUT] == label for prediction, label in pairs)
        report("export", start + len(images), len(paths), "comparing the Core ML model with the trained one")
    return equal


if __name__ == "__main__":
    run(work)
