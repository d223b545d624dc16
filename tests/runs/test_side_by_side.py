"""Runs that share a results folder and a cache do each other no harm."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_datasets import fashion_folder


@pytest.mark.tensorflow
@pytest.mark.turicreate
@pytest.mark.network
def test_runs_side_by_side_share_a_results_folder_and_an_empty_cache(tmp_path: Path) -> None:
    source = f"fashion-mnist={fashion_folder(tmp_path / 'fashion', 300, 60)}"
    options = ["--train", "200", "--test", "50", "--epochs", "2", "--device", "cpu", "--source", source]
    results = tmp_path / "results"
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "coremlbench", "train", "fashion-mnist", *options, "--json", "--results", results],
            env={**os.environ, "COREMLBENCH_CACHE": str(tmp_path / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    first, second = (json.loads(out)[0] for out, _ in outputs)
    assert first["id"] != second["id"]
    for record in (first, second):
        assert record == json.loads((results / record["id"] / "run.json").read_text())
        assert [row["epoch"] for row in record["epochs"]] == [1, 2]
        left = {path.name for path in (results / record["id"]).iterdir()}
        assert {"history.json", "logs", "model.keras", "run.json"} <= left
        assert not left & {"work", "kept", "run.lock"}
    assert first["epochs"][1]["loss"] == pytest.approx(second["epochs"][1]["loss"], rel=1e-4)  # the same seed
