"""The counts that are made of the cases of Apple's op tests, and the hooks that choose and judge them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def op_tests(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "op_tests", raising=False)
    import op_tests

    module: ModuleType = op_tests
    return module


def case(test: str, outcome: str, *ops: str, reason: str = "", refused: str | None = None) -> dict[str, Any]:
    forms = [f"{op}(x:fp32/{len(test)})" for op in ops]
    return {
        "test": f"a/test_x.py::{test}[p]",
        "outcome": outcome,
        "reason": reason,
        "ops": list(ops),
        "forms": forms,
        "refused": refused,
    }


REFUSAL = (
    "The runtime does not know the op 'erf' (operation 3 of the program, which makes 'y'); run this model on a Mac."
)
CASES = {
    "builder": [
        case("TestA::test_a", "equal", "conv", "relu"),
        case("TestA::test_bb", "equal", "conv"),
        case("TestA::test_bb", "differ", "conv", reason="AssertionError: no"),
        case("TestB::test", "not supported", "conv", "erf", reason=REFUSAL, refused="erf"),
        case("TestB::test", "not converted", "conv", reason="Skipped"),
        case("TestB::test", "nothing compared"),
    ]
}


def test_only_compared_cases_count_and_a_refusal_counts_for_its_op(op_tests: ModuleType) -> None:
    summary = op_tests.summary(CASES)
    assert summary["kinds"] == {"builder": {"equal": 2, "differ": 1, "not supported": 1}}
    assert summary["ops"]["conv"] == {"forms": 3, "equal": 2, "differ": 1, "not supported": 0, "why": []}
    assert summary["ops"]["erf"]["not supported"] == 1
    assert summary["ops"]["erf"]["why"] == ["The runtime does not know the op 'erf'"]


def test_cases_of_earlier_runs_count_once(op_tests: ModuleType, tmp_path: Path) -> None:
    lines = [json.dumps(case) for case in CASES["builder"][:2]]
    (tmp_path / "builder.jsonl").write_text("\n".join([*lines, lines[0]]))
    assert op_tests.counted(tmp_path) == {"builder": CASES["builder"][:2]}


def test_the_table_has_the_share_of_what_was_compared(op_tests: ModuleType) -> None:
    assert "builder           6         4      2       1              1   50.0%" in op_tests.table(CASES)
    assert op_tests.table(CASES).endswith("not converted 1, nothing compared 1")


def test_unequal_cases_are_told_with_their_reasons(op_tests: ModuleType) -> None:
    differ, refused = op_tests.differences(CASES)
    assert (differ["test"], differ["cases"], differ["compared"], differ["why"]) == ("TestA::test_bb", 1, 2, "")
    assert (refused["outcome"], refused["why"]) == ("not supported", "The runtime does not know the op 'erf'")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"per_function": 0, "limit": 0, "count": None}, "all"),
        ({"per_function": 2, "limit": 9, "count": None}, "up to 2 of each test function, and 9"),
        ({"per_function": 0, "limit": 0, "count": Path("cases")}, "as many as there was time for"),
    ],
)
def test_the_sample_is_told_in_words(op_tests: ModuleType, settings: dict[str, int], words: str) -> None:
    assert op_tests.sample(argparse.Namespace(**settings)).startswith(words)


def test_what_differs_in_the_saved_result_is_explained(op_tests: ModuleType) -> None:
    result = json.loads(op_tests.RESULT.read_text(encoding="utf-8"))
    assert [row["test"] for row in result["differences"] if not row["why"]] == []
