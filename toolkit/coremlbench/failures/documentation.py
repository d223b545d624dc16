"""The page on failures, ``docs/failures.md``, made from the rules that judge them."""

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
"""Where the issues are that the rules name."""

KEPT = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)
"""A section that another program or a person writes: it stays as it is when the page is made again."""

BLANKS = {
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
}
"""What the page says where a failure has a figure of its own."""

INTRODUCTION = """# Failures

A run that fails is a result: it has a record as every other, stands in every table, and says why it failed as far as
that can be known. `coremlbench failures` lists them; `coremlbench failures --bundle OUT.zip` packs what somebody who
looks into one would ask for, without home folders, user and host names.

This page is made from the rules themselves: `make docs` writes it, and a test fails when it is out of date.

## How a failure is judged

Every stage of a run is a process of its own, watched from outside. When it has ended, the rules below are asked in
their order, and the first that matches decides. What coremlbench did itself stands first, then faults of graphics
processors, then what the worker said in a sentence of its own, then what libraries and the system wrote, and the bare
signal or exit code last. A reason says **likely** where it is inference. What no rule knows is `unknown`; nothing is
guessed.

The judgement keeps what it rests on, in `outcome.evidence` of the record: the lines that matched, the last lines of
the log, exit code and signal, phase and progress, the exception, the memory of the process tree over time, the
system's count of kills for memory (Linux), the stack of Python's fault handler, macOS's crash report (found by process
id and time in `~/Library/Logs/DiagnosticReports`), and what was left of disk, memory and file descriptors, with
whether the process was translated by Rosetta and whether the processor has AVX.

A rule marked *even when it says it succeeded* is also asked about a process that ended well with a valid result: after
a fault of a GPU a process lives on, and its figures mean nothing. Such lines are looked for in the whole log. A
process that ends with exit code 0 and without a valid `result.json` has failed, whatever it says.
"""

SOUNDNESS = """## Trainings that finish and yet are no result

A process can end well and have learnt nothing. These are asked of every finished training; what is meant for the
protocol alone is only a note in a run that is something else (few images, one epoch, random weights).
"""


def document(existing: str = "") -> str:
    """Return the page; the kept sections are those of ``existing``, the page as it is now."""
    kept = {found[1]: found[2] for found in KEPT.finditer(existing)}
    page = "\n".join([INTRODUCTION, *_tables(), *_kept(kept)])
    return page.rstrip() + "\n"


def link(source: str) -> str:
    """Return a rule's source with links to the issues that it names."""
    parts = []
    for each in source.split("; "):
        repository, _, number = each.rpartition(" ")
        where = REPOSITORIES.get(repository)
        parts.append(f"[{each}](https://github.com/{where}/issues/{number})" if where and number.isdigit() else each)
    return "; ".join(parts)


def _tables() -> Iterator[str]:
    for title, rules in SECTIONS:
        yield f"## {title}\n"
        yield "| kind | recognised by | what is said | what to do | source |\n|---|---|---|---|---|"
        yield from (_row(rule) for rule in rules)
        yield ""
    yield SOUNDNESS
    yield "| kind | recognised by | what is said | what to do | source |\n|---|---|---|---|---|"
    for check in CHECKS:
        says = check.says + (" (under the protocol)" if check.protocol_only else "")
        yield f"| `{check.kind}` | {_cell(says)} | {_cell(check.reason)} | {_cell(check.hint)} | {link(check.source)} |"
    yield ""


def _row(rule: Rule) -> str:
    says = _cell(rule.matches.says) + (" *(even when it says it succeeded)*" if rule.also_success else "")
    reason, hint = (_cell(text.format(**BLANKS)) for text in (rule.reason, rule.hint))
    return f"| `{rule.kind}` | {says} | {reason} | {hint} | {link(rule.source)} |"


def _cell(text: str) -> str:
    """Return text for a cell of a table: a bar in it would end the cell, inside code too."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _kept(kept: dict[str, str]) -> Iterator[str]:
    yield "## Runs that were killed\n"
    yield f"<!-- kills -->\n{kept.get('kills', '')}<!-- /kills -->\n"
    yield "## Bad inputs and environments\n"
    yield f"<!-- inputs -->\n{kept.get('inputs', '')}<!-- /inputs -->"
