"""The program in a kit: a wheel of this coremlbench, a lock of all that it needs without TensorFlow, and ``run.sh``.

The wheel is made from the installed files, so that a kit can be packed by any installation, an editable one too.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from coremlbench.system.files import is_system_file
from coremlbench.system.source_imports import OWN_PACKAGES
from coremlbench.types.errors import InputError

DISTRIBUTION = "coremlbench"
FOLDER = "program"
LOCK = "requirements.lock"
SCRIPT = "run.sh"
TEMPLATES = Path(__file__).with_name("kit_files")

WHEEL = "Wheel-Version: 1.0\nGenerator: coremlbench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
METADATA_FILES = ("METADATA", "entry_points.txt")
"""Files of an installed distribution's metadata that belong into a wheel, beside the licence."""


@dataclass(frozen=True)
class KitProgram:
    """The program of a kit: the content of its files by their paths in the kit, and where it is to be installed.

    ``environment`` is the name of a folder in the user's home; it depends on the content of all files.
    """

    files: dict[str, bytes]
    environment: str

    @property
    def bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(map(len, self.files.values()))


def kit_program() -> KitProgram:
    """Return the program for a kit, made from this installation.

    Raises:
        InputError: coremlbench runs from its sources without being installed, so its requirements are not known.
    """
    wheel_name, wheel = own_wheel()
    version = wheel_name.split("-")[1]
    digest = hashlib.sha256(wheel).hexdigest()
    lock = (
        "# The wheel beside this file, then what it needs; pip reads --find-links relative to this file.\n"
        "--find-links .\n--only-binary :all:\n--require-hashes\n"
        f"{DISTRIBUTION}=={version} \\\n    --hash=sha256:{digest}\n" + (TEMPLATES / LOCK).read_text(encoding="utf-8")
    ).encode()
    environment = f".{DISTRIBUTION}-kit-{hashlib.sha256(lock).hexdigest()[:8]}"
    script = (TEMPLATES / SCRIPT).read_text(encoding="utf-8").replace("@ENVIRONMENT@", environment)
    files = {f"{FOLDER}/{wheel_name}": wheel, f"{FOLDER}/{LOCK}": lock, SCRIPT: script.encode()}
    return KitProgram(files, environment)


def own_wheel() -> tuple[str, bytes]:
    """Return the name and the content of a wheel of the installed coremlbench; the same files give the same bytes.

    Raises:
        InputError: coremlbench is not installed.
    """
    try:
        installed = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise InputError(
            "The program cannot be put into a kit: coremlbench runs from its sources and is not installed; run `make "
            "install`, and pack the kit with .venv/bin/coremlbench."
        ) from error
    information = f"{DISTRIBUTION}-{installed.version}.dist-info"
    files = dict(_package_files())
    files |= {f"{information}/{name}": content for name, content in _metadata_files(installed)}
    files[f"{information}/WHEEL"] = WHEEL.encode()
    record = [f"{name},{_record_hash(content)},{len(content)}" for name, content in files.items()]
    files[f"{information}/RECORD"] = "\n".join([*record, f"{information}/RECORD,,", ""]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)  # with a fixed date
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(entry, content)
    return f"{DISTRIBUTION}-{installed.version}-py3-none-any.whl", buffer.getvalue()


def _package_files() -> Iterator[tuple[str, bytes]]:
    """Yield the files of our packages, from where this Python imports them."""
    for package in OWN_PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        for root in map(Path, spec.submodule_search_locations or ()):
            for path in sorted(root.rglob("*")):
                name = Path(package) / path.relative_to(root)
                if path.is_file() and "__pycache__" not in name.parts and not is_system_file(path):
                    yield name.as_posix(), path.read_bytes()


def _metadata_files(installed: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the installed metadata that belong into a wheel: requirements, commands, the licence."""
    for file in sorted(installed.files or ()):
        folder, _, name = file.as_posix().partition("/")
        if folder.endswith(".dist-info") and (name in METADATA_FILES or name.startswith("licenses/")):
            yield name, file.read_binary()


def _record_hash(content: bytes) -> str:
    """Return a hash as the RECORD of a wheel has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
