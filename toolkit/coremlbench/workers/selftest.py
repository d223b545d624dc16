"""Worker: one check of the self-test."""

from __future__ import annotations

from typing import Any

from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the ``CheckResult`` of the request's ``check``, a name, in its ``context``."""
    from coremlbench.diagnostics.selftest.checks import Context
    from coremlbench.diagnostics.selftest.run import run_one
    from coremlbench.diagnostics.selftest.table import CHECKS

    report(request["check"], 0, 1)
    (check,) = [check for check in CHECKS if check.name == request["check"]]
    return run_one(check, Context.from_json(request["context"]))


if __name__ == "__main__":
    run(work)
