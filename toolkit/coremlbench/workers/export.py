"""Worker: save the trained classifier as a Core ML model, and count how often it agrees with Turi Create."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Save the package; return its agreement with the trained model on the test images, and coremltools' version."""
    # Keep coremltools from importing TensorFlow: it takes seconds and memory, and this conversion does not use it.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import coremltools
    import numpy as np

    from coremlbench.conversion.package_runner import RUNTIME_LABEL
    from coremlbench.createml.classifier import read_head, save_classifier
    from coremlbench.createml.network import read_network

    report("export", 0, 2, "assembling the Core ML model")
    network = read_network(Path(request["network"]))
    head = read_head(request["classes"], request["coefficients"], request["length"])
    np.savez(Path(request["folder"]) / "head.npz", weights=head.weights, bias=head.bias, classes=np.array(head.classes))
    package = Path(request["package"])
    save_classifier(
        network, head, package, bgr=request["bgr"], description=request["description"], metadata=request["metadata"]
    )
    equal = count_equal_predictions(package, request, report)
    return {
        "agreement": {"runtime": RUNTIME_LABEL, "images": len(request["images"]), "equal": equal},
        "versions": {"coremltools": coremltools.__version__},
    }


def count_equal_predictions(package: Path, request: dict[str, Any], report: Report) -> int:
    """Return for how many test images the saved package predicts the class that Turi Create predicted."""
    from coremlbench.createml.feature_extraction import prepare_image
    from coremlbench.runtimes.reference import ReferenceRuntime

    images, size = request["images"], (request["size"][0], request["size"][1])
    runtime = ReferenceRuntime.load(package)
    equal = 0
    for index, (path, predicted) in enumerate(zip(images, request["predicted"], strict=True)):
        (pixels,) = prepare_image(Path(path), size, (), ())
        label = runtime.predict({"image": pixels})["classLabel"]
        equal += label == request["classes"][predicted]
        report("export", index + 1, len(images), "comparing the Core ML model with the trained one")
    return equal


if __name__ == "__main__":
    run(work)
