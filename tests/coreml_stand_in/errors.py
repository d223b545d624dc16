"""Errors of Core ML, and the text in which coremltools' native module hands them on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FrameworkError(Exception):
    """An ``NSError`` of Core ML: its localized description, and that of the error below it, if any."""

    def __init__(self, description: str, underlying: str = "") -> None:
        super().__init__(description)
        self.description, self.underlying = description, underlying

    def user_info(self) -> str:
        """Return the ``userInfo`` as ``%@`` formats it: a property list in the old style, everything else escaped."""
        lines = ["{", f"    NSLocalizedDescription = {_quoted(self.description)};"]
        if self.underlying:
            below = (
                f'Error Domain=com.apple.CoreML Code=0 "{self.underlying}" '
                f"UserInfo={{NSLocalizedDescription={self.underlying}}}"
            )
            lines.append(f"    NSUnderlyingError = {_quoted(below)};")
        return "\n".join([*lines, "}"])


@contextmanager
def handed_on() -> Iterator[None]:
    """Turn errors of Core ML into ``RuntimeError`` as ``Utils::handleError`` does (CoreMLPythonUtils.mm:38-43)."""
    try:
        yield
    except FrameworkError as error:
        raise RuntimeError(error.user_info()) from error


def _quoted(value: str) -> str:
    """Return a string of a property list in the old style: text other than ASCII as UTF-16 in hexadecimal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    pairs = escaped.encode("utf-16-be", "surrogatepass")
    units = [int.from_bytes(pairs[index : index + 2], "big") for index in range(0, len(pairs), 2)]
    return '"' + "".join(chr(unit) if unit < 128 else f"\\U{unit:04x}" for unit in units) + '"'
