"""Worker: train the logistic classifier on extracted features with the built-in solver, and test it.

Request and result are those of the task ``train`` of ``workers/turicreate.py``. The request also names the file of the
solver's state, from which a resumed run goes on, and the SHA-256 of the features.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.supervision.worker_main import Report, run

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from coremlbench.createml.solver.fit import Fit, Row
    from coremlbench.createml.solver.rows import FeatureRows

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Read by NumPy's matrix products: each takes one thread, as another number of them may round otherwise."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Train and test the classifier; return its coefficients, accuracies, predictions and the solver's table.

    Raises:
        InputError: the training images are of one class.
    """
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    import numpy as np

    from coremlbench.createml.solver.fit import VERSION, accuracy_and_classes, fit
    from coremlbench.types.errors import InputError

    labels = np.unique(request["labels"]["train"])  # as Turi Create, which knows only the classes of training images
    if len(labels) < 2:
        raise InputError("The training images are all of one class; name a dataset with two classes or more.")
    training, validation, test = (_rows(request, name, labels) for name in ("train", "validation", "test"))
    iterations = request["iterations"]
    report("train", 0, iterations, "reading features")
    fitted = fit(
        training,
        validation if len(validation) else None,
        len(labels),
        iterations,
        state_file=Path(request["state"]),
        identity=_identity(request),
        on_row=lambda row: _report_row(row, iterations, report),
    )
    start = time.monotonic()
    report("evaluate", 0, len(test))
    accuracy, predicted = accuracy_and_classes(test, fitted.coefficients)
    report("evaluate", len(test), len(test))
    return {
        **_training_result(fitted, labels.tolist()),
        "test_accuracy": accuracy,
        "predicted": labels[predicted],
        "seconds": {"evaluate": time.monotonic() - start},
        "versions": {"builtin": VERSION, "numpy": np.__version__},
    }


def _report_row(row: Row, iterations: int, report: Report) -> None:
    """Report an iteration as the worker of Turi Create does."""
    figures = {"training_accuracy": row.training_accuracy, "validation_accuracy": row.validation_accuracy}
    done = row.iteration + 1
    known = {name: value for name, value in figures.items() if value is not None}
    report("train", done, iterations, f"iteration {done}", **known)


def _training_result(fitted: Fit, labels: list[int]) -> dict[str, Any]:
    """Return what the training adds to the result; the first of the ``labels`` has no coefficients."""
    from coremlbench.createml.solver.fit import NEWTON_COEFFICIENTS

    last = fitted.rows[-1]
    notes = []
    if fitted.coefficients.size <= NEWTON_COEFFICIENTS:
        notes = [
            f"Up to {NEWTON_COEFFICIENTS} coefficients, as here, Turi Create takes Newton's method and builtin L-BFGS."
        ]
    return {
        "classes": labels,
        "coefficients": {
            str(label): [float(row[-1]), *row[:-1].tolist()]
            for label, row in zip(labels[1:], fitted.coefficients, strict=True)
        },
        "training_accuracy": last.training_accuracy,
        "validation_accuracy": last.validation_accuracy,
        "iterations": [
            {
                "iteration": row.iteration,
                "seconds": row.seconds,
                "training_accuracy": row.training_accuracy,
                "validation_accuracy": row.validation_accuracy,
                "passes": row.passes,
            }
            for row in fitted.rows
        ],
        "solver": "lbfgs",
        "solver_status": fitted.status,
        "solver_iterations": fitted.iterations,
        "notes": notes,
    }


def _rows(request: dict[str, Any], name: str, labels: npt.NDArray[np.int64]) -> FeatureRows:
    """Return the rows of a part, each labelled by its index among ``labels``, or -1; copies follow each other."""
    import numpy as np

    from coremlbench.createml.solver.rows import FeatureRows
    from coremlbench_datasets.parallel import cores

    first, last = request["parts"][name]
    own = np.array(request["labels"][name], np.int64)
    classes = np.where(np.isin(own, labels), np.searchsorted(labels, own), -1)
    classes = np.repeat(classes, (last - first) // max(len(classes), 1))
    return FeatureRows(Path(request["features"]), request["length"], first, last, classes, threads=cores())


def _identity(request: dict[str, Any]) -> str:
    """Return a hash of what decides the numbers of an iteration: features, labels, and what computes with them."""
    import numpy as np

    names = ("features_sha256", "length", "parts", "labels")
    decisive = [*(request[name] for name in names), np.__version__, str(np.show_config(mode="dicts"))]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    run(work)
