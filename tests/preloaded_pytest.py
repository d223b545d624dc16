"""Start the processes of pytest-xdist as forks of one that has imported TensorFlow (Linux only).

To import TensorFlow, Keras and coremltools takes each process 6 seconds of processor time, and a fork of one that has
them none. ``PreloadedPytest`` starts that process and has execnet start, in place of a Python, this file as a program:
it hands its standard streams to a fork, and ends when the fork ends.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import traceback
import types
import warnings
from pathlib import Path
from typing import Any, NoReturn

MODULES = (
    *("tensorflow", "keras", "coremltools", "coremltools.optimize.coreml", "onnxruntime", "onnx", "h5py", "PIL.Image"),
    *("coremlbench.cli.main", "tests.preloaded_modules"),
)
"""What most files of tests import; none has assertions for pytest to rewrite."""

REQUEST_BYTES = 1 << 18


class PreloadedPytest:
    """The process that is forked; it listens on a socket in ``folder`` and ends when ``stop`` is called."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "pytest.sock"
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(self._socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"listening\n"

    @property
    def python(self) -> str:
        """The command line for execnet to use in place of a Python."""
        return shlex.join([sys.executable, "-S", __file__, str(self._socket)])

    def stop(self) -> None:
        """End the process; forks end on their own, when execnet closes their standard input."""
        self._process.communicate()


def serve(address: str) -> None:
    """Listen, import the modules, and fork for each request until standard input ends."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    print("listening", flush=True)  # noqa: T201 - the starting process waits for this line
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the forks and for the process that started this one
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks are not waited for
    sys.path.insert(0, str(Path(__file__).parent.parent))
    with contextlib.redirect_stderr(io.StringIO()):  # coremltools says that it has no native module here
        for module in MODULES:
            importlib.import_module(module)
    gc.freeze()  # the imported objects stay in pages that forks share
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        connection, _ = listener.accept()
        content, streams, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TensorFlow's threads take no locks of Python
            pid = os.fork()
        if pid == 0:
            listener.close()
            _run(json.loads(content), streams)
        connection.close()
        for stream in streams:
            os.close(stream)


def _run(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Run the program that execnet's first line holds, as ``python -u -c`` would; the connection ends with it."""
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        sys.path[0] = ""  # as `python -c` has it
        sys.argv = ["-c"]
        sys.modules["__main__"] = main_module = types.ModuleType("__main__")
        exec(request["arguments"][-1], vars(main_module))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - a fork must never return into the server's loop
        traceback.print_exc()
        code = 1
    os._exit(code)


def main(address: str, arguments: list[str]) -> None:
    """Hand the standard streams to a fork and wait for its end; without a server, be an ordinary Python."""
    request = {"arguments": arguments, "environment": dict(os.environ), "directory": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.connect(address)
            socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        except OSError:
            os.execv(sys.executable, [sys.executable, *arguments])
        connection.recv(1)  # empty, at the end of the fork


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    else:
        main(sys.argv[1], sys.argv[2:])
