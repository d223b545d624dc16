"""Says where tracked files hold merge-conflict markers; the exit code is 1 when one does, else 0."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ENDS = re.compile(rb"(<{7}|>{7}|\|{7})( .*)?")
MIDDLE = b"=" * 7


def marked_lines(content: bytes) -> Iterator[int]:
    """Yield the numbers of lines that are markers; ``=======`` may underline a heading of up to seven characters."""
    before = b""
    for number, line in enumerate(content.splitlines(), 1):
        if ENDS.fullmatch(line) or (line == MIDDLE and not 0 < len(before.decode(errors="replace")) <= len(MIDDLE)):
            yield number
        before = line


def main() -> int:
    """Look through the files that git tracks in the current folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout
    files = sorted({Path(name.decode("utf-8", "surrogateescape")) for name in listed.split(b"\0") if name})
    found = [f"{file}:{number}" for file in files if file.is_file() for number in marked_lines(file.read_bytes())]
    for place in found:
        print(f"{place}: a merge-conflict marker; resolve the conflict.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
