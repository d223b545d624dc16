"""The machine that a figure was measured on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Machine:
    """What a figure was measured on. ``id`` is the same for every run on one machine and tells nothing else."""

    id: str
    chip: str
    architecture: str
    physical_cores: int
    logical_cores: int
    memory_bytes: int
    system: str
    system_version: str
    model: str = ""
    rosetta: bool = False
    accelerators: tuple[str, ...] = ()
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
