"""What the system offers a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

RAISES = """
import resource, sys
from coremlbench.system.resources import raise_open_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
raise_open_file_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [(256, 8192, "4096 8192"), (256, 1000, "1000 1000"), (5000, 8192, "5000 8192"), (4096, 4096, "4096 4096")],
)
def test_the_limit_of_open_files_is_raised_and_never_lowered(soft: int, hard: int, after: str) -> None:
    command = [sys.executable, "-c", RAISES, str(soft), str(hard)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == after.split()
