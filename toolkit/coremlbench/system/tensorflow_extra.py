"""Whether TensorFlow is installed, which is an extra of coremlbench, and how to install it."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata, util

from coremlbench.types.errors import InputError

DISTRIBUTION, EXTRA = "coremlbench", "tensorflow"


def has_tensorflow() -> bool:
    """Return whether TensorFlow is installed, without importing it."""
    return util.find_spec("tensorflow") is not None


def require_tensorflow(task: str) -> None:
    """Check that TensorFlow is installed. ``task`` is what needs it, as the subject of a sentence.

    Raises:
        InputError: it is not; the message says how to install it.
    """
    if not has_tensorflow():
        raise InputError(missing_message(task))


def missing_message(task: str) -> str:
    """Return the sentence on a task that needs TensorFlow, where there is none."""
    return f"{task} needs TensorFlow, which is not installed here; {install_advice()}."


def install_advice() -> str:
    """Return how to install TensorFlow in this environment, as a clause for a message."""
    requirements = extra_requirements(metadata.requires(DISTRIBUTION) or ())
    if not requirements:
        return (
            f"there is none for Python {platform.python_version()} on this system, and coremlbench has to be installed "
            "with Python 3.10 to 3.12"
        )
    return f"install it with `{install_command(requirements)}`"


def metal_advice(lines: Iterable[str], environment: Mapping[str, str] | None = None) -> str:
    """Return how to let TensorFlow use the GPU of a Mac with Apple silicon, as a clause for a message.

    ``lines`` and ``environment`` are those of ``extra_requirements``.
    """
    metal = [name for name in extra_requirements(lines, environment) if name.startswith("tensorflow-metal")]
    if metal:
        return f"install tensorflow-metal with `{install_command(metal)}`"
    return "install coremlbench with Python 3.10 to 3.12, which tensorflow-metal needs"


def extra_requirements(lines: Iterable[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return what the extra asks for on this system, as names with versions.

    ``lines`` are the requirements of a distribution as in its metadata. ``environment`` has the values of markers, by
    default those of this Python.
    """
    from packaging.requirements import Requirement

    values = {**(environment or {}), "extra": EXTRA}
    requirements = [Requirement(line) for line in lines]
    return [
        f"{requirement.name}{requirement.specifier}"
        for requirement in requirements
        if requirement.marker is not None
        and requirement.marker.evaluate(values)
        and not requirement.marker.evaluate({**values, "extra": ""})
    ]


def install_command(requirements: Iterable[str]) -> str:
    """Return the command that installs packages into this environment, with uv where it has no pip."""
    installer = ["pip", "install"] if util.find_spec("pip") else ["uv", "pip", "install", "--python", sys.executable]
    return shlex.join([sys.executable, "-m", *installer, *requirements])
