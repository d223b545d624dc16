"""Workers that are forks of a process with their libraries: started, watched and ended as programs are."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from coremlbench.supervision.fork_client import GROUPS, SERVER_VARIABLE, WORKERS, group_of, inherited_state
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.process import Exit, Limits, Progress
from tests.gated_clock import GatedClock, never

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.long,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="There is a server on Linux only."),
]
PROOF = [sys.executable, "-I", "-m", "coremlbench.workers.proof"]
COMMAND = [sys.executable, "-I", "-m", "coremlbench.supervision.fork_server"]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[psutil.Process]:
    """A server of these tests alone, so that the processes below it are theirs."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        server = subprocess.Popen([*COMMAND, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdout is not None
        assert server.stdout.readline() == b"listening\n"
        patch.setenv(SERVER_VARIABLE, str(folder))
        process = psutil.Process(server.pid)
        yield process
        below = process.children(recursive=True)
        server.communicate()
        assert psutil.wait_procs(below, timeout=60)[1] == []


def prove(folder: Path, request: dict[str, Any], **settings: Any) -> Exit:
    folder.mkdir()
    return supervise(PROOF, folder=folder, request=request, **settings)


@pytest.fixture
def endless(tmp_path: Path) -> dict[str, Any]:
    """A request whose package cannot be read to its end."""
    os.mkfifo(tmp_path / "endless.mlpackage")
    np.save(tmp_path / "samples.npy", np.zeros((1, 4), np.float32))
    return {"folder": str(tmp_path), "packages": [{"package": str(tmp_path / "endless.mlpackage"), "key": "endless"}]}


def family(server: psutil.Process) -> list[list[psutil.Process]]:
    """Return the processes with libraries, the guardians that they forked, and the workers that those forked."""
    generations = [server.children()]
    for _ in range(2):
        generations.append([child for parent in generations[-1] for child in parent.children()])
    return generations


def test_a_forked_worker_gives_what_a_program_gives(
    own_server: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = prove(tmp_path / "forked", {"packages": []})
    assert [len(generation) for generation in family(own_server)] == [1, 0, 0]
    monkeypatch.delenv(SERVER_VARIABLE)
    program = prove(tmp_path / "program", {"packages": []})
    assert (forked.returncode, forked.error) == (program.returncode, program.error) == (0, None)
    assert forked.result == program.result
    assert set(forked.result or ()) == {"versions"}


def test_a_silent_fork_dumps_its_stacks_and_is_ended(
    own_server: psutil.Process, tmp_path: Path, endless: dict[str, Any]
) -> None:
    seen: list[list[int]] = []

    def look(_: Progress) -> None:
        seen.append([process.pid for process in family(own_server)[2]])

    def dumped() -> bool:
        return "load_program" in (tmp_path / "silent" / "log.txt").read_text()

    # Time stands until the worker has come to its package, until its stacks are there, and before it would be killed.
    clock = GatedClock((0, lambda: seen), (1.2, dumped), (3, never), step=0.05)
    ended = prove(tmp_path / "silent", endless, limits=Limits(silence=1), on_progress=look, clock=clock)
    assert (ended.stopped, ended.phase, ended.returncode) == ("silence", "prove", -signal.SIGTERM)
    assert seen[0] == [ended.pid]
    assert family(own_server)[1:] == [[], []]


@pytest.mark.parametrize("victim", ["worker", "guardian"])
def test_nothing_is_left_of_a_killed_fork(
    own_server: psutil.Process, tmp_path: Path, endless: dict[str, Any], victim: str
) -> None:
    killed: list[psutil.Process] = []

    def kill(progress: Progress) -> None:
        assert progress.phase == "prove"
        _, guardians, workers = family(own_server)
        killed.extend([*guardians, *workers])
        (workers if victim == "worker" else guardians)[0].kill()

    ended = prove(tmp_path / "killed", endless, on_progress=kill)
    assert ended.returncode == (-signal.SIGKILL if victim == "worker" else None)
    assert len(killed) == 2
    assert psutil.wait_procs(killed, timeout=60)[1] == []


def test_what_a_fork_would_take_from_the_server_keeps_it_a_program(
    own_server: psutil.Process, tmp_path: Path, endless: dict[str, Any]
) -> None:
    seen: list[int] = []

    def look(_: Progress) -> None:
        seen.append(len(family(own_server)[2]))

    def silent(name: str, **settings: Any) -> Exit:
        count, limits = len(seen), Limits(silence=1)
        clock = GatedClock((0, lambda: len(seen) > count))  # stands until the worker has come to its package
        return prove(tmp_path / name, endless, limits=limits, on_progress=look, clock=clock, **settings)

    assert silent("fork").stopped == "silence"
    assert silent("program", environment={"TF_CPP_MIN_LOG_LEVEL": "2"}).stopped == "silence"
    assert seen == [1, 0]


def test_without_its_server_a_worker_is_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, str(tmp_path))
    assert prove(tmp_path / "proof", {"packages": []}).returncode == 0


def test_only_our_workers_are_forked() -> None:
    timing, convert = "coremlbench.workers.timing", "coremlbench.workers.convert"
    assert group_of(PROOF[3], {}) == "packages"
    assert group_of(timing, {"runtime": "tensorflow"}) == "tensorflow"
    assert group_of(timing, {"runtime": "reference"}) == "packages"
    assert group_of(convert, {"source": {"format": "mlpackage"}}) == "packages"
    assert group_of(convert, {"source": {"format": "keras"}}) == "tensorflow"
    assert set(WORKERS.values()) == set(GROUPS)
    for program in ("coremlbench.workers.data", "proof", "workers.proof", "script.py"):
        assert group_of(program, {}) is None


def test_limits_and_settings_are_part_of_an_identity() -> None:
    code = "import os, resource, sys\nfrom coremlbench.supervision.fork_client import inherited_state\n"
    code += "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n"
    code += "print(inherited_state(os.environ) == eval(sys.argv[1]))"
    own = repr(inherited_state(os.environ))
    ended = subprocess.run([sys.executable, "-c", code, own], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
    assert (
        inherited_state({**os.environ, "TF_NEW": "1"})
        != inherited_state(os.environ)
        == inherited_state({**os.environ, "NEW": "1"})
    )
