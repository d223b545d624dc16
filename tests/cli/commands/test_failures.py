"""`coremlbench failures` as a person calls it."""

import json
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from coremlbench.runs import store
from coremlbench.types.training_records import Trained
from tests.failing_records import AIR, CONVERSION, TIMING, XEON, failure, training

ENDS_EARLY = "log.txt ends early: No space left on device."

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    log = "E cuda_dnn.cc:522] Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0."
    for record in (
        training(1, failure("gpu-library", "epoch 1 of 5", matched=(log,), returncode=1, notes=(ENDS_EARLY,))),
        training(2, Trained(test_accuracy=0.9)),
        training(3, failure("killed"), machine=XEON, experiment="tinyvgg", attempt=2),
        CONVERSION,
        TIMING,
    ):
        (folder / record.id).mkdir(parents=True)
        store.save(record, folder / record.id)
    return folder


def test_failures_are_listed_with_what_to_do(coremlbench: Run, results: Path) -> None:
    ran = coremlbench("failures")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == "MacBookAir10,1 (Apple M1, 16.00 GiB), id a1r"
    assert "    20261123-100001-createml-0001: gpu-library (epoch 1 of 5)" in lines
    assert (
        "      log: E cuda_dnn.cc:522] Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0."
        in lines
    )
    assert lines[lines.index(f"      note: {ENDS_EARLY}") + 1] == "      what to do: Run it again."
    assert any("CPU_AND_NE – 3 times" in line for line in lines)
    assert any(line.endswith("killed – attempt 2") for line in lines)
    assert lines[-1] == "5 failures in 4 of 5 runs."
    assert "0002" not in ran.stdout


@pytest.mark.long
def test_failures_as_json_and_of_one_run(coremlbench: Run, results: Path) -> None:
    found = json.loads(coremlbench("failures", "--json", "20261123-10").stdout)
    assert [(each["machine_id"], each["failure"]["kind"]) for each in found] == [
        (AIR.id, "gpu-library"),
        (XEON.id, "killed"),
    ]
    ran = coremlbench("failures", "20260101")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "There is no folder and no run 20260101" in ran.stderr


def test_nothing_failed(coremlbench: Run, tmp_path: Path) -> None:
    assert coremlbench("failures").stdout.startswith("No runs under ")
    assert coremlbench("failures", "--json").stdout == "[]\n"
    ran = coremlbench("failures", "--bundle", "out.zip")
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.long
def test_a_bundle_is_written_once(coremlbench: Run, results: Path, tmp_path: Path) -> None:
    ran = coremlbench("failures", "--bundle", "out.zip", "20261123-100001", "20261123-100002")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("out.zip: 2 runs in 4 files.")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        text = "".join(archive.read(name).decode() for name in archive.namelist())
        checks = json.loads(archive.read("doctor.json"))
    assert {"machine", "TensorFlow", "open files"} <= {check["name"] for check in checks}
    assert socket.gethostname() not in text
    again = coremlbench("failures", "--bundle", "out.zip")
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_records_of_other_kinds_do_not_disturb_a_comparison(coremlbench: Run, results: Path) -> None:
    ran = coremlbench("compare", "--json")
    assert ran.returncode == 0, ran.stderr
    rows = [row for row in json.loads(ran.stdout) if row["kind"] == "measured"]
    assert [(row["experiment"], row["failed"]) for row in rows] == [
        ("createml", True),
        ("createml", False),
        ("tinyvgg", True),
    ]
