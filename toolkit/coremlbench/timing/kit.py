"""Kits: folders with all that another machine needs to time the same packages and to check their outputs.

A kit lets a Mac time, with one command, packages that were converted and proven on another machine; it holds the
program too. Nothing in a kit is trusted: every file must have the hash that the manifest lists, and no path may lead
out of the folder. What an operating system leaves on a disk is no content of a kit.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from coremlbench import __version__
from coremlbench.system import serialization
from coremlbench.system.files import atomic_write, content_files, hash_file, is_system_file
from coremlbench.system.formatting import format_bytes, format_count
from coremlbench.timing.kit_program import FOLDER as PROGRAM_FOLDER
from coremlbench.timing.kit_program import SCRIPT, kit_program
from coremlbench.timing.plan import FULL, QUICK, TimedPackage, TimingInput, TimingOptions, file_stem
from coremlbench.types.conversion import ModelFileOptions, Variant
from coremlbench.types.errors import InputError
from coremlbench.types.timing import TimedModel

MANIFEST = "manifest.json"
README = "README.txt"
FOLDERS = ("packages", "inputs", "expected", PROGRAM_FOLDER)
NATIVE_PARTS = ("swift", "plan.json")
"""What a kit for the native runner has in addition."""
FORMAT, VERSION = "coremlbench-kit", 1
MAX_MANIFEST_BYTES = 20_000_000

README_TEXT = """\
A kit of coremlbench: {count} with inputs and expected outputs, and the program that times them.

On a Mac with macOS 14 or later, open Terminal, type "cd " and a space, drag this folder into the window, press Return,
and then run

    sh run.sh --quick

It installs the program into your home folder the first time (no administrator rights, no password; it needs a
connection, and Python 3.10 to 3.13, or it says how to get one), and says what it does at each step. Then it checks the
hash of every file, times each package on the CPU, the GPU and the Neural Engine in separate processes, compares Core
ML's outputs with the expected ones, and saves a record and a report under ~/coremlbench-results, and in results/ of
this folder if it can be written to. From macOS 14.4 on the record also says where each operation ran. `--quick` takes
a few minutes; `sh run.sh` alone follows the whole method. Linux for x86-64 works too, without Core ML.

The same by hand, with any Python 3.10 to 3.13 (an environment cannot be on a USB stick, as it needs links):

    python3 -m venv ~/{environment}
    ~/{environment}/bin/pip install --no-deps --no-compile -r program/requirements.lock
    ~/{environment}/bin/coremlbench convert-and-time --from-kit . --quick

To compare machines, copy the results folder back and run

    coremlbench report results/

Contents: packages/ (the models), inputs/ and expected/ (NumPy archives), program/ (coremlbench {version} and the
hashes of all that it needs; it does without TensorFlow), {manifest} (models, proofs, settings, and the SHA-256 of
every file). {models}
"""


@dataclass(frozen=True)
class Kit:
    """A kit whose files were checked. ``sha256`` is that of its manifest and identifies the kit."""

    timing_input: TimingInput
    options: TimingOptions
    sha256: str


def check_kit_folder(folder: Path) -> None:
    """Make the folder of a new kit. The parts of a kit that was not finished may be in it; they are overwritten.

    Raises:
        InputError: the folder holds anything else, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path for path in folder.iterdir() if not _is_unfinished_part(path)]
    except OSError as problem:
        raise InputError(
            f"The kit cannot be written to {folder} ({problem.strerror}); name another folder with --kit."
        ) from problem
    if others:
        raise InputError(f"The folder {folder} is not empty; name a new one with --kit.")


def write_kit(
    timing_input: TimingInput,
    options: TimingOptions,
    folder: Path,
    on_size: Callable[[int], None] | None = None,
) -> str:
    """Write a kit to ``folder`` and return the SHA-256 of its manifest. All packages must have inputs.

    ``on_size`` is called with the bytes of its files before they are written. The manifest is written last, so an
    unfinished kit has none and cannot be read.

    Raises:
        InputError: the folder is not empty, has no room, or cannot be written.
    """
    check_kit_folder(folder)
    program = kit_program()
    try:
        size = program.bytes + content_bytes(timing_input)
        if on_size is not None:
            on_size(size)
        check_room(folder, size)
        for kind in FOLDERS:
            shutil.rmtree(folder / kind, ignore_errors=True)
        for name, content in program.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        entries = [_pack(folder, number, package) for number, package in enumerate(timing_input.packages)]
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "coremlbench": __version__,
            "made": datetime.now(timezone.utc).isoformat(),
            "options": serialization.to_json(portable_options(options)),
            "models": [portable_model(model) for model in timing_input.models],
            "packages": entries,
            "files": {
                path.relative_to(folder).as_posix(): {"sha256": hash_file(path), "bytes": path.stat().st_size}
                for path in [folder / SCRIPT, *(path for kind in FOLDERS for path in content_files(folder / kind))]
            },
        }
        models = f"Models: {', '.join(model.name for model in timing_input.models)}."
        text = README_TEXT.format(
            count=format_count(len(entries), "Core ML package"),
            version=__version__,
            environment=program.environment,
            manifest=MANIFEST,
            models=models,
        )
        (folder / README).write_text(text, encoding="utf-8")
        atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
    except OSError as problem:
        raise InputError(
            f"The kit cannot be written to {folder} ({problem.strerror}); name another folder with --kit."
        ) from problem
    return hash_file(folder / MANIFEST)


def portable_options(options: TimingOptions) -> TimingOptions:
    """Return the settings that also apply to another machine: how to measure, without limits of this machine.

    Settings that ``--quick`` shortened are those of the full method again; ``--quick`` can be given on the other
    machine. Runtimes, units and limits are reset to their defaults, and only that machine's user may allow code.
    """
    if options.quick:
        names = [field.name for field in fields(options)]
        shortened = [name for name in names if getattr(options, name) == getattr(QUICK, name)]
        options = replace(options, **{name: getattr(FULL, name) for name in shortened})
    return replace(
        options,
        runtimes=(),
        units=(),
        quick=False,
        budget=None,
        timeout=None,
        silence=None,
        memory_limit=None,
        allow_code=False,
        runner="python",
        native_kit=False,
    )


def _is_unfinished_part(path: Path) -> bool:
    """Return whether a file or folder is part of a kit without a manifest, which is written last.

    What an operating system leaves, such as at the top of a disk, does not make a folder one that is in use.
    """
    if is_system_file(path):
        return True
    return path.name in (*FOLDERS, *NATIVE_PARTS, README, SCRIPT) and not (path.parent / MANIFEST).exists()


def content_bytes(timing_input: TimingInput) -> int:
    """Return the bytes of all packages, inputs and expected outputs."""
    paths = [
        path
        for package in timing_input.packages
        for path in (package.path, package.inputs, package.expected)
        if path is not None
    ]
    return sum(file.stat().st_size for path in paths for file in (content_files(path) if path.is_dir() else (path,)))


def check_room(folder: Path, size: int) -> None:
    """Raise ``InputError`` when a disk has less room than ``size`` bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise InputError(
            f"The kit has {format_bytes(size)} and the disk of {folder} {format_bytes(free)} of room; name a folder on "
            "another disk with --kit."
        )


def _pack(folder: Path, number: int, package: TimedPackage) -> dict[str, Any]:
    """Copy a package, its inputs and expected outputs into the kit; return its entry in the manifest."""
    name = f"{number:03d}-{file_stem(package.model, package.variant.name, package.variant.batch)}"
    entry: dict[str, Any] = {
        "model": package.model,
        "variant": package.variant.name,
        "batch": package.variant.batch,
        "package": f"packages/{name}{package.path.suffix}",
        "inputs": f"inputs/{name}.npz",
        "expected": f"expected/{name}.npz" if package.expected is not None else None,
    }
    for kind in FOLDERS:
        (folder / kind).mkdir(exist_ok=True)
    if package.path.is_dir():
        shutil.copytree(package.path, folder / entry["package"], ignore=system_files)
    else:
        shutil.copyfile(package.path, folder / entry["package"])
    assert package.inputs is not None
    shutil.copyfile(package.inputs, folder / entry["inputs"])
    if package.expected is not None:
        shutil.copyfile(package.expected, folder / entry["expected"])
    return entry


def system_files(folder: str, names: list[str]) -> list[str]:
    """Return what not to copy: files that an operating system left."""
    return [name for name in names if is_system_file(Path(folder) / name)]


def portable_model(model: TimedModel) -> dict[str, Any]:
    """Return a model as JSON values, without paths of this machine."""
    variants = tuple(replace(variant, path="", onnx="") for variant in model.variants)
    options = model.source.file_options
    options = replace(options, custom_objects=Path(options.custom_objects).name if options.custom_objects else "")
    source = replace(model.source, path=Path(model.source.path).name, file_options=options)
    return dict(serialization.to_json(replace(model, source=source, variants=variants)))


# --- reading ------------------------------------------------------------------------------------------------


def read_kit(folder: Path) -> Kit:
    """Return the kit in ``folder`` after checking every file.

    Raises:
        InputError: there is no kit; or it is of a newer release, incomplete or changed, or names files outside its
            folder.
    """
    content, sha256 = _read_manifest(folder)
    try:
        files = {str(name): (str(file["sha256"]), int(file["bytes"])) for name, file in content["files"].items()}
        models = tuple(serialization.from_json(TimedModel, model) for model in content["models"])
        options = serialization.from_json(TimingOptions, content["options"])
        entries = [serialization.from_json(_Entry, vars(_Entry(**entry))) for entry in content["packages"]]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as problem:
        raise InputError(f"The manifest of the kit {folder} is damaged ({_first_line(problem)}); copy it again.") from (
            problem
        )
    _check_files(folder, files)
    variants: dict[tuple[str, str, int], Variant] = {
        (model.name, variant.name, variant.batch): variant for model in models for variant in model.variants
    }
    file_options = {model.name: model.source.file_options for model in models}
    packages = tuple(_checked_package(folder, entry, files, variants, file_options) for entry in entries)
    return Kit(TimingInput(models, packages, kit=sha256), portable_options(options), sha256)


@dataclass(frozen=True)
class _Entry:
    """A package in the manifest; the last three are paths relative to the kit's folder."""

    model: str
    variant: str
    batch: int
    package: str
    inputs: str
    expected: str | None


def _read_manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the content of the manifest and its SHA-256; ``InputError`` when it cannot be used."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise InputError(f"The manifest of the kit {folder} is too large to be one; make the kit again.")
        content = json.loads(path.read_bytes())
    except FileNotFoundError as problem:
        raise InputError(
            f"There is no kit in {folder}: it has no {MANIFEST}; give the folder that --kit made, copied whole."
        ) from problem
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(f"The manifest of the kit {folder} cannot be read; copy the kit again.") from problem
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is not the manifest of a kit; give the folder that --kit made.")
    if not isinstance(content.get("version"), int) or content["version"] > VERSION:
        raise InputError(
            f"The kit {folder} has the version {content.get('version')!r}, and this release reads up to {VERSION}; "
            "install a newer coremlbench."
        )
    return content, hash_file(path)


def _check_files(folder: Path, files: dict[str, tuple[str, int]]) -> None:
    """Raise ``InputError`` unless the kit's folders hold exactly the files of the manifest, unchanged.

    ``files`` has the SHA-256 and the bytes of each. A file that is not listed could become part of a package, so it is
    refused like a changed one.
    """
    for name, (digest, size) in files.items():
        path = folder / check_relative(folder, name)
        if _is_link_outside(folder, path) or not path.is_file():
            raise InputError(f"The kit {folder} lacks {name}; copy the kit again, whole.")
        if path.stat().st_size != size or hash_file(path) != digest:
            raise InputError(f"{name} in the kit {folder} is not the file that was packed; copy the kit again.")
    for kind in FOLDERS:
        for path in content_files(folder / kind) if (folder / kind).is_dir() else ():
            name = path.relative_to(folder).as_posix()
            if name not in files:
                raise InputError(
                    f"{name} in the kit {folder} is not in its manifest; remove it, or copy the kit again."
                )


def check_relative(folder: Path, name: str) -> PurePosixPath:
    """Return ``name`` as a path; ``InputError`` when it could lead out of the kit."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise InputError(f"The manifest of the kit {folder} names {name!r}, outside of it; do not use this kit.")
    return path


def _is_link_outside(folder: Path, path: Path) -> bool:
    """Return whether ``path`` is outside of the kit once symbolic links are followed."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _checked_package(
    folder: Path,
    entry: _Entry,
    files: dict[str, tuple[str, int]],
    variants: dict[tuple[str, str, int], Variant],
    file_options: dict[str, ModelFileOptions],
) -> TimedPackage:
    """Return a package of the kit; ``InputError`` when it names a file that is not among the checked ones."""
    key = (entry.model, entry.variant, entry.batch)
    if key not in variants:
        raise InputError(f"The kit {folder} has a package of {entry.model!r} that its models do not list.")
    names = [entry.inputs, *([entry.expected] if entry.expected else [])]
    for name in (entry.package, *names):
        check_relative(folder, name)
    listed = entry.package in files or any(name.startswith(f"{entry.package}/") for name in files)
    if not listed or any(name not in files for name in names):
        raise InputError(f"The kit {folder} names files for {entry.model!r} that it does not list; make it again.")
    return TimedPackage(
        model=entry.model,
        variant=variants[key],
        path=folder / entry.package,
        inputs=folder / entry.inputs,
        expected=folder / entry.expected if entry.expected else None,
        file_options=file_options[entry.model],
    )


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
