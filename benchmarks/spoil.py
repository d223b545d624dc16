"""Spoil small models in known ways, and count how many of the spoiled packages are found to be wrong.

    python benchmarks/spoil.py                 all kinds of models, and the table in docs/spoils.md
    python benchmarks/spoil.py --kinds lstm    one kind, printed only

Each spoiled model is converted and judged against the right one by the steps of ``coremlbench convert``. How much a
spoil changes is measured without any package, between the two models in TensorFlow (float32): it counts if that brings
the signal-to-noise ratio below the variant's limit of ``wrong``, changes a label, kills a class, or overflows float16.
Everything is seeded. Of the counted spoils all should be ``wrong`` or refused; what lies between the limits should be
``degraded`` at least.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof_pipeline import convert, open_file, prove, save_samples, silent
from spoiled_models import CLASSES, KINDS, Spoil, right_model, spoiled_model, spoils

TABLE = Path(__file__).resolve().parents[1] / "docs" / "spoils.md"
SAMPLES = 100
VARIANTS = ("fp16", "fp32", "int8")


@dataclass(frozen=True)
class Result:
    """What became of one spoil of one model in one variant."""

    kind: str
    spoil: str
    variant: str
    ratio: float
    counted: bool
    between: bool
    verdict: str
    reason: str

    @property
    def found(self) -> bool:
        """Return whether the package was wrong, or could not be compared."""
        return self.verdict in {"wrong", "refused"}


# --- judging ------------------------------------------------------------------------------------------------


def save(model: Any, kind: str, path: Path) -> Path:
    """Save a model as its kind of file, and return the path."""
    if kind != "saved-model":
        path = path.with_suffix(".keras")
        model.save(path)
        return path
    shutil.rmtree(path, ignore_errors=True)
    model.export(path, verbose=False)
    return path


def judge_kind(kind: str, seed: int, folder: Path, variants: Sequence[str]) -> list[Result]:
    """Return the results of all spoils of one model; each spoil is converted in one of the variants, in turn."""
    folder.mkdir(parents=True)
    right = right_model(kind, seed)
    scale = 1.0 if kind == "saved-model" else None  # nothing else tells that it rescales pixels itself
    original = open_file(save(right, kind, folder / "right"), CLASSES, scale)
    expected = save_samples(original, folder, SAMPLES, seed)
    results = []
    for number, spoil in enumerate(spoils()):
        variant = "fp16" if spoil.overflows else variants[(number + seed) % len(variants)]
        spoiled = open_file(save(spoiled_model(right, kind, spoil), kind, folder / "spoiled"), spoil.classes, scale)
        results.append(_judge(kind, spoil, variant, expected, spoiled, original, folder))
        print(_line(results[-1]), flush=True)
    return results


def _judge(kind: str, spoil: Spoil, variant: str, expected: Any, spoiled: Any, original: Any, folder: Path) -> Result:
    import numpy as np

    from coremlbench.conversion.proof import THRESHOLDS, compare_outputs

    logits = spoiled.predict(np.load(folder / "samples.npy"))["logits"]
    ratio = compare_outputs(expected["logits"], logits)["signal_to_noise"]
    ratio = math.inf if ratio is None else ratio
    dead = bool((np.ptp(logits, axis=0) == 0).any())
    row = THRESHOLDS[variant]  # type: ignore[index]  # one of VARIANTS
    outcome = prove(convert(spoiled, variant, folder), variant, folder, original, CLASSES)
    proof = outcome.get("proof")
    return Result(
        kind,
        spoil.name,
        variant,
        ratio,
        counted=ratio < row.wrong_snr or dead or spoil.changes_labels or spoil.overflows,
        between=row.wrong_snr <= ratio < row.proven_snr,
        verdict=proof["verdict"] if proof else "refused",
        reason=proof["reason"].partition(";")[0] if proof else outcome["error"]["message"],
    )


# --- results ------------------------------------------------------------------------------------------------


def _line(result: Result) -> str:
    ratio = "∞" if math.isinf(result.ratio) else f"{result.ratio:.1f}"
    sort = "counted" if result.counted else "between" if result.between else "weak"
    missed = result.counted and not result.found
    missed |= result.between and not result.found and result.verdict != "degraded"
    mark = "MISSED " if missed else ""
    return f"{mark}{result.kind}, {result.spoil}, {result.variant}: {ratio} dB, {sort}, {result.verdict}"


def summary(results: Sequence[Result], seconds: float) -> list[str]:
    """Return the counts as lines of Markdown."""
    counted = [result for result in results if result.counted]
    between = [result for result in results if result.between and not result.counted]
    weak = [result for result in results if not result.counted and not result.between]
    noticed, seen = (
        sum(result.found for result in counted),
        sum(result.found or result.verdict == "degraded" for result in between),
    )
    share = 100 * noticed / max(1, len(counted))
    return [
        f"- {noticed} of {len(counted)} counted spoils were wrong or refused ({share:.0f} of 100).",
        f"- {seen} of {len(between)} spoils between the limits were degraded at least.",
        f"- {len(weak)} weaker spoils are listed apart.",
        f"- {len(results)} packages in {seconds:.0f} s.",
    ]


def table(results: Sequence[Result], seconds: float) -> str:
    """Return docs/spoils.md."""
    lines = [
        "# Spoiled models, and what the proof says of them",
        "",
        "Made by `python benchmarks/spoil.py`; no number here was written by hand. Small models of each kind are",
        "spoiled in known ways, converted and compared with the right model. The ratio is that of the two models in",
        "TensorFlow, in float32, without any package. A spoil counts if it brings this ratio below the variant's limit",
        "of `wrong`, changes a label, kills a class, or overflows float16.",
        "",
        *summary(results, seconds),
        "",
    ]
    parts = (
        ("Counted", [result for result in results if result.counted]),
        ("Between the limits", [result for result in results if result.between and not result.counted]),
        ("Weaker", [result for result in results if not result.counted and not result.between]),
    )
    for title, rows in parts:
        lines += [f"## {title}", "", "| model | spoil | variant | ratio, dB | verdict |", "|---|---|---|--:|---|"]
        for row in rows:
            ratio = "∞" if math.isinf(row.ratio) else f"{row.ratio:.1f}"
            lines.append(f"| {row.kind} | {row.spoil} | {row.variant} | {ratio} | {row.verdict} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Spoil the models, print the results, and write the table if all kinds were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"some of {', '.join(KINDS)}")
    parser.add_argument("--seeds", type=int, default=2, help="models of each kind")
    options = parser.parse_args()
    started, results = time.perf_counter(), list[Result]()
    for kind in options.kinds.split(","):
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as scratch, silent():
                results += judge_kind(kind, seed, Path(scratch) / kind, VARIANTS)
    seconds = time.perf_counter() - started
    print("\n".join(summary(results, seconds)))
    if options.kinds == ",".join(KINDS):
        TABLE.write_text(table(results, seconds), encoding="utf-8")
    sys.exit(any(result.counted and not result.found for result in results))


if __name__ == "__main__":
    main()
