"""The native runner in the place of the Python workers that call Core ML: compiling, compute plans, and rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coremlbench.failures.classify import classify
from coremlbench.runtimes.core_ml_values import read_features
from coremlbench.system.files import slug
from coremlbench.timing.native_inputs import write_raw_inputs
from coremlbench.timing.native_results import compile_result, plan_result, timing_result
from coremlbench.timing.rounds import RoundRunner
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Exit

NO_WORK: dict[str, Any] = {
    "model": "",
    "unit": "CPU_ONLY",
    "inputs": [],
    "samples": 1,
    "warmupCalls": 0,
    "warmupSeconds": 0.0,
    "calls": 1,
    "seconds": 0.0,
    "sustainSeconds": None,
}
"""The fields of a request to the native runner that a task does not use."""


@dataclass
class NativeRoundRunner(RoundRunner):
    """Runs the rounds of Core ML's cells with ``program``, and all other workers as they are.

    The samples, the outputs and the plan that it writes become the results of the Python workers; what comes after
    them is the same code.
    """

    program: Path = field(kw_only=True)

    def run(self, stage: str, worker: str, request: dict[str, Any]) -> Exit | Failure:
        """Return how a worker ended, with a result in the form of the Python worker.

        Raises:
            MatrixStoppedError: see ``RoundRunner.run``.
        """
        if worker not in {"compile", "plan", "timing"} or request.get("runtime", "coreml") != "coreml":
            return super().run(stage, worker, request)
        folder = (self.stages.work / stage).absolute()
        try:
            native, translate = self._prepare(worker, folder, request)
        except CoremlbenchError as problem:
            return worker_failure(problem)
        python, self.worker = self.worker, lambda _: [str(self.program)]
        try:
            ended = super().run(stage, worker, native)
        finally:
            self.worker = python
        if isinstance(ended, Failure):
            return ended
        return translated(ended, translate)

    def _prepare(
        self, worker: str, folder: Path, request: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]]:
        """Return the request to the native runner, and what translates its result."""
        compiled = Path(request["compiled"]).absolute()
        if worker == "compile":
            model = str(Path(request["package"]).absolute())
            native = NO_WORK | {"task": "compile", "model": model, "compiled": str(compiled)}
            return native, lambda result: compile_result(result, compiled)
        if worker == "plan":
            native = NO_WORK | {"task": "plan", "compiled": str(compiled), "unit": request["unit"]}
            return native, lambda result: plan_result(result, request["unit"])
        refuse_states(Path(request["package"]))
        inputs = Path(request["inputs"])
        raw = (self.stages.work / "native-inputs").absolute()
        raw.mkdir(parents=True, exist_ok=True)
        entries, samples = write_raw_inputs(inputs, raw, slug(inputs.stem))
        native = timing_request(
            str(compiled),
            request["unit"],
            [entry | {"file": str(raw / entry["file"])} for entry in entries],
            samples,
            request,
        )
        expected = Path(request["expected"]) if request.get("expected") else None
        return native, lambda result: timing_result(folder, result, expected, Path(request["samples"]))


def timing_request(
    compiled: str, unit: str, inputs: list[dict[str, Any]], samples: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the native runner's request for a round; ``settings`` has the numbers of calls and seconds."""
    return NO_WORK | {
        "task": "time",
        "compiled": compiled,
        "unit": unit,
        "inputs": inputs,
        "samples": samples,
        "warmupCalls": settings["warmup_calls"],
        "warmupSeconds": settings["warmup_seconds"],
        "calls": settings["calls"],
        "seconds": settings["seconds"],
        "sustainSeconds": settings.get("sustain_seconds"),
    }


def refuse_states(package: Path) -> None:
    """Raise ``InputError`` for a model with states, which the native runner does not call."""
    if read_features(package).has_states:
        raise InputError(
            f"The native runner does not call models with states, and '{package.name}' has some; time it with "
            "--runner python."
        )


def translated(ended: Exit, translate: Callable[[dict[str, Any]], dict[str, Any]]) -> Exit | Failure:
    """Return the end of a process of the native runner with its result in the form of the Python worker.

    It is a failure if the result is damaged, or the outputs are not those of the model.
    """
    try:
        return replace(ended, result=translate(ended.result or {}))
    except CoremlbenchError as problem:
        return worker_failure(problem)
    except (KeyError, TypeError, ValueError, OSError) as problem:
        reason = f"The native runner ended well, but its result cannot be used: {problem}."
        return Failure("no-result", reason, "Run it again.")


def worker_failure(problem: CoremlbenchError) -> Failure:
    """Return the failure that a worker with this error has."""
    error = {"type": type(problem).__name__, "message": str(problem), "errno": None, "traceback": ""}
    failure = classify(Exit(returncode=1, seconds=0.0, error=error))
    assert failure is not None  # an exit without a result is always a failure
    return failure
