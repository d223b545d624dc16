"""How long a report of 10,000 records from 50 machines takes, part by part, and how large its page is.

    python benchmarks/report.py [--records 10000] [--machines 50]

The records are those of tests/record_samples.py: a matrix and a conversion of each machine, trainings else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


@contextmanager
def stopwatch(name: str) -> Iterator[None]:
    started, busy = time.perf_counter(), time.process_time()
    yield
    print(
        f"{name:<28}{time.perf_counter() - started:>8.2f} s {time.process_time() - busy:>8.2f} s of processor time",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--machines", type=int, default=50)
    options = parser.parse_args()
    from coremlbench.runs import store
    from tests.record_samples import fleet

    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch)
        for record in fleet(options.records, options.machines):
            folder = results / record.id
            folder.mkdir()
            (folder / store.RECORD_FILE).write_bytes(store.to_bytes(record))
        print(f"{options.records:,} records of {options.machines} machines")
        from coremlbench.report.files import read_report, save_report

        with stopwatch("records to page, in all"):
            (page,) = save_report([results], results / "reports", formats=("html",))
        print(f"{'the page':<28}{page.stat().st_size / 1e6:>8.2f} MB")
        with stopwatch("reading and building of it"):
            report = read_report([results], results / "reports")
        from coremlbench.report.render import json, markdown

        with stopwatch("Markdown"):
            markdown.render(report)
        with stopwatch("JSON"):
            json.render(report)


if __name__ == "__main__":
    main()
