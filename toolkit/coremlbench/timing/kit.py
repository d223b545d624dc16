"""A kit: a folder with all that another machine needs to time the same packages, and to check what they give.

A Mac times with one command what was converted and proven elsewhere. Nothing in a kit is trusted: every file must be
the one that the manifest lists, and no name in it may lead out of the folder.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from coremlbench import __version__
from coremlbench.system import serialization
from coremlbench.system.files import hash_file, write_whole
from coremlbench.timing.plan import FULL, QUICK, Package, Subject, TimingOptions, file_stem
from coremlbench.types.conversion import Variant
from coremlbench.types.errors import InputError
from coremlbench.types.timing import TimedModel

MANIFEST = "manifest.json"
README = "README.txt"
FOLDERS = ("packages", "inputs", "expected")
FORMAT, VERSION = "coremlbench-kit", 1
LARGEST_MANIFEST = 20_000_000

README_TEXT = """\
A kit of coremlbench: {count} Core ML packages with inputs and expected outputs.

On a Mac (macOS 13 or newer; 14.4 or newer also tells where each operation ran), with coremlbench {version}
installed and this folder at hand, run

    coremlbench convert-and-time --from-kit .

It checks that every file is the one that was packed, times each package on the CPU, the GPU and the Neural Engine in
processes of their own, compares what Core ML gives with the expected outputs, and saves a record under results/.
`--quick` gives a first look in a few minutes. Bring the results folder back to compare machines:

    coremlbench report results/

What is in here: packages/ (the models), inputs/ and expected/ (NumPy archives), {manifest} (models, proofs, settings,
and the SHA-256 of every file). {models}
"""


@dataclass(frozen=True)
class Kit:
    """A kit that was checked: what to time, with which settings. ``sha256`` is the manifest's and names the kit."""

    subject: Subject
    options: TimingOptions
    sha256: str


def check_kit_folder(folder: Path) -> None:
    """Make the folder of a new kit, and raise ``InputError`` when there is something in it or none can be made.

    What is left of a kit that was not finished does not count; it is written over.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [path for path in folder.iterdir() if not _unfinished(path)]
    except OSError as problem:
        raise InputError(
            f"The kit cannot be written to {folder} ({problem.strerror}); name another folder with --kit."
        ) from problem
    if taken:
        raise InputError(f"The folder {folder} is not empty; name a new one with --kit.")


def write_kit(subject: Subject, options: TimingOptions, folder: Path) -> str:
    """Return the hash of the kit that ``folder`` now is; all packages have inputs.

    The manifest comes last, so that a kit which was not finished is none.

    Raises:
        InputError: the folder is there and not empty, or cannot be written.
    """
    check_kit_folder(folder)
    try:
        for kind in FOLDERS:
            shutil.rmtree(folder / kind, ignore_errors=True)
        entries = [_put(folder, number, package) for number, package in enumerate(subject.packages)]
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "coremlbench": __version__,
            "made": datetime.now(timezone.utc).isoformat(),
            "options": serialization.to_json(portable(options)),
            "models": [_portable(model) for model in subject.models],
            "packages": entries,
            "files": {
                path.relative_to(folder).as_posix(): {"sha256": hash_file(path), "bytes": path.stat().st_size}
                for kind in FOLDERS
                for path in sorted((folder / kind).rglob("*"))
                if path.is_file()
            },
        }
        models = f"Models: {', '.join(model.name for model in subject.models)}."
        text = README_TEXT.format(count=len(entries), version=__version__, manifest=MANIFEST, models=models)
        (folder / README).write_text(text, encoding="utf-8")
        write_whole(folder / MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
    except OSError as problem:
        raise InputError(
            f"The kit cannot be written to {folder} ({problem.strerror}); name another folder with --kit."
        ) from problem
    return hash_file(folder / MANIFEST)


def portable(options: TimingOptions) -> TimingOptions:
    """Return the settings that are another machine's as well: how to measure, and not what one machine bears.

    A first look here is none there: what ``--quick`` takes less of is the full method's again, and ``--quick`` may be
    given there. Runtimes, units and limits are that machine's own, and code is allowed by nobody but its user.
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
    )


def _unfinished(path: Path) -> bool:
    """Return whether a file or folder is part of a kit without a manifest, which comes last."""
    return path.name in (*FOLDERS, README) and not (path.parent / MANIFEST).exists()


def _put(folder: Path, number: int, package: Package) -> dict[str, Any]:
    """Return the manifest's entry of a package, copied into the kit with its inputs and expected outputs."""
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
        shutil.copytree(package.path, folder / entry["package"])
    else:
        shutil.copyfile(package.path, folder / entry["package"])
    assert package.inputs is not None
    shutil.copyfile(package.inputs, folder / entry["inputs"])
    if package.expected is not None:
        shutil.copyfile(package.expected, folder / entry["expected"])
    return entry


def _portable(model: TimedModel) -> dict[str, Any]:
    """Return a model as JSON values without this machine's paths."""
    variants = tuple(replace(variant, path="", onnx="") for variant in model.variants)
    source = replace(model.source, path=Path(model.source.path).name)
    return dict(serialization.to_json(replace(model, source=source, variants=variants)))


# --- reading ------------------------------------------------------------------------------------------------


def read_kit(folder: Path) -> Kit:
    """Return the kit in ``folder``, every file of it checked.

    Raises:
        InputError: it is no kit, of a newer release, incomplete, changed, or names files outside its folder.
    """
    content, sha256 = _manifest(folder)
    try:
        files = {str(name): (str(each["sha256"]), int(each["bytes"])) for name, each in content["files"].items()}
        models = tuple(serialization.from_json(TimedModel, each) for each in content["models"])
        options = serialization.from_json(TimingOptions, content["options"])
        entries = [_Entry(**each) for each in content["packages"]]
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise InputError(f"The manifest of the kit {folder} is damaged ({_first_line(problem)}); copy it again.") from (
            problem
        )
    _check_files(folder, files)
    variants: dict[tuple[str, str, int], Variant] = {
        (model.name, variant.name, variant.batch): variant for model in models for variant in model.variants
    }
    packages = tuple(_package(folder, entry, files, variants) for entry in entries)
    return Kit(Subject(models, packages, kit=sha256), portable(options), sha256)


@dataclass(frozen=True)
class _Entry:
    model: str
    variant: str
    batch: int
    package: str
    inputs: str
    expected: str | None


def _manifest(folder: Path) -> tuple[dict[str, Any], str]:
    path = folder / MANIFEST
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
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
    """Raise ``InputError`` unless the folder holds exactly the files of the manifest, beside the two of its own.

    A file that nobody listed could be part of a package, so it is refused as a changed one is.
    """
    for name, (digest, size) in files.items():
        path = folder / _inside(folder, name)
        if _leads_away(folder, path) or not path.is_file():
            raise InputError(f"The kit {folder} lacks {name}; copy the kit again, whole.")
        if path.stat().st_size != size or hash_file(path) != digest:
            raise InputError(f"{name} in the kit {folder} is not the file that was packed; copy the kit again.")
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            continue
        # The Finder leaves its own file in every folder that it shows; Core ML does not read it.
        if name not in files and name not in (MANIFEST, README) and path.name != ".DS_Store" and _counts(name):
            raise InputError(f"{name} in the kit {folder} is not in its manifest; remove it, or copy the kit again.")


def _counts(name: str) -> bool:
    """Return whether a file of this name is in one of the kit's own folders; what lies beside them does no harm."""
    return name.split("/", maxsplit=1)[0] in FOLDERS


def _inside(folder: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise InputError(f"The manifest of the kit {folder} names {name!r}, outside of it; do not use this kit.")
    return path


def _leads_away(folder: Path, path: Path) -> bool:
    """Return whether a link on the way to ``path`` leaves the kit."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _package(
    folder: Path, entry: _Entry, files: dict[str, tuple[str, int]], variants: dict[tuple[str, str, int], Variant]
) -> Package:
    """Return a package of the kit; all it names must be among the files that were checked."""
    key = (entry.model, entry.variant, entry.batch)
    if key not in variants:
        raise InputError(f"The kit {folder} has a package of {entry.model!r} that its models do not list.")
    names = [entry.inputs, *([entry.expected] if entry.expected else [])]
    for name in (entry.package, *names):
        _inside(folder, name)
    listed = entry.package in files or any(name.startswith(f"{entry.package}/") for name in files)
    if not listed or any(name not in files for name in names):
        raise InputError(f"The kit {folder} names files for {entry.model!r} that it does not list; make it again.")
    return Package(
        model=entry.model,
        variant=variants[key],
        path=folder / entry.package,
        inputs=folder / entry.inputs,
        expected=folder / entry.expected if entry.expected else None,
    )


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
