"""Records for passing on: without user and host names, paths, serial numbers and what identifies a machine.

``redaction`` takes out people and computers. A record that is passed on also names folders, such as that of a client's
project: of a path only its last part stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from coremlbench.diagnostics.bundle import ordinary_words
from coremlbench.diagnostics.redaction import HOME, Owner, Redactor
from coremlbench.diagnostics.selftest.identifiers import NO_UUID
from coremlbench.runs import store
from coremlbench.types.records import Record
from coremlbench.types.training_records import TrainingRecord

FOLDER = "<folder>"
PATH_FIELDS = frozenset(
    (
        *("check", "custom_objects", "data", "dataset", "expected", "inputs", "kit", "original", "package", "path"),
        *("results", "source", "weights"),
    )
)
"""Fields whose values are paths, if they begin like one; the words of ``command`` are others."""
ROOTS = (
    "Users|Volumes|data|dev/shm|export|home|media|mnt|net|nfs|opt|private|projects|root|run|scratch|srv|storage|tmp|var"
    "|work|workspace|workspaces"
)
"""Folders at the top of a disk that hold people's files. Those of the system tell nothing."""
_WORD = r"[^\s/\"'`:;,<>()\[\]{}]+"
PATH = re.compile(rf"(?<![\w~<>./:-])(?:~|/(?:{ROOTS}))(?:/{_WORD}(?: (?!~){_WORD}){{0,3}}(?=/))*(?:/{_WORD})+")
"""A path in a text. The name of a folder may have spaces in it, as a separator follows; the last name ends at one."""
LIBRARIES = re.compile(r"/((?:site|dist)-packages/.*)")
SERIAL = re.compile(r"(?i)\b(serial(?:[ _-]?(?:number|no))?(?: \(system\))?\s*[:=#]\s*[\"']?)[^\s\"',;<]+")
UUID = re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@dataclass
class SharingRedactor(Redactor):
    """Also replaces paths by their last parts, and serial numbers.

    ``learn`` takes records as JSON text: the folders that their fields name are replaced wherever they occur, also with
    spaces in them. ``machines`` are names for the identifiers of machines.
    """

    machines: dict[str, str] = field(default_factory=dict)
    _folders: set[str] = field(default_factory=set)

    def learn(self, text: str) -> None:
        """Add the users and the folders that occur in the text."""
        super().learn(text)
        with suppress(ValueError):
            self._folders.update(_folders_in(json.loads(text)))

    def text(self, text: str) -> str:
        """Return the text with personal data, paths and serial numbers replaced."""
        for folder in sorted(self._folders, key=len, reverse=True):
            text = re.sub(rf"(?<![\w/.~]){re.escape(folder)}(?=/|$|[\s\"'`:;,)])", FOLDER, text)
        for machine, name in self.machines.items():
            text = text.replace(machine, name)
        text = PATH.sub(_last_part, super().text(text))
        return UUID.sub(NO_UUID, SERIAL.sub(r"\1<serial>", text))


def _last_part(match: re.Match[str]) -> str:
    """Return a path without its folders; within a Python library the path there stays, for tracebacks."""
    library = LIBRARIES.search(match[0])
    return f"{FOLDER}/{library[1] if library else match[0].rpartition('/')[2]}"


def _folders_in(value: Any, key: str = "") -> Iterable[str]:
    """Yield the folders of the paths in JSON values."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _folders_in(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _folders_in(item, key)
    elif isinstance(value, str) and key in {*PATH_FIELDS, "command"}:
        path = value.partition("=")[2] if value.startswith("--") else value
        folder = path.rstrip("/").rpartition("/")[0]
        if path.startswith(("/", HOME)) and len(folder) > 1 and not re.match(r"/(?:usr|bin|System|Library)\b", folder):
            yield folder


def redact_records(records: Sequence[Record], owner: Owner) -> list[Record]:
    """Return records for passing on. ``owner`` is this machine's; the owners of others are found by patterns.

    Machines are numbered (``machine-1``) instead of identified.
    """
    redactor = sharing_redactor(records, owner)
    contents = [redactor.value(json.loads(store.to_bytes(record))) for record in records]
    return [store.from_bytes(json.dumps(content).encode()) for content in contents]


def redact_texts(texts: Sequence[str], records: Sequence[Record], owner: Owner) -> list[str]:
    """Return sentences for passing on, such as those on records that cannot be read."""
    redactor = sharing_redactor(records, owner)
    for text in texts:
        redactor.learn(text)
    return [redactor.text(text) for text in texts]


def sharing_redactor(records: Sequence[Record], owner: Owner) -> SharingRedactor:
    """Return the redactor that knows the owners and folders of all records."""
    ids = dict.fromkeys(record.machine.id for record in records if record.machine.id)
    machines = {machine: f"machine-{number}" for number, machine in enumerate(ids, start=1)}
    redactor = SharingRedactor(owner, ordinary_words(records), machines=machines)
    for record in records:
        redactor.learn(store.to_bytes(record).decode())
    return redactor


def is_public_dataset(record: Record) -> bool:
    """Return whether the pictures of a record are of a dataset that anybody can have."""
    from coremlbench_datasets import DATASETS

    return not isinstance(record, TrainingRecord) or record.dataset is None or record.dataset.name in DATASETS
