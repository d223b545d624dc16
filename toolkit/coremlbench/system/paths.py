"""Where things are kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of what can be fetched or made again: ``COREMLBENCH_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("COREMLBENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("coremlbench"))


def results_folder() -> Path:
    """Return the folder where records are saved unless ``--results`` says otherwise: ``results`` here."""
    return Path(os.environ.get("COREMLBENCH_RESULTS", "results")).expanduser().absolute()
