"""A process that supervises one child and writes what became of it.

The command line is: parent.py <folder> <deed> [descriptors=<number>] [speed=<factor>]. The supervision's time passes
``speed`` times as fast as the real one; with 0 no limit of time ever ends a step.
"""

import dataclasses
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

from coremlbench.supervision.supervisor import supervise

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also when a shell in the background had it ignored
    folder = Path(sys.argv[1])
    settings = dict(each.split("=") for each in sys.argv[3:])
    if "descriptors" in settings:
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        for _ in range(int(settings["descriptors"])):
            os.open(os.devnull, os.O_RDONLY)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    speed = float(settings.get("speed", 1))
    ended = supervise(
        [sys.executable, "-I", str(Path(__file__).with_name("bare.py"))],
        folder=folder,
        request={"deed": sys.argv[2]},
        clock=lambda: speed * time.monotonic(),
    )
    restored = all(signal.getsignal(number) == handler for number, handler in before.items())
    (folder / "exit.json").write_text(json.dumps({**dataclasses.asdict(ended), "restored": restored}))
