"""Every rule of the failures' table with a sample that it matches and a near miss that it does not."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.failures.classify import RULES, Rule, classify
from coremlbench.failures.rules.worker import WORKER
from coremlbench.types.process import Exit, MemorySample, Progress
from tests.failure_exits import FINE, ended, error, log, stopped
from tests.failure_samples import SAMPLES

ROOT = Path(__file__).parents[2]


def test_every_rule_has_its_samples_in_order() -> None:
    assert [rule.kind for rule in RULES] == [kind for kind, _, _ in SAMPLES]
    assert [kind for kind, samples, misses in SAMPLES if not samples or not misses] == []


@pytest.mark.parametrize(
    ("rule", "sample"),
    [(rule, sample) for rule, (_, samples, _) in zip(RULES, SAMPLES, strict=True) for sample in samples],
    ids=lambda value: value.kind if isinstance(value, Rule) else "",
)
def test_a_rule_matches_its_sample_and_decides(rule: Rule, sample: Exit) -> None:
    assert rule.matches(sample) is not None
    failure = classify(sample)
    assert failure is not None
    assert failure.kind == rule.kind
    assert "{" not in failure.reason + failure.hint
    assert failure.hint.endswith(".")


@pytest.mark.parametrize(
    ("kind", "near_miss"),
    [(kind, near) for kind, _, misses in SAMPLES for near in misses],
)
def test_a_near_miss_is_something_else(kind: str, near_miss: Exit) -> None:
    failure = classify(near_miss)
    assert failure is None or failure.kind != kind


def test_success_is_no_failure_whatever_was_logged() -> None:
    assert classify(FINE) is None
    noise = ("Killed: 9", "Too many open files", "std::bad_alloc", "xcrun: error", "MemoryError")
    assert classify(replace(FINE, log_tail=noise)) is None


def test_the_reason_holds_the_numbers_and_the_place() -> None:
    failure = classify(
        stopped(
            "memory-limit",
            limit=300 * 2**20,
            peak_bytes=350 * 2**20,
            phase="extract",
            last_progress=Progress("extract", 1234, 88375),
        )
    )
    assert failure is not None
    assert failure.reason == (
        "The run took 350.0 MiB of memory, more than the limit of 300.0 MiB, and was stopped at augment and extract "
        "1234 of 88375."
    )
    assert failure.evidence.progress == "augment and extract 1234 of 88375"


def test_messages_with_braces_are_left_as_they_are() -> None:
    failure = classify(error("KeyError", "{where} {0} {"))
    assert failure is not None
    assert failure.reason == "The worker raised KeyError: {where} {0} {"


def test_what_the_supervision_could_not_do_is_evidence() -> None:
    failure = classify(ended(-9, notes=("The guardian of the child was killed; the child was killed too.",)))
    assert failure is not None
    assert failure.evidence.notes == ("The guardian of the child was killed; the child was killed too.",)


def test_evidence_is_bounded() -> None:
    lines = tuple(f"No space left on device {number}" + "x" * 1000 for number in range(200))
    curve = tuple(MemorySample(float(at), at) for at in range(400))
    failure = classify(log(*lines, memory=curve))
    assert failure is not None
    assert len(failure.evidence.log_tail) == 20
    assert failure.evidence.log_tail[-1] == lines[-1]
    assert len(failure.evidence.matched) == 5
    assert max(map(len, failure.evidence.matched)) == 300
    assert failure.evidence.memory == curve


def test_every_exception_that_a_rule_names_is_one_of_ours_or_of_what_we_use() -> None:
    ours = {path for folder in ("toolkit", "datasets", "models") for path in (ROOT / folder).rglob("*.py")}
    known = {name for path in ours for name in re.findall(r"^class (\w+)\(", path.read_text(), re.MULTILINE)}
    named = {
        name for rule in WORKER for name in rule.matches.description.removeprefix("the worker raised ").split(" or ")
    }
    assert named <= known


@pytest.mark.parametrize(("count", "says"), [(None, "; for lack of memory, likely"), (0, "; not for lack of memory")])
def test_a_kill_is_laid_to_memory_only_where_the_system_counted_nothing(count: int | None, says: str) -> None:
    failure = classify(ended(-9, oom_kills=count))
    assert failure is not None
    assert failure.kind == "killed"
    assert says in failure.reason
