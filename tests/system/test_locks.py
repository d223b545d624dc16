"""Waiting for another run is told, again and again."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from coremlbench.system.locks import locked
from coremlbench.types.errors import InputError
from coremlbench_datasets import DatasetRequest, find
from coremlbench_datasets.food101_10 import Food101Ten

HOLD = """
import sys
from pathlib import Path
from coremlbench.system.locks import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


def held_elsewhere(path: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock until its input ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


class Words:
    """Takes note of words of waiting, and ends the one who holds the lock after so many."""

    def __init__(self, holder: subprocess.Popen[str], patience: int = 1) -> None:
        self.holder = holder
        self.patience = patience
        self.said: list[str] = []

    def __call__(self, *words: Any, **_figures: Any) -> None:
        self.said += [word for word in words if isinstance(word, str) and word.startswith("waiting")]
        if len(self.said) >= self.patience and self.holder.poll() is None:
            self.holder.communicate("")


def test_who_waits_says_so_until_it_is_their_turn(tmp_path: Path) -> None:
    words = Words(held_elsewhere(tmp_path / "lock"), patience=3)
    with locked(tmp_path / "lock", words, interval=0.05):
        assert words.holder.returncode == 0
    assert len(words.said) >= 3
    assert "another run" in words.said[0]


def test_who_need_not_wait_says_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        with locked(tmp_path / "lock", said.append):
            pass
    assert said == []


def test_threads_of_one_process_wait_for_each_other_too(tmp_path: Path) -> None:
    inside, most = [], []

    def work() -> None:
        with locked(tmp_path / "lock", lambda _: None):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


@pytest.mark.long
def test_datasets_tell_that_they_wait(tmp_path: Path) -> None:
    words = Words(held_elsewhere(tmp_path / "drawn-food" / "1" / "seed-0.lock"))
    find("drawn-food").prepare(DatasetRequest(tmp_path, 10, 10), words)
    assert words.said
    words = Words(held_elsewhere(tmp_path / "food101-10" / "lock"))
    with pytest.raises(InputError, match="nowhere"):
        Food101Ten().prepare(DatasetRequest(tmp_path, source=tmp_path / "nowhere"), words)
    assert words.said
