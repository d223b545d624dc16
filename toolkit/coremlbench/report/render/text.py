"""Figures and foreign text as a report shows them, whatever the form."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from coremlbench.system.formatting import format_seconds

NO_VALUE = "–"
MIN_RANGE_SHARE = 0.005
"""The smallest share of a range's upper bound that its lower one is shown in the same unit."""
ELLIPSIS = "…"
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
_HOME = re.compile(r"(?:/Users|/home)/[^/\s\"']+(?=/|\b)")
_SUSPECT = re.compile(r"[^\x20-\x7e]")


def sanitize(text: str, *, lines: bool = False) -> str:
    """Return untrusted text with control characters and direction marks replaced by their escape codes.

    With ``lines``, line ends and tabs are kept; else they become spaces. Home folders become ``~``.
    """
    text = _HOME.sub("~", text)
    if not _SUSPECT.search(text):
        return text
    allowed = "\n\t" if lines else ""
    return "".join(
        character
        if character in allowed or unicodedata.category(character) not in _INVISIBLE
        else _escape_code(character)
        for character in text
    )


def _escape_code(character: str) -> str:
    if character in "\n\t\r":
        return " "
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def truncate(text: str, length: int) -> str:
    """Return the text, shortened to ``length`` characters with an ellipsis if it is longer."""
    return text if len(text) <= length else text[: length - 1].rstrip() + ELLIPSIS


def seconds(value: float | None) -> str:
    """Return seconds in a suitable unit: 12.3 µs, 4.56 ms, 7.89 s, 3 min 05 s; a dash for ``None`` and NaN."""
    if value is None or value != value:  # noqa: PLR0124 - NaN differs from itself
        return NO_VALUE
    if value < 0:
        return "−" + seconds(-value)
    if value < 0.9995e-3:
        return f"{significant3(value * 1e6)} µs"
    if value < 0.9995:
        return f"{significant3(value * 1e3)} ms"
    return format_seconds(value)


def significant3(value: float) -> str:
    """Return a number with three significant digits and no exponent: 1.23, 12.3, 123, 1,230."""
    if value >= 999.5:
        return f"{value:,.0f}"
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def energy(joules: float | None) -> str:
    """Return joules in a suitable unit: 12.3 µJ, 4.56 mJ, 7.89 J; "unavailable" for ``None`` and NaN."""
    if joules is None or joules != joules:  # noqa: PLR0124 - as above
        return "unavailable"
    for unit, size in (("µJ", 1e-6), ("mJ", 1e-3)):
        if joules < 0.9995e3 * size:
            return f"{significant3(joules / size)} {unit}"
    return f"{significant3(joules)} J"


def percent(share: float | None, digits: int = 1) -> str:
    """Return 87.3% for 0.8731; a dash for ``None`` and NaN."""
    if share is None or share != share:  # noqa: PLR0124 - as above
        return NO_VALUE
    return f"{share:.{digits}%}"


def time_range(low: float | None, high: float | None) -> str:
    """Return a range of seconds in the unit of the larger: 1.21–1.25 ms; far apart, each in its own."""
    if low is None or high is None:
        return NO_VALUE
    if low < MIN_RANGE_SHARE * high:  # in the unit of the larger the smaller would be shown as next to nothing
        return f"{seconds(low)}–{seconds(high)}"
    high_text, _, unit = seconds(high).rpartition(" ")
    scale = {"µs": 1e6, "ms": 1e3}.get(unit)
    if scale is not None:
        return f"{significant3(low * scale)}–{high_text} {unit}"
    if high < 59.95:
        return f"{low:.{1 if high >= 9.995 else 2}f}–{high_text} {unit}"
    return f"{seconds(low)}–{seconds(high)}"


def percentage_points(before: float | None, after: float | None) -> str:
    """Return the change of an accuracy from 0 to 1 in percentage points: −0.4."""
    if before is None or after is None:
        return NO_VALUE
    change = round((after - before) * 100, 1)
    return "±0.0" if not change else f"{'−' if change < 0 else '+'}{abs(change):.1f}"


def timestamp(moment: str) -> str:
    """Return an ISO 8601 time to the minute: 2026-11-23 20:41 UTC."""
    return f"{moment[:10]} {moment[11:16]} UTC" if moment.endswith("+00:00") else moment[:16].replace("T", " ")


def relative_url(path: str) -> str:
    """Return a path as a quoted relative URL, with ./ in front so that a colon in it makes no scheme."""
    try:
        quoted = quote(path.encode("utf-8", "surrogateescape"))  # file names need not be UTF-8
    except UnicodeEncodeError:
        quoted = quote(path.encode("utf-8", "backslashreplace"))
    return quoted if quoted.startswith(("/", "./", "../")) else f"./{quoted}"
