"""Start workers as forks of processes that have already imported their libraries (Linux only, off by default).

Importing TensorFlow takes 5 to 8 seconds of processor time and coremltools two; a fork of a process that has imported
them is ready at once. ``fork_server.py`` is that process. If the variable COREMLBENCH_FORK_SERVER names its folder,
``supervise`` asks it for the guardian of a worker, which then forks the worker. The default is to start both as
programs: the resident memory of a fork includes the libraries it shares, so its peak is not comparable with that of
an ordinary worker. The tests use the server.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from coremlbench.model_files.formats import TENSORFLOW_FORMATS

SERVER_VARIABLE = "COREMLBENCH_FORK_SERVER"
"""Names the folder of the server's sockets, one ``<group>.sock`` for each group of libraries."""

GROUPS: dict[str, tuple[str, ...]] = {
    "tensorflow": ("tensorflow", "keras", "coremltools", "onnxruntime", "h5py", "PIL.Image"),
    "packages": ("coremltools", "coremltools.optimize.coreml", "onnxruntime", "onnx", "PIL.Image"),
}
"""The modules that each group's process imports. The workers of ``packages`` do not use TensorFlow."""

WORKERS = {
    "bisect": "tensorflow",
    "compile": "packages",
    "convert": "tensorflow",
    "device": "tensorflow",
    "export": "packages",
    "export_pipeline": "packages",
    "inputs": "tensorflow",
    "pipeline_proof": "packages",
    "proof": "packages",
    "tensorflow": "tensorflow",
    "timing": "packages",
}
"""The workers that are forked, with their group; a request to time or to convert may ask for the other one."""

IMPORT_SETTINGS = ("CUDA", "GRPC", "KERAS", "MKL", "NVIDIA", "OMP", "OPENBLAS", "PYTHON", "TF_", "XLA")
"""Prefixes of the environment variables that libraries read when they are imported."""

IMPORT_SECONDS = 180.0
"""Seconds to wait for a group's imports; after that the worker is started as an ordinary program."""


class Guardian(Protocol):
    """The process that starts and ends a worker: a ``subprocess.Popen`` or a fork."""

    pid: int

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for its end; raises ``subprocess.TimeoutExpired``."""

    def kill(self) -> None:
        """Send SIGKILL."""


class ForkedGuardian:
    """A guardian that is a child of the server; ``descriptor`` is its process descriptor (``pidfd_open``)."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid, self._descriptor = pid, descriptor

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for its end; raises ``subprocess.TimeoutExpired`` when it takes longer than ``timeout`` seconds."""
        if not select.select([self._descriptor], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("guardian", timeout or 0.0)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)  # type: ignore[attr-defined,unused-ignore]


def fork_guardian(
    command: Sequence[str],
    request: Mapping[str, Any],
    folder: Path,
    descriptors: Sequence[int],
    environment: Mapping[str, str],
) -> Guardian | None:
    """Return the guardian of a forked worker, ``None`` if the worker has to be started as a program.

    ``descriptors`` are those of the guardian's control, status and progress pipes and of its log; see ``guardian.py``.
    """
    server = os.environ.get(SERVER_VARIABLE)
    if not server or list(command[:2]) != [sys.executable, "-I"]:
        return None
    program, *arguments = command[3:] if command[2] == "-m" else command[2:]
    group = scripts_of(Path(server)).get(program) or group_of(program, request)
    if group is None:
        return None
    request_to_server = {
        "program": program,
        "arguments": [*arguments, str(folder)],
        "environment": dict(environment),
        "directory": str(Path.cwd()),
        "identity": inherited_state(environment),
    }
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(IMPORT_SECONDS)
            connection.connect(str(Path(server) / f"{group}.sock"))
            socket.send_fds(connection, [json.dumps(request_to_server).encode()], list(descriptors))
            answer, received, _, _ = socket.recv_fds(connection, 4096, 1)
    except OSError:  # the server has ended, or its imports take too long
        return None
    return ForkedGuardian(json.loads(answer)["pid"], received[0]) if received else None


def scripts_of(server: Path) -> dict[str, str]:
    """Return the groups of scripts beside our workers, by their paths: who starts the server may leave a file of them.

    ``scripts.json`` maps paths to groups; see ``fork_server.py`` for the groups that it may add.
    """
    with suppress(OSError, ValueError):
        return dict(json.loads((server / "scripts.json").read_bytes()))
    return {}


def group_of(program: str, request: Mapping[str, Any]) -> str | None:
    """Return the group of libraries of a worker's module and request, ``None`` for any other program."""
    package, _, name = program.rpartition(".")
    if package != "coremlbench.workers":
        return None
    if name == "timing" and request.get("runtime") == "tensorflow":
        return "tensorflow"
    if name in {"convert", "bisect"} and request["source"]["format"] not in TENSORFLOW_FORMATS:
        return "packages"
    return WORKERS.get(name)


def inherited_state(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what a fork inherits from the server; it must equal what it would inherit from the calling process.

    These are limits, namespaces and control group of the process, the user, the Python, and the variables that
    libraries read when they are imported. Returns an empty dictionary where Linux does not tell.
    """
    with suppress(OSError):
        namespaces = {file.name: str(file.readlink()) for file in sorted(Path("/proc/self/ns").iterdir())}
        limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"}
        return {
            "namespaces": namespaces,
            "cgroup": Path("/proc/self/cgroup").read_text(),
            "limits": {name: list(pair) for name, pair in limits.items()},
            "user": [os.geteuid(), os.getegid()],
            "python": sys.executable,
            "settings": {
                name: value for name, value in sorted(environment.items()) if name.startswith(IMPORT_SETTINGS)
            },
        }
    return {}
