"""Figures that others published, with their sources."""

from __future__ import annotations

from coremlbench.types.experiments import Published

AIR = "MacBook Air M1 (7-core GPU, 16 GB)"
PRO_13 = "MacBook Pro 13 M1 (8-core GPU, 16 GB)"
PRO_16 = "MacBook Pro 16 Intel (i9 2.4 GHz, Radeon Pro 5500M 8 GB, 64 GB)"
COLAB = "Google Colab, T4"
MINI = "Mac mini M1 (8 GB)"
PC = "PC (i7-9700K, RTX 2080 Ti, 32 GB, Linux)"

_TRANSCRIBED = "the article's figure, as transcribed by github.com/bara495/mrdbourke-tf-test"
_ISSUE_25 = "the article's author in apple/tensorflow_macos issue 25"
_BORKOWSKI = "Borkowski, Medium; the article quotes it"
_ARTICLE = "the article"


def _epoch(experiment: str, machine: str, low: float, high: float, source: str) -> Published:
    return Published(experiment, machine, "seconds per epoch", source, low, high)


PUBLISHED: tuple[Published, ...] = (
    # Create ML's times stand only in the article's picture, which is lost: the endings are known, no seconds.
    Published("createml", AIR, "pictures to model", _ARTICLE, note="finished, the fastest of the three"),
    Published("createml", PRO_13, "pictures to model", _ARTICLE, note="finished, slower than the Air"),
    Published("createml", PRO_16, "pictures to model", _ARTICLE, failed=True, note="failed before the end"),
    _epoch("tinyvgg", AIR, 7, 8, _TRANSCRIBED),
    _epoch("tinyvgg", PRO_13, 7, 8, _TRANSCRIBED),
    _epoch("tinyvgg", PRO_16, 35, 41, _TRANSCRIBED),
    _epoch("tinyvgg", COLAB, 5, 5, _TRANSCRIBED),
    _epoch("efficientnetb0", AIR, 20, 21, _TRANSCRIBED),
    _epoch("efficientnetb0", PRO_13, 20, 21, _TRANSCRIBED),
    _epoch("efficientnetb0", PRO_16, 59, 66, _TRANSCRIBED),
    _epoch("efficientnetb0", COLAB, 7, 7, _TRANSCRIBED),
    _epoch("mnist-cnn", AIR, 23, 24, _ISSUE_25),
    _epoch("mnist-cnn", PRO_13, 25, 26, _ISSUE_25),
    _epoch("mnist-cnn", PRO_16, 20, 21, _ISSUE_25),
    _epoch("mnist-cnn", COLAB, 9, 9, _ISSUE_25),
    Published("fashion-mnist", MINI, "total seconds", _BORKOWSKI, 6.70, 6.70),
    Published("fashion-mnist", PC, "total seconds", _BORKOWSKI, 7.78, 7.78, note='the article says "14% faster"'),
    Published("cifar10-resnet50", MINI, "total seconds", _BORKOWSKI, 2286.16, 2286.16),
    Published(
        "cifar10-resnet50",
        PC,
        "total seconds",
        _BORKOWSKI,
        418.73,
        418.73,
        note='the article says "more than 5 times longer" of the Mac mini',
    ),
)
"""No figure was published for ``lenet`` with the article's settings."""
