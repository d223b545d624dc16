"""Remove from texts of a machine's tools what identifies it or its owner, and leave them such that parsers read them.

``diagnostics.redaction`` knows people's and computers' names; this module knows the fields of Apple's tools.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

REMOVED = "<removed>"
NO_UUID = "00000000-0000-0000-0000-000000000000"

_KEYS = (
    r"serial|uuid|udid|ecid|chip-id|die-id|mac.?address|ethernet.?address|bssid|ssid|network.?(?:name|information)|preferred.?network|"
    r"computer.?name|host.?name|user.?name|real.?name|boot.?volume|volume.?name|crashreporterkey|boot-?session|"
    r"displayid|owner|asset.?tag"
)
PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # In JSON, and ioreg's dictionaries: "key" = value, whole lines or parts of them.
    (
        re.compile(rf'(?i)("[^"\n]*(?:{_KEYS})[^"\n]*"\s*[=:]\s*)(?:"[^"\n]*"|<[^>\n]*>|[^,}}\n"{{\[]+)'),
        rf'\1"{REMOVED}"',
    ),
    # Lines without quotes: "Serial Number (system): C02...", "Serial : 1000...".
    (re.compile(rf'(?im)^([^":=\n]*(?:{_KEYS})[^":=\n]*[:=][ \t]*)(?!["{{\[])\S.*$'), rf"\1{REMOVED}"),
    (re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), NO_UUID),
    # Data of ioreg in hexadecimal: addresses, calibrations, serial numbers under names of their own.
    (re.compile(r"(?<== )<[0-9a-f]{2,}>"), "<>"),
    (re.compile(r"\(id=\d+\)"), "(id=0)"),  # of a battery, in pmset
    (re.compile(r"\(sleep prevented by (?![^)\n]*caffeinate)[^)\n]*\)"), "(sleep prevented by <others>)"),
    (re.compile(r"\(sleep prevented by [^)\n]*caffeinate[^)\n]*\)"), "(sleep prevented by caffeinate)"),
)
UUID_KEY = re.compile(r'("IOPlatformUUID" = )"[^"\n]*"')


def remove_identifiers(source: str, text: str) -> str:
    """Return the text of a command or file without identifiers; ``source`` is its command line or path."""
    if source.startswith("system_profiler -json"):
        with suppress(ValueError):
            text = json.dumps(_without_display_names(json.loads(text)), indent=2, ensure_ascii=False) + "\n"
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return UUID_KEY.sub(rf'\1"{NO_UUID}"', text)  # in its form, as there is a parser for it


def _without_display_names(value: Any, *, displays: bool = False) -> Any:
    """Return JSON values of system_profiler without the names of displays: another device's may be its owner's."""
    if isinstance(value, dict):
        return {
            key: REMOVED
            if displays and key == "_name"
            else _without_display_names(item, displays=key == "spdisplays_ndrvs")
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_display_names(item, displays=displays) for item in value]
    return value
