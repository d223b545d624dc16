"""Inputs and expected outputs of the packages of a matrix: copied from a kit, or made in a child process."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.system.files import atomic_writer, remove_temporary_files
from coremlbench.timing.plan import TimedPackage, file_stem
from coremlbench.timing.rounds import RoundRunner
from coremlbench.types.failure import Failure
from coremlbench.types.process import Exit


@dataclass(frozen=True)
class ProvidedInputs:
    """The packages with their files; for each package without inputs (by its path) the failure; and notes."""

    packages: tuple[TimedPackage, ...]
    failures: dict[Path, Failure]
    notes: tuple[str, ...]


def provide_inputs(runner: RoundRunner, packages: Sequence[TimedPackage]) -> ProvidedInputs:
    """Provide inputs and expected outputs of all packages in the folder of the run, where a resume finds them.

    The files of a kit are copied. The others are made in one child process, or in one for each package when that
    process fails.

    Raises:
        MatrixStoppedError: interrupted, or the time limit of the matrix is reached.
        OSError: a file of a kit cannot be copied.
    """
    for kind in ("inputs", "expected"):
        (runner.folder / kind).mkdir(exist_ok=True)
        remove_temporary_files(runner.folder / kind)
    located = [_with_files(runner.folder, number, package) for number, package in enumerate(packages)]
    missing = []
    for package, target in zip(packages, located, strict=True):
        _remove_unpaired(target)
        if package.inputs is not None:
            _copy_from_kit(package, target)
        elif not has_inputs(target):
            missing.append(
                {
                    "package": target.path,
                    "inputs": target.inputs,
                    "expected": target.expected,
                    "input_shape": target.file_options.input_shape,
                }
            )
    failures, notes = _make_inputs(runner, missing)
    ready = tuple(
        target if target.expected is not None and target.expected.exists() else replace(target, expected=None)
        for target in located
    )
    return ProvidedInputs(ready, failures, tuple(notes))


def has_inputs(package: TimedPackage) -> bool:
    """Return whether the file of inputs of a package exists."""
    return package.inputs is not None and package.inputs.is_file()


def _with_files(folder: Path, number: int, package: TimedPackage) -> TimedPackage:
    """Return the package with the paths of its ``.npz`` files in the folder of the run."""
    name = f"{number:03d}-{file_stem(package.model, package.variant.name, package.variant.batch)}.npz"
    return replace(package, inputs=folder / "inputs" / name, expected=folder / "expected" / name)


def _remove_unpaired(target: TimedPackage) -> None:
    """Remove expected outputs without inputs: inputs are written last, so these may belong to other inputs."""
    if not has_inputs(target) and target.expected is not None:
        target.expected.unlink(missing_ok=True)


def _copy_from_kit(package: TimedPackage, target: TimedPackage) -> None:
    """Copy expected outputs and then inputs of a package of a kit, as far as they do not exist yet."""
    for source, copy in ((package.expected, target.expected), (package.inputs, target.inputs)):
        if source is not None and copy is not None and not copy.exists():
            with source.open("rb") as original, atomic_writer(copy) as file:
                shutil.copyfileobj(original, file)


def _make_inputs(runner: RoundRunner, entries: list[dict[str, Any]]) -> tuple[dict[Path, Failure], list[str]]:
    """Make the files of all entries; return the failures by the path of the package, and notes of the worker."""
    failures: dict[Path, Failure] = {}
    notes: list[str] = []
    groups = [entries] if entries else []
    while groups:
        group = groups.pop(0)
        request = {"packages": group, "samples": runner.options.samples, "seed": runner.options.seed}
        ended = runner.run("inputs", "inputs", request)
        if isinstance(ended, Exit):
            notes += [note for note in (ended.result or {})["notes"] if note]
        elif len(group) > 1:
            groups = [[entry] for entry in group]
        else:
            failures[Path(group[0]["package"])] = ended
    return failures, notes
