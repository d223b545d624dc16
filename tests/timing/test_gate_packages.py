"""Two packages that the gate times itself, in the rounds of one run."""

from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.runs import store
from coremlbench.timing.gate_findings import GateLimits
from coremlbench.timing.gate_packages import GateRun, compare_packages
from coremlbench.types.errors import InputError
from coremlbench.types.timing import TimingRecord
from tests.timed_packages import TINY, make_package, quiet


def run_in(results: Path) -> GateRun:
    options = replace(TINY, rounds=3, runtimes=("reference",))
    return GateRun(results, ["coremlbench", "compare"], quiet, options=options)


@pytest.mark.tensorflow
def test_both_are_timed_in_the_same_rounds_and_compared(tmp_path: Path) -> None:
    for folder in ("base", "head"):
        (tmp_path / folder).mkdir()
    before, after = make_package(tmp_path / "base", "net"), make_package(tmp_path / "head", "net", seed=1)
    run = run_in(tmp_path / "results")
    result = compare_packages(str(before), str(after), GateLimits(slower=1e6, larger=0.5), run)
    assert (result.decision, result.before, result.after) == ("passed", str(before), str(after))
    assert [finding.quantity for finding in result.findings] == ["time", "size"]
    assert result.findings[0].rounds == 3
    records, _ = store.load_all(tmp_path / "results")
    (record,) = (record for record in records if isinstance(record, TimingRecord))
    assert [model.name for model in record.models] == ["net", "net (2)"]
    with pytest.raises(InputError, match="is named twice"):
        compare_packages(str(before), str(before), GateLimits(slower=0.05), run)
