"""A program without the harness that misbehaves as its request says: ``bare.py <folder> <progress descriptor>``."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

folder, progress = Path(sys.argv[1]), int(sys.argv[2])


def result(text: str = '{"ok": true}') -> None:
    (folder / "result.json").write_text(text)


def say(line: bytes) -> None:
    os.write(progress, line + b"\n")


def ready() -> None:
    """Tell the test, which may be watching the folder, that all processes have been started."""
    say(json.dumps({"phase": "ready", "done": 0, "total": 0}).encode())
    (folder / "ready").touch()


def child(deed: Callable[[], object]) -> None:
    if os.fork() == 0:
        deed()
        os._exit(0)


def sleep() -> None:
    time.sleep(600)


there = os.pipe()


def wait_for_stubborn(count: int) -> None:
    """Wait until so many processes ignore what asks them to end."""
    for _ in range(count):
        os.read(there[0], 1)


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.write(there[1], b"x")
    time.sleep(600)


def daemon() -> None:
    os.setsid()
    child(stubborn)


def finish() -> None:
    result()


def no_result() -> None:
    os.write(1, b"nothing to show\n")


def broken_result() -> None:
    result('{"ok": tr')


def list_result() -> None:
    result("[1, 2]")


def exit_code() -> None:
    result()
    sys.exit(7)


def segfault() -> None:
    """Crash as native code does, and leave word of which process it was."""
    import ctypes  # here, as every deed waits for what is imported above

    (folder / "pid").write_text(str(os.getpid()))
    ctypes.string_at(0)


def early_fault() -> None:
    """Tell of a GPU's fault, and go on for long as if all were well."""
    os.write(2, b"error: Ignored (for causing prior/excessive GPU errors) (IOAF code 4)\n")
    for number in range(1000):
        os.write(1, b"step %d of 1000: all is well\n" % number)
    result()


def hang() -> None:
    ready()
    sleep()


def hang_stubbornly() -> None:
    """Note that it was asked to end, and go on."""
    signal.signal(signal.SIGTERM, lambda *_: (folder / "asked").touch())
    hang()


def stop() -> None:
    ready()
    os.kill(os.getpid(), signal.SIGSTOP)


def stubborn_pair() -> None:
    child(stubborn)
    stubborn()


def family() -> None:
    for _ in range(3):
        child(stubborn_pair)
    child(daemon)
    wait_for_stubborn(7)  # three pairs and the daemon's child
    ready()
    sleep()


def leave_family() -> None:
    """End well while grandchildren hold the pipes."""
    for _ in range(3):
        child(stubborn)
    child(daemon)
    wait_for_stubborn(4)
    result()


def flood() -> None:
    for _ in range(400):
        os.write(1, b"x" * 99 + b"\n" + b"y" * 50_000 + b"\n")
    os.write(2, "the last line, ünfinished".encode())
    result()


def odd_output() -> None:
    os.write(1, b"\xff\xfe not UTF-8\rprogress bar 1\rprogress bar 2\r\n\n\ntail without end")
    result()


def close_output() -> None:
    os.close(1)
    os.close(2)
    time.sleep(0.2)
    result()


def odd_progress() -> None:
    say(b"not JSON")
    say(b'{"phase": "x"}')
    say(b"[1]")
    say(b'{"phase": "good", "done": 1, "total": 2, "figures": null}')
    say(b"z" * 1_200_000)
    say(b'{"phase": "better", "done": 2, "total": 2}')
    os.write(progress, b'{"phase": "cut", "do')
    result()


if __name__ == "__main__":
    globals()[json.loads((folder / "request.json").read_text())["deed"]]()
