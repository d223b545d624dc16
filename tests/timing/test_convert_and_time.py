"""Converting and timing as a whole: the machine is probed once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from coremlbench.conversion.options import ConvertOptions
from coremlbench.timing import available_units
from coremlbench.timing.convert_and_time import convert_and_time, time_kit
from coremlbench.timing.kit import read_kit
from coremlbench.types.timing import Timed
from tests.timed_packages import TINY, make_package, quiet


@contextmanager
def counted_probes() -> Iterator[list[str]]:
    """Record each probe of the available units in this process; on a Mac a probe starts a child that asks Core ML."""
    calls: list[str] = []

    def called(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is available_units.unit_availability.__code__:
            calls.append(frame.f_code.co_name)

    sys.setprofile(called)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_machine_is_surveyed_once_with_a_kit_or_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREMLBENCH_CACHE", str(tmp_path / "cache"))
    kit = tmp_path / "kit"
    timing = replace(TINY, rounds=1, runtimes=("reference",))
    arguments: dict[str, Any] = {
        "results": tmp_path / "results",
        "command": ["coremlbench", "convert-and-time"],
        "on_progress": quiet,
    }
    model = str(make_package(tmp_path, "small"))
    with counted_probes() as calls:
        done = convert_and_time([model], ConvertOptions(images=4), timing, kit=kit, **arguments)
    assert done.timing is not None
    assert done.timing[0].outcome == Timed(cells=1, failed=0)
    assert len(calls) == 1
    with counted_probes() as calls:
        record, _ = time_kit(read_kit(kit), timing, **arguments)
    assert record.outcome == Timed(cells=1, failed=0)
    assert len(calls) == 1
