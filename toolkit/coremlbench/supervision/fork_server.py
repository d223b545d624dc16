"""The process that forks workers; see ``fork_client.py``.

Started as ``python -I -m coremlbench.supervision.fork_server <folder>``, with a pipe as its standard input, whose end
ends it. It writes a line once it listens, on one socket for each group of libraries. The first request of a group
makes it fork a process that imports the group's libraries and then answers this and all later requests: each answer
is a fork that becomes the guardian of one worker, and that guardian forks the worker.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from coremlbench.supervision import guardian
from coremlbench.supervision.fork_client import GROUPS, inherited_state

BACKLOG = 64
MOST_BYTES = 1 << 18


def main(folder: Path) -> None:
    """Listen for each group until standard input ends; a group's process takes its socket over."""
    prctl = guardian.linux_prctl()
    server = os.getpid()
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ, "")
        for group in GROUPS:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listener.bind(str(folder / f"{group}.sock"))
            listener.listen(BACKLOG)
            selector.register(listener, selectors.EVENT_READ, group)
        print("listening", flush=True)  # noqa: T201 - who starts it waits for this line
        while True:
            for key, _ in selector.select():
                if not key.data:
                    return
                if os.fork() == 0:
                    guardian.die_with(server, prctl)
                    listener = key.fileobj  # type: ignore[assignment]
                    selector.close()
                    _serve(listener, key.data, prctl)
                selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]


def _serve(listener: socket.socket, group: str, prctl: Callable[..., int] | None) -> NoReturn:
    """Import the group's libraries, then fork a guardian for each request."""
    own = inherited_state(os.environ)
    if "tensorflow" not in GROUPS[group]:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools imports it where it is there
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads: TensorFlow's take no locks of Python
    for module in GROUPS[group]:
        importlib.import_module(module)
    if "tensorflow" not in GROUPS[group]:
        del sys.modules["tensorflow"]
    gc.freeze()  # its objects stay in shared pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here asks how a guardian ended
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            content, descriptors, _, _ = socket.recv_fds(connection, MOST_BYTES, 4)
            try:
                if content:
                    _answer(connection, listener, json.loads(content), descriptors, own, prctl)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)


def _answer(
    connection: socket.socket,
    listener: socket.socket,
    request: dict[str, Any],
    descriptors: list[int],
    own: dict[str, Any],
    prctl: Callable[..., int] | None,
) -> None:
    if request["identity"] != own:
        connection.send(b"{}")
        return
    pid = os.fork()
    if pid == 0:
        connection.close()
        listener.close()
        _guard(request, descriptors, prctl)
    descriptor = os.pidfd_open(pid)
    try:
        socket.send_fds(connection, [json.dumps({"pid": pid}).encode()], [descriptor])
    finally:
        os.close(descriptor)


def _guard(request: dict[str, Any], descriptors: list[int], prctl: Callable[..., int] | None) -> NoReturn:
    """Be the guardian of one worker: what ``python guardian.py`` would be, but that the worker is a fork."""
    control, status, progress, log = descriptors
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(null)
        os.close(log)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        tempfile.tempdir = None

        def start(command: list[str]) -> int:
            return _fork_worker(command, (control, status), prctl)

        guardian.main(control, status, [request["module"], request["folder"], str(progress)], start)
    except BaseException:  # noqa: BLE001 - a fork must never return into the server's loop
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _fork_worker(command: list[str], not_its_own: tuple[int, ...], prctl: Callable[..., int] | None) -> int:
    """Return the id of the fork that runs the module ``command[0]`` as a program with the other arguments."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        guardian.die_with(parent, prctl)
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in guardian.HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor in not_its_own:
            os.close(descriptor)
        sys.argv = command
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a program
        traceback.print_exc()
    os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
