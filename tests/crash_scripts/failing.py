"""A worker on the harness that fails for real, as its request says; the tests of the failures' table start it."""

import ctypes
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench_datasets.parallel import in_processes


def too_many_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    for _ in range(80):
        os.open(os.devnull, os.O_RDONLY)


def too_many_threads() -> None:
    """Leave no room for a thread's stack."""
    threading.stack_size(512 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
    for _ in range(50):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def out_of_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    bytearray(4 << 30)


def file_too_large() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    sys.dont_write_bytecode = True  # the limit would cut it short
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100_000)
        file.flush()


def cpu_time() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (1, 5))
    while True:
        pass


def bus_error() -> None:
    """Read from a mapped file that was cut short meanwhile."""
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100_000)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0)
        file.truncate(0)
        mapped[50_000]


def missing_module() -> None:
    import coremlbench_absent  # type: ignore[import-not-found]  # noqa: F401


def refused_connection() -> None:
    with socket.socket() as taken:  # but not listening: nobody else can be at this port meanwhile
        taken.bind(("127.0.0.1", 0))
        socket.create_connection(taken.getsockname())


def wrong_architecture() -> None:
    program = Path(tempfile.mkdtemp()) / "program"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0\xff\x7f" + b"\0" * 40)
    program.chmod(0o755)
    subprocess.run([program], check=True)


def damaged_weights() -> None:
    import h5py

    file = Path(tempfile.mkdtemp()) / "weights.h5"
    file.write_bytes(b"<html>not found</html>")
    h5py.File(file)


def no_room() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")


def damaged_archive() -> None:
    zipfile.ZipFile(Path(sys.executable))


def nan_loss(report: Report) -> None:
    report("epoch 1 of 2", 5, 9, loss=float("nan"))


def end_of_one(number: int) -> int:
    """Work on a number in one of several processes: the last of them brings its process to an end."""
    if number == 199:
        if os.environ["END"] == "SIGSEGV":
            ctypes.string_at(0)
        os.kill(os.getpid(), signal.Signals[os.environ["END"]])
    return number


def shared_work(name: str) -> None:
    os.environ["END"] = name
    for _ in in_processes(end_of_one, range(200), workers=2):
        pass


def signalled(name: str) -> None:
    signal.signal(signal.Signals[name], signal.SIG_DFL)
    os.kill(os.getpid(), signal.Signals[name])
    time.sleep(60)


def say(lines: list[str]) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    deed = request["deed"]
    if deed == "nan_loss":
        nan_loss(report)
    elif deed == "say":
        say(request["lines"])
        raise SystemExit(1)
    elif deed == "say_and_succeed":
        say(request["lines"])
    elif deed.startswith("one "):
        shared_work(deed.removeprefix("one "))
    elif deed.startswith("SIG"):
        signalled(deed)
    else:
        globals()[deed]()
    return {"done": True}


if __name__ == "__main__":
    run(work)
