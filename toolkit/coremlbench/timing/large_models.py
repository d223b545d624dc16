"""What a macOS is known to do with large compiled models."""

from __future__ import annotations

from collections.abc import Sequence

from coremlbench.system.formatting import format_bytes

CPU_ONLY_BYTES = 1 << 30
CPU_ONLY_MACOS = (27,)
"""macOS 27 has been seen to run compiled models above this size wholly on the CPU, on an M2 with 27.0.1."""


def large_model_note(compiled_bytes: int, macos_version: Sequence[int]) -> str:
    """Return a note on a compiled model that is too large for other units than the CPU, "" for the others."""
    if compiled_bytes <= CPU_ONLY_BYTES or tuple(macos_version) < CPU_ONLY_MACOS:
        return ""
    return (
        f"The compiled model has {format_bytes(compiled_bytes)}, and macOS {CPU_ONLY_MACOS[0]} has been seen to run "
        f"models above {format_bytes(CPU_ONLY_BYTES)} wholly on the CPU, without a word: split it or compress its "
        "weights."
    )
