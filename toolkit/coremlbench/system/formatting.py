"""Format numbers with their units. Numbers are rounded here and nowhere else."""

from __future__ import annotations


def format_seconds(seconds: float) -> str:
    """Return 0.42 s, 12.3 s, 3 min 05 s or 2 h 04 min."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_short(seconds: float) -> str:
    """Return 12.3 µs, 1.23 ms or 456 ms: the duration of a single call with three digits."""
    for unit, size in (("µs", 1e-6), ("ms", 1e-3)):
        value = seconds / size
        if value < 999.5:
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return format_seconds(seconds)


def format_bytes(count: int) -> str:
    """Return 512 B, 1.4 MiB or 2.31 GiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit in ("B", "KiB") else f"{size:.{2 if unit == 'GiB' else 1}f} {unit}"


def format_percent(share: float) -> str:
    """Return 87.3% for 0.8731. Only exactly 1 is shown as 100%, only exactly 0 as 0%."""
    shown = f"{share:.1%}"
    if shown == "100.0%" and share < 1:
        return "99.9%"
    if shown == "0.0%" and share > 0:
        return "0.1%"
    return shown


def pluralize(count: float, noun: str, plural: str = "") -> str:
    """Return a noun as it stands after a number: "cell" after 1, else "cells" or ``plural``."""
    return noun if count == 1 else plural or f"{noun}s"


def format_count(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 cell, 1,234 images, 2 classes."""
    return f"{count:,} {pluralize(count, noun, plural)}"
