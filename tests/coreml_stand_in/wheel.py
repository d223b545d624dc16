"""The strings of the real native module, read from a wheel for macOS; its library is read as a file and never loaded.

``python -m tests.coreml_stand_in.wheel FILE.whl`` writes ``tests/golden/libcoremlpython.txt``: the name and the SHA-256
of the wheel, then a string in each line, those of the binding itself, in the order in which the library holds them.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.coreml_stand_in.interface import MODULE_DOCUMENTATION

GOLDEN = Path(__file__).parents[1] / "golden" / "libcoremlpython.txt"
LIBRARY = "coremltools/libcoremlpython.so"
WHEEL = "coremltools-9.0-cp312-none-macosx_11_0_arm64.whl"
SHA256 = "7079e8b6ff5a63f0e2c08eeeb8673e4eab8ca231d4b2eae4f7fb005e0d08a8cd"

NAMES = (MODULE_DOCUMENTATION, "Internal error in module_::create_extension_module()")
"""The strings before and after the names of classes and methods; the compiler keeps the order of the source."""
TEXTS = (
    ("com.apple.coremlpython", "initialization failed"),  # CoreMLPython.mm
    ("Unsupported array type: ", "multiarray"),  # CoreMLPythonArray.mm
    (".mlmodelc", "__main__"),  # CoreMLPythonUtils.mm, whose texts are in two parts
    ("Unsupported image type ", "Could not allocate float object!"),
)
"""The first string and the one after the last of each part with texts."""
PYBIND11 = ("array is not writeable", "Unable to cast Python ", "Caught an unknown exception!")
"""Texts of pybind11 that callers get to see."""

MACH_O_64, SEGMENT_64 = 0xFEEDFACF, 0x19
HEADER, COMMAND, SEGMENT, SECTION = 32, 8, 72, 80
"""Sizes of structures of a Mach-O file with 64 bits (``mach-o/loader.h``)."""


def library_of(wheel: Path) -> bytes:
    """Return the native module in a wheel.

    Raises:
        ValueError: it is another wheel.
    """
    content = wheel.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{wheel.name} has the SHA-256 {digest} and not {SHA256}.")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(LIBRARY)


def strings_of(library: bytes) -> list[str]:
    """Return the constant strings of a Mach-O library in order."""
    for segment, name, offset, size in _sections(library):
        if (segment, name) == (b"__TEXT", b"__cstring"):
            return [part.decode("utf-8", "replace") for part in library[offset : offset + size].split(b"\0")]
    raise ValueError("The library has no section of strings.")


def binding_strings(strings: list[str]) -> list[str]:
    """Return the strings of the binding: names of classes and methods, then texts."""
    found: list[str] = []
    for first, after in (NAMES, *TEXTS):
        begin = strings.index(first)
        found += strings[begin : strings.index(after, begin)]
    return [string for string in (*found, *(text for text in PYBIND11 if text in strings)) if string]


def read_golden() -> tuple[str, list[str]]:
    """Return the SHA-256 of the wheel and the strings of the binding that were found in it."""
    first, *strings = GOLDEN.read_text().splitlines()
    return first.split()[-1], strings


def _sections(library: bytes) -> Iterator[tuple[bytes, bytes, int, int]]:
    """Yield the segment, name, offset and size of each section."""
    magic, _, _, _, commands = struct.unpack_from("<5I", library)
    assert magic == MACH_O_64, "no Mach-O library of 64 bits"
    position = HEADER
    for _ in range(commands):
        command, length = struct.unpack_from("<2I", library, position)
        if command == SEGMENT_64:
            (count,) = struct.unpack_from("<I", library, position + 64)
            for start in range(position + SEGMENT, position + SEGMENT + count * SECTION, SECTION):
                name, segment, _, size, offset = struct.unpack_from("<16s16sQQI", library, start)
                yield segment.rstrip(b"\0"), name.rstrip(b"\0"), offset, size
        position += length


if __name__ == "__main__":
    lines = [f"{WHEEL} {SHA256}", *binding_strings(strings_of(library_of(Path(sys.argv[1]))))]
    GOLDEN.write_text("\n".join(lines) + "\n")
