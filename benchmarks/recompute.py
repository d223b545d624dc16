"""Recompute every figure of a report from the raw samples of its records, with NumPy and SciPy alone.

    python benchmarks/recompute.py results/reports/20261128-071807/report.json

Nothing of coremlbench is imported. A figure whose raw samples lie beside the record is computed from them: the times of
all calls, the times of all epochs, the matrix of true and predicted classes. What a record holds as one number only,
such as a load time, is compared with the record. Exit code 1 if a figure differs, or if a record or its samples are
missing or changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.96
HALF_TICK = 1 / 24e6 / 2
CALLS_FOR_P99 = 662
TOLERANCE = 1e-9
PICTURES_TO_MODEL = {"augment", "extract", "train", "evaluate", "export"}
Row = dict[str, Any]


class Check:
    """Counts the figures that agree, by their source, and lists those that differ."""

    def __init__(self) -> None:
        self.counts = {"raw samples": 0, "record": 0}
        self.differences: list[str] = []

    def equal(self, name: str, reported: Any, computed: Any, source: str = "raw samples") -> None:
        """Compare a figure of the report with the computed one, relative to its size; ``None`` equals NaN."""
        self.counts[source] += 1
        if not _agree(reported, computed):
            self.differences.append(f"{name}: the report says {reported}, computed is {computed}")

    def missing(self, sentence: str) -> None:
        """Note that something is not there to compute with."""
        self.differences.append(sentence)


def _agree(reported: Any, computed: Any) -> bool:
    if isinstance(reported, list) and isinstance(computed, Iterable):
        values = list(computed)
        return len(reported) == len(values) and all(map(_agree, reported, values))
    if _is_nothing(reported) or _is_nothing(computed):
        return _is_nothing(reported) and _is_nothing(computed)
    if isinstance(reported, str | bool) or isinstance(computed, str | bool):
        return bool(reported == computed)
    return math.isclose(reported, computed, rel_tol=TOLERANCE, abs_tol=1e-15)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


# --- timing -------------------------------------------------------------------------------------------------


def t_interval(logs: Sequence[float], tick: float) -> tuple[float, float | None, float | None]:
    """Return the geometric mean and its interval: Student's t on the logarithms, widened by half a tick."""
    middle = float(np.mean(logs))
    if len(logs) == 1:
        return math.exp(middle), None, None
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1) * stats.sem(logs)) + tick
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def finished(cell: Row) -> list[Row]:
    """Return the rounds of a cell that did not fail and have a median."""
    return [timed for timed in cell["rounds"] if timed["failure"] is None and timed["p50"]]


def samples_of(timed: Row, folder: Path, check: Check) -> dict[str, NDArray[np.float64]]:
    """Return the raw samples of a round: ``wall`` and, of Core ML, ``own``; empty if they are missing or changed."""
    path = folder / timed["samples"]
    if not timed["samples"] or not path.is_file():
        check.missing(f"{path} with the samples of a round is not there")
        return {}
    if timed["samples_sha256"] and hashlib.sha256(path.read_bytes()).hexdigest() != timed["samples_sha256"]:
        check.missing(f"{path} is not the file that was measured: its SHA-256 is another")
    with np.load(path) as arrays:
        return {name: np.asarray(arrays[name], np.float64) for name in arrays.files}


def outliers(wall: NDArray[np.float64]) -> int:
    """Return the number of calls above Tukey's outer fence, which is at least a tick above the upper quartile."""
    lower, upper = np.quantile(wall, (0.25, 0.75))
    return int((wall > upper + max(3 * (upper - lower), 2 * HALF_TICK)).sum())


def drift(wall: NDArray[np.float64]) -> float | None:
    """Return the median of the last third of the calls over that of the first third, minus 1."""
    third = len(wall) // 3
    return float(np.median(wall[-third:]) / np.median(wall[:third]) - 1) if third else None


def median_of(values: Iterable[float | None]) -> float | None:
    """Return the median of the values that are there."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def check_cell(row: Row, cell: Row, folder: Path, check: Check) -> None:
    """Recompute one cell of the matrix."""
    name = f"{row['model']} {row['variant']} ×{row['batch']} {row['runtime']} {row['unit']}"
    rounds = finished(cell)
    check.equal(f"{name}: rounds", row["rounds"], len(rounds))
    if not rounds:
        check.equal(f"{name}: p50", row["p50"], None)
        return
    raw = [samples_of(timed, folder, check) for timed in rounds]
    if not all(raw):
        return
    walls = [arrays["wall"] for arrays in raw]
    medians = [float(np.median(wall)) for wall in walls]
    p50, low, high = t_interval(np.log(medians).tolist(), HALF_TICK / min(medians))
    figures: Row = {"p50": p50, "low": low, "high": high, "medians": medians, "calls": sum(map(len, walls))}
    for percent in (90, 95, 99):
        known = [wall for wall in walls if percent < 99 or len(wall) >= CALLS_FOR_P99]
        figures[f"p{percent}"] = median_of(float(np.quantile(wall, percent / 100)) for wall in known)
    figures["distribution"] = np.median([np.quantile(wall, np.linspace(0, 1, 41)) for wall in walls], axis=0).tolist()
    figures["outliers"] = sum(map(outliers, walls))
    figures["drift"] = median_of(map(drift, walls))
    figures["own_p50"] = median_of(
        float(np.median(arrays["own"])) if "own" in arrays and len(arrays["own"]) else None for arrays in raw
    )
    for figure, value in figures.items():
        check.equal(f"{name}: {figure}", row[figure], value)
    floor = cell["floor"]["seconds"] if cell["floor"] else None
    check.equal(f"{name}: floor_share", row["floor_share"], floor / p50 if floor else None)
    energies = (timed["energy_joules"] / timed["calls"] if timed["energy_joules"] else None for timed in rounds)
    check.equal(f"{name}: energy_joules", row["energy_joules"], median_of(energies), "record")
    for figure, field in (
        ("compile_seconds", "compile_seconds"),
        ("cached_load_seconds", "second_load_seconds"),
        ("first_predict_seconds", "first_predict_seconds"),
    ):
        check.equal(f"{name}: {figure}", row[figure], median_of(timed[field] for timed in rounds), "record")
    first = next((timed["first_load_seconds"] for timed in cell["rounds"] if timed["first_load_seconds"]), None)
    check.equal(f"{name}: first_load_seconds", row["first_load_seconds"], first, "record")
    check.equal(f"{name}: output_error", row["output_error"], cell["output_error"], "record")


def find_cell(row: Row, record: Row) -> Row | None:
    """Return the measurement of a row; models of one name can have got a number in the report."""
    same = [
        cell
        for cell in record["measurements"]
        if all(cell[key] == row[key] for key in ("variant", "batch", "runtime", "unit", "package_sha256"))
    ]
    return next((cell for cell in same if cell["model"] == row["model"]), same[0] if same else None)


def check_answer(answer: Row, record: Row, folder: Path, check: Check) -> None:
    """Recompute the ratio of the Neural Engine to the GPU, of the rounds in which both succeeded."""
    units = {}
    for unit in ("CPU_AND_NE", "CPU_AND_GPU"):
        cells = [
            cell
            for cell in record["measurements"]
            if cell["unit"] == unit and cell["variant"] == answer["variant"] and cell["model"] == answer["model"]
        ]
        cell = min(cells, key=lambda each: int(each["batch"]), default=None)
        units[unit] = {timed["round"]: samples_of(timed, folder, check) for timed in finished(cell)} if cell else {}
    common = sorted(units["CPU_AND_NE"].keys() & units["CPU_AND_GPU"].keys())
    pairs = [[float(np.median(units[unit][number]["wall"])) for number in common] for unit in units]
    logs = (np.log(pairs[0]) - np.log(pairs[1])).tolist()
    ratio, low, high = t_interval(logs, HALF_TICK * (1 / min(pairs[0]) + 1 / min(pairs[1])))
    different = low is not None and high is not None and not low <= 1 <= high
    computed: Row = {"ratio": ratio, "low": low, "high": high, "rounds": len(common), "different": different}
    computed |= {"engine_medians": pairs[0], "gpu_medians": pairs[1]}
    for figure, value in computed.items():
        check.equal(f"answer on {answer['model']}: {figure}", answer[figure], value)


# --- training and variants ----------------------------------------------------------------------------------


def compared_seconds(record: Row, metric: str) -> float | None:
    """Return the seconds of a finished training that its experiment compares."""
    if record["outcome"]["status"] != "trained" or record.get("resumed_from") or record.get("stand_in"):
        return None
    phases = record["phases"]
    if metric == "seconds per epoch":
        later = [epoch["seconds"] for epoch in record["epochs"] if epoch["epoch"] > 1]
        return float(np.mean(later)) if later else None
    if metric == "total seconds":
        tested = [phase["seconds"] for phase in phases if phase["name"] == "evaluate"]
        return math.fsum([*(epoch["seconds"] for epoch in record["epochs"]), *tested])
    if metric == "pictures to model":
        return math.fsum(phase["seconds"] for phase in phases if phase["name"] in PICTURES_TO_MODEL) or None
    return float(record["seconds"])


def accuracy_of(outcome: Row) -> float:
    """Return the accuracy from the matrix of true and predicted classes, else as recorded."""
    counts = np.asarray(outcome["confusion"])
    return float(np.trace(counts) / counts.sum()) if counts.size else float(outcome["test_accuracy"])


def check_training(row: Row, records: dict[str, Row], check: Check) -> None:
    """Recompute the row of an experiment: its time, the range of all runs, and its accuracy."""
    name = f"{row['experiment']} ({row['record']})"
    record = records[row["record"]]
    seconds = compared_seconds(record, row["metric"])
    known = [compared_seconds(records[other], row["metric"]) for other in row["records"]]
    all_seconds = [value for value in known if value is not None]
    check.equal(f"{name}: seconds", row["seconds"], seconds)
    check.equal(f"{name}: low", row["low"], min(all_seconds) if len(all_seconds) > 1 else None)
    check.equal(f"{name}: high", row["high"], max(all_seconds) if len(all_seconds) > 1 else None)
    check.equal(f"{name}: epochs", row["epochs"], [epoch["seconds"] for epoch in record["epochs"]])
    if record["outcome"]["status"] == "trained":
        check.equal(f"{name}: accuracy", row["accuracy"], accuracy_of(record["outcome"]))
        check.equal(f"{name}: test_images", row["test_images"], record["dataset"]["test"], "record")


def check_ratios(rows: Sequence[Row], check: Check) -> None:
    """Recompute each time over the fastest of the same work."""
    for row in rows:
        if row["seconds"] is not None:
            same = [other for other in rows if (other["experiment"], other["work"]) == (row["experiment"], row["work"])]
            fastest = min(other["seconds"] for other in same if other["seconds"] is not None)
            check.equal(f"{row['experiment']} ({row['record']}): ratio", row["ratio"], row["seconds"] / fastest)


def check_classifier(run: Row, record: Row, check: Check) -> None:
    """Recompute accuracy, precision and recall of a Create ML run from its matrix of classes."""
    counts = np.asarray(record["outcome"]["confusion"], np.float64)
    name = f"Create ML run {run['record']}"
    check.equal(f"{name}: test_accuracy", run["test_accuracy"], accuracy_of(record["outcome"]))
    check.equal(f"{name}: seconds", run["seconds"], record["seconds"], "record")
    for index, result in enumerate(run["per_class"] if counts.size else ()):
        predicted, actual = counts[:, index].sum(), counts[index].sum()
        check.equal(f"{name}: {result['name']} images", result["images"], float(actual))
        precision = float(counts[index, index] / predicted) if predicted else None
        check.equal(f"{name}: {result['name']} precision", result["precision"], precision)
        recall = float(counts[index, index] / actual) if actual else None
        check.equal(f"{name}: {result['name']} recall", result["recall"], recall)


def check_variant(row: Row, record: Row, check: Check) -> None:
    """Compare the figures of a package with those of its record; a proof holds no raw outputs."""
    variants = list(record.get("variants", ()))
    variants += [variant for model in record.get("models", ()) for variant in model["variants"]]
    variant = next((each for each in variants if each["sha256"] == row["sha256"]), None)
    if variant is None:
        check.missing(f"the package {row['model']} {row['variant']} is not in its record {row['record']}")
        return
    name = f"{row['model']} {row['variant']}"
    check.equal(f"{name}: bytes", row["bytes"], variant["bytes"], "record")
    proof = variant["proof"]
    if proof is None:
        return
    for figure in ("images", "agreement", "accuracy_before", "accuracy_after", "max_error", "signal_to_noise"):
        check.equal(f"{name}: {figure}", row[figure], proof[figure], "record")
    error = proof["max_error"]
    share = None if error is None else error / proof["range"] if proof["range"] else error
    check.equal(f"{name}: relative_error", row["relative_error"], share, "record")


# --- the report ---------------------------------------------------------------------------------------------


def load_records(report: Row, folder: Path, check: Check) -> tuple[dict[str, Row], dict[str, Path]]:
    """Return the records of a report in a folder and their own folders, by id; those that are missing are noted."""
    records: dict[str, Row] = {}
    folders: dict[str, Path] = {}
    for row in report["records"]:
        file = folder / unquote(row["path"])
        if not row["path"] or not file.is_file():
            check.missing(f"the record {row['id']} is not with the report; make the report beside its results")
            continue
        records[row["id"]] = json.loads(file.read_bytes())
        folders[row["id"]] = file.parent
    return records, folders


def check_timing(report: Row, records: dict[str, Row], folders: dict[str, Path], check: Check) -> None:
    """Recompute the cells of the matrix, and the answers that have a ratio."""
    for row in report["timing"]:
        if row["record"] in records:
            cell = find_cell(row, records[row["record"]])
            if cell is None:
                check.missing(f"{row['model']} {row['variant']} on {row['unit']} is not in its record {row['record']}")
            else:
                check_cell(row, cell, folders[row["record"]], check)
    for answer in report["answers"]:
        if answer["ratio"] is not None and answer["record"] in records:
            check_answer(answer, records[answer["record"]], folders[answer["record"]], check)


def check_report(path: Path) -> Check:
    """Recompute the figures of a ``report.json``; records are found by their paths in it, relative to its folder."""
    report = json.loads(path.read_bytes())
    check = Check()
    records, folders = load_records(report, path.parent, check)
    check_timing(report, records, folders, check)
    for row in report["training"]:
        if all(record in records for record in row["records"]):
            check_training(row, records, check)
    check_ratios(report["training"], check)
    for run in report["classifiers"]:
        if run["record"] in records:
            check_classifier(run, records[run["record"]], check)
    for row in report["variants"]:
        if row["record"] in records:
            check_variant(row, records[row["record"]], check)
    return check


def main(arguments: Sequence[str]) -> int:
    """Print what was computed and what differs, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path, metavar="report.json")
    code = 0
    for path in parser.parse_args(arguments).reports:
        check = check_report(path)
        raw, recorded = check.counts["raw samples"], check.counts["record"]
        print(f"{path}: {raw:,} figures recomputed from raw samples, {recorded:,} compared with the records")
        for difference in check.differences:
            print(f"  {difference}")
        print(f"{len(check.differences):,} differ or are missing")
        code = code or int(bool(check.differences))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
