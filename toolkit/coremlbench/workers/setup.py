"""Worker: obtain the feature extractor and make the tools that the engine runs, before a Create ML run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError, InputError

if TYPE_CHECKING:
    from coremlbench.createml.extractors import ObtainedExtractor
    from coremlbench.types.timing import UnitName


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the obtained extractor as JSON, the path of each tool, and why a tool could not be made ("" if all were).

    An engine that has an extractor of its own asks for None, and gets None. ``missing`` says of each tool
    that could not be made, optional ones too, why.

    Raises:
        InputError: this machine does not have the extractor, or units are given for one that Core ML does not run.
        CoremlbenchError: a tool cannot be made, and ``fallback_extractors`` says that no other engine may take over.
    """
    from coremlbench.createml.extractors import obtain_extractor
    from coremlbench.system import serialization

    cache, fallback = Path(request["cache"]), request["fallback_extractors"]

    def obtain(usable: list[str]) -> Any:
        if request["extractor"] is None:
            return None
        obtained = obtain_extractor(request["extractor"], cache, lambda message: report("setup", 0, 2, message), usable)
        if request["units"] is not None:
            _check_units(request["units"], obtained)
        report("setup", 1, 2, f"the extractor is {obtained.extractor.name}")
        return serialization.to_json(obtained)

    extractor, tools, problem = obtain(request["extractors"]), {}, ""
    try:
        for name in request["tools"]:
            tools[name] = str(TOOLS[name](cache, lambda message: report("setup", 1, 2, message)))
    except CoremlbenchError as error:
        if fallback is None:
            raise
        extractor, tools, problem = obtain(fallback), {}, str(error).rstrip(".")
    missing = dict.fromkeys(request["tools"], problem) if problem else {}
    for name in request["optional_tools"]:
        try:
            tools[name] = str(TOOLS[name](cache, lambda message: report("setup", 1, 2, message)))
        except CoremlbenchError as error:  # noqa: PERF203  a loop over one or two tools
            missing[name] = str(error)
    report("setup", 2, 2)
    return {"extractor": extractor, "tools": tools, "problem": problem, "missing": missing}


def _check_units(units: UnitName, obtained: ObtainedExtractor) -> None:
    """Check that Core ML runs the extractor, and that this machine has the units.

    Raises:
        InputError: it does not.
    """
    from coremlbench.runtimes.coreml import CoreML, macos_version

    if not macos_version():
        raise InputError("Core ML runs on macOS only, and --units choose where it runs; leave --units out here.")
    if not obtained.extractor.scene:
        raise InputError(
            f"--units are for extractors that Core ML runs, and ONNX Runtime runs {obtained.extractor.name}, "
            f"{obtained.reason}; leave --units out."
        )
    reason = CoreML().unavailable_reason(units)
    if reason:
        raise InputError(f"{reason.rstrip('.')}; choose other --units.")


def _turicreate(cache: Path, report: Callable[[str], None]) -> Path:
    """Return the Python of Turi Create's environment, which is made if it does not exist."""
    from coremlbench.createml.turicreate_environment import TURICREATE, ensure_environment

    return ensure_environment(TURICREATE, cache, report)


def _createml(cache: Path, report: Callable[[str], None]) -> Path:
    """Return the program that runs Create ML, which is compiled if it does not exist."""
    from coremlbench.createml.swift_program import ensure_program

    return ensure_program(cache, report)


TOOLS: dict[str, Callable[[Path, Callable[[str], None]], Path]] = {"turicreate": _turicreate, "createml": _createml}
"""How each tool of an engine is made: a function of the cache and of a callback for messages to the tool's path."""


if __name__ == "__main__":
    run(work)
