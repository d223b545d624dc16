"""Compare a package in several ranges of input values, where the right one is not known, and tell the worst.

Ranges are compared one by one: in one comparison the errors of large values would hide those of small ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.conversion.proof import with_caveats, worst_proof
from coremlbench.types.conversion import Caveat, CaveatCode, Proof

DESCRIPTION_FILE = "samples.json"
"""The description of the samples, beside samples.npy."""
FAR_OFF = 0.1
"""The largest error, as a share of the widest range of the original's outputs, from which a package is far off."""
SCALES_HINT = "give --scale 0.00392157 (1/255) if it takes pixels from 0 to 1, and --scale 1 if from 0 to 255"


@dataclass(frozen=True)
class SampleRange:
    """A part of the samples, ``rows`` one after another, with values from ``low`` to ``high``.

    ``known`` tells that the model is used with these values, ``pixels`` that they are pixels of an unknown range.
    """

    rows: int
    low: float = 0.0
    high: float = 0.0
    known: bool = False
    pixels: bool = False

    @property
    def text(self) -> str:
        """Return the range as text."""
        return f"{self.low:.3g} to {self.high:.3g}"


def ranges_to_json(ranges: Sequence[SampleRange]) -> list[dict[str, Any]]:
    """Return ranges as JSON, for the description of the samples."""
    return [asdict(item) for item in ranges]


def compared_ranges(folder: Path, rows: int, *, one_only: bool) -> list[SampleRange]:
    """Return the ranges of the samples in a folder; all ``rows`` in one where the range is known.

    With ``one_only`` the first one is returned: a package that takes images scales them itself, and the activations of
    an ``int8-activations`` package were calibrated in that range.
    """
    file = folder / DESCRIPTION_FILE
    described = json.loads(file.read_bytes()).get("ranges", ()) if file.is_file() else ()
    ranges = [SampleRange(**item) for item in described] or [SampleRange(rows, known=True)]
    return ranges[:1] if one_only else ranges


def split(values: Mapping[str, Any], ranges: Sequence[SampleRange]) -> list[dict[str, Any]]:
    """Return the rows of arrays (samples, values) in each range."""
    parts, start = [], 0
    for item in ranges:
        parts.append({name: array[start : start + item.rows] for name, array in values.items()})
        start += item.rows
    return parts


def worst_range(proofs: Sequence[Proof | None], ranges: Sequence[SampleRange]) -> tuple[Proof, int]:
    """Return the proof in the worst range, with a caveat that names what was compared, and the row where it begins.

    ``None`` is the proof of a range for which the original gives no numbers; there is another one. Where the original
    hardly tells inputs of a range apart, as a network does that pixels of the wrong range saturate, that range counts
    only if the package is far off in it, further than by rounding. Of equal verdicts the first range is told.
    """
    known = {number: proof for number, proof in enumerate(proofs) if proof is not None}
    if ranges[0].known:
        return known[0], 0
    full = any(proof.images == ranges[0].rows and not _has(proof, "few-images") for proof in known.values())
    known = {number: _without_few_images(proof) if full else proof for number, proof in known.items()}
    outputs = max(proof.range or 0.0 for proof in known.values())
    telling = {
        number: proof for number, proof in known.items() if not _tells_little(proof) or _is_far_off(proof, outputs)
    }
    counted = telling or dict([next(iter(known.items()))])
    verdict = worst_proof(list(counted.values())).verdict
    worst = next(number for number, proof in counted.items() if proof.verdict == verdict)
    proof = counted[worst] if len(ranges) == 1 else _in_range(counted[worst], ranges[worst])
    silent = [item for number, item in enumerate(ranges) if number not in counted]
    caveat = _caveat([ranges[number] for number in counted], silent)
    return with_caveats(proof, [caveat]), sum(item.rows for item in ranges[:worst])


def _without_few_images(proof: Proof) -> Proof:
    """Return a proof without the caveat that it has few images: the other ranges have fewer beside a full proof."""
    caveats = tuple(caveat for caveat in proof.caveats if caveat.code != "few-images")
    verdict = "proven" if proof.verdict == "proven with caveats" and not caveats else proof.verdict
    return replace(proof, caveats=caveats, verdict=verdict)


def _tells_little(proof: Proof) -> bool:
    return proof.verdict == "not judged" or _has(proof, "low-variance")


def _is_far_off(proof: Proof, outputs: float) -> bool:
    """Return whether a package is wrong by a good share of the range of the original's outputs, or gives no numbers."""
    return proof.verdict == "wrong" and (proof.max_error is None or not proof.max_error <= FAR_OFF * outputs)


def _has(proof: Proof, code: CaveatCode) -> bool:
    return any(caveat.code == code for caveat in proof.caveats)


def _in_range(proof: Proof, compared: SampleRange) -> Proof:
    """Return a proof that names the range in its reason and its data."""
    reason = f"for values from {compared.text}, {proof.reason[:1].lower()}{proof.reason[1:]}"
    return replace(proof, reason=reason, data=f"{proof.data}, values from {compared.text}")


def _caveat(counted: Sequence[SampleRange], silent: Sequence[SampleRange]) -> Caveat:
    """Return the caveat that names the ranges; in ``silent`` ones the original hardly tells inputs apart."""
    values = " and ".join(f"from {item.text}" for item in counted)
    if not counted[0].pixels:
        return Caveat("value-range", f"Compared on values {values} only; nothing is known about larger ones.")
    silence = "".join(f"; for those from {item.text} the original's outputs say nothing" for item in silent)
    text = f"Which pixel values the model takes is not known: compared on those {values}{silence}; {SCALES_HINT}."
    return Caveat("pixel-range", text)
