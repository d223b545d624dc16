"""Generate the page on known deviations of Core ML, ``docs/known-deviations.md``, from their table."""

from __future__ import annotations

from coremlbench.conversion.known_deviations import DEVIATIONS, DEVICE_NAMES, KnownDeviation
from coremlbench.failures.documentation import cell, link

INTRODUCTION = """# Known deviations of Core ML

A proof executes a package as the specification of its ops says. A device may compute something else: this table lists
where public issues show that Core ML does. It is no list of rounding: float16 has errors of its own, which a proof
measures.

- A package with an op of the table, in that form and precision, is `proven with caveats` where it would be `proven`:
  the caveat names op, precision, device and issue. A ready package gets it too.
- In `convert-and-time`, a measurement of such a package on a compute unit that may use the device has a note, on the
  terminal, in the record and in the report. Core ML's outputs are compared with the expected ones there, so that a
  deviation shows, if the inputs reach it.
- The names stand in the records, in `known_deviations` of each variant.

A row is as narrow as its issues, and no promise that other forms are right. A release of macOS may have mended one: the
column "seen with" has what the issues name. Whoever knows of another adds a row to
`conversion/known_deviations.py`, with its test.

This page is generated from the table: `make docs` writes it, and a test fails when it is out of date.

| name | op and form | precision | deviates on | seen with | what happens | source |
|---|---|---|---|---|---|---|
"""


def document() -> str:
    """Return the page."""
    return INTRODUCTION + "\n".join(_row(row) for row in DEVIATIONS) + "\n"


def _row(row: KnownDeviation) -> str:
    cells = [
        f"`{row.name}`",
        f"{row.op} {row.form}".strip(),
        row.precision,
        ", ".join(DEVICE_NAMES[device].removeprefix("the ") for device in row.devices) or "not known",
        row.systems,
        row.effect,
        link(row.source),
    ]
    return f"| {' | '.join(cell(text) for text in cells)} |"
