"""A stand-in for Core ML, so that all of coremltools' Python and all of ours run for real where there is no macOS.

It takes the place of ``coremltools.libcoremlpython`` alone, coremltools' native module, as ``interface.py`` describes
it, and executes models with the reference runtime. A ``Behaviour`` makes it fail in the ways that Core ML has failed.
Whatever it touches says ``stand_in``: its figures are made up, and never Core ML's.

What it does not play: functions other than the default one, models from memory, states that a model changes, the
rounding of a device. Waits hold the interpreter lock as the native module does; the reference runtime releases it while
it computes.

A worker is started with the command of ``worker(file)(name)`` in place of ``runs.steps.worker(name)``; the JSON
file, made by ``write``, holds a ``Behaviour``.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from tests.coreml_stand_in.interpreter_lock import wait_with_lock

NATIVE = "coremltools.libcoremlpython"


@dataclass(frozen=True)
class Failing:
    """One misbehaviour: at which step, on which unit ("" for any), from which call on, and how.

    ``raise`` is an error of Core ML's: with an ``.mlpackage`` a failed load then only warns. ``model`` is a part of
    the name of the models that are struck.
    """

    at: Literal["compile", "load", "predict", "plan"]
    how: Literal["raise", "hang", "SIGKILL", "SIGABRT", "SIGSEGV"]
    unit: str = ""
    call: int = 1
    model: str = ""


@dataclass(frozen=True)
class Behaviour:
    """How the stand-in behaves; by default as a Mac whose units all take as long as the reference runtime.

    ``seconds`` is how long a prediction takes at least on the device that the plan puts it on (``CPU``, ``GPU``,
    ``NE``); ``jitter`` is the relative spread of single calls, and ``drift`` by how much of itself a prediction gets
    longer in a thousand calls. ``first_load_seconds`` is the wait of the first load on a unit, for each model, as the
    Neural Engine has it; ``cache`` is the folder that remembers it across processes, and where a file ``hanging``
    appears when something begins to hang. ``specification_version`` is the newest that can be compiled, 0 for that of
    ``macos``; ``temporary`` is the folder of compiled models, "" for the one that Python uses. ``fallback`` are units
    that are planned on the CPU whatever was asked, ``cpu_ops`` kinds of ops that no other device takes, ``unplanned``
    those whose usage names no device. ``wrong`` is added to each output. With ``played_time`` nothing is waited for:
    the process's performance counter advances only by the durations that the behaviour sets, so that every figure is
    known, however busy the machine is.
    """

    macos: tuple[int, ...] = (15, 1)
    devices: tuple[str, ...] = ("CPU", "GPU", "NE")
    specification_version: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    jitter: float = 0.0
    drift: float = 0.0
    compile_seconds: float = 0.0
    first_load_seconds: Mapping[str, float] = field(default_factory=dict)
    cache: str = ""
    temporary: str = ""
    fallback: tuple[str, ...] = ()
    cpu_ops: tuple[str, ...] = ()
    unplanned: tuple[str, ...] = ()
    wrong: float = 0.0
    played_time: bool = False
    failing: tuple[Failing, ...] = ()


def worker(behaviour: Path) -> Callable[[str], list[str]]:
    """Return what gives the command of one of our workers by its name; the file holds the stand-in's behaviour."""
    return lambda name: [*command(behaviour), f"coremlbench.workers.{name}"]


def command(behaviour: Path) -> tuple[str, ...]:
    """Return what starts a module in place of ``python -I -m``."""
    return (sys.executable, "-I", str(Path(__file__).with_name("run.py")), str(behaviour))


def write(path: Path, behaviour: Behaviour) -> Path:
    """Return the file, with the behaviour in it; slow first loads are remembered beside it."""
    path.write_text(json.dumps({**asdict(behaviour), "cache": behaviour.cache or str(path.parent / "coreml-cache")}))
    return path


def read(path: Path) -> Behaviour:
    """Return the behaviour in a file."""
    stored = json.loads(path.read_text())
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    failing = tuple(Failing(**each) for each in stored.get("failing", ()))
    return Behaviour(**{**stored, **lists, "failing": failing})


def install(behaviour: Behaviour) -> None:
    """Put the stand-in where coremltools, which must not be imported yet, will look for its native module."""
    from tests.coreml_stand_in.native import make_module

    if behaviour.played_time:
        PLAYED.install()
    native: Any = sys.modules.get(NATIVE)
    if native is not None:  # in a fork of a process that has it, with another behaviour
        native.core.behaviour = behaviour
        return
    assert "coremltools" not in sys.modules, "The stand-in must be there before coremltools is imported."
    sys.modules[NATIVE] = native = make_module(NATIVE, behaviour)
    sys.meta_path.insert(0, _PlayedMacOS(native.macos_version))


class PlayedTime:
    """A performance counter that stands still but for a microsecond with each reading and for what is waited."""

    TICK = 1000

    def __init__(self) -> None:
        self.installed = False
        self._now = 0

    def install(self) -> None:
        """Take the place of this process's performance counter, before anybody has read it."""
        self.installed = True
        time.perf_counter_ns, time.perf_counter = self.read, lambda: self.read() / 1e9

    def read(self) -> int:
        """Return the nanoseconds of now."""
        self._now += self.TICK
        return self._now

    def wait(self, seconds: float) -> None:
        """Let so many seconds pass: at least so many real ones, or exactly so many played ones."""
        if not self.installed:
            wait_with_lock(seconds)
        self._now += math.ceil(seconds * 1e9)


PLAYED = PlayedTime()


class _PlayedMacOS(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes coremltools, and nothing else, believe that this is macOS.

    It asks in one place, ``_is_macos`` and ``_macos_version`` of ``coremltools.models.utils``, and only to refuse what
    an older system lacks. They are replaced as soon as that module is there, before others take them from it.
    """

    module = "coremltools.models.utils"

    def __init__(self, version: Callable[[], tuple[int, ...]]) -> None:
        self._version = version
        self._loader: Any = None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return coremltools' own module, to be loaded by this class."""
        if name != self.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None
        self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Leave the making of the module to Python."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Load the module and replace its two questions."""
        self._loader.exec_module(module)
        answers: Any = module
        assert callable(answers._is_macos), "coremltools asks for macOS in another way now"
        assert callable(answers._macos_version), "coremltools asks for macOS's version in another way now"
        answers._is_macos = lambda: True
        answers._macos_version = self._version
