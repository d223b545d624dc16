"""A process that supervises one child and writes what became of it: ``parent.py <folder> <deed> [descriptors]``."""

import dataclasses
import json
import os
import resource
import signal
import sys
from pathlib import Path

from coremlbench.supervision.supervisor import supervise

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also when a shell in the background had it ignored
    folder = Path(sys.argv[1])
    if len(sys.argv) > 3:
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        for _ in range(int(sys.argv[3])):
            os.open(os.devnull, os.O_RDONLY)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ended = supervise(
        [sys.executable, "-I", str(Path(__file__).with_name("bare.py"))], folder=folder, request={"deed": sys.argv[2]}
    )
    restored = all(signal.getsignal(number) == handler for number, handler in before.items())
    (folder / "exit.json").write_text(json.dumps({**dataclasses.asdict(ended), "restored": restored}))
