"""Write one archive of what a machine said in a self-test, without what identifies it or its owner."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from coremlbench import __version__
from coremlbench.diagnostics.bundle import ArchiveEntry, ordinary_words, redact_entry, write_archive
from coremlbench.diagnostics.redaction import Owner, Redactor, collect_words, detect_owner
from coremlbench.diagnostics.selftest.checks import TEXTS, CheckResult, Context
from coremlbench.diagnostics.selftest.identifiers import remove_identifiers
from coremlbench.diagnostics.selftest.texts import MachineText
from coremlbench.supervision.crash_reports import REPORT_COPY
from coremlbench.system import macos, serialization
from coremlbench.system.machine import describe_machine
from coremlbench.types.errors import InputError

INDEX = "texts.json"
README = f"""What a machine said in a self-test of coremlbench {__version__} (coremlbench selftest --bundle).

selftest.json   the results of the checks
machine.json    the machine, as records describe it
versions.json   Python and packages
{INDEX}      the commands and files of texts/, with exit codes and error output
texts/          what each of them gave
results/        results and logs of the checks' processes, and macOS's crash report of a child that aborted on purpose

Removed: home folders, names of users, computers, networks and displays, serial numbers, UUIDs, addresses. Look through
the archive before you pass it on.

A copy in tests/fixtures/machines/ becomes a fixture of the tests: see the README there.
"""


def check_target(out: Path) -> None:
    """Raise ``InputError`` when the archive cannot be written to ``out``: before two minutes of checks."""
    if out.exists():
        raise InputError(f"{out} exists already; name another file.")
    if not out.absolute().parent.is_dir():
        raise InputError(f"{out} cannot be written: there is no folder {out.absolute().parent}; make it first.")


def write_selftest_bundle(
    out: Path, context: Context, results: Sequence[CheckResult], texts: Sequence[MachineText], owner: Owner
) -> tuple[str, ...]:
    """Write the archive to ``out`` and return the names of its files. ``owner`` is whose data is redacted.

    Raises:
        InputError: ``out`` exists already, or cannot be written.
    """
    machine = {key: value for key, value in serialization.to_json(describe_machine()).items() if key != "id"}
    entries = [
        *_text_entries(texts),
        _json_entry("selftest.json", _selftest_json(context, results)),
        _json_entry("machine.json", machine),
        _json_entry("versions.json", _versions()),
        *_result_entries(context.folder),
    ]
    redactor = Redactor(owner, ordinary_words(()) | collect_words([machine, [result.name for result in results]]))
    for entry in entries:
        redactor.learn(entry.data.decode("utf-8", "replace"))
    content = {"README.txt": README.encode(), **{entry.name: redact_entry(entry, redactor) for entry in entries}}
    write_archive(out, content)
    return tuple(content)


def machine_owner() -> Owner:
    """Return this machine's owner, with the names that macOS gives the computer."""
    names = [macos.tool_output("scutil", "--get", name) for name in ("ComputerName", "LocalHostName", "HostName")]
    owner = detect_owner()
    return replace(owner, hosts=(*owner.hosts, *(name for name in names if name)))


def _text_entries(texts: Sequence[MachineText]) -> list[ArchiveEntry]:
    """Return a file for each text, and their index."""
    entries, index = [], []
    for number, text in enumerate(texts):
        file = f"texts/{number:02}-{re.sub(r'[^A-Za-z0-9]+', '-', text.source).strip('-')}.txt"
        entries.append(ArchiveEntry(file, remove_identifiers(text.source, text.output).encode(), "text"))
        errors = remove_identifiers("", text.errors)
        index.append({"source": text.source, "file": file, "returncode": text.returncode, "errors": errors})
    return [*entries, _json_entry(INDEX, index)]


def _result_entries(folder: Path) -> list[ArchiveEntry]:
    """Return what the checks left, and the system's report of the child that aborted."""
    forms = {".json": "json", ".log": "text"}
    entries = [
        ArchiveEntry(f"results/{path.name}", path.read_bytes(), forms.get(path.suffix, "text"))
        for path in sorted((folder / TEXTS).glob("*"))
        if path.stat().st_size
    ]
    reports = sorted((folder / "scripts").glob(f"*/{REPORT_COPY}"))[:1]
    return [*entries, *(ArchiveEntry(f"results/{REPORT_COPY}", path.read_bytes(), "crash") for path in reports)]


def _selftest_json(context: Context, results: Sequence[CheckResult]) -> dict[str, Any]:
    return {
        "coremlbench": __version__,
        "host": asdict(context.host),
        "checks": [asdict(result) for result in results],
    }


def _versions() -> dict[str, Any]:
    """Return the versions of Python and of the packages that coremlbench requires, directly, where installed."""
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in metadata.requires("coremlbench") or ()}
    packages = {}
    for name in sorted(names):
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return {
        "coremlbench": __version__,
        "python": platform.python_version(),
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "platform": platform.platform(),
        "packages": packages,
    }


def _json_entry(name: str, value: Any) -> ArchiveEntry:
    return ArchiveEntry(name, json.dumps(value, ensure_ascii=False).encode(), "json")
