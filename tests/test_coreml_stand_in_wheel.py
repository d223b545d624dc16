"""That the stand-in's table has the names and texts of coremltools' native module, as its library holds them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.coreml_stand_in.interface import CLASSES, MODULE_DOCUMENTATION, TEXTS
from tests.coreml_stand_in.wheel import (
    PYBIND11,
    SHA256,
    WHEEL,
    binding_strings,
    library_of,
    read_golden,
    strings_of,
)

LOCK = Path(__file__).parents[1] / "requirements.lock"


def test_the_table_has_the_classes_and_methods_of_the_library_and_no_others() -> None:
    strings = read_golden()[1]
    last = CLASSES[-1].name
    assert strings[0] == MODULE_DOCUMENTATION
    named = set(strings[1 : strings.index(last) + 1])
    own = {table.name for table in CLASSES}
    own |= {method.name for table in CLASSES for method in table.methods}
    own |= {name for table in CLASSES for name in table.properties}
    assert named == own


def test_the_texts_of_the_table_are_those_of_the_library() -> None:
    strings = "\n".join(read_golden()[1])
    parts = [part for shown, _ in TEXTS.values() for part in re.split(r"\{\}(?:\. )?", shown) if len(part) > 3]
    assert len(parts) > 15
    assert [part for part in parts if part not in strings] == []
    assert all(text in strings for text in PYBIND11)


def test_the_strings_are_of_the_wheel_that_is_locked() -> None:
    assert read_golden()[0] == SHA256
    locked = re.search(r"^coremltools==9\.0(?:.*\\\n)+.*", LOCK.read_text(), re.MULTILINE)
    assert locked is not None
    assert f"sha256:{SHA256}" in locked[0]


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / WHEEL
    wheel.write_bytes(b"another")
    with pytest.raises(ValueError, match="has the SHA-256"):
        library_of(wheel)


@pytest.mark.network
def test_the_wheel_of_the_package_index_has_these_strings(tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(f"coremltools==9.0 --hash=sha256:{SHA256}\n")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(tmp_path)]
    target = ["--platform", "macosx_11_0_arm64", "--python-version", "3.12"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "download", *options, *target, "--requirement", str(wanted)],
        check=True,
        capture_output=True,
    )
    assert binding_strings(strings_of(library_of(tmp_path / WHEEL))) == read_golden()[1]
