"""Tiny Core ML packages to time, and machines with the stand-in for Core ML or with quick workers."""

import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.runs.steps import worker
from coremlbench.system.files import hash_folder
from coremlbench.timing.available_units import MachineCapabilities
from coremlbench.timing.matrix import time_models
from coremlbench.timing.plan import TimedPackage, TimingInput, TimingOptions
from coremlbench.types.conversion import ModelSource, Variant
from coremlbench.types.process import Progress
from coremlbench.types.timing import RuntimeName, TimedModel, TimingRecord, UnitName
from tests.coreml_stand_in import Behaviour, command, write

UNITS: dict[RuntimeName, tuple[UnitName, ...]] = {
    "coreml": ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL"),
    "reference": ("host-cpu",),
}
TINY = TimingOptions(rounds=2, calls=5, seconds=0.0, warmup_calls=1, warmup_seconds=0.0, samples=2)


def quiet(progress: Progress) -> None:
    """Ignore progress."""


def make_package(folder: Path, name: str, seed: int = 0) -> Path:
    """Return the package of a network of one convolution and a softmax over three classes, in float16."""
    from tests.mil_programs import Builder, ct

    random = np.random.default_rng(seed)
    weights = {
        "conv": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "dense": random.normal(size=(3, 4)).astype(np.float32),
    }

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 3, 8, 8))])
    def program(x: Any) -> Any:
        x = Builder.relu(x=Builder.conv(x=x, weight=weights["conv"]))
        x = Builder.reduce_mean(x=x, axes=[2, 3], keep_dims=False)
        return Builder.softmax(x=Builder.linear(x=x, weight=weights["dense"]), name="probabilities")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coremltools' own
        model = ct.convert(program, convert_to="mlprogram", minimum_deployment_target=ct.target.macOS13)
        path = folder / f"{name}.mlpackage"
        model.save(str(path))
    return path


def plain_package(folder: Path, name: str) -> Path:
    """Return a placeholder for a package, for tests that do not load it."""
    path = folder / f"{name}.mlpackage"
    path.mkdir(parents=True)
    (path / "model").write_text(name)
    return path


def timing_input_of(paths: Sequence[Path]) -> TimingInput:
    """Return the packages as the input of a matrix."""
    models, packages = [], []
    for path in paths:
        digest, size = hash_folder(path)
        variant = Variant("fp16", 1, path=path.name, sha256=digest, bytes=size, weight_bytes=500, arithmetic=4000)
        source = ModelSource(path.stem, "file", "mlpackage", str(path), digest)
        models.append(TimedModel(path.stem, source, (variant,)))
        packages.append(TimedPackage(path.stem, variant, path))
    return TimingInput(tuple(models), tuple(packages))


def stand_in(folder: Path, behaviour: Behaviour = Behaviour(), units: Any = UNITS) -> MachineCapabilities:  # noqa: B008 - frozen
    """Return a machine whose Core ML is the stand-in with this behaviour."""
    return MachineCapabilities(
        units=units, unavailable_reason=lambda runtime, unit: "", worker=stand_in_workers(folder, behaviour)
    )


def stand_in_workers(folder: Path, behaviour: Behaviour = Behaviour()) -> Callable[[str], Sequence[str]]:  # noqa: B008 - frozen
    """Return the commands of the workers, with the stand-in for those that call Core ML."""
    file = write(folder / "behaviour.json", behaviour)
    return lambda name: worker(name) if name == "inputs" else [*command(file), f"coremlbench.workers.{name}"]


def quick_machine(behaviour: Path, units: Any = UNITS) -> MachineCapabilities:
    """Return a machine with the quick workers of ``matrix_worker.py``, which invent their figures."""
    script = str(Path(__file__).with_name("matrix_worker.py"))
    return MachineCapabilities(
        units=units,
        unavailable_reason=lambda runtime, unit: "",
        worker=lambda name: [sys.executable, "-I", script, str(behaviour), name],
    )


def behave(folder: Path, **deeds: Any) -> Path:
    """Write the behaviour of the quick workers to a JSON file and return it; they log to ``trace`` what they time.

    They take the calling process for the one that supervises them.
    """
    file = folder / "behaviour.json"
    seconds = {"CPU_ONLY": 4e-3, "CPU_AND_GPU": 2e-3, "CPU_AND_NE": 1e-3, "ALL": 1e-3, "host-cpu": 5e-3}
    file.write_text(
        json.dumps({"trace": str(folder / "trace"), "seconds": seconds, "supervisor": os.getpid(), **deeds})
    )
    return file


def time_one_round(folder: Path, machine: MachineCapabilities) -> TimingRecord:
    """Return the record of one round of each cell of one package on a machine."""
    record, _ = time_models(
        timing_input_of([plain_package(folder, "one")]),
        replace(TINY, rounds=1),
        results=folder / "results",
        command=["coremlbench", "convert-and-time"],
        on_progress=quiet,
        capabilities=machine,
    )
    return record
