"""What is shown during work: the time left only when enough of it is done."""

from __future__ import annotations

import pytest

from coremlbench.cli.terminal.progress import Watch
from coremlbench.types.process import Progress


@pytest.mark.parametrize(
    ("done", "total", "left"),
    [(10, 1000, False), (49, 1000, False), (50, 1000, True), (500, 1000, True), (1000, 1000, False), (10, 40, False)],
)
def test_the_time_left_is_shown_after_a_twentieth(done: int, total: int, left: bool) -> None:
    watch = Watch()
    watch._first_done = 0
    watch._last = Progress("extract", done, total)
    parts = watch._rate(10.0)
    assert any(part.endswith(" left") for part in parts) is left
