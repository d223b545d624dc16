"""Write a ZIP archive of failed runs for a bug report, with personal data redacted."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coremlbench import __version__
from coremlbench.diagnostics.doctor import SystemCheck
from coremlbench.diagnostics.redaction import Owner, Redactor, collect_words
from coremlbench.experiments.catalogue import EXPERIMENTS
from coremlbench.failures.rules import RULES
from coremlbench.runs import store
from coremlbench.supervision.crash_reports import REPORT_COPY
from coremlbench.system import serialization
from coremlbench.system.files import write_new
from coremlbench.types.errors import InputError
from coremlbench.types.records import Record

HEAD_BYTES, TAIL_BYTES = 100_000, 900_000
"""Bytes from the beginning and the end of a longer log."""
DATE = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive, so that equal contents give equal archives; the earliest that ZIP has."""
IDENTIFYING_KEYS = frozenset(
    (
        "crashReporterKey",
        "incident",
        "incident_id",
        "sleepWakeUUID",
        "bootSessionUUID",
        "deviceIdentifierForVendor",
        "userID",
        "wakeTime",
    )
)
"""Fields of a macOS crash report that identify the machine or its user; they are removed."""

README = f"""Records and logs of runs of coremlbench {__version__}, for the analysis of a failure.

<run>/run.json      the record: what was run, on what, with which versions, and why it failed
<run>/logs/         output and progress of each stage's process; of a long log the beginning and the end
<run>/logs/*-{REPORT_COPY}  macOS's crash report, where there is one
doctor.json         the checks of the machine that made this archive (coremlbench doctor)

Removed: home folders (~), user names ({{user}}), host names, e-mail and network addresses, passwords and the like.
A user name that is also an ordinary word is removed from paths and the like only. Look through the archive before you
pass it on: names of your own folders and files are left in.
"""


@dataclass(frozen=True)
class ArchiveEntry:
    """A file of the archive before redaction; ``form`` is ``json``, ``lines`` (JSON lines), ``crash`` or ``text``."""

    name: str
    data: bytes
    form: str


def write_bundle(
    out: Path,
    records: Sequence[Record],
    results: Path,
    *,
    checks: Sequence[SystemCheck],
    owner: Owner,
    folders: Mapping[str, Path] | None = None,
    redactor: Redactor | None = None,
) -> tuple[str, ...]:
    """Write the archive to ``out`` and return the names of the files in it.

    ``folders`` has the folders of runs, by id, that are not in ``results`` itself.
    ``checks`` are the doctor's, ``owner`` is whose data is redacted. The file appears only when it is complete, and an
    existing file is never replaced. ``redactor`` replaces the usual one, which leaves in the names of folders.

    Raises:
        InputError: ``out`` exists already, or cannot be written.
    """
    if out.exists():
        raise InputError(f"{out} exists already; name another file.")
    entries = [ArchiveEntry("doctor.json", json.dumps([asdict(check) for check in checks]).encode(), "json")]
    for record in records:
        entries += _run_files(record, (folders or {}).get(record.id, results / record.id))
    readme = README if redactor is None else README.replace("names of your own folders and files", "names of files")
    redactor = redactor or Redactor(owner, ordinary_words(records))
    for entry in entries:
        redactor.learn(entry.name)
        redactor.learn(entry.data.decode("utf-8", "replace"))
    content = {"README.txt": readme.format(user="<user>").encode()}
    for entry in entries:
        name = _unique(redactor.text(entry.name).replace("~/", ""), content)
        content[name] = redact_entry(entry, redactor)
    write_archive(out, content)
    return tuple(content)


def _run_files(record: Record, folder: Path) -> Iterator[ArchiveEntry]:
    """Yield a run's record and logs; the logs of a killed run are still in the folders of its stages."""
    yield ArchiveEntry(f"{record.id}/run.json", store.to_bytes(record), "json")
    logs = [(path, path.name) for path in sorted(folder.glob("logs/*"))]
    for file_name in ("log.txt", "progress.jsonl", REPORT_COPY):
        logs += [(path, f"{path.parent.name}-{file_name}") for path in sorted(folder.glob(f"work/*/{file_name}"))]
    for path, name in logs:
        form = {".jsonl": "lines", ".ips": "crash"}.get(path.suffix, "text")
        with suppress(OSError):
            yield ArchiveEntry(f"{record.id}/logs/{name}", _head_and_tail(path), form)


def _head_and_tail(path: Path) -> bytes:
    """Return a file's content; of a long log its beginning and end, with a line on what is left out between them."""
    with path.open("rb") as file:
        data = file.read(HEAD_BYTES + TAIL_BYTES)
        rest = path.stat().st_size - len(data)
        if rest <= 0 or path.suffix == ".ips":
            return data + file.read(max(0, rest))
        file.seek(-TAIL_BYTES, io.SEEK_END)
        end = file.read()
    return data[:HEAD_BYTES] + b"\n... %d bytes are left out here ...\n" % rest + end


def ordinary_words(records: Iterable[Record]) -> frozenset[str]:
    """Return the words of schema, catalogue, failure rules and records: as user names they are ordinary words."""
    values: list[Any] = [store.json_schema(), serialization.to_json(list(EXPERIMENTS))]
    values += [[rule.kind, rule.reason, rule.hint] for rule in RULES]
    for record in records:
        values += [serialization.to_json(record.machine), record.versions, record.engine]
        values += [phase.name for phase in record.phases]
    return collect_words(values)


def redact_entry(entry: ArchiveEntry, redactor: Redactor) -> bytes:
    """Return a file's content with personal data replaced; what cannot be read as its form is treated as text."""
    text = entry.data.decode("utf-8", "replace")
    if entry.form == "json":
        return _json_bytes(redactor.value(json.loads(text)))
    if entry.form == "lines":
        return b"".join(_redacted_line(line, redactor) + b"\n" for line in text.splitlines())
    if entry.form == "crash":
        with suppress(ValueError):
            metadata, _, report = text.partition("\n")
            head, body = (redactor.value(_without_identifiers(json.loads(part))) for part in (metadata, report))
            return json.dumps(head, ensure_ascii=False).encode() + b"\n" + _json_bytes(body)
    return redactor.text(text).encode()


def _redacted_line(line: str, redactor: Redactor) -> bytes:
    with suppress(ValueError):
        return json.dumps(redactor.value(json.loads(line)), ensure_ascii=False).encode()
    return redactor.text(line).encode()


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def _without_identifiers(value: Any) -> Any:
    """Return JSON values without the fields of ``IDENTIFYING_KEYS``."""
    if isinstance(value, dict):
        return {key: _without_identifiers(item) for key, item in value.items() if key not in IDENTIFYING_KEYS}
    return [_without_identifiers(item) for item in value] if isinstance(value, list) else value


def _unique(name: str, taken: dict[str, bytes]) -> str:
    """Return the name, with a number in front if redaction made it equal to one that is taken."""
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{number}-{name}"
    return unique


def write_archive(out: Path, content: dict[str, bytes]) -> None:
    """Write a new ZIP archive of the files by name.

    Raises:
        InputError: ``out`` exists already, or cannot be written.
    """
    try:
        write_new(out, _zip(content))
    except FileExistsError:
        raise InputError(f"{out} exists already; name another file.") from None
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}; name a file in another folder.") from error


def _zip(content: dict[str, bytes]) -> bytes:
    """Return a ZIP archive of the files by name; equal contents give equal bytes, as times and modes are fixed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()
