"""The results of a native kit as they come back: a folder or an archive, checked before anything of it is used."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from coremlbench.system import serialization
from coremlbench.system.files import hash_file, is_system_file
from coremlbench.system.machine import mac_chip, parse_sysctl
from coremlbench.timing.kit import MANIFEST, MAX_MANIFEST_BYTES
from coremlbench.timing.native_kit import FORMAT, VERSION
from coremlbench.timing.plan import TimedPackage, TimingInput, TimingOptions
from coremlbench.types.errors import InputError
from coremlbench.types.machine import Machine
from coremlbench.types.timing import TimedModel

MAX_BYTES, MAX_FILES = 8 << 30, 200_000
"""The most that an archive of results may hold."""
MACHINE_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class NativeResults:
    """What a native kit brought back. ``folder`` has a folder for each job; ``sha256`` is that of the kit's manifest.

    The paths of the packages are only names: the models stay where they were measured.
    """

    folder: Path
    timing_input: TimingInput
    options: TimingOptions
    orders: tuple[tuple[int, ...], ...]
    cells: tuple[str, ...]
    machine: Machine
    power: str
    sha256: str

    def job(self, name: str) -> dict[str, Any] | None:
        """Return what became of a job, ``None`` if it was not run.

        Raises:
            InputError: the file is damaged.
        """
        path = self.folder / name / "job.json"
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as problem:
            raise damaged(path, problem) from problem
        if not isinstance(content, dict) or content.get("id") != name:
            raise damaged(path, ValueError("it is of another job"))
        return content

    def digest(self) -> str:
        """Return a hash of all that was measured: the same results are recorded once."""
        content = hashlib.sha256(self.sha256.encode() + self.machine.id.encode())
        for path in sorted(self.folder.glob("*/job.json")):
            content.update(path.parent.name.encode() + path.read_bytes())
        return content.hexdigest()


def damaged(path: Path, problem: Exception) -> InputError:
    """Return the error for a file that cannot be understood."""
    detail = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
    return InputError(f"The file {path.name} of the results is damaged ({detail}); copy the results again.")


@contextmanager
def opened_results(path: Path) -> Iterator[NativeResults]:
    """Yield the results in a folder or an archive; what was unpacked is removed afterwards.

    Raises:
        InputError: there are no results, or they are damaged, of a newer release or not of a native kit.
    """
    if path.is_dir():
        yield _read(path)
        return
    if not path.is_file():
        raise InputError(f"There are no results at {path}; give the results-….tar.gz or the folder that run.sh named.")
    with TemporaryDirectory(prefix="coremlbench-") as temporary:
        _unpack(path, Path(temporary))
        folders = [folder for folder in Path(temporary).iterdir() if folder.is_dir()]
        if len(folders) != 1:
            raise InputError(f"{path} is not an archive of results; give the results-….tar.gz that run.sh made.")
        yield _read(folders[0])


def _unpack(path: Path, folder: Path) -> None:
    """Unpack an archive of files and folders; ``InputError`` for anything else."""
    try:
        with tarfile.open(path, "r:*") as archive:
            size = 0
            for count, member in enumerate(archive):
                name = PurePosixPath(member.name)
                size += member.size
                if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
                    raise InputError(f"The archive {path} holds {member.name!r}, which is no file of results.")
                if size > MAX_BYTES or count > MAX_FILES:
                    raise InputError(f"The archive {path} holds more than results can; give the one that run.sh made.")
                if member.isfile() and not any(is_system_file(Path(part)) for part in name.parts):
                    content = archive.extractfile(member)
                    assert content is not None  # it is a file
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(content.read())
    except (tarfile.TarError, EOFError, OSError, ValueError) as problem:
        raise InputError(f"{path} cannot be unpacked ({problem}); copy the file again.") from problem


def _read(folder: Path) -> NativeResults:
    manifest = _manifest(folder)
    sha256 = hash_file(folder / MANIFEST)
    try:
        mark = json.loads((folder / "kit.json").read_bytes())["kit"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{folder} holds nothing that was measured yet; run `sh run.sh` in the kit's folder.") from (
            problem
        )
    if mark != sha256:
        raise InputError(f"The manifest in {folder} is not that of the kit that was run; copy the results again.")
    try:
        models = tuple(serialization.from_json(TimedModel, model) for model in manifest["models"])
        options = serialization.from_json(TimingOptions, manifest["options"])
        orders = serialization.from_json(tuple[tuple[int, ...], ...], manifest["orders"])
        cells = serialization.from_json(tuple[str, ...], manifest["cells"])
        variants = {
            (model.name, variant.name, variant.batch): variant for model in models for variant in model.variants
        }
        packages = tuple(
            TimedPackage(
                entry["model"],
                variants[entry["model"], entry["variant"], entry["batch"]],
                Path(entry["package"]),
                expected=_expected(folder, entry["expected"], manifest["files"]),
            )
            for entry in manifest["packages"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise damaged(folder / MANIFEST, problem) from problem
    values = _machine_values(folder)
    timing_input = TimingInput(models, packages, kit=sha256)
    power = values.get("power", "")
    return NativeResults(folder, timing_input, options, orders, cells, _machine(values), power, sha256)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        too_large = path.stat().st_size > MAX_MANIFEST_BYTES
        content = None if too_large else json.loads(path.read_bytes())
    except FileNotFoundError as problem:
        raise InputError(
            f"There are no results in {folder}: it has no {MANIFEST}; give the results-….tar.gz or the folder that "
            "run.sh named."
        ) from problem
    except (OSError, ValueError, RecursionError) as problem:
        raise damaged(path, problem) from problem
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f"{folder} is not what a kit without Python brought back; give the results-….tar.gz of its run.sh, and a "
            "kit with Python to --from-kit."
        )
    if not isinstance(content.get("version"), int) or content["version"] > VERSION:
        raise InputError(
            f"The results in {folder} have the version {content.get('version')!r}, and this release reads up to "
            f"{VERSION}; install a newer coremlbench."
        )
    return content


def _expected(folder: Path, name: str | None, files: dict[str, Any]) -> Path | None:
    """Return the file of expected outputs, unchanged since the kit was packed."""
    if name is None:
        return None
    parts = PurePosixPath(name).parts
    path = folder / name
    if len(parts) != 2 or parts[0] != "expected" or not path.is_file() or hash_file(path) != files[name]["sha256"]:
        raise InputError(f"{name} of the results is not the file that was packed; copy the results again.")
    return path


def _machine_values(folder: Path) -> dict[str, str]:
    path = folder / "machine.txt"
    try:
        values = parse_sysctl(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as problem:
        raise damaged(path, problem) from problem
    if not MACHINE_ID.fullmatch(values.get("machine", "")):
        raise damaged(path, ValueError("it names no machine"))
    return values


def _machine(values: dict[str, str]) -> Machine:
    """Return the machine that ``run.sh`` described."""

    def number(name: str) -> int:
        return int(values[name]) if values.get(name, "").isdigit() else 0

    mac, virtual = values.get("system") == "Darwin", values.get("kern.hv_vmm_present") == "1"
    architecture = values.get("architecture", "")
    build = f" ({values['build']})" if values.get("build") else ""
    return Machine(
        id=values["machine"],
        chip=mac_chip(values) or values.get("hw.model") or architecture,
        architecture=architecture,
        physical_cores=number("hw.physicalcpu"),
        logical_cores=number("hw.logicalcpu"),
        memory_bytes=number("hw.memsize"),
        system="macOS" if mac else values.get("system", ""),
        system_version=f"{values.get('version', '')}{build}",
        model=values.get("hw.model", ""),
        virtual_machine=virtual,
        accelerators=("Neural Engine",) if mac and architecture == "arm64" and not virtual else (),
    )
