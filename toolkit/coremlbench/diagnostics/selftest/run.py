"""Run the checks one after the other, each in a supervised child process with its own limits."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from coremlbench.diagnostics.selftest.checks import Check, CheckResult, Context, DoesNotWorkError, NotHereError
from coremlbench.diagnostics.selftest.host import Host
from coremlbench.diagnostics.selftest.workers import advice_on, reason_of, save_text
from coremlbench.failures.classify import classify
from coremlbench.supervision.supervisor import supervise
from coremlbench.system.advised_commands import advised_command

BUDGET_SECONDS = 115.0
"""Seconds for all checks together: what hangs must not take more than two minutes."""
MIN_SECONDS = 2.0
"""A check is not begun with less than this left."""
LAUNCHER = (sys.executable, "-I", "-m")


@contextmanager
def new_context(host: Host, results: Path, cache: Path, launcher: Sequence[str] = LAUNCHER) -> Iterator[Context]:
    """Return the context of a run, whose temporary folder is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="coremlbench-selftest-", ignore_cleanup_errors=True) as folder:
        yield Context(host, Path(folder).resolve(), results.absolute(), cache.absolute(), tuple(launcher))


def run_checks(
    checks: Sequence[Check],
    context: Context,
    *,
    on_start: Callable[[Check], None] = lambda _: None,
    on_result: Callable[[CheckResult], None] = lambda _: None,
    budget: float = BUDGET_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> list[CheckResult]:
    """Return the result of each check; ``on_start`` and ``on_result`` are called before and after each.

    ``budget`` is the most seconds for all of them. What is not begun in time is said not to work, as it was not tried.

    Raises:
        KeyboardInterrupt: Ctrl-C ended a check.
    """
    began, results = clock(), dict[str, CheckResult]()
    for check in checks:
        left = budget - (clock() - began)
        result = _untried(check, context.host, results, left)
        if result is None:
            on_start(check)
            started = clock()
            result = replace(_supervised(check, context, left), seconds=round(clock() - started, 2))
        results[check.name] = result
        on_result(result)
    return list(results.values())


def _untried(check: Check, host: Host, results: dict[str, CheckResult], left: float) -> CheckResult | None:
    """Return the result of a check that cannot be tried, ``None`` for one that can."""
    reason = check.unavailable_reason(host)
    if reason:
        return CheckResult(check.name, "not here", reason)
    failed = [name for name in check.needs if name in results and results[name].status != "works"]
    if failed:
        return CheckResult(check.name, "not here", f"not tried, as it needs {failed[0]}")
    if left < MIN_SECONDS:
        return CheckResult(
            check.name,
            "does not",
            "not tried, as the checks before took all the time there is",
            f"Run it alone when the machine has less to do: `{advised_command('selftest', check.key)}`.",
        )
    return None


def _supervised(check: Check, context: Context, left: float) -> CheckResult:
    """Run a check in a child process, for ``left`` seconds at most."""
    folder = context.folder / "checks" / check.key
    folder.mkdir(parents=True, exist_ok=True)
    deadline = min(left, check.limits.deadline or left)
    ended = supervise(
        context.worker("selftest"),
        folder=folder,
        request={"check": check.name, "context": asdict(replace(context, seconds=deadline))},
        limits=replace(check.limits, deadline=deadline),
        environment={"COREMLBENCH_CACHE": str(context.folder / "cache")},  # a package of the user's would prove nothing
    )
    if ended.stopped == "interrupted":
        raise KeyboardInterrupt
    save_text(context, f"{check.key}.log", "\n".join(ended.log_tail))
    failure = classify(ended)
    if failure is not None:
        return CheckResult(check.name, "does not", reason_of(failure), advice_on(failure))
    assert ended.result is not None  # otherwise classify returns a failure
    return CheckResult(**ended.result)


def run_one(check: Check, context: Context) -> dict[str, Any]:
    """Return the result of a check as JSON values. The worker calls it, in the check's child process."""
    try:
        result = CheckResult(check.name, "works", check.function(context))
    except NotHereError as reason:
        result = CheckResult(check.name, "not here", str(reason))
    except DoesNotWorkError as error:
        result = CheckResult(check.name, "does not", str(error), error.advice)
    return asdict(result)


def with_needs(names: Sequence[str], checks: Sequence[Check]) -> tuple[Check, ...]:
    """Return the checks with these keys and those that they need, in the order of ``checks``."""
    by_name = {check.name: check for check in checks}
    chosen = {check.name for check in checks if check.key in names}
    pending = list(chosen)
    while pending:
        for name in by_name[pending.pop()].needs:
            if name not in chosen:
                chosen.add(name)
                pending.append(name)
    return tuple(check for check in checks if check.name in chosen)
