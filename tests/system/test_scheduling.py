"""The quality-of-service class of the thread that times, requested from an imitated C library."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from coremlbench.system.scheduling import request_user_initiated
from tests.simulated_mac import SimulatedMac


class CLibrary:
    """The one function of macOS's C library; ``refused`` is what it returns."""

    def __init__(self, refused: int = 0) -> None:
        self.refused, self.requests = refused, list[tuple[int, int]]()

    def pthread_set_qos_class_self_np(self, qos_class: Any, priority: Any) -> int:
        self.requests.append((qos_class.value, priority.value))
        return self.refused


def test_a_mac_is_asked_for_the_class_of_work_that_somebody_waits_for(
    simulated_mac: Callable[..., SimulatedMac],
) -> None:
    simulated_mac()
    library = CLibrary()
    assert request_user_initiated(library) == "user-initiated"
    assert library.requests == [(0x19, 0)]


def test_a_refusal_is_told(simulated_mac: Callable[..., SimulatedMac]) -> None:
    simulated_mac()
    assert request_user_initiated(CLibrary(refused=1)) is None


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has classes")
def test_other_systems_have_no_classes() -> None:
    library = CLibrary()
    assert request_user_initiated(library) is None
    assert library.requests == []
