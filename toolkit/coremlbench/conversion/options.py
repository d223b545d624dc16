"""What a conversion is asked for: its settings, and the packages that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coremlbench.conversion.variants import DEFAULT_TARGET


@dataclass(frozen=True)
class ConvertOptions:
    """The settings of a conversion.

    ``variants`` are names of ``VARIANTS`` or ``all``; ``batches`` are fixed sizes, each a package of its own.
    ``images`` are compared with the original. ``data`` is a dataset or a folder in place of the model's own,
    ``sources`` maps a dataset's name to a local copy of it. ``scale`` is what pixels are multiplied with for a file
    of the user's, which then takes images; ``input_shape`` gives a size to a model that takes any, ``classes`` names
    the values that it gives. ``check`` is a
    ready package that is compared with the model instead of being made from it. ``jobs`` models are converted side by
    side (``None``: as many as the machine bears). ``timeout`` (of each model) and ``silence`` are seconds,
    ``memory_limit`` is bytes.
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
    check: str | None = None


@dataclass(frozen=True)
class Item:
    """One package to be made: its variant, batch and target, where it goes, and where it is kept for later."""

    key: str
    variant: str
    batch: int
    target: str
    base_target: str
    package: Path
    kept: Path | None
    copy: str = ""
    alone: bool = False
