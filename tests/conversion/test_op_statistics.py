from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.op_statistics import count_ops, matching_variant, multiply_adds, weight_bytes
from tests.mil_programs import Builder, numbers, saved

pytestmark = pytest.mark.tensorflow

PICTURE = {"image": numbers((1, 3, 8, 8), 0)}


def test_ops_and_multiply_adds_by_hand() -> None:
    def network(image: Any) -> Any:
        x = Builder.conv(x=image, weight=numbers((4, 3, 3, 3), 1), pad_type="valid")  # 4 * 6 * 6 * 27
        x = Builder.relu(x=x)
        x = Builder.conv(x=x, weight=numbers((4, 1, 3, 3), 2), groups=4, pad_type="same")  # 4 * 6 * 6 * 9
        x = Builder.conv_transpose(x=x, weight=numbers((4, 2, 2, 2), 3), strides=[2, 2])  # 4 * 6 * 6 * 8
        x = Builder.reshape(x=x, shape=[1, -1])
        x = Builder.linear(x=x, weight=numbers((5, 288), 4))  # 5 * 288
        return Builder.matmul(x=x, y=x, transpose_x=True)  # 5 * 5 * 1

    program = saved(network, PICTURE)
    assert multiply_adds(program) == 144 * 27 + 144 * 9 + 144 * 8 + 5 * 288 + 25
    assert count_ops(program) == {"conv": 2, "relu": 1, "conv_transpose": 1, "reshape": 1, "linear": 1, "matmul": 1}


def test_a_program_without_products_has_no_multiply_adds() -> None:
    assert multiply_adds(saved(lambda image: Builder.relu(x=image), PICTURE)) == 0


@pytest.mark.parametrize(("dtype", "name"), [(np.float32, "fp32"), (np.float16, "fp16")])
def test_the_precision_is_that_of_the_values(dtype: type, name: str) -> None:
    program = saved(lambda image: Builder.add(x=image, y=image), {"image": numbers((1, 3, 8, 8), 0, dtype)})
    assert matching_variant(program) == name


def test_the_bytes_of_weights_are_those_of_their_files(tmp_path: Path) -> None:
    weights = tmp_path / "Data" / "com.apple.CoreML" / "weights"
    weights.mkdir(parents=True)
    (weights / "weight.bin").write_bytes(bytes(100))
    (weights.parent / "model.mlmodel").write_bytes(bytes(7))
    assert weight_bytes(tmp_path) == 100
