from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lennet"], "There is no experiment 'lennet' (did you mean lenet?); choose from"),
        (["--experiment", "lennet"], "There is no experiment 'lennet' (did you mean lenet?); choose from"),
        (["--experiment", "createml"], "createml is not a TensorFlow experiment; run it with `coremlbench createml`."),
        (["--batch-ladder", "32,x"], "'32,x' is not a ladder of batch sizes; write it as 32,16,8,4."),
        (["--batch-ladder", "0"], "'0' is not a ladder"),
        (["--source", "cifar10"], "'cifar10' names no local copy; write it as cifar10=PATH"),
        (["--source", "cifar10=nowhere"], "PATH must be there"),
        (["--device", "tpu"], "'tpu' is not one of"),
        (["--scale", "2"], "2.0 is not in the range"),
    ],
)
def test_wrong_options_are_answered_in_a_sentence(coremlbench: Run, arguments: list[str], message: str) -> None:
    done = coremlbench("train", *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_compare_shows_the_published_figures_before_anything_was_measured(coremlbench: Run, tmp_path: Path) -> None:
    results = f"--results={tmp_path / 'results'}"
    done = coremlbench("compare", "tinyvgg", "createml", results, COLUMNS="160")
    assert done.returncode == 0
    assert "tinyvgg: TinyVGG, seconds per epoch" in done.stdout
    assert "MacBook Pro 16 Intel (i9 2.4 GHz, Radeon Pro 5500M 8 GB, 64 GB)" in done.stdout
    assert "published [1]" in done.stdout
    assert "[1] the article's figure, as transcribed by github.com/bara495" in done.stdout
    assert "failed before the end" in done.stdout
    assert "measured here" not in done.stdout
    rows = json.loads(coremlbench("compare", "--json", results).stdout)
    assert {row["kind"] for row in rows} == {"published"}


def test_help_explains_with_examples_on_lines_of_their_own(coremlbench: Run) -> None:
    done = coremlbench("train", "--help")
    assert done.returncode == 0
    assert "  coremlbench train --scale 0.02     " in done.stdout
    assert "\\b" not in done.stdout
