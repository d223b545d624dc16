"""Terminal output of the list of failures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from coremlbench.cli.terminal.tables import MAX_LOG_LINE, plain_console, print_text
from coremlbench.failures.listing import FailureEntry
from coremlbench.failures.log_noise import without_noise
from coremlbench.system.formatting import format_count

LOG_LINES = 3


def print_failures(entries: Sequence[FailureEntry], runs: int, *places: Path) -> None:
    """Print the failures by machine and experiment, each with its reason, evidence and what to do.

    ``runs`` is the number of runs that were searched, and ``places`` where, for the sentences around the list.
    """
    console = plain_console()
    where = ", ".join(map(str, places))
    if not entries:
        console.print(
            f"No runs under {where} yet."
            if not runs
            else f"None of the {runs:,} runs under {where} failed."
            if runs > 1
            else f"The only run under {where} did not fail."
        )
        return
    for (machine, identity), of_machine in groupby(entries, key=lambda entry: (entry.machine, entry.machine_id)):
        print_text(console, f"{machine}, id {identity}", style="bold")
        for experiment, failures in groupby(of_machine, key=lambda entry: entry.experiment):
            print_text(console, f"  {experiment}")
            for entry in failures:
                print_text(console, f"    {_heading(entry)}", style="red")
                for line in _evidence_lines(entry):
                    print_text(console, f"      {line}")
    failed = len({entry.run for entry in entries})
    print_text(console, f"{format_count(len(entries), 'failure')} in {failed:,} of {format_count(runs, 'run')}.")


def _heading(entry: FailureEntry) -> str:
    progress = entry.failure.evidence.progress
    words = [
        entry.failure.kind,
        f"({progress})" if progress else "",
        f"– {entry.part}" if entry.part else "",
        f"– {entry.times} times" if entry.times > 1 else "",
        f"– attempt {entry.attempt}" if entry.attempt > 1 else "",
    ]
    return f"{entry.run}: {' '.join(word for word in words if word)}"


def _evidence_lines(entry: FailureEntry) -> list[str]:
    """Return the reason, the crash or stack, lines of the log, notes, and what to do."""
    evidence, lines = entry.failure.evidence, [entry.failure.reason]
    report = evidence.crash_report
    if report is not None:
        top = f", in {report.frames[0]}" if report.frames else ""
        lines.append(f"crash report: {report.exception} ({report.signal}) of {report.process}{top}")
    elif len(evidence.stack) > 1:
        lines.append(f"crashed in: {evidence.stack[1].strip()}")
    log = without_noise(evidence.matched) or without_noise(evidence.log_tail)[-1:]
    lines += [f"log: {line[:MAX_LOG_LINE]}" for line in log[:LOG_LINES]]
    lines += [f"note: {note}" for note in evidence.notes]
    return [*lines, f"what to do: {entry.failure.hint}"]
