"""The machine that a run was measured on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Machine:
    """The machine that a run was measured on. ``id`` is an anonymous identifier, the same for all runs on it.

    ``rosetta`` says whether this Python is translated by Rosetta, ``virtual_machine`` whether macOS runs in a virtual
    machine (other systems are not asked). ``packages`` are the versions of libraries by name.
    """

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
    virtual_machine: bool = False
    accelerators: tuple[str, ...] = ()
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
