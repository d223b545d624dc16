"""Records as a fleet of machines would leave them: for tests only, every timed figure marked as a stand-in's.

The figures are drawn from a seeded generator around plausible values; nobody measured them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from coremlbench.experiments.catalogue import EXPERIMENTS
from coremlbench.experiments.metrics import per_class
from coremlbench.types.conditions import Conditions
from coremlbench.types.conversion import (
    Caveat,
    ConversionRecord,
    Converted,
    Divergence,
    ModelSource,
    Proof,
    Variant,
    VariantName,
)
from coremlbench.types.data import Provenance
from coremlbench.types.experiments import Experiment
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.machine import Machine
from coremlbench.types.records import Record
from coremlbench.types.timing import (
    ComputePlan,
    Measurement,
    PlannedOp,
    RooflineBound,
    Round,
    RuntimeName,
    SustainedPoint,
    Timed,
    TimedModel,
    TimingRecord,
    UnitName,
)
from coremlbench.types.training_records import (
    DatasetRecord,
    EpochRow,
    IterationRow,
    Phase,
    Placement,
    SampleImage,
    Solver,
    Trained,
    TrainingRecord,
)

AIR = Machine(
    id="a1a1a1a1a1a1",
    chip="Apple M9",
    architecture="arm64",
    physical_cores=8,
    logical_cores=8,
    memory_bytes=16 * 2**30,
    system="macOS",
    system_version="26.1",
    model="MacBook Air",
    accelerators=("Apple M9 GPU", "Neural Engine"),
    python="3.12.4",
)
PRO = replace(AIR, id="b2b2b2b2b2b2", chip="Apple M9 Max", model="MacBook Pro", memory_bytes=64 * 2**30)
BOX = Machine(
    id="c3c3c3c3c3c3",
    chip="Xeon E9",
    architecture="x86_64",
    physical_cores=2,
    logical_cores=4,
    memory_bytes=24 * 2**30,
    system="Debian GNU/Linux",
    system_version="12",
    python="3.11.7",
)
CLASSES = ("hamburger", "pizza", "sushi")
UNIT_WORDS = {"CPU_AND_GPU": "GPU", "CPU_ONLY": "CPU", "host-cpu": "host CPU"}
UNITS: tuple[UnitName, ...] = ("CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY", "ALL")
SPEED: dict[str, float] = {"CPU_AND_NE": 0.9, "CPU_AND_GPU": 1.9, "CPU_ONLY": 4.5, "ALL": 0.92, "host-cpu": 7.0}
ACCURACY: dict[VariantName, float] = {"fp32": 0.811, "fp16": 0.81, "int8": 0.806, "palettized-4": 0.62}
SIZE: dict[VariantName, int] = {"fp32": 16_400_000, "fp16": 8_250_000, "int8": 4_200_000, "palettized-4": 2_150_000}
OUT_OF_MEMORY = Failure(
    kind="memory-limit",
    reason="The run took 2.3 GiB of memory, more than the limit of 2.0 GiB, and was stopped.",
    hint="Raise --memory-limit, or take fewer pictures.",
    evidence=Evidence(
        phase="extract",
        progress="extract 400 of 1685",
        returncode=-9,
        signal="SIGKILL",
        matched=("Killed: 9",),
        log_tail=("extract 399 of 1685", "extract 400 of 1685", "Killed: 9"),
        peak_bytes=int(2.3 * 2**30),
    ),
)
_DATA = Provenance("drawn-food", "drawn on this machine", "1, seed 0", "d4eb58fe", "BSD-3-Clause")


def moment(number: int) -> str:
    """The start of record ``number``: a minute after that of the one before."""
    return (datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=number)).isoformat()


def training(
    number: int, experiment: str = "tinyvgg", machine: Machine = BOX, failure: Failure | None = None
) -> TrainingRecord:
    """A run of an experiment, its figures by its number."""
    rng = random.Random(number)
    (row,) = (each for each in EXPERIMENTS if each.name == experiment)
    speed = 3 + 20 * random.Random(machine.id).random()
    epochs = tuple(
        EpochRow(
            epoch, speed * (1.6 if epoch == 1 else 1) * rng.uniform(0.97, 1.03), 235, 2.3 / epoch, 0.2 + epoch / 10
        )
        for epoch in range(1, row.epochs + 1)
    )
    record = TrainingRecord(
        id=f"2026-{number:06d}-{experiment}-{machine.id[:4]}",
        experiment=experiment,
        started=moment(number),
        ended=moment(number + 1),
        command=("coremlbench", "train", experiment),
        coremlbench="0.1.0",
        machine=machine,
        engine="tensorflow",
        options={"batch": row.batch},
        outcome=failure or Trained(test_accuracy=0.6 + 0.1 * rng.random()),
        seconds=10 + math.fsum(each.seconds for each in epochs),
        deviations=("dataset drawn-food",),
        dataset=DatasetRecord("drawn-food", _DATA, CLASSES, 7125, 375, 2500, 10000),
        phases=(Phase("train", math.fsum(each.seconds for each in epochs), 7500), Phase("evaluate", 1.5, 2500)),
        epochs=() if failure else epochs,
        placement=Placement("auto", "CPU:0", machine.chip, "TensorFlow sees no GPU"),
        peak_bytes=1_400_000_000,
    )
    return classifier(record, rng) if experiment == "createml" and failure is None else record


def classifier(record: TrainingRecord, rng: random.Random) -> TrainingRecord:
    """The same record as a finished Create ML run."""
    confusion = ((80, 15, 5), (6, 90, 4), (2, 1, 97))
    pace = rng.uniform(0.6, 1.4)
    return replace(
        record,
        command=("coremlbench", "createml"),
        engine="turicreate",
        options={"extractor": "squeezenet_v1.1"},
        deviations=(*record.deviations, "extractor squeezenet_v1.1"),
        seconds=426 * pace,
        placement=None,
        epochs=(),
        phases=(
            Phase("data", 60 * pace, 10000),
            Phase("extract", 284 * pace, 88375, 800_000_000),
            Phase("train", 64 * pace, 85500),
        ),
        iterations=tuple(
            IterationRow(step, step * 2.5, 0.85 - 0.7 / (step + 1), 0.8 - 0.65 / (step + 1)) for step in range(25)
        ),
        outcome=Trained(
            test_accuracy=0.89,
            training_accuracy=0.91,
            validation_accuracy=0.88,
            per_class=per_class(CLASSES, confusion),
            confusion=confusion,
            solver=Solver("lbfgs", "Completed (Iteration limit reached).", 25, 25),
            samples=(SampleImage("samples/00.jpg", "pizza", "pizza"), SampleImage("samples/01.jpg", "pizza", "sushi")),
        ),
    )


CAVEATS = (Caveat("few-images", "A full proof takes 500 samples, and this one has 250."),)


def variant(name: VariantName, batch: int = 1, model: str = "efficientnetb0") -> Variant:
    """A package of a model, with its proof."""
    degraded, caveats = name == "palettized-4", CAVEATS if name == "int8" else ()
    return Variant(
        name=name,
        batch=batch,
        path=f"{name}.mlpackage",
        sha256=f"{model}-{name}-{batch}",
        bytes=SIZE[name],
        weight_bytes=SIZE[name] - 150_000,
        arithmetic=390_000_000,
        ops={"conv": 81, "mul": 20},
        target="macOS13",
        seconds=12.0,
        proof=Proof(
            verdict="degraded" if degraded else "proven with caveats" if caveats else "proven",
            reason="Accuracy fell by 19.1 points, more than the 1 point allowed."
            if degraded
            else "All outputs are within 1% of the original's range.",
            runtime="reference",
            original="Keras",
            images=250,
            data="drawn-food",
            max_error=0.3 if degraded else 2e-3,
            mean_error=1e-4,
            range=1.0,
            signal_to_noise=9.0 if degraded else 61.0,
            agreement=0.7 if degraded else 0.996,
            accuracy_before=0.811,
            accuracy_after=ACCURACY[name],
            divergence=Divergence("block3_conv", "conv", 0.21) if degraded else None,
            caveats=caveats,
        ),
    )


def conversion(number: int, machine: Machine = BOX, model: str = "efficientnetb0") -> ConversionRecord:
    """The conversion of a model in four variants: one is degraded, one proven with caveats."""
    return ConversionRecord(
        id=f"2026-{number:06d}-{model}-{machine.id[:4]}",
        experiment=model,
        started=moment(number),
        ended=moment(number + 1),
        command=("coremlbench", "convert", model),
        coremlbench="0.1.0",
        machine=machine,
        engine="coremltools",
        options={},
        outcome=Converted(proven=2, degraded=1, wrong=0, failed=0, proven_with_caveats=1),
        seconds=60.0,
        source=source(model),
        input_shape=(224, 224, 3),
        data=_DATA,
        variants=tuple(variant(name, model=model) for name in ACCURACY),
    )


def source(model: str) -> ModelSource:
    """Where a model comes from."""
    return ModelSource(
        model, "training-run", "keras", "model.keras", "5266cb32", model, f"2026-000000-{model}", CLASSES
    )


def timed_round(number: int, p50: float, rng: random.Random, conditions: Conditions) -> Round:
    """A round around a median, in seconds, with a long right tail."""
    median = p50 * rng.uniform(0.98, 1.02)
    quantiles = tuple(
        median * (0.93 + 0.07 * place / 20 if place <= 20 else 1 + 0.004 * (place - 20) ** 1.5) for place in range(41)
    )
    return Round(
        round=number,
        place=number,
        started=moment(number),
        seconds=12.0,
        calls=800,
        samples=f"samples/{number}.npz",
        mean=median * 1.02,
        quantiles=quantiles,
        p50=quantiles[20],
        p90=quantiles[36],
        p95=quantiles[38],
        p99=quantiles[40],
        own_p50=median * 0.9,
        drift=0.01,
        autocorrelation=0.2,
        outliers=3,
        warmup_calls=20,
        warmup_seconds=1.0,
        compile_seconds=1.4,
        first_load_seconds=2.8,
        second_load_seconds=0.09,
        first_predict_seconds=0.02,
        energy_joules=3.2,
        before=conditions,
        after=conditions,
    )


def cell(
    model: str,
    name: VariantName,
    unit: UnitName,
    rng: random.Random,
    *,
    stand_in: bool = True,
    scale: float = 1.0,
    rounds: int = 5,
) -> Measurement:
    """A timed cell; the tests' stand-in ran it unless it is a host's."""
    runtime: RuntimeName = "reference" if unit.startswith("host") else "coreml"
    p50 = scale * 1e-3 * SPEED[unit] * (1.7 if name == "fp32" else 1.0)
    conditions = Conditions("nominal", "AC", low_power_mode=False, load_average=0.8, free_memory_bytes=2**33)
    barred = unit == "CPU_AND_NE" and name == "fp32"
    on_engine = unit in ("CPU_AND_NE", "ALL") and not barred
    sustained = tuple(
        SustainedPoint(10.0 * place, p50 * (1 + 0.015 * place), p50 * 1.2, 5000, "fair" if place > 6 else "nominal")
        for place in range(10)
    )
    return Measurement(
        model=model,
        variant=name,
        batch=1,
        runtime=runtime,
        unit=unit,
        runtime_version="26.1",
        package_sha256=f"{model}-{name}-1",
        stand_in=stand_in and runtime == "coreml",
        rounds=tuple(timed_round(number, p50, rng, conditions) for number in range(rounds)),
        plan=None
        if runtime != "coreml"
        else ComputePlan(
            ops={"NE": 99, "CPU": 2} if on_engine else {"GPU" if unit == "CPU_AND_GPU" else "CPU": 101},
            cost={"NE": 0.97, "CPU": 0.03} if on_engine else {"GPU": 1.0} if unit == "CPU_AND_GPU" else {"CPU": 1.0},
            elsewhere=(PlannedOp("softmax_1", "softmax", "CPU", 0.03),) if on_engine else (),
        ),
        ran_on="asked for the Neural Engine, planned on CPU"
        if barred
        else "Neural Engine"
        if on_engine
        else UNIT_WORDS.get(unit, unit),
        floor=RooflineBound(p50 * 0.4, "memory", "Apple M9", 38e12, 120e9, "Apple's press release")
        if runtime == "coreml"
        else None,
        output_error=1.3e-3,
        sustained=sustained if name == "fp16" and runtime == "coreml" else (),
    )


def timing(
    number: int,
    machine: Machine = AIR,
    *,
    stand_in: bool = True,
    models: tuple[str, ...] = ("efficientnetb0",),
    scale: float = 1.0,
) -> TimingRecord:
    """A matrix of models, three variants and four units; without Core ML's units where there is no macOS."""
    rng = random.Random(number)
    units: tuple[UnitName, ...] = UNITS if machine.system == "macOS" else ("host-cpu",)
    names: tuple[VariantName, ...] = ("fp32", "fp16", "int8")
    cells = tuple(
        cell(model, name, unit, rng, stand_in=stand_in, scale=scale)
        for model in models
        for name in names
        for unit in units
    )
    return TimingRecord(
        id=f"2026-{number:06d}-convert-and-time-{machine.id[:4]}",
        experiment="convert-and-time",
        started=moment(number),
        ended=moment(number + 1),
        command=("coremlbench", "convert-and-time"),
        coremlbench="0.1.0",
        machine=machine,
        engine="coreml",
        options={},
        outcome=Timed(cells=len(cells), failed=0),
        seconds=600.0,
        models=tuple(
            TimedModel(model, source(model), tuple(variant(name, model=model) for name in names)) for model in models
        ),
        measurements=cells,
    )


def few() -> list[Record]:
    """A report's worth: two Macs and a Linux machine, trainings, conversions, a matrix on each, and a failure."""
    return [
        *(training(number, each.name, machine) for number, (each, machine) in enumerate(_all_of(AIR, PRO, BOX))),
        training(50, "createml", BOX, OUT_OF_MEMORY),
        training(51, "tinyvgg", AIR),
        conversion(60),
        timing(70, AIR, models=("efficientnetb0", "tinyvgg")),
        timing(71, PRO, scale=0.6),
        timing(72, AIR),
        timing(73, BOX),
    ]


def _all_of(*machines: Machine) -> Iterator[tuple[Experiment, Machine]]:
    for machine in machines:
        for each in EXPERIMENTS:
            yield each, machine


def fleet(records: int, machines: int) -> Iterator[Record]:
    """Records of many machines: mostly trainings, a tenth of them failed, and a conversion and a matrix each."""
    names = [replace(AIR, id=f"{number:012x}", chip=f"Apple M{number}", model="") for number in range(machines)]
    for number in range(records):
        machine = names[number % machines]
        if number < machines:
            yield timing(number, machine, models=("efficientnetb0", "tinyvgg"))
        elif number < 2 * machines:
            yield conversion(number, machine)
        else:
            experiment = EXPERIMENTS[number // machines % len(EXPERIMENTS)].name
            yield training(number, experiment, machine, OUT_OF_MEMORY if number % 10 == 3 else None)
