"""Read the settings files: ``coremlbench.toml`` of the project and of the user."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coremlbench.types.errors import InputError

FILE_NAME = "coremlbench.toml"
VARIABLE = "COREMLBENCH_CONFIG"
"""Names another file in place of the user's."""


def project_file(folder: Path) -> Path | None:
    """Return the settings file of a project: in ``folder``, or in the nearest folder above it within a Git repository.

    Without a repository only ``folder`` counts: a file in a shared folder such as ``/tmp`` may be anybody's.
    """
    folders = [folder, *folder.parents]
    root = next((path for path in folders if (path / ".git").exists()), folder)
    for path in folders[: folders.index(root) + 1]:
        if (path / FILE_NAME).is_file():
            return path / FILE_NAME
    return None


def user_file() -> Path:
    """Return the path of the user's settings file, which may not exist."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_config_dir("coremlbench")) / FILE_NAME


def settings_files(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each settings file and its content, the project's before the user's.

    Raises:
        InputError: a file cannot be read or is no TOML, or the one that ``COREMLBENCH_CONFIG`` names does not exist.
    """
    project, user = project_file(folder), user_file()
    if project is not None:
        yield project, read_toml(project)
    if user.is_file() and user != project:
        yield user, read_toml(user)
    elif os.environ.get(VARIABLE) and not user.is_file():
        raise InputError(f"{VARIABLE} names {user}, and there is no such file; correct it or unset it.")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        InputError: it cannot be read, or is no TOML; the message has the line.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise InputError(f"The settings file {path} is not TOML: {error}.") from error
