"""Figures and foreign text as a report shows them, whatever the form."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from coremlbench.system.formatting import format_seconds

NOTHING = "–"
ELLIPSIS = "…"
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
_HOME = re.compile(r"(?:/Users|/home)/[^/\s\"']+(?=/|\b)")
_SUSPECT = re.compile(r"[^\x20-\x7e]")


def plain(text: str, *, lines: bool = False) -> str:
    """Return text from outside without anything that acts: controls and direction marks become their codes.

    With ``lines``, line ends and tabs stay. Homes are cut to ``~``: a report is sent to others.
    """
    text = _HOME.sub("~", text)
    if not _SUSPECT.search(text):
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        each if each in kept or unicodedata.category(each) not in _INVISIBLE else _named(each) for each in text
    )


def _named(character: str) -> str:
    if character in "\n\t\r":
        return " "
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cut(text: str, length: int) -> str:
    """Return the text, or its beginning and an ellipsis when it is longer."""
    return text if len(text) <= length else text[: length - 1].rstrip() + ELLIPSIS


def seconds(value: float | None) -> str:
    """Return a time in the unit that reads best: 12.3 µs, 4.56 ms, 7.89 s, 3 min 05 s."""
    if value is None or value != value:  # noqa: PLR0124 - not a number is unlike itself
        return NOTHING
    if value < 0:
        return "−" + seconds(-value)
    if value < 0.9995e-3:
        return f"{three(value * 1e6)} µs"
    if value < 0.9995:
        return f"{three(value * 1e3)} ms"
    return format_seconds(value)


def three(value: float) -> str:
    """Return a number with three significant digits and no exponent: 1.23, 12.3, 123, 1,230."""
    if value >= 999.5:
        return f"{value:,.0f}"
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def energy(joules: float | None) -> str:
    """Return an energy in the unit that reads best: 12.3 µJ, 4.56 mJ, 7.89 J; or that it is unavailable."""
    if joules is None or joules != joules:  # noqa: PLR0124 - as above
        return "unavailable"
    for unit, size in (("µJ", 1e-6), ("mJ", 1e-3)):
        if joules < 0.9995e3 * size:
            return f"{three(joules / size)} {unit}"
    return f"{three(joules)} J"


def percent(share: float | None, digits: int = 1) -> str:
    """Return 87.3% for 0.8731."""
    if share is None or share != share:  # noqa: PLR0124 - as above
        return NOTHING
    return f"{share:.{digits}%}"


def between(low: float | None, high: float | None) -> str:
    """Return two times as a range, in the unit of the larger: 1.21–1.25 ms."""
    if low is None or high is None:
        return NOTHING
    top, _, unit = seconds(high).rpartition(" ")
    scale = {"µs": 1e6, "ms": 1e3}.get(unit)
    if scale is not None:
        return f"{three(low * scale)}–{top} {unit}"
    if high < 59.95:
        return f"{low:.{1 if high >= 9.995 else 2}f}–{top} {unit}"
    return f"{seconds(low)}–{seconds(high)}"


def points(before: float | None, after: float | None) -> str:
    """Return the change of an accuracy in points: −0.4."""
    if before is None or after is None:
        return NOTHING
    change = round((after - before) * 100, 1)
    return "±0.0" if not change else f"{'−' if change < 0 else '+'}{abs(change):.1f}"


def day(moment: str) -> str:
    """Return the day and minute of an ISO time: 2026-11-23 20:41 UTC."""
    return f"{moment[:10]} {moment[11:16]} UTC" if moment.endswith("+00:00") else moment[:16].replace("T", " ")


def address(path: str) -> str:
    """Return a relative path as an address: never a scheme, whatever a folder is called."""
    try:
        quoted = quote(path.encode("utf-8", "surrogateescape"))  # a file's name may be no UTF-8
    except UnicodeEncodeError:
        quoted = quote(path.encode("utf-8", "backslashreplace"))
    return quoted if quoted.startswith(("/", "./", "../")) else f"./{quoted}"
