"""What the doctor says of a machine must be so: it has tried nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coremlbench.diagnostics.doctor import run_checks
from coremlbench.system.machine import describe_machine
from coremlbench.system.resources import has_avx, vector_instructions

PRINT_CHECKS = """
import sys
from pathlib import Path
from coremlbench.system import serialization
from coremlbench.diagnostics.doctor import run_checks
from coremlbench.system.machine import describe_machine
import json
folder = Path(sys.argv[1])
checks = run_checks(folder, folder, describe_machine(), skip_slow=True)
print(json.dumps([serialization.to_json(check) for check in checks]))
"""


def test_without_a_python_3_8_nothing_is_said_of_a_download_that_nobody_tried(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = {name: str(tmp_path / "empty") for name in ("PATH", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "HOME")}
    ended = subprocess.run(
        [sys.executable, "-c", PRINT_CHECKS, str(tmp_path)],
        env=os.environ | empty,
        capture_output=True,
        text=True,
        check=True,
    )
    checks = {check["name"]: check for check in json.loads(ended.stdout)}
    assert checks["Turi Create"]["found"] == "no Python 3.8 here; uv will fetch one at first use"
    assert "could be fetched" not in checks["Turi Create"]["advice"]
    assert "pyenv install 3.8" in checks["Turi Create"]["advice"]


@pytest.mark.parametrize("folder", ["file", "file/a/b"])
def test_a_folder_that_cannot_be_made_has_no_room(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checks = run_checks(tmp_path / folder, tmp_path / folder, describe_machine(), skip_slow=True)
    by_name = {check.name: check for check in checks}
    for name, option in (("room for the cache", "COREMLBENCH_CACHE"), ("room for results", "--results")):
        check = by_name[name]
        assert (check.state, check.found) == ("no", f"{tmp_path / 'file'} is not a folder")
        assert check.advice == f"Choose another folder with {option}."


def test_the_vector_instructions_begin_with_avx_where_there_is_any() -> None:
    instructions = vector_instructions()
    assert ("avx" in instructions) == bool(instructions)
    assert not instructions or has_avx()
