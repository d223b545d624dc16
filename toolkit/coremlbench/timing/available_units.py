"""What can be timed on this machine; where there is macOS, Core ML itself is asked for its devices, in a child."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coremlbench.runs.steps import worker as our_worker
from coremlbench.runtimes import RUNTIMES
from coremlbench.runtimes.coreml import macos_version
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.process import Limits
from coremlbench.types.timing import RuntimeName, UnitName

SILENCE = 120.0

WhyNot = Mapping[RuntimeName, Mapping[UnitName, str]]
"""For each unit of each runtime the sentence that says why it cannot be used here, "" where it can."""


@dataclass(frozen=True)
class Survey:
    """What can run here, and whether what passes for Core ML is the tests' stand-in for it."""

    why_not: WhyNot
    stand_in: bool = False


def survey_machine() -> Survey:
    """Return what can run here, quickly: only a Mac can have what has to be asked for in a child."""
    return ask_machine() if macos_version() else Survey(expected())


def ask_machine(worker: Callable[[str], Sequence[str]] = our_worker) -> Survey:
    """Return what can run here, as Core ML tells it: a virtual Mac has no Neural Engine, and would time the CPU for it.

    When the child fails, what the table of runtimes expects is taken: the failure will show again in each cell.

    Raises:
        KeyboardInterrupt: Ctrl-C came meanwhile; there is no run yet whose record could say so.
    """
    with tempfile.TemporaryDirectory(prefix="coremlbench-") as folder:
        ended = supervise(worker("runtimes"), folder=Path(folder), request={}, limits=Limits(silence=SILENCE))
    if ended.stopped == "interrupted":
        raise KeyboardInterrupt
    if ended.result is None:
        return Survey(expected())
    return Survey(ended.result["why_not"], ended.result["stand_in"])


def expected() -> WhyNot:
    """Return why not, as far as the runtimes can say without being imported."""
    return {name: {unit: runtime.why_not_here(unit) for unit in runtime.units} for name, runtime in RUNTIMES.items()}
