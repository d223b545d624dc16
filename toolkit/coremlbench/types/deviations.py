"""Deviations of a run from its experiment's protocol. Records save them as texts such as "epochs 5"."""

from __future__ import annotations

import re
from dataclasses import dataclass

TEMPLATES = {
    "dataset": "dataset {}",
    "train": "{} training images",
    "test": "{} test images",
    "classes": "{} classes",
    "input_shape": "input {}",
    "epochs": "epochs {}",
    "batch": "batch {}",
    "learning_rate": "learning rate {}",
    "weights": "{} weights",
    "iterations": "iterations {}",
    "augmentation": "augmentation {}",
    "extractor": "extractor {}",
    "extraction": "extraction {}",
    "engine": "engine {}",
    "processes": "processes {}",
    "units": "units {}",
}
"""The text of a deviation by setting. The order decides between templates that match the same text."""


@dataclass(frozen=True)
class Deviation:
    """A setting of a run that differs from the protocol, and the run's value as text.

    ``setting`` is a key of ``TEMPLATES``, or empty for a deviation of another kind, whose text is ``value``.
    """

    setting: str
    value: str

    def __str__(self) -> str:
        return TEMPLATES[self.setting].format(self.value) if self.setting else self.value


def parse_deviation(text: str) -> Deviation:
    """Return the deviation that a record's text stands for: ``str(parse_deviation(text)) == text``."""
    for setting, template in TEMPLATES.items():
        before, after = map(re.escape, template.split("{}"))
        match = re.fullmatch(f"{before}(.*){after}", text, re.DOTALL)
        if match:
            return Deviation(setting, match[1])
    return Deviation("", text)
