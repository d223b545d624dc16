"""Progress of a conversion by coremltools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from coremlbench.conversion.conversion_progress import report_conversion
from tests.converted_functions import convert_and_predict

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and coremltools warn about each other
]


def test_each_op_and_each_pass_is_reported_and_no_bar_is_drawn(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps: list[str] = []
    sample = np.array([1, -2], np.float32)
    with report_conversion(steps.append):
        output = convert_and_predict(lambda x: tf.nn.relu(x) + 1, sample, tmp_path)
    np.testing.assert_array_equal(output, [[2, 1]])
    assert any(step.startswith("Converting TF Frontend ==> MIL Ops: 1 of ") for step in steps)
    passes = [step for step in steps if step.startswith("Running MIL default pipeline")]
    assert passes[-1].split(": ")[-1] == f"{len(passes)} of {len(passes)}"
    assert "Running MIL default pipeline" not in capfd.readouterr().err
    convert_and_predict(lambda x: x * 2, sample, tmp_path)
    assert "Running MIL default pipeline" in capfd.readouterr().err  # coremltools draws its bars again
