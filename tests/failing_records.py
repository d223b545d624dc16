"""Records of every kind with failures in them, for the tests that list and bundle them."""

from dataclasses import replace

from coremlbench.types.conversion import ConversionRecord, Converted, ModelSource, Variant
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.machine import Machine
from coremlbench.types.timing import Measurement, Round, Timed, TimedModel, TimingRecord
from coremlbench.types.training_records import Trained, TrainingRecord

AIR = Machine("a1r", "Apple M1", "arm64", 8, 8, 16 << 30, "macOS", "15.1", model="MacBookAir10,1")
XEON = Machine("x3on", "Xeon", "x86_64", 2, 2, 8 << 30, "Linux", "12")


def failure(kind: str, progress: str = "", **evidence: object) -> Failure:
    return Failure(kind, f"It failed ({kind}).", "Run it again.", Evidence(progress=progress, **evidence))  # type: ignore[arg-type]


def training(
    number: int, outcome: Failure | Trained, *, machine: Machine = AIR, experiment: str = "createml", attempt: int = 1
) -> TrainingRecord:
    return TrainingRecord(
        id=f"20261123-10000{number}-{experiment}-000{number}",
        experiment=experiment,
        started=f"2026-11-23T10:00:0{number}+00:00",
        command=("coremlbench", experiment),
        coremlbench="0",
        machine=machine,
        engine="turicreate",
        options={},
        outcome=outcome,
        attempt=attempt,
    )


SOURCE = ModelSource("tinyvgg", "random-weights", "keras", "", "00")
BAD_VARIANT = Variant("int8", 1, failure=failure("unsupported-operation"))
CONVERSION = ConversionRecord(
    id="20261123-110000-tinyvgg-0011",
    experiment="tinyvgg",
    started="2026-11-23T11:00:00+00:00",
    command=("coremlbench", "convert"),
    coremlbench="0",
    machine=XEON,
    engine="coremltools",
    options={},
    outcome=Converted(proven=1, degraded=0, wrong=0, failed=1),
    variants=(Variant("fp16", 1, path="fp16.mlpackage"), BAD_VARIANT),
)
KILLED = failure("killed", "predict 3 of 10")
CELL = Measurement("tinyvgg", "fp16", 1, "coreml", "CPU_AND_NE")
TIMING = TimingRecord(
    id="20261123-120000-convert-and-time-0012",
    experiment="convert-and-time",
    started="2026-11-23T12:00:00+00:00",
    command=("coremlbench", "convert-and-time"),
    coremlbench="0",
    machine=AIR,
    engine="coreml",
    options={},
    outcome=Timed(cells=3, failed=2),
    models=(TimedModel("tinyvgg", SOURCE, (Variant("fp16", 1),), conversion_run=CONVERSION.id),),
    measurements=(
        replace(CELL, unit="CPU_ONLY", rounds=(Round(0, 0, "", 1.0, calls=5), Round(1, 0, "", 1.0, calls=5))),
        replace(CELL, rounds=tuple(Round(number, 1, "", 1.0, failure=KILLED) for number in range(3)), failure=KILLED),
        replace(
            CELL,
            unit="ALL",
            rounds=(
                Round(0, 2, "", 1.0, failure=failure("hang")),
                Round(1, 2, "", 1.0, calls=5),
                Round(2, 2, "", 1.0, failure=failure("hang")),
            ),
        ),
    ),
)
