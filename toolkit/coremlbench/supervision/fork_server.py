"""The process that forks workers; see ``fork_client.py``.

Started as ``python -I -m coremlbench.supervision.fork_server <folder>``, with a pipe as its standard input; it ends at
the end of that pipe. It listens on one socket for each group of libraries and then writes a line. At the first request
of a group it forks a process that imports the group's libraries and answers this and all later requests. Each answer is
a fork that becomes the guardian of one worker; that guardian forks the worker.
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
REQUEST_BYTES = 1 << 18


def main(folder: Path) -> None:
    """Listen for each group until standard input ends; fork a process for each group at its first request."""
    prctl = guardian.linux_prctl()
    server = os.getpid()
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ, "")
        for group in GROUPS:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listener.bind(str(folder / f"{group}.sock"))
            listener.listen(BACKLOG)
            selector.register(listener, selectors.EVENT_READ, group)
        print("listening", flush=True)  # noqa: T201 - the starting process waits for this line
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
        sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools imports it if it can
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # of forks with threads: TensorFlow's threads take no Python locks
    for module in GROUPS[group]:
        importlib.import_module(module)
    if "tensorflow" not in GROUPS[group]:
        del sys.modules["tensorflow"]
    gc.freeze()  # the imported objects stay in pages that forks share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guardians are not waited for
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            content, descriptors, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 4)
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
    """Run as the guardian of one worker, like ``python guardian.py``, but fork the worker."""
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


def _fork_worker(command: list[str], inherited: tuple[int, ...], prctl: Callable[..., int] | None) -> int:
    """Fork a process that runs the module ``command[0]`` as a program with the other arguments; return its id.

    ``inherited`` are the guardian's descriptors, which the fork closes.
    """
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
        for descriptor in inherited:
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
