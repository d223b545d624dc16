"""The table of engines, and which one ``--engine auto`` takes."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from coremlbench.createml.engines.builtin import BuiltinEngine
from coremlbench.createml.engines.createml import CreateMLEngine
from coremlbench.createml.engines.protocol import Engine
from coremlbench.createml.engines.turicreate import TuriCreateEngine, runs_natively
from coremlbench.createml.extractors import SCENE_PRINT, SCENE_PRINT_2
from coremlbench.createml.options import CreateMLOptions
from coremlbench.types.errors import InputError

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (TuriCreateEngine(), BuiltinEngine(), CreateMLEngine())}
FALLBACK = "builtin"
"""What a run with ``auto`` takes when the set-up finds that Turi Create's environment cannot be made."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine, why it was chosen, and whether ``FALLBACK`` may take its place when its tools cannot be made."""

    engine: Engine
    reason: str
    replaceable: bool = False


def choose_engine(options: CreateMLOptions) -> EngineChoice:
    """Return the engine for these settings: the named one, or for ``auto`` Turi Create where it runs natively.

    ``auto`` never takes Create ML, whose runs cannot be repeated exactly: its augmentation has no seed.

    Raises:
        InputError: the engine does not exist, or does not run on this machine or with these settings.
    """
    choice = _choice(options)
    if choice.engine.trains_on != "images" and (options.feature_revision != 1 or options.reuse_features):
        raise InputError("--feature-revision and --reuse-features are for --engine createml; leave them out.")
    if options.verify and choice.engine.trains_on != "features":
        raise InputError(
            f"--verify compares two solvers on the same features, and --engine {choice.engine.name} keeps its own; use "
            "--engine builtin or turicreate."
        )
    choice.engine.check(options)
    _check_units(options, choice.engine)
    return choice


def _check_units(options: CreateMLOptions, engine: Engine) -> None:
    """Check that units are given only where Core ML runs the extractor.

    Raises:
        InputError: they are given, and something else runs it.
    """
    if options.units is None:
        return
    if not engine.core_ml:
        raise InputError(
            f"--units are for extractors that Core ML runs, and --engine {engine.name} does not use Core ML; use "
            "--engine builtin, or leave --units out."
        )
    if options.extractor not in ("auto", SCENE_PRINT, SCENE_PRINT_2):
        raise InputError(
            f"--units are for extractors that Core ML runs, and ONNX Runtime runs {options.extractor}; use --extractor "
            f"{SCENE_PRINT} on a Mac, or leave --units out."
        )


def _choice(options: CreateMLOptions) -> EngineChoice:
    if options.engine != "auto":
        if options.engine not in ENGINES:
            raise InputError(f"There is no engine called {options.engine!r}; choose from auto, {', '.join(ENGINES)}.")
        return EngineChoice(ENGINES[options.engine], "it was requested")
    turicreate, builtin = ENGINES["turicreate"], ENGINES["builtin"]
    if options.extraction == "turicreate":
        return EngineChoice(turicreate, "Turi Create extracts the features, too")
    if options.units is not None or options.extractor == SCENE_PRINT_2:
        return EngineChoice(builtin, "it lets Core ML run the extractor")
    if runs_natively():
        return EngineChoice(turicreate, "Turi Create runs natively here", replaceable=True)
    apple_silicon = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    machine = "Apple silicon" if apple_silicon else f"{platform.system()} {platform.machine()}"
    return EngineChoice(builtin, f"Turi Create does not run natively on {machine}")
