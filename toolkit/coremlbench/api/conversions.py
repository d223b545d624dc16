"""Convert models to Core ML, and prove packages against their originals."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coremlbench.api.runs import PathLike, SavedRun
from coremlbench.conversion.job import check_options, convert_models
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import named_sources
from coremlbench.system.paths import results_folder
from coremlbench.types.errors import InputError
from coremlbench.types.process import Progress


def convert(
    model: PathLike,
    *,
    results: PathLike | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> SavedRun:
    """Convert a model to Core ML packages, compare each with its original, and return the run.

    ``model`` is a file, an experiment (its newest trained run) or the id of a run, as for ``coremlbench convert``.
    ``options`` are fields of ``ConvertOptions``, that is, the options of that command: ``variants=("fp16", "int8")``,
    ``images=200``, ``data="drawn-food"``, ``batches=(1, 8)``, ``scale=1 / 255``. The conversion runs in a process of
    its own. A variant that is wrong or failed is a result: see ``run.record.variants`` and ``run.failure``.

    Raises:
        InputError: there is no such model, it cannot be opened, or an option is wrong.
    """
    return _convert(model, None, results, on_progress, options)


def prove(
    package: PathLike,
    model: PathLike,
    *,
    results: PathLike | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> SavedRun:
    """Compare an existing package with the model that it was made from, and return the run; nothing is converted.

    ``model`` may also be an .onnx file, or an .npz file of recorded inputs and outputs. ``options`` are those of
    ``convert`` but for ``variants`` and ``batches``. The verdict is ``run.record.variants[0].proof.verdict``.

    Raises:
        InputError: a file is missing or cannot be opened, or an option is wrong.
    """
    meaningless = sorted({"variants", "batches", "target"} & options.keys())
    if meaningless:
        raise InputError(f"prove() makes no package, so {', '.join(meaningless)} would mean nothing; leave it out.")
    return _convert(model, Path(package).expanduser().absolute(), results, on_progress, options)


def _convert(
    model: PathLike,
    check: Path | None,
    results: PathLike | None,
    on_progress: Callable[[Progress], None] | None,
    options: dict[str, Any],
) -> SavedRun:
    known = set(ConvertOptions.__dataclass_fields__) - {"check", "only_core_ml"}
    unknown = sorted(options.keys() - known)
    if unknown:
        raise InputError(f"There is no option {unknown[0]!r} of a conversion; choose from {', '.join(sorted(known))}.")
    for name in ("variants", "batches", "classes"):
        if isinstance(options.get(name), (str, int)):
            raise InputError(f"{name} is a sequence: {name}=({options[name]!r},).")
    tuples = {name: tuple(value) for name, value in options.items() if isinstance(value, list)}
    settings = ConvertOptions(**{**options, **tuples}, check=str(check) if check else None)
    check_options(settings)
    folder = results_folder() if results is None else Path(results).expanduser().absolute()
    name = os.fspath(model)
    sources = named_sources((name,), results=folder, options=settings, check=check)
    command = ("coremlbench.api", "prove" if check else "convert", name)
    ((record, run),) = convert_models(
        sources, settings, results=folder, command=command, on_progress=on_progress or _ignore
    )
    return SavedRun(record, run)


def _ignore(progress: Progress) -> None:
    """Ignore the progress."""
