"""Generate the page on failures, ``docs/failures.md``, from the rules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from coremlbench.failures.rules import SECTIONS, Rule
from coremlbench.failures.training_checks import CHECKS

REPOSITORIES = {
    "borg": "borgbackup/borg",
    "coremltools": "apple/coremltools",
    "executorch": "pytorch/executorch",
    "exo": "exo-explore/exo",
    "flet": "flet-dev/flet",
    "keras": "keras-team/keras",
    "llama.cpp": "ggml-org/llama.cpp",
    "min-dalle": "kuprel/min-dalle",
    "mlx": "ml-explore/mlx",
    "nvidia-docker": "NVIDIA/nvidia-docker",
    "omlx": "jundot/omlx",
    "protobuf": "protocolbuffers/protobuf",
    "pytorch": "pytorch/pytorch",
    "rails": "rails/rails",
    "scancode-toolkit": "aboutcode-org/scancode-toolkit",
    "tensorflow": "tensorflow/tensorflow",
    "tensorflow_macos": "apple/tensorflow_macos",
    "tf-keras": "keras-team/tf-keras",
    "toolbox": "containers/toolbox",
    "turicreate": "apple/turicreate",
}
"""The GitHub repositories of the issues that rules name as their source."""

PRESERVED_SECTION = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)
"""A section that is not generated here: it is copied from the existing page."""

PLACEHOLDERS = {
    "who": "The worker",
    "where": " (and where)",
    "by_signal": "",
    "message": "(what the worker said)",
    "said": "",
    "type": "(type)",
    "peak": "(so much)",
    "signal": "(the signal)",
    "returncode": "(code)",
    "oom_kills": "(count)",
    "oom_note": "for lack of memory, likely, unless the system counted no such kill",
    "limit_seconds": "(the limit)",
    "limit_bytes": "(the limit)",
    "avx_note": "",
    "disk_note": "",
    "files_note": "",
    "crash_note": "",
    "doctor": "coremlbench doctor",
    "resume_createml": "coremlbench createml --resume",
    "bundle": "coremlbench failures --bundle failures.zip",
}
"""The values that the page shows for the fields of the rules' texts."""

INTRODUCTION = """# Failures

A run that fails is a result: it has a record, appears in every table, and states the cause as far as it can be known.
`coremlbench failures` lists failures; `coremlbench failures --bundle OUT.zip` packs the records and logs that one needs
to examine them, without home folders, user and host names.

This page is generated from the rules: `make docs` writes it, and a test fails when it is out of date.

## How a failure is classified

Every stage of a run is a process of its own, which a supervisor watches. When it has ended, the rules below are tested
in their order, and the first that matches decides: first what coremlbench stopped itself, then faults of graphics
processors, errors that the worker reported itself, messages of libraries and the system, and last the signal or exit
code alone. A reason says **likely** where it is inference. A failure that no other rule matches is `unknown`.

The evidence is in `outcome.evidence` of the record: the lines that matched, the last lines of
the log, exit code and signal, phase and progress, the exception, the memory of the process tree over time, the
system's count of kills for memory (Linux), the stack of Python's fault handler, macOS's crash report (found by process
id and time in `~/Library/Logs/DiagnosticReports`), and what was left of disk, memory and file descriptors, with
whether the process was translated by Rosetta and whether the processor has AVX.

A rule marked *even when it says it succeeded* is also tested for a process that ended with a valid result: after a
fault of a GPU a process may go on, with wrong results. Such lines are searched for in the whole log. A process that
ends with exit code 0 and without a valid `result.json` has failed.
"""

TRAINING_CHECKS = """## Trainings that finish without a valid result

A training can finish and have learnt nothing. These checks are made of every finished training. One that is marked
*under the protocol* is only a note in a run that deviates from it (few images, one epoch, random weights).
"""


def document(existing: str = "") -> str:
    """Return the page; its preserved sections are copied from ``existing``, the page as it is now."""
    sections = {match[1]: match[2] for match in PRESERVED_SECTION.finditer(existing)}
    page = "\n".join([INTRODUCTION, *_tables(), *_preserved(sections)])
    return page.rstrip() + "\n"


def link(source: str) -> str:
    """Return a source as Markdown, with links to the issues that it names.

    An issue is a name in ``REPOSITORIES``, or an owner and a repository, and a number.
    """
    parts = []
    for part in source.split("; "):
        name, _, number = part.rpartition(" ")
        repository = REPOSITORIES.get(name, name if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else None)
        is_issue = repository is not None and number.isdigit()
        parts.append(f"[{part}](https://github.com/{repository}/issues/{number})" if is_issue else part)
    return "; ".join(parts)


def _tables() -> Iterator[str]:
    for title, rules in SECTIONS:
        yield f"## {title}\n"
        yield "| kind | recognised by | what is said | what to do | source |\n|---|---|---|---|---|"
        yield from (_row(rule) for rule in rules)
        yield ""
    yield TRAINING_CHECKS
    yield "| kind | recognised by | what is said | what to do | source |\n|---|---|---|---|---|"
    for check in CHECKS:
        description = check.description + (" (under the protocol)" if check.protocol_only else "")
        cells = [cell(text) for text in (description, check.reason, check.hint)]
        yield f"| `{check.kind}` | {' | '.join(cells)} | {link(check.source)} |"
    yield ""


def _row(rule: Rule) -> str:
    description = cell(rule.matches.description) + (" *(even when it says it succeeded)*" if rule.also_success else "")
    reason, hint = (cell(text.format(**PLACEHOLDERS)) for text in (rule.reason, rule.hint))
    return f"| `{rule.kind}` | {description} | {reason} | {hint} | {link(rule.source)} |"


def cell(text: str) -> str:
    """Return text for a table cell, with bars escaped: they would end the cell, inside code too."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _preserved(sections: dict[str, str]) -> Iterator[str]:
    yield "## Runs that were killed\n"
    yield f"<!-- kills -->\n{sections.get('kills', '')}<!-- /kills -->\n"
    yield "## Bad inputs and environments\n"
    yield f"<!-- inputs -->\n{sections.get('inputs', '')}<!-- /inputs -->"
