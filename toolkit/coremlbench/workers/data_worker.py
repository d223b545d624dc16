"""Prepares a dataset: drawn, downloaded, unpacked or examined, and split. Started by the Create ML engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.workers.harness import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the ``ImageSet`` of the request as JSON."""
    from coremlbench_datasets import DatasetRequest, find

    from coremlbench import jsonable

    images = find(request["dataset"]).prepare(
        DatasetRequest(
            cache=Path(request["cache"]),
            train=request["train"],
            test=request["test"],
            seed=request["seed"],
            source=Path(request["source"]) if request["source"] else None,
        ),
        report,
    )
    return jsonable.to_json(images)


if __name__ == "__main__":
    run(work)
