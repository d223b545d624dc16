"""The checks of the self-test, in the order in which they run."""

from __future__ import annotations

from coremlbench.diagnostics.selftest import coreml, createml, model, processes, storage, system
from coremlbench.diagnostics.selftest.checks import DEFAULT_LIMITS, Check, macos_only
from coremlbench.types.process import Limits

TINY_MODEL = "a tiny Core ML model"
COMPILER = "Core ML's compiler"
DRAWING = "drawn pictures"
EXTRACTION = "feature extraction"
CONVERSION = "conversion and proof"

CHECKS = (
    Check("the machine", system.check_machine, limits=Limits(deadline=30.0)),
    Check("the clock", processes.check_timer),
    Check("crash isolation", processes.check_crash_isolation),
    Check("memory limit", processes.check_memory_limit),
    Check("timeouts", processes.check_timeouts),
    Check("file locks", storage.check_file_locks),
    Check("durable writes", storage.check_durable_writes),
    Check("conditions", system.check_conditions),
    Check("thermal state", system.check_thermal_state, macos_only),
    Check("energy", system.check_energy),
    Check("sleep prevention", system.check_sleep_prevention, macos_only),
    Check("crash reports", system.check_crash_reports, macos_only),
    Check(TINY_MODEL, model.check_tiny_model),
    Check("the reference runtime", model.check_reference_runtime, needs=(TINY_MODEL,)),
    Check("Core ML's devices", coreml.check_devices, coreml.devices_missing),
    Check(COMPILER, coreml.check_compile, coreml.core_ml_missing, needs=(TINY_MODEL,)),
    *(
        Check(name, coreml.check_unit(unit), coreml.unit_missing(unit), needs=(COMPILER,))
        for unit, name in coreml.UNITS.items()
    ),
    Check("Core ML's durations", coreml.check_durations, coreml.core_ml_missing, needs=(COMPILER,)),
    Check(
        "Core ML's compute plan",
        coreml.check_plan,
        coreml.plan_missing,
        limits=Limits(deadline=40.0, memory_bytes=DEFAULT_LIMITS.memory_bytes),
        needs=(COMPILER,),
    ),
    Check(DRAWING, createml.check_drawing),
    Check(EXTRACTION, createml.check_extraction, needs=(DRAWING,)),
    Check("the built-in solver", createml.check_solver, needs=(EXTRACTION,)),
    Check("Turi Create", createml.check_turicreate, limits=createml.TURICREATE_LIMITS),
    Check("the Swift compiler", createml.check_swift_compiler, createml.swift_missing, limits=createml.SWIFT_LIMITS),
    Check(
        "Create ML",
        createml.check_createml_framework,
        macos_only,
        limits=createml.SWIFT_LIMITS,
        needs=("the Swift compiler",),
    ),
    Check(CONVERSION, model.check_conversion, limits=model.TENSORFLOW_LIMITS, needs=(TINY_MODEL,)),
    Check("the report", model.check_report, needs=(CONVERSION,)),
    Check("TensorFlow", model.check_training, model.tensorflow_missing, limits=model.TENSORFLOW_LIMITS),
)
