"""Run Apple's own op tests, those of the installed coremltools, against the reference runtime, and count.

    python benchmarks/op_tests.py                                    three cases of each test function
    python benchmarks/op_tests.py --per-function 0                   all of them: hours
    python benchmarks/op_tests.py --kinds builder --match TestConv   a part
    python benchmarks/op_tests.py --python VENV/bin/python           with PyTorch's, in a Python that has torch too
    python benchmarks/op_tests.py --save                             and keep the counts for docs/ops.md
    python benchmarks/op_tests.py --count FOLDER --save              those of earlier runs with --cases FOLDER

coremltools' wheel holds its tests; on a Mac they convert a small program, predict with Core ML and compare. Here a
plugin of pytest (``op_tests_plugin.py``) puts the reference runtime in Core ML's place, and the tests' own tolerances
decide. Both precisions and all versions of the ops take part; old neural networks, and PyTorch's programs exported in
other ways than TorchScript, do not. A case counts as equal, as differing or as not supported; those that coremltools
cannot convert here, those that compare nothing and those with random ops count for nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULT = Path(__file__).with_name("op_tests.json")
COMPARED = ("equal", "differ", "not supported")
KINDS = {
    "builder": ("mil/ops/tests",),
    "tensorflow": (
        "frontend/tensorflow/test/test_ops.py",
        "frontend/tensorflow/test/test_composite_ops.py",
        "frontend/tensorflow2/test/test_v2_ops.py",
        "frontend/tensorflow2/test/test_v2_ops_tf_keras.py",
    ),
    "pytorch": (
        "frontend/torch/test/test_torch_ops.py",
        "frontend/torch/test/test_torch_quantization_ops.py",
        "frontend/torch/test/test_torch_stateful_model.py",
    ),
}
REASON = 240
PLACE = re.compile(r" \(operation \d+ of [^)]*\)")
"""Where in its program an op is, in a refusal."""
HALVES = (
    "weights or values of the program are float16, the expected ones are of float32, and the tolerance is float32's"
)
WHY = {
    "TestDuplicateOutputTensors": "two outputs have one name: refused, as Core ML returns one value for both",
    "TestNormalizationLocalResponseNorm::test_builder_to_backend_smoke": "expects the channel alone at rank 3; another "
    "test of Apple's expects PyTorch's window, which is computed",
    "TestCropResize::test_builder_to_backend_smoke": "expects the whole image for a box that begins behind its end",
    r"TestCropResize::test_builder_to_backend_ios1\d": "expects 7.899 for 7.9, in tolerance in float16 only",
    r"TestResample::test_builder_to_backend_smoke": "expects values with one decimal, in tolerance in float16 only",
    "TestLinear::test_linear_fp16": HALVES,
    r"Test(Conv|ConvTranspose|NormalizationL2Norm)::test_builder_to_backend_stress$": HALVES,
}
"""Why the tests whose names match differ."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), help="which tests; all that can run by default")
    parser.add_argument("--per-function", type=int, default=3, help="cases of each test function; 0 is all")
    parser.add_argument("--limit", type=int, default=0, help="cases of each kind, of those chosen; 0 is all")
    parser.add_argument("--seed", default="0", help="of the choice of cases")
    parser.add_argument("--match", default="", help="pytest's -k")
    parser.add_argument("--python", default=sys.executable, help="the Python of the tests; PyTorch's need torch in it")
    parser.add_argument("--cases", type=Path, help="a folder for a line of JSON for each case")
    parser.add_argument("--count", type=Path, help="count the cases of earlier runs in this folder; run nothing")
    parser.add_argument("--save", action="store_true", help=f"write the counts to {RESULT.name}")
    options = parser.parse_args()
    cases = counted(options.count) if options.count else run(parser, options)
    print(table(cases))
    for row in differences(cases):
        print("{outcome} {cases} of {compared}: {test}: {why} [{reason}]".format(**row))
    if options.save:
        result = {**summary(cases), "sample": sample(options)}
        RESULT.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def counted(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the cases of earlier runs by kind, each case once."""
    cases = {}
    for file in sorted(folder.glob("*.jsonl")):
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        cases[file.stem] = list({case["test"]: case for case in lines}.values())
    return cases


def run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Run the tests of the requested kinds; return their cases."""
    has_torch = subprocess.run([options.python, "-c", "import torch"], capture_output=True, check=False).returncode == 0
    kinds = options.kinds or [kind for kind in KINDS if kind != "pytorch" or has_torch]
    if "pytorch" in kinds and not has_torch:
        parser.error("the kind pytorch needs --python PYTHON, a Python that imports torch, coremltools and coremlbench")
    cases = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.cases or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in kinds:
            cases[kind] = run_kind(kind, options.python, folder.resolve() / f"{kind}.jsonl", options)
    return cases


def run_kind(kind: str, python: str, file: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the tests of a kind in one child; return its cases."""
    found = importlib.util.find_spec("coremltools")
    if found is None or found.origin is None:
        raise SystemExit("coremltools is not installed; run `make install` first.")
    root = Path(found.origin).parent / "converters" / "mil"
    file.unlink(missing_ok=True)
    file.touch()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYMIL_TEST_TARGETS": "mlprogram",
        "INCLUDE_MIL_FP32_UNIT_TESTS": "1",
        "RUN_BACKWARD_COMPATIBILITY": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
        "OP_TESTS_CASES": str(file),
        "OP_TESTS_PER_FUNCTION": str(options.per_function),
        "OP_TESTS_LIMIT": str(options.limit),
        "OP_TESTS_SEED": options.seed,
    }
    command = [python, "-m", "pytest", "-c", os.devnull, f"--rootdir={root}", "-p", "op_tests_plugin"]
    command += ["-p", "no:cacheprovider", "-p", "no:randomly", "-q", "--tb=line", "-W", "ignore", "-o", "timeout=120"]
    command += [
        "--continue-on-collection-errors",
        "--show-capture=no",
        "-r",
        "N",
        "-k",
        options.match,
        *[str(root / path) for path in KINDS[kind]],
    ]
    with file.with_suffix(".log").open("w") as log:
        subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    lines = file.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise SystemExit(f"No test of the kind {kind} ran:\n{file.with_suffix('.log').read_text()[-2000:]}")
    return [json.loads(line) for line in lines]


def table(cases: dict[str, list[dict[str, Any]]]) -> str:
    """Return the counts by kind of test."""
    rows = [
        f"{'kind':12} {'ran':>6} {'compared':>9} {'equal':>6} {'differ':>7} {'not supported':>14} {'share':>7}  others"
    ]
    counts = {kind: Counter(case["outcome"] for case in found) for kind, found in cases.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    for kind, count in [*counts.items(), ("all", total)]:
        compared = sum(count[outcome] for outcome in COMPARED)
        others = ", ".join(f"{name} {number}" for name, number in sorted(count.items()) if name not in COMPARED)
        rows.append(
            f"{kind:12} {count.total():6} {compared:9} {count['equal']:6} {count['differ']:7} "
            f"{count['not supported']:14} {count['equal'] / max(1, compared):7.1%}  {others}"
        )
    return "\n".join(rows)


def differences(cases: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the test functions with unequal cases: how many, of how many compared, and the reason of one."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in (case for found in cases.values() for case in found if case["outcome"] in COMPARED):
        groups["::".join(case["test"].split("[")[0].split("/")[-1].split("::")[-2:])].append(case)
    rows = []
    for test, found in sorted(groups.items()):
        for outcome in COMPARED[1:]:
            unequal = [case for case in found if case["outcome"] == outcome]
            if unequal:
                reason = PLACE.sub("", " ".join(unequal[0]["reason"].split()))[:REASON]
                row = {"test": test, "outcome": outcome, "cases": len(unequal), "compared": len(found)}
                rows.append({**row, "reason": reason, "why": why(test, outcome, unequal[0])})
    return rows


def why(test: str, outcome: str, case: dict[str, Any]) -> str:
    """Return why the cases of a test function are not equal, "" where nobody has explained it."""
    if outcome == "not supported":
        return PLACE.sub("", case["reason"]).split("; run this")[0]
    return next((reason for pattern, reason in WHY.items() if re.search(pattern, test)), "")


def sample(options: argparse.Namespace) -> str:
    """Return in words which cases were run."""
    if options.count:
        return "as many as there was time for, of up to two of each test function"
    each = f"up to {options.per_function} of each test function" if options.per_function else "all"
    return each + (f", and {options.limit} of each kind of test" if options.limit else "")


def summary(cases: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return what is saved: the counts by kind of test, and for each op its forms and its cases."""
    kinds = {}
    for kind, found in cases.items():
        count = Counter(case["outcome"] for case in found)
        kinds[kind] = {outcome: count[outcome] for outcome in COMPARED}
    ops = _ops(found for found in cases.values())
    return {"coremltools": _version("coremltools"), "kinds": kinds, "ops": ops, "differences": differences(cases)}


def _ops(groups: Iterable[Sequence[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return for each op how many of its forms and cases were compared, with what outcome, and why it was refused.

    A refused case counts for the op that was refused, and for no other op in its program.
    """
    forms: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    refusals: dict[str, set[str]] = defaultdict(set)
    for case in (case for found in groups for case in found if case["outcome"] in COMPARED):
        refused = case["outcome"] == "not supported"
        for op in case["ops"]:
            if not refused or case["refused"] in {op, None}:
                counts[op][case["outcome"]] += 1
                refusals[op].update([why("", "not supported", case)] if refused else [])
        for form in case["forms"]:
            forms[form.split("(")[0]].add(form)
    return {
        op: {
            "forms": len(forms[op]),
            **{outcome: counts[op][outcome] for outcome in COMPARED},
            "why": sorted(refusals[op]),
        }
        for op in sorted(counts)
    }


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
