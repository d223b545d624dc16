"""Kits without Python: models, inputs, an order of jobs, and the native runner's sources, for a Mac that has nothing.

``run.sh`` compiles the runner and runs the jobs of ``plan.json``; what it brings back is read by ``native_collect``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from coremlbench import __version__
from coremlbench.system import serialization
from coremlbench.system.files import atomic_write, content_files, hash_file
from coremlbench.system.formatting import format_count
from coremlbench.timing.kit import (
    MANIFEST,
    README,
    check_kit_folder,
    check_room,
    content_bytes,
    portable_model,
    system_files,
)
from coremlbench.timing.kit_program import SCRIPT
from coremlbench.timing.native_inputs import write_raw_inputs
from coremlbench.timing.native_program import NATIVE_RUNNER
from coremlbench.timing.native_rounds import NO_WORK, refuse_states, timing_request
from coremlbench.timing.plan import Cell, MatrixPlan, TimedPackage, TimingInput, TimingOptions, file_stem, plan_cells
from coremlbench.timing.rounds import SILENCE
from coremlbench.timing.statistics import orders
from coremlbench.types.errors import InputError
from coremlbench.types.timing import UnitName

FORMAT, VERSION = "coremlbench-native-kit", 1
PLAN = "plan.json"
FOLDERS = ("packages", "inputs", "expected", "swift")
UNITS: tuple[UnitName, ...] = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
TEMPLATES = Path(__file__).with_name("kit_files")
TEMPLATE = "run-native.sh"

README_TEXT = """\
A kit of coremlbench for a Mac without Python: {count}, their inputs, and a program in Swift that times them.

On a Mac with macOS 14 or later, open Terminal, type "cd " and a space, drag this folder into the window, press Return,
and then run

    sh run.sh

It compiles the program (Apple's Command Line Tools are needed; where they are missing it says how to get them, which is
the one step that needs an administrator), runs each model on the CPU, the GPU and the Neural Engine in separate
processes, {rounds}, and prints a table. After Ctrl-C, a crash or a restart the same command goes on where it stopped.
Nothing leaves this Mac by itself, and nothing is installed outside of two folders in your home, which it names.

At the end there is a file results-....tar.gz in this folder, or in your home if this folder cannot be written to. Bring
it back to where this kit was made, or to any machine with coremlbench, and run

    coremlbench convert-and-time --collect results-....tar.gz

Contents: packages/ (the models), inputs/ (raw numbers), expected/ (NumPy archives), swift/ (the program's sources, of
coremlbench {version}), plan.json (the jobs in their order, shuffled with the seed {seed}), manifest.json (models,
proofs, settings, and the SHA-256 of every file). Models: {models}.
"""


def write_native_kit(
    timing_input: TimingInput,
    options: TimingOptions,
    folder: Path,
    on_size: Callable[[int], None] | None = None,
) -> str:
    """Write a kit for the native runner to ``folder`` and return the SHA-256 of its manifest.

    All packages must have inputs. ``on_size`` is called with the bytes of its files before they are written.

    Raises:
        InputError: the folder is not empty, has no room, or cannot be written; or a model cannot be timed.
    """
    check_kit_folder(folder)
    for package in timing_input.packages:
        refuse_states(package.path)
    sources = NATIVE_RUNNER.source_files()
    try:
        size = content_bytes(timing_input) + sum(source.stat().st_size for source in sources)
        if on_size is not None:
            on_size(size)
        check_room(folder, size)
        for kind in FOLDERS:
            shutil.rmtree(folder / kind, ignore_errors=True)
            (folder / kind).mkdir()
        for source in sources:
            shutil.copyfile(source, folder / "swift" / source.name)
        entries = [_pack(folder, number, package) for number, package in enumerate(timing_input.packages)]
        script = _script(sources)
        (folder / SCRIPT).write_text(script, encoding="utf-8")
        return _describe(folder, timing_input, options, entries)
    except OSError as problem:
        raise InputError(
            f"The kit cannot be written to {folder} ({problem.strerror}); name another folder with --kit."
        ) from problem


def _script(sources: Sequence[Path]) -> str:
    """Return ``run.sh``, which keeps the compiled program in a folder named after its sources."""
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:8]
    template = (TEMPLATES / TEMPLATE).read_text(encoding="utf-8")
    return template.replace("@PROGRAM@", f".coremlbench-native-{digest}").replace(
        "@FLAGS@", " ".join(NATIVE_RUNNER.flags)
    )


def _pack(folder: Path, number: int, package: TimedPackage) -> dict[str, Any]:
    """Copy a package, its inputs and expected outputs into the kit; return its entry in the manifest."""
    name = f"{number:03d}-{file_stem(package.model, package.variant.name, package.variant.batch)}"
    assert package.inputs is not None
    inputs, samples = write_raw_inputs(package.inputs, folder / "inputs", name)
    entry: dict[str, Any] = {
        "model": package.model,
        "variant": package.variant.name,
        "batch": package.variant.batch,
        "package": f"packages/{name}{package.path.suffix}",
        "inputs": [given | {"file": f"inputs/{given['file']}"} for given in inputs],
        "samples": samples,
        "expected": f"expected/{name}.npz" if package.expected is not None else None,
    }
    if package.path.is_dir():
        shutil.copytree(package.path, folder / entry["package"], ignore=system_files)
    else:
        shutil.copyfile(package.path, folder / entry["package"])
    if package.expected is not None:
        shutil.copyfile(package.expected, folder / entry["expected"])
    return entry


def _describe(folder: Path, timing_input: TimingInput, options: TimingOptions, entries: list[dict[str, Any]]) -> str:
    """Write the manifest, the README and, last, the plan; return the SHA-256 of the manifest."""
    settings = replace(options, runner="native", native_kit=False, runtimes=("coreml",), units=_units(options))
    plan = native_cells(timing_input.packages, settings)
    blocks: dict[Path, list[int]] = {}
    for cell in plan.cells:
        blocks.setdefault(cell.package.path, []).append(cell.index)
    rounds = orders(len(plan.cells), settings.rounds, settings.seed, blocks=list(blocks.values()))
    files = [folder / SCRIPT, *(path for kind in FOLDERS for path in content_files(folder / kind))]
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "coremlbench": __version__,
        "made": datetime.now(timezone.utc).isoformat(),
        "options": serialization.to_json(settings),
        "models": [portable_model(model) for model in timing_input.models],
        "packages": entries,
        "cells": [cell.slug for cell in plan.cells],
        "orders": rounds,
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": hash_file(path), "bytes": path.stat().st_size}
            for path in files
        },
    }
    text = README_TEXT.format(
        count=format_count(len(entries), "Core ML package"),
        rounds=format_count(settings.rounds, "round"),
        version=__version__,
        seed=settings.seed,
        models=", ".join(model.name for model in timing_input.models),
    )
    (folder / README).write_text(text, encoding="utf-8")
    atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
    sha256 = hash_file(folder / MANIFEST)
    jobs = _jobs(plan, settings, dict(zip((package.path for package in timing_input.packages), entries, strict=True)))
    ordered = [*jobs["first"], *(jobs[f"{number}-{index}"][0] for number, row in enumerate(rounds) for index in row)]
    atomic_write(folder / PLAN, json.dumps({"kit": sha256, "jobs": ordered}, indent=1).encode() + b"\n")
    return sha256


def _units(options: TimingOptions) -> tuple[UnitName, ...]:
    return tuple(unit for unit in UNITS if not options.units or unit in options.units) or UNITS


def native_cells(packages: Sequence[TimedPackage], options: TimingOptions) -> MatrixPlan:
    """Return the cells of a kit: each package on each of Core ML's units that was asked for."""
    return plan_cells(packages, options, {"coreml": UNITS}, lambda *_: "")


def compile_job_id(number: int) -> str:
    """Return the id of the job that compiles package ``number``."""
    return f"compile-{number:03d}"


def plan_job_id(cell: Cell) -> str:
    """Return the id of the job that reads the plan of a cell."""
    return f"plan-{cell.slug}"


def round_job_id(cell: Cell, number: int) -> str:
    """Return the id of the job that times round ``number`` of a cell."""
    return f"time-{number}-{cell.slug}"


def _jobs(
    plan: MatrixPlan, options: TimingOptions, entries: dict[Path, dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Return the jobs that come first, and that of each round of each cell, by "<round>-<cell>"."""
    compiled = {path: f"compiled/{Path(entry['package']).stem}.mlmodelc" for path, entry in entries.items()}
    first = [
        NO_WORK
        | {
            "id": compile_job_id(number),
            "title": f"compiling {package.model} {package.variant.name}",
            "cell": None,
            "silenceLimit": options.silence or SILENCE["compile"],
            "task": "compile",
            "model": entries[package.path]["package"],
            "compiled": compiled[package.path],
        }
        for number, package in enumerate(plan.packages)
    ]
    jobs: dict[str, list[dict[str, Any]]] = {"first": first}
    for cell in plan.cells:
        entry = entries[cell.package.path]
        title = cell.title.replace(", coreml ", " on ")
        shared = {"silenceLimit": options.silence or SILENCE["timing"], "model": entry["package"]}
        work = timing_request(compiled[cell.package.path], cell.unit, entry["inputs"], entry["samples"], vars(options))
        jobs["first"].append(
            NO_WORK
            | shared
            | {"id": plan_job_id(cell), "title": f"plan of {title}", "cell": None, "task": "plan"}
            | {"compiled": compiled[cell.package.path], "unit": cell.unit}
        )
        for number in range(options.rounds):
            last = number == options.rounds - 1
            sustain = {"sustainSeconds": options.sustain} if last and options.sustain else {}
            named = {"id": round_job_id(cell, number), "title": title, "cell": cell.index}
            jobs[f"{number}-{cell.index}"] = [work | shared | sustain | named]
    return jobs
