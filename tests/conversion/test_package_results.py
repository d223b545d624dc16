from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.package_results import MADE, PROVEN, read_told, tell, telling_errors
from coremlbench.types.errors import InputError


def test_what_is_told_is_read_from_beside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "it.mlpackage"
    assert read_told(package, MADE) is None
    tell(package, MADE, {"notes": ["grün"], "figure": np.float32(0.5)})
    tell(package, PROVEN, {})
    assert read_told(package, MADE) == {"notes": ["grün"], "figure": 0.5}
    assert read_told(package, PROVEN) == {}
    Path(f"{package}{MADE}").write_bytes(b'{"notes": [')
    assert read_told(package, MADE) is None


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (InputError("It is no model."), "It is no model."),
        (ValueError("bad scale\nand more"), "ValueError: bad scale"),
        (KeyError(), "KeyError: no reason given"),
    ],
)
def test_an_error_is_told_in_one_line(problem: Exception, message: str) -> None:
    told: dict[str, Any] = {}
    with telling_errors(told):
        raise problem
    assert told == {"error": {"type": type(problem).__name__, "message": message}}


def test_a_lack_of_memory_ends_the_child() -> None:
    told: dict[str, Any] = {}
    with pytest.raises(MemoryError), telling_errors(told):
        raise MemoryError
    assert told == {}
