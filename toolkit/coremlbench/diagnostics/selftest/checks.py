"""What a check of the self-test is, what it needs, and what it can say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from coremlbench.diagnostics.selftest.host import Host
from coremlbench.types.process import Limits

Status = Literal["works", "does not", "not here"]

DEFAULT_LIMITS = Limits(deadline=30.0, memory_bytes=3 << 30)
TEXTS = "texts"
"""The subfolder of the run's folder for what checks leave for the archive of ``--bundle``."""


class NotHereError(Exception):
    """This machine does not have what the check is about, and does not have to. Its text is the reason."""


class DoesNotWorkError(Exception):
    """What the check is about does not work. Its text is the reason; ``advice`` says what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


@dataclass(frozen=True)
class Context:
    """What a check is given.

    Attributes:
        host: The machine, as far as it decides which checks apply.
        folder: A temporary folder that all checks of a run share.
        results: The folder of records.
        cache: The folder of downloads and environments.
        launcher: The beginning of the command line that runs a module; tests put the stand-in for Core ML there.
        seconds: How long the check may take.
    """

    host: Host
    folder: Path
    results: Path
    cache: Path
    launcher: tuple[str, ...]
    seconds: float = 30.0

    def worker(self, name: str) -> list[str]:
        """Return the command line of a module of ``coremlbench.workers``."""
        return [*self.launcher, f"coremlbench.workers.{name}"]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Context:
        """Return a context from JSON values; pydantic, which could do it, is not imported in each child."""
        host = values["host"]
        return cls(
            host=Host(**{**host, "version": tuple(host["version"])}),
            folder=Path(values["folder"]),
            results=Path(values["results"]),
            cache=Path(values["cache"]),
            launcher=tuple(values["launcher"]),
            seconds=values["seconds"],
        )


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: What is checked, in words.
        function: Returns what it found; raises ``DoesNotWorkError`` or ``NotHereError``. It runs in a child process.
        unavailable_reason: Says why a machine does not have what is checked, "" when it may have it.
        limits: Those of the child process.
        needs: Names of checks that must have worked before.
    """

    name: str
    function: Callable[[Context], str]
    unavailable_reason: Callable[[Host], str] = lambda _: ""
    limits: Limits = DEFAULT_LIMITS
    needs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return the name as one word in lower case, as it is typed on the command line."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class CheckResult:
    """The result of one check: ``detail`` is what was found or the reason, ``advice`` what to do about it."""

    name: str
    status: Status
    detail: str
    advice: str = ""
    seconds: float = 0.0


def macos_only(host: Host) -> str:
    """Return why a part of macOS is not here, "" on macOS."""
    return "" if host.is_mac else "it is a part of macOS"


def exit_code(results: Sequence[CheckResult]) -> int:
    """Return 3 when something does not work, else 0."""
    return 3 if any(result.status == "does not" for result in results) else 0
