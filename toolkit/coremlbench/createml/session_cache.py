"""Finished sessions of Create ML in the cache, whose extracted features another run of the same images can use."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

MAX_SESSIONS = 2
"""Sessions that stay in the cache: that of a whole run takes most of a gigabyte."""


def session_key(images: str, augment: Sequence[str], revision: int, system: str) -> str:
    """Return the name of a session in the cache, a hash of what its features depend on.

    ``images`` is the hash of ``labelled_folders``, ``system`` the name, version and build of macOS.
    """
    parts = (images, ",".join(sorted(augment)), str(revision), system)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def store_session(session: Path, key: str, cache: Path) -> None:
    """Move the folder of a finished session to the cache, unless it has one of that key; remove the oldest ones.

    Raises:
        OSError: it cannot be moved.
    """
    target = _folder(cache) / key
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(cache):
        if not target.is_dir():
            moving = target.with_name(f"{key}-{secrets.token_hex(4)}.moving")
            shutil.move(session, moving)  # a copy, where the results are on another volume
            moving.rename(target)
        os.utime(target)
        sessions = sorted(
            (path for path in target.parent.iterdir() if path.is_dir()),
            key=lambda path: path.stat().st_mtime,
            reverse=True,
        )
        for path in sessions[MAX_SESSIONS:]:
            shutil.rmtree(path, ignore_errors=True)


def take_session(key: str, cache: Path, target: Path) -> bool:
    """Give a run the session of that key as the folder ``target``; return whether there is one.

    It gets links to the files, so that the session stays whole for it when the cache removes it.
    """
    source = _folder(cache) / key
    if not source.is_dir():
        return False
    with _lock(cache):
        if not source.is_dir():
            return False
        os.utime(source)
        shutil.copytree(source, target, copy_function=_link)
    return True


def _link(source: str, target: str) -> None:
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)


def _folder(cache: Path) -> Path:
    return cache / "createml" / "sessions"


def _lock(cache: Path) -> FileLock:
    """Return the lock of the folder, which is held for a moment only."""
    return FileLock(cache / "createml" / "sessions.lock")
