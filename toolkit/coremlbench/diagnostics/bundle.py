"""One archive of what a maintainer would ask for after a failure, without what tells whose machine it was."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coremlbench import __version__
from coremlbench.diagnostics.doctor import Check
from coremlbench.diagnostics.redaction import Owner, Redaction, words_of
from coremlbench.experiments.catalogue import EXPERIMENTS
from coremlbench.failures.rules import RULES
from coremlbench.runs import store
from coremlbench.supervision.crash_reports import COPY
from coremlbench.system import serialization
from coremlbench.system.files import write_new
from coremlbench.types.errors import InputError
from coremlbench.types.records import Record

HEAD_BYTES, TAIL_BYTES = 100_000, 900_000
"""Of a longer log its beginning and its end are taken."""
DATE = (1980, 1, 1, 0, 0, 0)
TELLING_KEYS = frozenset(
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
"""Fields of a macOS crash report that identify the machine or its user."""

README = f"""What coremlbench {__version__} noted of runs, for whoever looks into a failure.

<run>/run.json      the record: what was run, on what, with which versions, and why it failed
<run>/logs/         what each stage's process wrote, and how far it came; of a long log the beginning and the end
<run>/logs/*-{COPY}  macOS's report of the crash, where there is one
doctor.json         what works on the machine that made this archive

Taken out: home folders (~), user names ({{user}}), host names, e-mail and network addresses, passwords and the like.
A user name that is also an ordinary word is taken out of paths and the like only. Look through it before you pass
it on: names of your own folders and files are left in.
"""


@dataclass(frozen=True)
class _Entry:
    """A file of the archive before it is redacted."""

    name: str
    data: bytes
    form: str


def write_bundle(
    out: Path, records: Sequence[Record], results: Path, *, checks: Sequence[Check], owner: Owner
) -> tuple[str, ...]:
    """Return the names of the files in the archive that was written to ``out``.

    It takes its name only when it is whole, and no file that is there is replaced.

    Raises:
        InputError: ``out`` is there already, or cannot be written.
    """
    if out.exists():
        raise InputError(f"{out} exists already; name another file.")
    entries = [_Entry("doctor.json", json.dumps([asdict(check) for check in checks]).encode(), "json")]
    for record in records:
        entries += _files_of(record, results / record.id)
    redaction = Redaction(owner, _ordinary_words(records))
    for entry in entries:
        redaction.learn(entry.name)
        redaction.learn(entry.data.decode("utf-8", "replace"))
    content = {"README.txt": README.format(user="<user>").encode()}
    for entry in entries:
        name = _free(redaction.text(entry.name).replace("~/", ""), content)
        content[name] = _redacted(entry, redaction)
    try:
        write_new(out, _zipped(content))
    except FileExistsError:
        raise InputError(f"{out} exists already; name another file.") from None
    except OSError as problem:
        raise InputError(f"{out} cannot be written: {problem.strerror}; name a file in another folder.") from problem
    return tuple(content)


def _files_of(record: Record, folder: Path) -> Iterator[_Entry]:
    """Yield the files of a run that are wanted; those of a run that was killed still lie in its stages' folders."""
    yield _Entry(f"{record.id}/run.json", store.to_bytes(record), "json")
    found = [(path, path.name) for path in sorted(folder.glob("logs/*"))]
    for wanted in ("log.txt", "progress.jsonl", COPY):
        found += [(path, f"{path.parent.name}-{wanted}") for path in sorted(folder.glob(f"work/*/{wanted}"))]
    for path, name in found:
        form = {".jsonl": "lines", ".ips": "crash"}.get(path.suffix, "text")
        with suppress(OSError):
            yield _Entry(f"{record.id}/logs/{name}", _both_ends(path), form)


def _both_ends(path: Path) -> bytes:
    """Return a file's content, of a long one the beginning and the end with a line between them."""
    with path.open("rb") as file:
        data = file.read(HEAD_BYTES + TAIL_BYTES)
        left = path.stat().st_size - len(data)
        if left <= 0 or path.suffix == ".ips":
            return data + file.read(max(0, left))
        file.seek(-TAIL_BYTES, io.SEEK_END)
        end = file.read()
    return data[:HEAD_BYTES] + b"\n... %d bytes are left out here ...\n" % left + end


def _ordinary_words(records: Iterable[Record]) -> frozenset[str]:
    """Return the words that stand in records and logs for what they mean, whoever has them for a name."""
    ours: list[Any] = [store.json_schema(), serialization.to_json(list(EXPERIMENTS))]
    ours += [[rule.kind, rule.reason, rule.hint] for rule in RULES]
    for record in records:
        ours += [serialization.to_json(record.machine), record.versions, record.engine]
        ours += [phase.name for phase in record.phases]
    return words_of(ours)


def _redacted(entry: _Entry, redaction: Redaction) -> bytes:
    text = entry.data.decode("utf-8", "replace")
    if entry.form == "json":
        return _json(redaction.value(json.loads(text)))
    if entry.form == "lines":
        return b"".join(_line(line, redaction) + b"\n" for line in text.splitlines())
    if entry.form == "crash":
        with suppress(ValueError):
            metadata, _, report = text.partition("\n")
            head, body = (redaction.value(_without_telling(json.loads(part))) for part in (metadata, report))
            return json.dumps(head, ensure_ascii=False).encode() + b"\n" + _json(body)
    return redaction.text(text).encode()


def _line(line: str, redaction: Redaction) -> bytes:
    with suppress(ValueError):
        return json.dumps(redaction.value(json.loads(line)), ensure_ascii=False).encode()
    return redaction.text(line).encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def _without_telling(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_telling(each) for key, each in value.items() if key not in TELLING_KEYS}
    return [_without_telling(each) for each in value] if isinstance(value, list) else value


def _free(name: str, taken: dict[str, bytes]) -> str:
    """Return the name, with a number where redaction made two names one."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{number}-{name}"
    return free


def _zipped(content: dict[str, bytes]) -> bytes:
    """Return an archive that is the same for the same content: neither times nor modes of this machine are in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()
