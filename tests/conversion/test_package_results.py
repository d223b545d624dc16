from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.package_results import (
    CONVERSION_SUFFIX,
    PROOF_SUFFIX,
    capture_error,
    read_result,
    write_result,
)
from coremlbench.types.errors import InputError


def test_what_is_told_is_read_from_beside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "it.mlpackage"
    assert read_result(package, CONVERSION_SUFFIX) is None
    write_result(package, CONVERSION_SUFFIX, {"notes": ["grün"], "figure": np.float32(0.5)})
    write_result(package, PROOF_SUFFIX, {})
    assert read_result(package, CONVERSION_SUFFIX) == {"notes": ["grün"], "figure": 0.5}
    assert read_result(package, PROOF_SUFFIX) == {}
    Path(f"{package}{CONVERSION_SUFFIX}").write_bytes(b'{"notes": [')
    assert read_result(package, CONVERSION_SUFFIX) is None


def fail_with(problem: Exception) -> None:
    raise problem


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (InputError("It is no model."), "It is no model."),
        (ValueError("bad scale\nand more"), "ValueError: bad scale"),
        (KeyError(), "KeyError: no reason given"),
    ],
)
def test_an_error_is_told_in_one_line(problem: Exception, message: str) -> None:
    result: dict[str, Any] = {}
    with capture_error(result):
        fail_with(problem)
    assert result == {"error": {"type": type(problem).__name__, "message": message}}


def test_a_lack_of_memory_ends_the_child() -> None:
    result: dict[str, Any] = {}
    with pytest.raises(MemoryError), capture_error(result):
        raise MemoryError
    assert result == {}
