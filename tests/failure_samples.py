"""Samples of ends for every rule of the failures' table, and near misses.

The log lines are as public issues show them; the rules' sources name those.
"""

import errno
import math
import os
import signal
from dataclasses import replace

from coremlbench.types.process import Progress
from tests.create_ml_failure_samples import CREATEML
from tests.failure_exits import FINE, Sample, ended, error, log, losing, reported, shared, stopped

IOAF_MEMORY = "Error: command buffer exited with error status. (IOAF code -536870211)"
IOAF_FAULT = "Execution of the command buffer was aborted due to an error (IOAF code 4)"
METAL = "dlopen(/x/libmetal_plugin.dylib, 0x0006): "
MPS = "/AppleInternal/MPSCNNKernel.mm:752: failed assertion `[MPSCNNConvolution encode...] destination texture 2D'"
METAL_MEMORY = "error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"
GUARD = "F tensorflow/core/platform/cpu_feature_guard.cc:37] The TensorFlow library was compiled to use AVX "
FORK = "objc[72091]: +[__NSCFConstantString initialize] may have been in progress in another thread when fork() was"
SIGNATURE = "(code signature in <4B24> '/x/_umath.so' not valid for use in process: library load disallowed by system"
ANE = "E5RT encountered an STL exception. msg = MILCompilerForANE error: failed to compile ANE model using ANEF. "
CUDNN = "E0000 cuda_dnn.cc:522] Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0.  CuDNN"
PREDICT = '  File "/x/site-packages/coremltools/models/model.py", line 804 in predict'
PROTOBUF = "[libprotobuf ERROR google/protobuf/descriptor_database.cc:642] File already exists in database: x/y.proto"
DLOPEN = "(mach-o file, but is an incompatible architecture (have 'x86_64', need 'arm64'))"

METAL_INTERNAL = (
    "Error: command buffer exited with error status.",
    "\tThe Metal Performance Shaders operations encoded on it may not have completed.",
    "\tInternal Error (0000000e:Internal Error)",
)
MPSGRAPH = "/Library/MetalPerformanceShadersGraph/Core/Files/MPSGraphExecutable.mm:129: failed assertion `"
NO_KERNEL = "Cannot assign a device for operation loader/GeneratorDataset: Could not satisfy explicit specification "
ANE_ERROR = (
    'ANE Evaluation Error = Error Domain=com.apple.appleneuralengine Code=8 "processRequest:model:qos:qIndex:options:'
    'error:: ANEProgramProcessRequestDirect() Failed with status=0x16 : statusType=0x9: Program Inference error"'
)
CONVERTER = (
    '  File "/x/site-packages/coremltools/converters/mil/frontend/tensorflow/ops.py", line 406, in BatchToSpaceND'
)

SUPERVISION: list[Sample] = [
    ("interrupted", [stopped("interrupted", stop_signal="SIGINT")], [ended(-signal.SIGINT)]),
    ("memory-limit", [stopped("memory-limit", limit=3e8, peak_bytes=400_000_000)], [ended(-9, peak_bytes=400_000_000)]),
    ("deadline", [stopped("deadline", limit=60)], [stopped("silence", limit=60)]),
    (
        "not-started",
        [error("FileNotFoundError", "[Errno 2] /x", errno.ENOENT, pid=None, returncode=None)],
        [error("FileNotFoundError", "[Errno 2] /x", errno.ENOENT)],
    ),
]

GPU: list[Sample] = [
    (
        "gpu-memory",
        [log(IOAF_MEMORY), log(MPS), replace(FINE, log_tail=(METAL_MEMORY,)), log("Insufficient Memory (IOAF code 8)")],
        [log(IOAF_FAULT), log("MPSCNNKernel.mm:1: ready"), log("IOAF code 80")],
    ),
    (
        "gpu-fault",
        [
            log(IOAF_FAULT),
            replace(FINE, log_tail=("Ignored (for causing prior/excessive GPU errors) (IOAF code 4)",)),
            replace(FINE, retained_lines=("(00000004:kIOAccelCommandBufferCallbackErrorSubmissionsIgnored)",)),
        ],
        [log("IOAF code 40"), log("Ignored (for causing noise)")],
    ),
    (
        "gpu-hang",
        [log("Caused GPU Hang Error (kIOGPUCommandBufferCallbackErrorHang)")],
        [log("kIOGPUCommandBufferCallbackErrorNone"), log("GPU hang check: passed")],
    ),
    (
        "gpu-preempted",
        [log("Impacting Interactivity (kIOGPUCommandBufferCallbackErrorImpactingInteractivity)")],
        [log("kIOGPUCommandBufferCallbackErrorInnocentVictim")],
    ),
    (
        "gpu-fault",
        [
            replace(FINE, log_tail=METAL_INTERNAL),
            replace(FINE, retained_lines=METAL_INTERNAL[:1]),
            replace(FINE, retained_lines=METAL_INTERNAL[1:2]),
            replace(FINE, log_tail=METAL_INTERNAL[2:]),
            log("Error: command buffer exited with error status. (IOAF code 5)"),
            log("ggml_metal_graph_compute: command buffer 0 failed with status 5"),
            log("Invalid Resource (00000009:kIOGPUCommandBufferCallbackErrorInvalidResource)"),
        ],
        [
            log("Error: command buffer exited with error status. (IOAF code 8)"),
            replace(FINE, log_tail=("the command buffer exited", "Internal: Failed to load", "may have completed")),
            log("kIOGPUCommandBufferCallbackErrorNone"),
            replace(FINE, log_tail=("Internal build (1a2b3c4d)", "Internal Error (see the manual)")),
            log(METAL_INTERNAL[0], "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)"),
        ],
    ),
    (
        "coreml-gpu-compiler",
        [
            ended(-6, log_tail=(MPSGRAPH + "Error: MLIR pass manager failed'",)),
            ended(-6, log_tail=(MPSGRAPH + "original module failed verification'",)),
            error("RuntimeError", "MLIR pass manager failed"),
        ],
        [ended(-6, log_tail=(MPSGRAPH + "shape.count = 0 != strides.count = 2'",)), log("the MLIR pass manager ran")],
    ),
    (
        "gpu-assertion",
        [
            ended(-6, log_tail=("-[MTLBuffer init]:1: failed assertion `Buffer too large'",)),
            ended(-6, log_tail=("MPSNDArray.mm:705: failed assertion `NDArray dimension length > INT_MAX'",)),
        ],
        [ended(-6, log_tail=("array.cc:7: failed assertion `size < limit'",)), log("MTLBuffer: assertion held")],
    ),
    (
        "gpu-memory",
        [
            log("OOM when allocating tensor with shape[32,224,224,3]"),
            error("ResourceExhaustedError", "Graph execution error"),
            log("RuntimeError: MPS backend out of memory (MPS allocated: 9.0 GB)"),
            log("Internal: Dst tensor is not initialized."),
            log("failed to allocate 163.74M (171696128 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY"),
        ],
        [log("when allocating tensor with shape[32]"), log("MPS backend ready"), log("CUDA_ERROR_NO_DEVICE")],
    ),
    (
        "gpu-fault",
        [
            log("CUDA error: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"),
            replace(FINE, log_tail=("failed to synchronize: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure",)),
        ],
        [log("failed call to cuInit: CUDA_ERROR_NO_DEVICE"), log("an illegal access of memory")],
    ),
    ("gpu-library", [log(CUDNN)], [log("Loaded cuDNN version 90300")]),
    (
        "gpu-library",
        [
            log("OP_REQUIRES failed at conv_ops.cc:1068 : UNIMPLEMENTED: DNN library is not found."),
            log("E cuda_dnn.cc:289] could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR"),
        ],
        [log("the library is not found"), log("CUDNN_STATUS_SUCCESS")],
    ),
    (
        "gpu-driver",
        [log("cudaGetDevice() failed. Status: CUDA driver version is insufficient for CUDA runtime version")],
        [log("CUDA driver version: 12.4")],
    ),
    (
        "gpu-compiler",
        [
            log("OP_REQUIRES failed at xla_ops.cc:362 : INTERNAL: libdevice not found at ./libdevice.10.bc"),
            log("UNAVAILABLE: No PTX compilation provider is available."),
        ],
        [log("libdevice found at ./libdevice.10.bc"), log("XLA service initialized for platform CUDA")],
    ),
    (
        "missing-kernel",
        [
            error("InvalidArgumentError", NO_KERNEL + "'/device:GPU:0' because no supported kernel for GPU devices is"),
            error(
                "NotFoundError", "No registered 'CudnnRNN' OpKernel for 'GPU' devices compatible with node {{node x}}"
            ),
            log("No OpKernel was registered to support Op 'Cumsum' used by x", "Registered kernels:", "  device='CPU'"),
        ],
        [
            error("NotFoundError", "No registered 'CudnnRNN' OpKernel for 'CPU' devices compatible with node"),
            log("No OpKernel was registered to support Op 'X'", "Registered kernels:", "<no registered kernels>"),
            log("assigned a device for operation x"),
        ],
    ),
    (
        "loss-nan",
        [
            losing(math.nan),
            losing(math.inf),
            log("Epoch 2/5 - loss: nan - accuracy: 0.10"),
            log("val_loss: nan"),
            replace(FINE, log_tail=("val_loss: 0.51", "val_loss: inf")),
            replace(
                FINE, retained_lines=("val_loss: inf",), log_tail=("val_loss: inf", "val_loss: 0.5", "val_loss: inf")
            ),
            log("val_loss: 0.51 -> nan", "val_loss: 0.51"),
            log("loss: inf", "loss: 0.51"),
            error("LossNotFiniteError", "The loss became nan in epoch 1, by step 3 of 9."),
        ],
        [
            losing(0.3),
            log("loss: 0.31 - nanoseconds"),
            log("closs: nano"),
            replace(FINE, log_tail=("val_loss: inf -> 0.51", "val_loss: 0.51 -> 0.43")),
            replace(FINE, log_tail=("val_loss: inf → 0.51",)),
            replace(FINE, log_tail=("Epoch 1: val_loss improved from inf to 0.51, saving model", "best val_loss: inf")),
            replace(FINE, retained_lines=("loss: 2.3 - val_loss: inf",), log_tail=("loss: 2.1 - val_loss: 0.51",)),
            replace(
                FINE,
                retained_lines=("val_loss: inf",),
                last_progress=Progress("fit", 5, 5, figures={"loss": 0.4, "val_loss": 0.5}),
            ),
        ],
    ),
    (
        "untrusted-device",
        [error("UntrustedDeviceError", "GPU:0 is not to be trusted: its loss is nan in step 2.")],
        [error("DeviceError", "UntrustedDeviceError")],
    ),
]

WORKER: list[Sample] = [
    ("unusable-data", [error("UnusableDataError", "Half is broken.")], [error("UnusableDataset")]),
    (
        "missing-weights",
        [
            error("MissingWeightsError"),
            error("UnreadableNetworkError", "Unable to open file (file signature not found)"),
        ],
        [error("KeyError", "MissingWeightsError")],
    ),
    ("missing-data", [error("DownloadError"), error("UnavailableError")], [error("HTTPError", "DownloadError")]),
    ("wrong-output", [error("WrongOutputError", "The output 'x' is not a number.")], [error("ValueError")]),
    ("no-such-unit", [error("NoSuchUnitError", "Core ML runs on macOS only.")], [error("KeyError", "NoSuchUnitError")]),
    ("input", [error("InputError")], [error("ValueError", "InputError")]),
]

SOFTWARE: list[Sample] = [
    (
        "optimizer-platform",
        [log("INTERNAL: could not find registered platform with id: 0x1234")],
        [log("found registered platform with id: 0x1234")],
    ),
    (
        "metal-plugin",
        [log(METAL + "Symbol not found: _TF_foo"), log(METAL, "Library not loaded: @rpath/_pywrap_tensorflow")],
        [log(METAL + "loaded"), log("Symbol not found: _TF_foo")],
    ),
    (
        "turicreate-platform",
        [log("TURICREATE ERROR: setup.py did not find an available binary package")],
        [log("pip did not find an available binary package")],
    ),
    (
        "turicreate-environment",
        [
            error("AttributeError", "module 'numpy' has no attribute 'bool'."),
            log("TypeError: Descriptors cannot not be created directly."),
            log("TypeError: Descriptors cannot be created directly."),
        ],
        [error("AttributeError", "module 'numpy' has no attribute 'boom'"), log("Descriptors can be created directly")],
    ),
    (
        "illegal-instruction",
        [ended(-6, log_tail=(GUARD + "instructions, but these aren't available on your machine.",))],
        [
            ended(-6, log_tail=("The TensorFlow library wasn't compiled to use AVX instructions, but these are",)),
            log("This TensorFlow binary is optimized to use available CPU instructions: AVX2 FMA"),
        ],
    ),
    (
        "wrong-architecture",
        [log("ImportError: dlopen(/x/_tf.so, 0x0002): tried: '/x/_tf.so' " + DLOPEN), log("/x.so: wrong ELF class")],
        [log("mach-o file"), log("architecture: arm64")],
    ),
    (
        "system-too-old",
        [log("ImportError: /lib/libc.so.6: version `GLIBC_2.28' not found (required by /x/_tf.so)")],
        [log("using GLIBC_2.28"), log("version `V8' not found")],
    ),
    (
        "code-signature",
        [log(SIGNATURE), reported(-9, termination="CODESIGNING 2 Invalid Page")],
        [log("code signature valid"), reported(-9, termination="SIGNAL 9 Killed: 9")],
    ),
    (
        "library-missing",
        [
            log("ImportError: libcudart.so.12: cannot open shared object file: No such file or directory"),
            reported(-6, termination="DYLD 1 Library missing"),
        ],
        [log("Could not load dynamic library 'libcudart.so.12'"), reported(-6, termination="SIGNAL 6 Abort trap: 6")],
    ),
    (
        "module-missing",
        [
            error("ModuleNotFoundError", "No module named 'keras'"),
            log("/x/bin/python3.11: No module named coremlbench.workers"),
        ],
        [log("Failed to load _MLModelProxy: No module named 'coremltools.libcoremlpython'"), error("ImportError")],
    ),
    (
        "numpy-version",
        [error("ValueError", "numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C")],
        [error("ValueError", "the size of the dtype changed"), log("numpy 1.26 is used")],
    ),
    (
        "protobuf-twice",
        [ended(-6, log_tail=(PROTOBUF,))],
        [ended(-6, log_tail=("descriptor_database.cc:642] ready",)), log("File already exists in database")],
    ),
    (
        "openmp-twice",
        [ended(-6, log_tail=("OMP: Error #15: Initializing libiomp5.dylib, but found libomp.dylib already",))],
        [ended(-6, log_tail=("OMP: Warning #15: something",))],
    ),
    (
        "fork",
        [ended(-6, log_tail=(FORK + " called.",))],
        [ended(-6, log_tail=("objc[1]: Class X is implemented in both",))],
    ),
    (
        "developer-tools",
        [log("xcrun: error: invalid active developer path (/Library/Developer/CommandLineTools), missing xcrun")],
        [log("xcrun found swiftc")],
    ),
    ("environment", [error("EnvironmentBuildError")], [error("EnvironmentError")]),
]

COREML: list[Sample] = [
    (
        "unsupported-operation",
        [
            error("NotImplementedError", "Conversion for TF op 'StatefulPartitionedCall' not implemented."),
            error("NotImplementedError", "('Einsum unsupported equation format: ', 'hbg,heg->hbe')"),
            error("AssertionError", "unsupported einsum equation bnft,btnh->bfnh"),
            error("NotImplementedError", "Not support dynamic block_shape!", log_tail=(CONVERTER,)),
        ],
        [
            error("NotImplementedError", "This optimizer is not implemented."),
            error("ValueError", "einsum equation bnft,btnh->bfnh", log_tail=(CONVERTER,)),
        ],
    ),
    (
        "coreml-not-here",
        [error("Exception", "Unable to load CoreML.framework. Cannot make predictions.")],
        [error("Exception", "CoreML.framework")],
    ),
    (
        "coreml-model",
        [
            error("RuntimeError", "Error compiling model: at model.mil:8:133: Error parsing MIL model: at x"),
            error(
                "RuntimeError", 'Error compiling model: "compiler error:  Espresso exception: "Invalid blob shape": x'
            ),
            log('Espresso exception: "Network translation error": MIL->EIR translation error at /x/model.mil:7:12'),
        ],
        [error("RuntimeError", "parsed the MIL model"), log("compiler error: expected ';'")],
    ),
    (
        "neural-engine-compiler",
        [ended(-9, log_tail=(ANE + "Error=_ANECompiler : ANECCompile() FAILED (11)",))],
        [replace(FINE, log_tail=(ANE,)), ended(-9, log_tail=("ANECompilerService started",))],
    ),
    (
        "coreml-input",
        [
            error("PredictionError", "Core ML could not predict on ALL: value type not convertible"),
            error("RuntimeError", '{ NSLocalizedDescription = "Feature x is required but not specified."; }'),
            error("RuntimeError", '{ NSLocalizedDescription = "Image size 8 x 6 not in allowed set of image sizes"; }'),
            error(
                "PredictionError",
                "Core ML could not predict on ALL: For input feature 'x', the provided shape 1 × 2 is not compatible "
                "with the model's feature description. (MultiArray shape (1 x 2) does not match)",
            ),
            error("RuntimeError", "The model expects input feature 0 to be an image, but the input is of type 5."),
            error("RuntimeError", "The input feature for keys must be an MLState, but it was not."),
        ],
        [error("RuntimeError", "a value is not convertible"), log("the feature x is required")],
    ),
    (
        "coreml-prediction",
        [
            error("PredictionError", "Core ML could not predict on ALL: something new."),
            error("RuntimeError", '{ NSLocalizedDescription = "Error computing NN outputs."; }'),
            log(ANE_ERROR),
            log("ANEProgramProcessRequestDirect() Failed with status=0x15 : statusType=0x9: Program Inference timeout"),
            log(
                "Error(s) occurred compiling MIL to BNNS graph:", "[CreateBnnsGraphProgramFromMIL]: Failed to determine"
            ),
            log('Espresso exception: "Invalid state": MpsGraph backend validation on incompatible OS.'),
            log("[Espresso::handle_ex_] exception=Espresso compiled without MPSGraph engine."),
        ],
        [
            error("RuntimeError", "computing NN outputs took 3 s"),
            replace(FINE, log_tail=(ANE_ERROR,)),
            log("com.apple.appleneuralengine started"),
        ],
    ),
    (
        "gpu-memory",
        [
            ended(-6, log_tail=("[metal::malloc] Attempting to allocate 83404284800 bytes which is greater than the",)),
            error("RuntimeError", "[metal::malloc] Resource limit (499000) exceeded."),
            error("RuntimeError", "a buffer greater than the maximum allowed buffer size of 17179869184 bytes"),
        ],
        [log("malloc: ready"), log("the maximum allowed buffer size is 1 GiB")],
    ),
    (
        "coreml-crash",
        [
            reported(-11, frames=("Espresso Espresso::ANECompilerEngine::is_valid + 224", "CoreML x + 1")),
            ended(
                -6, log_tail=("Fatal Python error: Aborted", "Current thread 0x1 (most recent call first):", PREDICT)
            ),
        ],
        [
            reported(-11, frames=("libpython3.11.dylib PyObject_Call + 12",)),
            error("ValueError", "x", log_tail=(PREDICT,)),
        ],
    ),
    (
        "unreadable-model",
        [
            error("OSError", "Unable to synchronously open file (file signature not found)"),
            error("TypeError", "Could not locate class 'TokenAndPositionEmbedding'. Make sure custom classes are"),
        ],
        [error("OSError", "Unable to synchronously open file"), error("TypeError", "class 'X' expected")],
    ),
    (
        "model-load",
        [error("ModelLoadError", "Core ML could not load 'x' for ALL: it said nothing.")],
        [error("OSError")],
    ),
]

SYSTEM: list[Sample] = [
    (
        "disk-full",
        [
            error("OSError", "[Errno 28] x", errno.ENOSPC),
            error("OSError", "[Errno 122] x", errno.EDQUOT),
            log("cp: error writing 'x': No space left on device"),
            error("OSError", "x", errno.ENOSPC, pid=None, returncode=None),
            error("OSError", "Fail to write. Disk may be full.: iostream error"),
            error("OperationalError", "database or disk is full"),
            log("You can't save the file because the volume 'Macintosh HD' is out of space."),
        ],
        [error("OSError", "[Errno 27] File too large", errno.EFBIG), log("some space left on device")],
    ),
    (
        "disk-error",
        [error("OSError", "[Errno 5] Input/output error", errno.EIO), log("cp: Stale file handle")],
        [error("OSError", "[Errno 2] x", errno.ENOENT), log("input and output differ")],
    ),
    (
        "too-many-files",
        [error("OSError", "[Errno 24] x", errno.EMFILE), log("OSError: [Errno 24] Too many open files: 'a.jpg'")],
        [log("OSError: [Errno 2] No such file"), log("Too many files")],
    ),
    (
        "permission",
        [error("PermissionError", "[Errno 13] '/x'", errno.EACCES), error("OSError", "[Errno 30] ro", errno.EROFS)],
        [error("OSError", "[Errno 17] exists", errno.EEXIST)],
    ),
    (
        "folder-vanished",
        [
            error("FileNotFoundError", "[Errno 2] /x", errno.ENOENT, pid=os.getpid(), returncode=None),
            error("NotADirectoryError", "[Errno 20] /x", errno.ENOTDIR, pid=os.getpid(), returncode=None),
        ],
        [error("FileNotFoundError", "[Errno 2] /x", errno.ENOENT)],
    ),
    (
        "certificate",
        [
            error(
                "SSLCertVerificationError", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get"
            )
        ],
        [error("SSLError", "certificate verified")],
    ),
    (
        "network",
        [
            error("URLError", "<urlopen error [Errno -3] Temporary failure in name resolution>"),
            error("ConnectionRefusedError", "[Errno 111] Connection refused", errno.ECONNREFUSED),
        ],
        [error("ValueError", "the name has no resolution"), error("BrokenPipeError", "x", errno.EPIPE)],
    ),
    (
        "too-many-threads",
        [
            error("RuntimeError", "can't start new thread"),
            log("libgomp: Thread creation failed: Resource temporarily unavailable"),
        ],
        [error("RuntimeError", "a new thread was started"), log("Resource temporarily unavailable, trying again")],
    ),
    (
        "out-of-memory",
        [
            error("MemoryError", ""),
            ended(-6, log_tail=("terminate called after throwing an instance of 'std::bad_alloc'",)),
            error("OSError", "[Errno 12] Cannot allocate memory", errno.ENOMEM),
        ],
        [
            error("ValueError", "MemoryErrors are caught"),
            ended(-6, log_tail=("std::bad_cast",)),
            log("Allocation of 154140672 exceeds 10% of free system memory."),
        ],
    ),
    (
        "out-of-memory",
        [ended(-9, oom_kills=1), ended(137, oom_kills=2), shared(9, oom_kills=1)],
        [ended(-9, oom_kills=0), ended(1, oom_kills=1), shared(9, oom_kills=0), shared(11, oom_kills=1)],
    ),
    (
        "out-of-memory",
        [reported(-9, termination="JETSAM 7 memory-per-process-limit")],
        [reported(-9, termination="SIGNAL 9 Killed: 9")],
    ),
]

ENDS: list[Sample] = [
    (
        "killed",
        [ended(-9), ended(137, oom_kills=0), log("zsh: Killed: 9   python x.py"), shared(9)],
        [ended(-15), ended(9), shared(None), shared(15)],
    ),
    (
        "illegal-instruction",
        [ended(-4), ended(132), log("zsh: illegal hardware instruction  python")],
        [ended(4), log("illegal instruction set")],
    ),
    (
        "segmentation-fault",
        [ended(-11), ended(139), log("Fatal Python error: Segmentation fault"), shared(11)],
        [ended(11), shared(6), log("no segmentation fault here")],
    ),
    ("bus-error", [ended(-signal.SIGBUS)], [ended(int(signal.SIGBUS))]),
    (
        "failed-check",
        [
            ended(-6, log_tail=("F tensorflow/core/framework/tensor.cc:713] Check failed: IsAligned() ptr = 0x10",)),
            log("F tensorflow/core/framework/tensor.h:780] Check failed: 1 == NumElements() (1 vs. 0)Must have a one"),
            ended(-6, log_tail=("F ./tensorflow/x.cc:9] Check failed: dtype() == expected_dtype (1 vs. 2)",)),
        ],
        [
            ended(-6, log_tail=("F x.cc:1] Check failed: ptr != nullptr could not allocate memory",)),
            ended(-6, log_tail=("F env.cc:74] Check failed: ret == 0 (11 vs. 0)Thread creation failed.",)),
            ended(-6, log_tail=("device check: passed",)),
        ],
    ),
    ("aborted", [ended(-6), ended(134)], [ended(6), ended(-9)]),
    ("trap", [ended(-signal.SIGTRAP)], [ended(int(signal.SIGTRAP))]),
    ("arithmetic", [ended(-signal.SIGFPE)], [ended(int(signal.SIGFPE)), error("ZeroDivisionError")]),
    ("cpu-time-limit", [ended(-signal.SIGXCPU)], [stopped("deadline", limit=9)]),
    ("file-size-limit", [ended(-signal.SIGXFSZ)], [error("OSError", "[Errno 27] File too large", errno.EFBIG)]),
    ("forbidden-call", [ended(-signal.SIGSYS)], [error("OSError", "[Errno 38] x", errno.ENOSYS)]),
    ("terminated", [ended(-15), ended(143), ended(-2)], [stopped("silence", limit=5), ended(15)]),
    ("signal", [ended(-signal.SIGPIPE), ended(-signal.SIGUSR2)], [ended(13), ended(255)]),
]

REST: list[Sample] = [
    ("hang", [stopped("silence", limit=300)], [stopped("deadline", limit=300)]),
    ("exception", [error("ValueError", "eight is too many")], [ended(1, log_tail=("ValueError: eight",))]),
    ("no-result", [replace(FINE, result=None)], [FINE, ended(3)]),
    ("unknown", [ended(None)], [ended(None, error={"type": "X", "message": "y"})]),
    ("unknown", [ended(1), ended(3)], [FINE]),
]

SAMPLES: list[Sample] = [*SUPERVISION, *GPU, *WORKER, *SOFTWARE, *COREML, *SYSTEM, *CREATEML, *ENDS, *REST]
"""One row a rule, in the order of the table: what it is called, what it matches, and what it all but matches."""
