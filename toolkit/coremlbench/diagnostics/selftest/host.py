"""The machine that is tested, as far as it decides which checks apply."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from coremlbench.system import macos


@dataclass(frozen=True)
class Host:
    """The machine that is tested.

    Attributes:
        system: ``macOS``, or the name of another system as Python gives it: ``Linux``.
        architecture: The processor's, also for a Python that Rosetta translates.
        version: macOS's version, () on other systems.
        virtual: Whether it is a virtual Mac.
        translated: Whether Rosetta translates this Python.
    """

    system: str
    architecture: str
    version: tuple[int, ...] = ()
    virtual: bool = False
    translated: bool = False

    @property
    def is_mac(self) -> bool:
        """Return whether the system is macOS."""
        return self.system == "macOS"

    @property
    def apple_silicon(self) -> bool:
        """Return whether it is a Mac with a chip of Apple's."""
        return self.is_mac and self.architecture == "arm64"


def detect_host() -> Host:
    """Return this machine."""
    if not macos.is_macos():
        return Host(platform.system(), platform.machine())
    return Host(
        "macOS",
        "arm64" if macos.has_apple_silicon() else "x86_64",
        macos.version_numbers(macos.product_version()),
        macos.is_virtual_machine() is True,
        macos.is_translated() is True,
    )
