"""That the stand-in has what coremltools wants of its native module, and is told from the real one."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import coremltools
import pytest

from tests.coreml_stand_in import NATIVE, Behaviour, Failing, read, write
from tests.coreml_stand_in.native import make_module

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).parents[1]


def test_all_that_coremltools_takes_from_its_native_module_is_there() -> None:
    source = "".join(each.read_text() for each in Path(coremltools.__file__).parent.glob("models/**/*.py"))
    module = make_module(NATIVE, Behaviour())
    names = set(re.findall(r"libcoremlpython import (\w+)", source))
    assert len(names) >= 6
    assert {name for name in names if not hasattr(module, name)} == set()
    called = set(re.findall(r"_MLModelProxy\.(\w+)\(", source))
    assert len(called) >= 7
    assert {name for name in called if not hasattr(module._MLModelProxy, name)} == set()


def test_a_behaviour_survives_its_file(tmp_path: Path) -> None:
    told = Behaviour(
        macos=(14, 4, 1),
        seconds={"NE": 0.1},
        fallback=("ALL",),
        failing=(Failing("load", "hang", unit="ALL"),),
        cache="x",
    )
    assert read(write(tmp_path / "behaviour.json", told)) == told


LOADING = """
import os, sys
sys.path.insert(0, sys.argv[1])
sys.modules["tensorflow"] = None
from tests import coreml_stand_in as stand_in
stand_in.install(stand_in.Behaviour())
from coremltools.models import compute_plan
for name, path in zip(sys.argv[2::2], sys.argv[3::2]):
    child = os.fork()
    if not child:
        getattr(compute_plan, name).load_from_path(path)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Loads each path as a plan or structure, in a process of its own, and prints how that ended."""


def test_a_plan_or_structure_of_what_is_not_compiled_aborts_as_core_mls_does(tmp_path: Path) -> None:
    cases = [("MLComputePlan", "a.mlpackage"), ("MLModelStructure", "a.mlmodelc"), ("MLComputePlan", "none.mlpackage")]
    for _, model in cases[:2]:
        (tmp_path / model).mkdir()
    arguments = [argument for name, model in cases for argument in (name, str(tmp_path / model))]
    ended = subprocess.run(
        [sys.executable, "-I", "-c", LOADING, str(ROOT), *arguments], capture_output=True, check=False, text=True
    )
    assert ended.stdout.split() == [str(-signal.SIGABRT), str(-signal.SIGABRT), "1"]
    assert 'RuntimeError: {\n    NSLocalizedDescription = "none.mlpackage is not a valid .mlmodelc file' in ended.stderr


def test_nothing_of_the_stand_in_is_in_the_package() -> None:
    import coremlbench

    sources = [each.read_text() for each in Path(coremlbench.__file__).parent.rglob("*.py")]
    assert len(sources) > 50
    assert not any("coreml_stand_in" in source for source in sources)
