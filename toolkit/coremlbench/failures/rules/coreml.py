"""Conversion to Core ML, and Core ML itself: messages of coremltools and of Apple's frameworks."""

from __future__ import annotations

import signal

from coremlbench.failures.matchers import both, crash_reported, either, killed_by, logged, raised
from coremlbench.failures.rules.rule import Retry, Rule

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGTRAP, signal.SIGKILL)

COREML: tuple[Rule, ...] = (
    Rule(
        "unsupported-operation",
        either(
            logged(
                r"Conversion for TF op '.*' not implemented|convert function for op '.*' not implemented"
                r"|Unsupported Ops of type|Einsum unsupported equation|unsupported einsum equation"
            ),
            both(raised("NotImplementedError"), logged(r"coremltools[/\\.]converters\b")),
        ),
        "coremltools cannot convert an operation of this model.",
        "Take the operation that the matched line names out of the model, or write it with others.",
        "tensorflow 61509; coremltools 2115; coremltools 1359; coremltools 1537",
    ),
    Rule(
        "coreml-not-here",
        logged(r"Unable to load CoreML\.framework|Model prediction is only supported on macOS"),
        "Core ML could not be loaded: it is a part of macOS, reached through a native module of coremltools.",
        "Run it on a Mac, with a Python that coremltools 9.0 has a package for (3.10 to 3.13).",
        "coremltools 2071; coremltools 372",
    ),
    Rule(
        "coreml-model",
        logged(
            r"Error parsing MIL model|Error in declaring network|Error reading protobuf spec"
            r"|Failed to parse the model specification|Unable to (parse|deserialize) (ML Program|object)"
            r"|compiler error: *(Espresso|Error)|Network translation error|MIL->EIR translation error"
        ),
        "Core ML refused the model; a file that is damaged, or a specification newer than this macOS, likely.",
        "Convert the model again, for this macOS or an older one (--target).",
        "coremltools 1704; coremltools 978; rustnn/rustnn 173",
    ),
    Rule(
        "neural-engine-compiler",
        logged(r"ANECCompile\(.*FAILED|_ANECompiler|MILCompilerForANE error|ANECF error"),
        "The Neural Engine's compiler refused the model, and the worker failed{where}; for that, likely.",
        "Time this model with CPU_AND_GPU or CPU_ONLY; `coremltools.models.utils.bisect_model` finds the part of it.",
        "coremltools 2758; coremltools 2247; executorch 19635",
    ),
    Rule(
        "coreml-input",
        logged(
            r"value type not convertible|Feature .* is required but not specified"
            r"|not in allowed set of image sizes|is not compatible with the model's feature description"
            r"|The model expects input feature .* to be an? |The input feature for .* must be an MLState"
        ),
        "Core ML did not take an input of the model{where}: its type, size or shape is not what the model declares.",
        "The matched line names the input; report it with `{bundle}`, since inputs are made from "
        "the model's own description.",
        "coremltools 1689; coremltools 2519; alibaba/MNN 1672; alibaba/MNN 2207; huggingface/coreml-examples 5",
        retry=Retry.NEVER,
    ),
    Rule(
        "coreml-prediction",
        either(
            raised("PredictionError"),
            logged(
                r"Error computing NN outputs|Failed to build the model execution plan|Error plan build: -\d+"
                r"|E5RT encountered an STL exception|compiling MIL to BNNS graph|CreateBnnsGraphProgramFromMIL"
                r"|com\.apple\.appleneuralengine.*\bCode=\d+|ANEProgramProcessRequest\w*\(\) Failed"
                r"|ANE (Evaluation|Scheduling) Error|MpsGraph backend validation on incompatible OS"
                r"|Espresso compiled without MPSGraph engine"
            ),
        ),
        "Core ML could not run the model on the compute unit that was asked for{where}.",
        "Try CPU_ONLY; if that works, the model holds something that the other unit cannot do.",
        "coremltools 412; coremltools 2450; pytorch 96967; executorch 19635; invoke-ai/InvokeAI 4356",
    ),
    Rule(
        "gpu-memory",
        logged(r"\[?metal::malloc\]?|greater than the maximum allowed buffer size"),
        "Metal could not allocate a buffer of the size that the model needs{where}.",
        "Time this model with CPU_ONLY or CPU_AND_NE, or use a smaller batch or input.",
        "mlx 3849; omlx 1200",
        retry=Retry.LESS_MEMORY,
    ),
    Rule(
        "coreml-crash",
        both(
            killed_by(*CRASHES),
            either(
                crash_reported(
                    "Core ML's libraries in the faulting thread",
                    r"^(CoreML|Espresso|AppleNeuralEngine|ANECompiler|ANEServices|MIL\w*|MLCompute|"
                    r"MetalPerformanceShaders\w*|libcoremlpython\S*) ",
                ),
                logged(r'File ".*coremltools/models/(model|_compiled_model|compute_plan|compute_device)\.py"'),
            ),
        ),
        "Core ML itself crashed with {signal}{where}; the model or the compute unit, likely.",
        "Time this model with another compute unit. A compute plan of an .mlpackage aborts: it takes an .mlmodelc.",
        "coremltools 2757; coremltools 2758",
    ),
    Rule(
        "unreadable-model",
        logged(
            r"file signature not found|Could not (locate|deserialize) class|accessible `\.keras` zip file"
            r"|bad marshal data|SavedModel file does not exist"
        ),
        "The model's file cannot be read: it is damaged, of another version of Keras, or holds classes of its own.",
        "Save the model again with the Keras of requirements.lock, without custom classes.",
        "keras 19164; keras 19899",
        retry=Retry.NEVER,
    ),
    Rule(
        "model-load",
        raised("ModelLoadError"),
        "{message}",
        "Try another compute unit; if none loads it, convert the model again.",
        "worker",
    ),
)
