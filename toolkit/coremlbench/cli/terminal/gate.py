"""The summary of a gate as Markdown, for the terminal and for a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from coremlbench.report.labels import LEVEL_LABEL
from coremlbench.report.render.markdown_text import escape, table_lines
from coremlbench.system.formatting import format_bytes, format_count, format_percent, format_short
from coremlbench.timing.gate_findings import Finding, GateResult, Quantity
from coremlbench.timing.run_comparison import Decision

TITLES: dict[Decision, str] = {
    "failed": "coremlbench: the gate failed",
    "cannot tell": "coremlbench: the gate cannot tell",
    "passed": "coremlbench: the gate passed",
}
HEADINGS: dict[Quantity, str] = {"time": "time of a call", "size": "size", "accuracy": "accuracy"}


def markdown(result: GateResult, *, unsure_fails: bool = False) -> str:
    """Return the summary: the decision, a table of all findings, and what to do where the gate cannot tell."""
    return "\n".join(_lines(result, unsure_fails)).rstrip() + "\n"


def _lines(result: GateResult, unsure_fails: bool) -> Iterator[str]:
    yield f"## {TITLES[result.decision]}"
    yield ""
    counts = [
        f"{sum(finding.decision == decision for finding in result.findings)} {decision}"
        for decision in ("failed", "cannot tell", "passed")
        if any(finding.decision == decision for finding in result.findings)
    ]
    yield f"From {escape(result.before)} to {escape(result.after)}: {', '.join(counts)}."
    yield ""
    yield from table_lines(
        ["", "what", "before", "after", "change", LEVEL_LABEL, "limit"],
        (
            [
                f"**{finding.decision}**" if finding.decision != "passed" else "passed",
                f"{escape(finding.subject)}: {HEADINGS[finding.quantity]}",
                _figure(finding, finding.before),
                _figure(finding, finding.after),
                _change(finding, finding.change),
                _interval(finding),
                _change(finding, finding.limit),
            ]
            for finding in result.findings
        ),
        left=2,
    )
    sentences = [sentence for finding in result.findings if (sentence := _sentence(finding))]
    for line in dict.fromkeys((*sentences, *(escape(note, 400) for note in result.notes))):
        yield f"- {line}"
    if result.decision == "cannot tell" and not unsure_fails:
        yield "- A row without a decision does not fail the build; --fail-if-unsure would."
    yield ""


def _figure(finding: Finding, value: float | None) -> str:
    if value is None:
        return "–"
    if finding.quantity == "time":
        return format_short(value)
    return format_bytes(int(value)) if finding.quantity == "size" else format_percent(value)


def _change(finding: Finding, value: float | None) -> str:
    """Return +5.0% for a time or a size, −0.5 points for an accuracy."""
    if value is None:
        return "–"
    shown = f"{100 * value:+.1f}".replace("-", "−")
    return f"{shown} points" if finding.quantity == "accuracy" else f"{shown}%"


def _interval(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return "–" if finding.quantity == "time" else "exact"
    return f"{_change(finding, finding.low)} to {_change(finding, finding.high)}"


def _sentence(finding: Finding) -> str:
    """Return what there is to say of a finding beside its row, "" for nothing."""
    subject = escape(finding.subject)
    if finding.decision == "cannot tell" and finding.advised_rounds is not None:
        more = format_count(finding.advised_rounds - finding.rounds, "more round")
        return (
            f"{subject}: cannot tell, {more} would, unless the change is next to the limit. Time both with "
            f"`--rounds {finding.advised_rounds}`."
        )
    if finding.decision == "passed" or not finding.reason:
        return ""
    prefix = "cannot tell. " if finding.decision == "cannot tell" else ""
    return f"{subject}: {prefix}{escape(finding.reason, 400)}"
