"""The process that forks workers; see ``fork_client.py``.

Started as ``python -I -m coremlbench.supervision.fork_server <folder> [<groups>]``, with a pipe as its standard
input, whose end ends it. It writes a line once it listens, on one socket for each group of libraries. The first
request of a group makes it fork a process that imports the group's libraries and then answers this and all later
requests: each answer is a fork that becomes the guardian of one worker, and that guardian forks the worker.
``groups`` is JSON that adds groups to our own: the modules that each imports, by its name, and below "path" folders
to import them from.
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


def main(folder: Path, groups: dict[str, tuple[str, ...]]) -> None:
    """Listen for each group until standard input ends; a group's process takes its socket over."""
    prctl = guardian.linux_prctl()
    server = os.getpid()
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ, "")
        for group in groups:
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
                    _serve(listener, groups[key.data], prctl)
                selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]


def _serve(listener: socket.socket, modules: tuple[str, ...], prctl: Callable[..., int] | None) -> NoReturn:
    """Import a group's libraries, then fork a guardian for each request."""
    own = inherited_state(os.environ)
    if "tensorflow" not in modules:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools imports it where it is there
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads: TensorFlow's take no locks of Python
    for module in modules:
        importlib.import_module(module)
    if "tensorflow" not in modules:
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

        guardian.main(control, status, [request["program"], *request["arguments"], str(progress)], start)
    except BaseException:  # noqa: BLE001 - a fork must never return into the server's loop
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _fork_worker(command: list[str], inherited: tuple[int, ...], prctl: Callable[..., int] | None) -> int:
    """Return the id of the fork that runs ``command[0]``, a module or a script, with the other arguments."""
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
        if command[0].endswith(".py"):
            runpy.run_path(command[0], run_name="__main__")
        else:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a program
        traceback.print_exc()
    os._exit(code)


if __name__ == "__main__":
    more = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    sys.path[:0] = more.pop("path", [])
    main(Path(sys.argv[1]), {**GROUPS, **more})
