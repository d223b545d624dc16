"""Notice what a reader does outside of its own folder: files opened to write, programs, connections."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.mkdir": (0, 2),
    "os.remove": (0, 1),
    "os.rmdir": (0, 1),
    "os.truncate": (0, None),
    "os.rename": (1, 3),
    "os.link": (1, 3),
    "os.symlink": (1, 2),
}
"""Events of Python's audit hooks that change a path; which argument is the path, which the folder that it is in."""
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class")


class Guard:
    """Collects, while it is armed, what happens outside of ``folder``. An audit hook cannot be removed again."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.armed = False
        self.seen: list[str] = []
        sys.addaudithook(self._notice)

    def __enter__(self) -> None:
        """Begin to look."""
        self.seen.clear()
        self.armed = True

    def __exit__(self, *exception: object) -> None:
        """Cease to look."""
        self.armed = False

    def _notice(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event in FORBIDDEN:
            self.seen.append(f"{event} {arguments}")
        elif event == "open":
            path, mode, flags = arguments
            writes = bool(flags & WRITING) if isinstance(flags, int) and mode is None else set("wax+") & set(mode or "")
            if writes and not self._inside(path):
                self.seen.append(f"opens {path!r} to write")
        elif event in CHANGES:
            place, folder = CHANGES[event]
            if not self._inside(arguments[place], -1 if folder is None else arguments[folder]):
                self.seen.append(f"{event} {arguments}")

    def _inside(self, path: Any, folder: int = -1) -> bool:
        """Return whether a path, in an open ``folder`` (-1 for none), is below the reader's folder."""
        if isinstance(path, int):
            return True  # a file that is open already
        self.armed = False  # what this does itself
        try:
            base = "" if folder < 0 else f"/proc/self/fd/{folder}"
            whole = os.path.realpath(os.path.join(base, os.fsdecode(path)))  # noqa: PTH118 - bytes too
            return (whole + os.sep).startswith((self.folder + os.sep, "/dev/null"))
        finally:
            self.armed = True
