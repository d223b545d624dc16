"""The options of a conversion, and the packages that it has to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coremlbench.conversion.variants import DEFAULT_TARGET


@dataclass(frozen=True)
class ConvertOptions:
    """The options of a conversion.

    ``variants`` are names of ``VARIANTS``, or ``all``. ``batches`` are fixed batch sizes; each gives a package of its
    own. ``images`` is the number of samples compared with the original. ``data`` is a dataset or an image folder that
    replaces the model's own; ``sources`` maps a dataset's name to a local copy of it.

    For a model file: ``scale`` is the factor for pixel values and makes the model take images, ``input_shape`` fixes
    the size of a flexible input, ``classes`` names the output values, ``signature`` chooses that of a SavedModel, and
    ``custom_objects`` is the path of a Python file that defines the model's own classes; it needs ``allow_code``.
    ``check`` is the path of a ready package that is compared with the model; nothing is converted then.

    ``only_core_ml`` also admits models that only Core ML executes, such as neural networks: they are copied, and
    compared with nothing.

    ``jobs`` is the number of models converted in parallel (``None``: chosen from cores and memory). ``timeout`` for
    each model and ``silence`` are seconds, ``memory_limit`` is bytes.
    """

    variants: tuple[str, ...] = ("fp16",)
    batches: tuple[int, ...] = (1,)
    target: str = DEFAULT_TARGET
    images: int = 500
    data: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    allow_code: bool = False
    save_onnx: bool = False
    seed: int = 0
    timeout: float | None = None
    silence: float | None = None
    memory_limit: int | None = None
    jobs: int | None = None
    scale: float | None = None
    input_shape: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()
    signature: str | None = None
    custom_objects: str | None = None
    check: str | None = None
    only_core_ml: bool = False


@dataclass(frozen=True)
class RequestedPackage:
    """One package that a conversion makes or checks.

    ``key`` identifies it within the conversion. ``target`` is its deployment target, ``base_target`` that of the
    uncompressed package it is compressed from. ``path`` is where the worker saves it, ``cache_entry`` its folder in
    the conversion cache (``None``: not cached). ``ready_package`` is the path of an existing package that is copied
    instead of converted; with ``without_original`` it has no original to be compared with.
    """

    key: str
    variant: str
    batch: int
    target: str
    base_target: str
    path: Path
    cache_entry: Path | None
    ready_package: str = ""
    without_original: bool = False
