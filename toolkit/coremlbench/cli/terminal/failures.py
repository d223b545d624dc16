"""The list of failures as people see it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from coremlbench.cli.terminal.tables import plain_console, say
from coremlbench.failures.listing import Found

LOG_LINES = 3


def print_failures(found: Sequence[Found], runs: int, folder: Path) -> None:
    """Print each failure with its evidence and what to do, by machine and experiment; ``runs`` were looked at."""
    console = plain_console()
    if not found:
        console.print(f"None of the {runs:,} runs under {folder} failed." if runs else f"No runs under {folder} yet.")
        return
    for (machine, identity), of_machine in groupby(found, key=lambda each: (each.machine, each.machine_id)):
        say(console, f"{machine}, id {identity}", style="bold")
        for experiment, failures in groupby(of_machine, key=lambda each: each.experiment):
            say(console, f"  {experiment}")
            for each in failures:
                say(console, f"    {_heading(each)}", style="red")
                for line in _lines(each):
                    say(console, f"      {line}")
    failed = len({each.run for each in found})
    say(console, f"{len(found):,} failure{_s(len(found))} in {failed:,} of {runs:,} run{_s(runs)}.")


def _heading(found: Found) -> str:
    where = found.failure.evidence.progress
    words = [found.failure.kind, f"({where})" if where else "", f"– {found.part}" if found.part else ""]
    words += [
        f"– {found.times} times" if found.times > 1 else "",
        f"– attempt {found.attempt}" if found.attempt > 1 else "",
    ]
    return f"{found.run}: {' '.join(word for word in words if word)}"


def _lines(found: Found) -> list[str]:
    """Return the reason, what it rests on and what to do."""
    evidence, lines = found.failure.evidence, [found.failure.reason]
    report = evidence.crash_report
    if report is not None:
        top = f", in {report.frames[0]}" if report.frames else ""
        lines.append(f"crash report: {report.exception} ({report.signal}) of {report.process}{top}")
    elif len(evidence.stack) > 1:
        lines.append(f"crashed in: {evidence.stack[1].strip()}")
    shown = evidence.matched or evidence.log_tail[-1:]
    lines += [f"log: {line[:200]}" for line in shown[:LOG_LINES]]
    lines += [f"note: {note}" for note in evidence.notes]
    return [*lines, f"what to do: {found.failure.hint}"]


def _s(count: int) -> str:
    return "" if count == 1 else "s"
