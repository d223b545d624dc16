"""Run a command of the system and return what it printed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class ToolOutput:
    """What a command printed, and its exit code; ``None`` when it is not installed or took too long."""

    output: str
    errors: str = ""
    returncode: int | None = 0


def run_tool(*command: str, timeout: float = 10.0) -> ToolOutput:
    """Return what a command printed; never raises for what the command does."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        return ToolOutput("", f"there is no {command[0]}", None)
    except subprocess.TimeoutExpired:
        return ToolOutput("", f"{command[0]} took over {timeout:g} seconds", None)
    except OSError as error:
        return ToolOutput("", f"{command[0]} cannot be run: {error.strerror}", None)
    return ToolOutput(ended.stdout, ended.stderr, ended.returncode)
