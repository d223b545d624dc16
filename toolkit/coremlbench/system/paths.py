"""Folders for cached files and results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for files that can be made again: ``COREMLBENCH_CACHE``, else the user's cache folder."""
    return cache_folder_of(os.environ)


def cache_folder_of(environment: Mapping[str, str]) -> Path:
    """Return the cache folder of a process of this user that has these environment variables."""
    folder = environment.get("COREMLBENCH_CACHE")
    if folder:
        return Path(folder).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("coremlbench"))


def results_folder() -> Path:
    """Return the default of ``--results``: ``COREMLBENCH_RESULTS``, else ``results`` in the working directory."""
    return Path(os.environ.get("COREMLBENCH_RESULTS", "results")).expanduser().absolute()
