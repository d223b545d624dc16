"""One reader under the fuzzer: ``python -m tests.fuzz.child READER FOLDER`` and libFuzzer's options."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

from tests.fuzz.guard import Guard
from tests.fuzz.json_mutation import mutate_json

with atheris.instrument_imports(include=["coremlbench"]):
    from tests.fuzz.readers import READERS, Reader, read_one


class DefectError(Exception):
    """A reader did something outside of its folder, or left temporary files."""


def main() -> None:
    """Fuzz a reader until libFuzzer's options say that it is enough."""
    reader, folder, options = READERS[sys.argv[1]], Path(sys.argv[2]), sys.argv[3:]
    warnings.simplefilter("ignore")
    corpus, work, temporary = (folder / name for name in ("corpus", "work", "temporary"))
    for path in (corpus, work, temporary):
        path.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(temporary)
    os.environ["MPLCONFIGDIR"] = str(folder)
    with atheris.instrument_imports(include=["coremlbench"]):
        first, read = reader.prepare(work)
        for data in first:
            read_one(read, data)  # imports what is imported late
    for number, data in enumerate([*first, *reader.known_inputs()]):
        (corpus / f"seed-{number}").write_bytes(data)
    guard, before = Guard(folder), set(os.listdir(temporary))  # noqa: PTH208 - as below

    def test_one_input(data: bytes) -> None:
        with guard:
            read_one(read, data)
        if guard.seen:
            raise DefectError("; ".join(guard.seen))
        left = set(os.listdir(temporary)) - before  # noqa: PTH208 - thousands of times a second
        if left:
            raise DefectError(f"left temporary files: {sorted(left)}")

    arguments = [sys.argv[0], str(corpus), *options]
    if reader.is_json:
        atheris.Setup(arguments, test_one_input, custom_mutator=_json_mutator(reader))
    else:
        atheris.Setup(arguments, test_one_input)
    atheris.Fuzz()


def _json_mutator(reader: Reader) -> object:
    """Return a mutator of JSON inputs: mostly of their values, sometimes of their bytes."""

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        changed = None
        if random.Random(seed).random() < 0.8:
            changed = mutate_json(data[reader.prefix :], seed)
        result = bytes(atheris.Mutate(data, max_size)) if changed is None else data[: reader.prefix] + changed
        return result if len(result) <= max_size else data[:max_size]

    return mutate


if __name__ == "__main__":
    main()
