"""Compare two packages by timing both in the rounds of one run, so that what slows a round slows both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.system.advised_commands import advised_command
from coremlbench.timing.gate import compare_sides, split_models
from coremlbench.timing.gate_findings import GateLimits, GateResult
from coremlbench.timing.gate_sides import side_of_records
from coremlbench.timing.plan import TimingOptions
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.process import Progress

if TYPE_CHECKING:
    from coremlbench.timing.matrix import OnRound
    from coremlbench.types.timing import TimingRecord

GATE_OPTIONS = TimingOptions(rounds=10)
"""The settings of a gate's own run: with so many rounds equal packages pass and 15% fails; see ``docs/gate.md``."""


@dataclass(frozen=True)
class GateRun:
    """What the run that times two packages needs: the folder of records, the command, who follows it, and settings."""

    results: Path
    command: Sequence[str]
    on_progress: Callable[[Progress], None]
    on_round: OnRound | None = None
    options: TimingOptions = GATE_OPTIONS


def compare_packages(before: str, after: str, limits: GateLimits, run: GateRun) -> GateResult:
    """Time two packages in the same rounds and return what changed from one to the other.

    Raises:
        InputError: one of them is neither a package nor the name of records, or an accuracy is asked for.
        CoremlbenchError: one of them could not be timed; the message says why.
    """
    check_packages(before, after, limits)
    record = _time_both(before, after, run)
    names = [model.name for model in record.models]
    if len(names) != 2:
        reasons = " ".join(record.notes)
        raise CoremlbenchError(f"{before} and {after} were not both timed, so that there is no comparison. {reasons}")
    sides = split_models(side_of_records(record.id, [record]), (names[0], names[1]))
    named = [replace(side, name=name) for side, name in zip(sides, (before, after), strict=True)]
    return compare_sides(named[0], named[1], limits, one_run=True)


def check_packages(before: str, after: str, limits: GateLimits) -> None:
    """Check that both names are those of files, and that files are enough for the limits.

    Raises:
        InputError: they are not.
    """
    for name in (before, after):
        if not Path(name).expanduser().exists():
            command = advised_command("results")
            raise InputError(
                f"There is no record and no package {name}; `{command}` lists the runs, whose ids can be named."
            )
    if Path(before).expanduser().resolve() == Path(after).expanduser().resolve():
        raise InputError(f"{before} is named twice; name the package before the change, and the one after it.")
    if limits.less_accurate is not None:
        command = advised_command("convert-and-time", "lenet")
        raise InputError(
            "A package alone has no accuracy, which its comparison with an original gives; convert both models with "
            f"`{command}`, and name the records in place of the packages."
        )


def _time_both(before: str, after: str, run: GateRun) -> TimingRecord:
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.timing.convert_and_time import convert_and_time

    outcome = convert_and_time(
        [before, after],
        ConvertOptions(),
        run.options,
        results=run.results,
        command=run.command,
        on_progress=run.on_progress,
        on_round=run.on_round,
    )
    if outcome.timing is None:
        raise CoremlbenchError(
            f"Neither {before} nor {after} could be timed, so that there is no comparison. "
            f"{' '.join(outcome.timing_input.notes)}"
        )
    return outcome.timing[0]
