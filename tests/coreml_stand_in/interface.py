"""The interface of coremltools' native module, ``coremltools.libcoremlpython`` of coremltools 9.0, as tables.

The stand-in reads them: a class has the methods that are listed here and no others, arguments are checked against the
kinds that are listed, and errors have these texts. Files and lines are those of the folder ``coremlpython`` in
github.com/apple/coremltools at tag 9.0 (428d4b2658dfc44194f27f4f36870751be402ff7); "library" means that it was read in
the machine code of ``libcoremlpython.so`` in the wheel for Macs with Apple silicon, where the source alone does not
tell what was compiled. ``tests/test_coreml_stand_in_wheel.py`` compares names and texts with the strings of that
library.

What holds for all calls: nothing releases the interpreter lock. The library takes and releases it only where pybind11
sets up NumPy's C interface, once (library). Arguments are positional, as none has a name (CoreMLPython.mm:1066-1117).
Assertions are not compiled in (library), so an unknown compute unit is ``ALL`` (CoreMLPython.mm:585-588).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MODULE = "libcoremlpython"
MODULE_DOCUMENTATION = "CoreML.Framework Python bindings"
NEWEST_SPECIFICATION = 10
"""A constant of the library (CoreMLPython.mm:1037, mlmodel/src/Globals.hpp:71): not what the running macOS supports."""


@dataclass(frozen=True)
class Method:
    """A method of a native class: the kinds of its arguments without ``self``, its result, and where it was read.

    ``returns`` includes the unit; ``raises`` lists errors other than a ``TypeError`` for arguments of another kind.
    """

    name: str
    arguments: tuple[str, ...]
    returns: str
    source: str
    raises: str = ""
    static: bool = False


@dataclass(frozen=True)
class NativeClass:
    """A class of the native module; without ``constructors`` Python cannot make objects of it."""

    name: str
    source: str
    constructors: tuple[tuple[str, ...], ...] = ()
    methods: tuple[Method, ...] = ()
    properties: tuple[str, ...] = ()


FRAMEWORK_ERROR = "RuntimeError with the error's userInfo as a property list, of what Core ML refuses"
BEFORE_14_0, BEFORE_14_4, BEFORE_15_0 = ("RuntimeError before macOS " + version for version in ("14.0", "14.4", "15.0"))

MODEL = NativeClass(
    "_MLModelProxy",
    "CoreMLPython.mm:1066-1068, 445-533",
    # path, compute unit, function name, optimization hints, and the proxy of an asset or None
    constructors=(("str", "str", "str", "dict"), ("str", "str", "str", "dict", "object")),
    methods=(
        Method(
            "predict",
            ("dict", "state"),  # the state may be None, but not be left out
            "dict of the outputs, each freshly allocated, in no particular order",
            "CoreMLPython.mm:536-565, 1069",
            f"{FRAMEWORK_ERROR}; RuntimeError 'value type not convertible'",
        ),
        Method(
            "batchPredict",
            ("list",),
            "list of dicts",
            "CoreMLPython.mm:643-671, 1070",
            f"as predict; {FRAMEWORK_ERROR}",
        ),
        Method("get_compiled_model_path", (), "str", "CoreMLPython.mm:673-678, 1071"),
        Method(
            "get_load_duration_in_nano_seconds",
            (),
            "int, nanoseconds, without compilation",
            "CoreMLPython.mm:500-503, 1041-1047, 1072",
        ),
        Method(
            "get_last_predict_duration_in_nano_seconds",
            (),
            "int, nanoseconds, without the conversion of inputs and outputs; None before the first prediction, that "
            "of the last successful call after a failed one",
            "CoreMLPython.mm:543-562, 1049-1055, 1073",
        ),
        Method(
            "auto_set_specification_version",
            ("bytes",),
            "bytes, a specification with the smallest version that has all it uses",
            "CoreMLPython.mm:1012-1023, 1074",
            static=True,
        ),
        Method(
            "maximum_supported_specification_version",
            (),
            "int, the constant NEWEST_SPECIFICATION",
            "CoreMLPython.mm:1037-1039, 1075",
            static=True,
        ),
        Method("newState", (), "_State", "CoreMLPython.mm:681-691, 1077", BEFORE_15_0),
        Method(
            "create_model_asset_from_path",
            ("str",),
            "coremltools.models.model.MLModelAsset",
            "CoreMLPython.mm:940-958, 1079",
            f"{BEFORE_15_0}; {FRAMEWORK_ERROR}",
            static=True,
        ),
        Method(
            "create_model_asset_from_memory",
            ("bytes", "dict"),
            "coremltools.models.model.MLModelAsset",
            "CoreMLPython.mm:961-1009, 1080",
            "RuntimeError before macOS 13.0, with blobs before 15.0",
            static=True,
        ),
        Method(
            "get_model_structure",
            ("str",),
            "coremltools.models.compute_plan.MLModelStructure",
            "CoreMLPython.mm:738-779, 1081",
            f"{BEFORE_14_4}; {FRAMEWORK_ERROR}; SIGABRT for what exists and is not compiled (coremltools 2757, 2780)",
            static=True,
        ),
        Method(
            "get_available_compute_devices",
            (),
            "list of devices of coremltools.models.compute_device; unknown ones are left out",
            "CoreMLPython.mm:71-112, 781-795, 1082",
            BEFORE_14_0,
            static=True,
        ),
        Method("get_all_compute_devices", (), "as above", "CoreMLPython.mm:797-811, 1083", BEFORE_14_0, static=True),
        Method(
            "get_compute_plan",
            ("str", "str"),
            "coremltools.models.compute_plan.MLComputePlan",
            "CoreMLPython.mm:827-873, 1084",
            f"{BEFORE_14_4}; {FRAMEWORK_ERROR}; SIGABRT for what exists and is not compiled (coremltools 2757, 2780)",
            static=True,
        ),
        Method(
            "compileModel",
            ("str",),
            "str, the path of a new folder in the system's temporary folder, which nobody removes",
            "CoreMLPython.mm:1025-1035, 1085",
            FRAMEWORK_ERROR,
            static=True,
        ),
    ),
)

CLASSES = (
    MODEL,
    NativeClass(
        "_State",
        "CoreMLPython.mm:1087-1089",
        methods=(
            Method("read_state", ("str",), "array", "CoreMLPython.mm:693-712", "RuntimeError of an unknown name"),
            Method(
                "write_state",
                ("str", "object"),
                "None",
                "CoreMLPython.mm:714-736",
                "RuntimeError of an unknown name, and for a value that is no array",
            ),
        ),
    ),
    NativeClass("_MLCPUComputeDeviceProxy", "CoreMLPython.mm:1092-1093", constructors=((),)),
    NativeClass("_MLGPUComputeDeviceProxy", "CoreMLPython.mm:1094-1095", constructors=((),)),
    NativeClass(
        "_MLNeuralEngineComputeDeviceProxy",
        "CoreMLPython.mm:1096-1098",
        constructors=((),),
        methods=(Method("get_total_core_count", (), "int, cores; 0 of one made in Python", "CoreMLPython.mm:813-825"),),
    ),
    NativeClass(
        "_MLComputePlanProxy",
        "CoreMLPython.mm:1102-1107",
        constructors=((),),
        methods=(
            Method(
                "get_compute_device_usage_for_mlprogram_operation",
                ("object",),
                "MLComputePlanDeviceUsage, whose preferred device may be None and whose supported devices are those "
                "that could run it; None for constants",
                "CoreMLPython.mm:352-369, 876-895",
                BEFORE_14_4,
            ),
            Method(
                "get_compute_device_usage_for_neuralnetwork_layer",
                ("object",),
                "as above",
                "CoreMLPython.mm:897-916",
                BEFORE_14_4,
            ),
            Method(
                "get_estimated_cost_for_mlprogram_operation",
                ("object",),
                "MLComputePlanCost, whose weight is a share of the whole from 0 to 1; None for constants",
                "CoreMLPython.mm:371-380, 918-937",
                BEFORE_14_4,
            ),
        ),
        properties=("model_structure",),
    ),
    # Each refers to its operation weakly (CoreMLPython.h:161, 180): without the plan or structure it tells nothing.
    NativeClass("_MLModelStructureProgramOperationProxy", "CoreMLPython.mm:1111"),
    NativeClass("_MLModelStructureNeuralNetworkLayerProxy", "CoreMLPython.mm:1112"),
    NativeClass("_MLModelAssetProxy", "CoreMLPython.mm:1116"),
)

TEXTS = {
    # Inputs, all RuntimeError. The text of the array is printed before, with py::print.
    "not convertible": ("value type not convertible", "CoreMLPythonUtils.mm:407-409"),
    "not convertible, printed": ("Error: value type not convertible:", "CoreMLPythonUtils.mm:407"),
    "image mode": (
        "Unsupported image type {}. Supported types are: RGB, RGBA, L.",
        "CoreMLPythonUtils.mm:229-232; it does not list F, which it takes",
    ),
    "unknown exception": ("Caught an unknown exception!", "pybind11, for exceptions of Objective-C (coremltools 2079)"),
    "cast": ("Unable to cast Python ", "pybind11, for a key that is no text (coremltools 226)"),
    # Loading.
    "compile": ('Error compiling model: "{}".', "CoreMLPython.mm:474-480: the error's localizedDescription alone"),
    "function": ("The 'functionName' property can only be set on macOS >= 15.0", "CoreMLPython.mm:493"),
    "CPU_AND_NE": ("MLComputeUnitsCPUAndNeuralEngine is only available on macOS >= 13.0", "CoreMLPython.mm:580"),
    "hint": ("Setting '{}' is only available on macOS >= 15.0", "CoreMLPython.mm:607, 622, 637"),
    # States.
    "state": ("Stateful model is only available on macOS >= 15.0", "CoreMLPython.mm:688"),
    "predict with state": (
        "Stateful predictions using MLState are only supported on macOS >= 15.0",
        "CoreMLPython.mm:556",
    ),
    "write state": ("Failed to write state, only multi-array value is supported", "CoreMLPython.mm:719"),
    # Devices, structures, plans and assets.
    "devices": ("MLComputeDevice is only available on macOS >= 14.0", "CoreMLPython.mm:788, 804"),
    "structure": ("MLModelStructure is only available on macOS >= 14.4", "CoreMLPython.mm:772"),
    "plan": ("MLComputePlan is only available on macOS >= 14.4", "CoreMLPython.mm:866, 892"),
    "asset": ("Creating an MLModelAsset from a file path is only available on macOS >= 15.0", "CoreMLPython.mm:951"),
}
"""Texts of the native module, each a ``RuntimeError`` if not said otherwise, and where they were read."""

FRAMEWORK_TEXTS = {
    "feature missing": ("Feature {} is required but not specified.", "ynagatomo/ImgGenSD2 14"),
    "image expected": (
        "The model expects input feature {} to be an image, but the input ({}) is of type {}.",
        "alibaba/MNN 2207",
    ),
    "array expected": ("The model expects input feature {} to be an array, but the input is of type {}.", "inferred"),
    "image size": ("Image size {} x {} not in allowed set of image sizes", "huggingface/coreml-examples 5"),
    "pixel format": ("The image of input feature {} has another pixel format than the model expects.", "inferred"),
    "shape": (
        "For input feature '{}', the provided shape {} is not compatible with the model's feature description.",
        "apple/ml-stable-diffusion 72, alibaba/MNN 1672",
    ),
    "fixed shape": (
        "MultiArray shape ({}) does not match the shape ({}) specified in the model description",
        "alibaba/MNN 1672, coremltools 1991",
    ),
    "enumerated shape": ("Shape ({}) was not in enumerated set of allowed shapes", "coremltools 672"),
    "range": ("Size ({}) of dimension ({}) is not in allowed range ({}..{})", "inferred"),
    "state missing": ("The input feature for {} must be an MLState, but it was not.", "coremltools 2519"),
    "too new": (
        (
            "Error reading protobuf spec. validator error: The model supplied is of version {}, intended for a newer "
            "version of Xcode. This version of Xcode supports model version {} or earlier."
        ),
        "coremltools 1557, mlmodel/src/Model.cpp:74-81",
    ),
    "no model": ("{} does not exist.", "inferred"),
    "not compiled": ("{} is not a valid .mlmodelc file.", "inferred"),
}
"""Texts of Core ML itself, as others saw them; "inferred" where nobody's report of one was found."""

NEWEST_OF_MACOS = {26: 10, 15: 9, 14: 8, 13: 7, 12: 6, 11: 5}
"""The newest specification that a version of macOS compiles (mlmodel/src/Globals.hpp:44-69)."""


def text(name: str, *values: object) -> str:
    """Return a text of the native module with its values."""
    return TEXTS[name][0].format(*values)


def framework_text(name: str, *values: object) -> str:
    """Return a text of Core ML with its values."""
    return FRAMEWORK_TEXTS[name][0].format(*values)


def accepts(kind: str, value: object) -> bool:
    """Return whether pybind11 takes a value for an argument of a kind."""
    if kind == "state":
        return value is None or type(value).__name__ == "_State"
    if kind == "str" and isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:  # such as a file name that is no UTF-8
            return False
        return True
    kinds: dict[str, tuple[type, ...]] = {"str": (bytes, bytearray), "dict": (dict,), "list": (list,)}
    return kind == "object" or isinstance(value, kinds.get(kind, (bytes,)))


def apply(table: NativeClass, cls: type) -> type:
    """Give a class the name of a native one, check its arguments, and return it.

    Raises:
        AssertionError: the class lacks a method of the table or has another one.
    """
    names = {method.name for method in table.methods} | set(table.properties)
    own = {name for base in cls.__mro__[:-1] for name in vars(base) if not name.startswith("_")}
    assert own == names, f"{table.name} has {sorted(own)} and the table {sorted(names)}"
    for method in table.methods:
        setattr(cls, method.name, _checked(f"{method.name}()", (method.arguments,), cls, method.name, method.static))
    if table.constructors:
        type.__setattr__(cls, "__init__", _checked("__init__()", table.constructors, cls, "__init__", static=False))
    else:
        type.__setattr__(cls, "__init__", _no_constructor)
    cls.__name__ = cls.__qualname__ = table.name
    cls.__module__ = f"coremltools.{MODULE}"
    return cls


def make(cls: type, **attributes: object) -> Any:
    """Return an object of a class that Python cannot make objects of, or one with attributes of its own."""
    made: Any = object.__new__(cls)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def _no_constructor(self: object, *arguments: object) -> None:
    raise TypeError(f"{type(self).__module__}.{type(self).__name__}: No constructor defined!")


def _checked(
    shown: str, signatures: tuple[tuple[str, ...], ...], cls: type, name: str, static: bool
) -> Callable[..., Any]:
    """Return a method that raises ``TypeError`` as pybind11 does for arguments that no signature takes."""
    function = getattr(cls, name)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        given = arguments if static else arguments[1:]
        for kinds in signatures:
            fits = len(kinds) == len(given) and all(map(accepts, kinds, given))
            if fits and not named:
                return function(*arguments)
        supported = "\n".join(f"    {number}. ({', '.join(kinds)})" for number, kinds in enumerate(signatures, 1))
        kind = "constructor" if name == "__init__" else "function"
        raise TypeError(
            f"{shown}: incompatible {kind} arguments. The following argument types are supported:\n{supported}\n\n"
            f"Invoked with: {', '.join(map(repr, given))}"
        )

    return staticmethod(call) if static else call
