"""The findings of a campaign of kills: as lines of a file, and as a table of a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.kills_checks import AFTER

TARGETS = ("worker", "parent", "group")
HEADINGS = (
    *("command", "kills", "to a worker", "to the parent", "to both groups"),
    *("phases, epochs, images, variants and rounds finished before", "of these lost", "processes that outlived it"),
    *("runs with files left after the next start", "more kills after the run's end"),
)
COUNTED = ("phases", "epochs", "images", "variants", "rounds")


@dataclass(frozen=True)
class Found:
    """What one kill left. ``victim`` is what was hit; ``broken`` holds a sentence for whatever should not be so."""

    number: int
    command: str
    target: str
    victim: str
    moment: float
    phase: str
    phases_before: int = 0
    images_before: int = 0
    epochs_before: int = 0
    variants_before: int = 0
    rounds_before: int = 0
    broken: list[str] = field(default_factory=list)


def read(file: Path) -> list[Found]:
    """Return the findings in a file."""
    if not file.exists():
        return []
    return sorted(
        (Found(**json.loads(line)) for line in file.read_text().splitlines()), key=lambda finding: finding.number
    )


def markdown(findings: Sequence[Found], seed: int) -> str:
    """Return the figures as a section of a page."""
    running = [finding for finding in findings if finding.phase != AFTER]
    rows = [
        f"{len(running)} kills of running work with SIGKILL at random moments (seed {seed}):",
        "`python -m benchmarks.kills`.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---" * len(HEADINGS) + "|",
    ]
    for name in dict.fromkeys(finding.command for finding in findings):
        of_command = [finding for finding in findings if finding.command == name]
        hit = [finding for finding in of_command if finding.phase != AFTER]
        targets = Counter(finding.target for finding in hit)
        said = [sentence for finding in of_command for sentence in finding.broken]
        orphans = sum("outlived" in sentence for sentence in said)
        left = sum("left behind" in sentence for sentence in said)
        done = ", ".join(f"{sum(getattr(finding, f'{what}_before') for finding in hit):,}" for what in COUNTED)
        counts = " | ".join(str(targets[target]) for target in TARGETS)
        lost = len(said) - orphans - left
        rows.append(
            f"| `{name}` | {len(hit)} | {counts} | {done} | {lost} | {orphans} | {left} "
            f"| {len(of_command) - len(hit)} |"
        )
    for heading, of_all in (("Where they were", "phase"), ("What was hit", "victim")):
        counted = Counter(getattr(finding, of_all) for finding in running).most_common()
        rows += ["", f"{heading}: " + ", ".join(f"{name} {count}" for name, count in counted) + "."]
    return "\n".join(rows) + "\n"


def with_section(page: str, table: str) -> str:
    """Return the page with the table between the comments ``kills`` and ``/kills``."""
    before, start, rest = page.partition("<!-- kills -->\n")
    _, end, after = rest.partition("<!-- /kills -->")
    if not start or not end:
        raise SystemExit(
            "The page has no section for the table: <!-- kills --> and <!-- /kills --> on lines of their own."
        )
    return f"{before}{start}\n{table}\n{end}{after}"
