"""Graphics processors. After a fault the process often goes on, with wrong results."""

from __future__ import annotations

from coremlbench.failures.matchers import either, logged, loss_is_nan, loss_was_logged_nan, raised
from coremlbench.failures.rules.rule import Retry, Rule

GPU: tuple[Rule, ...] = (
    # --- Metal
    Rule(
        "gpu-memory",
        logged(
            r"IOAF code (-536870211|8)\b|MPSCNNKernel\.mm.*failed assertion|kIOGPUCommandBufferCallbackErrorOutOfMemory"
        ),
        "The GPU ran out of memory{where}; what it computed from then on is wrong.",
        "Use a smaller batch, or the CPU.",
        "tensorflow_macos 36; mlx 479; llama.cpp 9701",
        also_success=True,
        retry=Retry.LESS_MEMORY,
    ),
    Rule(
        "gpu-fault",
        logged(
            r"Ignored \(for causing prior/excessive GPU errors\)|IOAF code 4\b"
            r"|kIO(GPU|Accel)CommandBufferCallbackError(SubmissionsIgnored|PageFault|InnocentVictim)"
        ),
        "The GPU had a fault{where} and ignored the work that came after it; results from then on are wrong.",
        "Discard this run, restart the machine, and use the CPU if it happens again.",
        "tensorflow_macos 202; llama.cpp 8886",
        also_success=True,
        retry=Retry.ON_CPU,
    ),
    Rule(
        "gpu-hang",
        logged(r"kIOGPUCommandBufferCallbackError(Hang|Timeout)"),
        "The system ended work on the GPU that took too long{where}.",
        "Use smaller images or a smaller batch.",
        "PyTorch forum 159689",
        also_success=True,
        retry=Retry.ON_CPU,
    ),
    Rule(
        "gpu-preempted",
        logged(r"kIOGPUCommandBufferCallbackErrorImpactingInteractivity"),
        "The system took the GPU away from the run{where}, to keep the screen responsive.",
        "Use a smaller batch, or leave the machine alone while it runs.",
        "omlx 1387",
        also_success=True,
        retry=Retry.ON_CPU,
    ),
    Rule(
        "gpu-fault",
        logged(
            r"command buffer( \d+)? (exited with error status|failed with status)"
            r"|command buffer was aborted due to an error|operations encoded on it may not have completed"
            r"|(Internal Error|Invalid Resource) \([0-9a-f]{8}\b"
            r"|kIO(GPU|Accel)CommandBufferCallbackError(?!None)\w"
        ),
        "The GPU had a fault{where}: work that it was given was not completed; results from then on are wrong.",
        "Discard this run and run it again, with a smaller batch or on the CPU if it happens again.",
        "tensorflow 57058; WebODM/OpenSplat 198; huggingface/candle 3850",
        also_success=True,
        retry=Retry.ON_CPU,
    ),
    Rule(
        "coreml-gpu-compiler",
        logged(r"MLIR pass manager failed|original module failed verification"),
        "MPSGraph, which compiles models for the GPU, refused this one{where}.",
        "Time this model with CPU_AND_NE or CPU_ONLY, as ALL uses the GPU too; train with --device cpu.",
        "ultralytics/ultralytics 24885; ultralytics/ultralytics 25860; coremltools 2688",
        retry=Retry.ON_CPU,
    ),
    Rule(
        "gpu-assertion",
        logged(r"(MPS\w*|MTL\w*|Metal\w*)\b.*failed assertion|failed assertion.*\b(MPS|MTL)\w*"),
        "Metal refused work that it cannot do{where}; an operation or a size that the plug-in does not handle, likely.",
        "Use the CPU, another batch or image size, or the versions of requirements.lock.",
        "the assertion's own text",
        retry=Retry.ON_CPU,
    ),
    # --- CUDA
    Rule(
        "gpu-memory",
        logged(
            r"OOM when allocating tensor|ResourceExhaustedError|MPS backend out of memory|CUDA_ERROR_OUT_OF_MEMORY"
            r"|Dst tensor is not initialized|cudaMalloc failed: out of memory|CUDNN_STATUS_ALLOC_FAILED"
        ),
        "The device ran out of memory{where}.",
        "Use a smaller batch, and end other programs that use the device.",
        "pytorch 130112; tensorflow 7025; turicreate 137",
        retry=Retry.LESS_MEMORY,
    ),
    Rule(
        "gpu-fault",
        logged(
            r"CUDA_ERROR_(ILLEGAL_ADDRESS|LAUNCH_FAILED|ECC_UNCORRECTABLE|ILLEGAL_INSTRUCTION|MISALIGNED_ADDRESS)"
            r"|an illegal memory access was encountered|NVRM: Xid"
        ),
        "The GPU had a fault{where}; results from then on are wrong.",
        "Discard this run and run it again; if it happens again, use the CPU and look at the GPU's own log.",
        "CUDA driver API, CUresult",
        also_success=True,
        retry=Retry.ON_CPU,
    ),
    Rule(
        "gpu-library",
        logged(r"Loaded runtime CuDNN library: .* but source was compiled with"),
        "The cuDNN found here is older than the one that TensorFlow was built with.",
        "Install TensorFlow with its own libraries, `pip install 'tensorflow[and-cuda]'`, and take other copies of "
        "cuDNN out of LD_LIBRARY_PATH.",
        "tensorflow 60913; tensorflow 62170",
        retry=Retry.ON_CPU,
    ),
    Rule(
        "gpu-library",
        logged(
            r"DNN library (is not found|initialization failed)|cuDNN failed to initialize"
            r"|could not create cudnn handle|CUDNN_STATUS_(NOT_INITIALIZED|INTERNAL_ERROR)"
        ),
        "TensorFlow could not start cuDNN{where}; a version that does not match, or too little memory on the device, "
        "likely.",
        "The lines above it in the log say which; end other programs that use the device, or reinstall "
        "`tensorflow[and-cuda]`.",
        "tensorflow 55309; tensorflow 2437",
        retry=Retry.ON_CPU,
    ),
    Rule(
        "gpu-driver",
        logged(
            r"CUDA driver version is insufficient|Driver/library version mismatch|CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
            r"|forward compatibility was attempted on non supported HW"
        ),
        "The NVIDIA driver is older than the CUDA libraries in use, or was exchanged since the machine started.",
        "Install a newer driver and restart the machine, or train with --device cpu.",
        "tensorflow 31319; nvidia-docker 399",
        retry=Retry.ON_CPU,
    ),
    Rule(
        "gpu-compiler",
        logged(r"libdevice not found|ptxas not found|Couldn't invoke ptxas|No PTX compilation provider is available"),
        "TensorFlow's compiler for NVIDIA GPUs lacks a part of CUDA (libdevice or ptxas).",
        "Install `tensorflow[and-cuda]`, or name CUDA's folder in XLA_FLAGS=--xla_gpu_cuda_data_dir=DIR.",
        "tensorflow 60790; tensorflow 35423",
        retry=Retry.ON_CPU,
    ),
    Rule(
        "missing-kernel",
        either(
            logged(
                r"Cannot assign a device for operation|No registered '?\w+'? OpKernel for '?GPU\b"
                r"|no supported kernel for GPU devices"
            ),
            logged(r"No OpKernel was registered to support Op", r"device='CPU'"),
        ),
        "TensorFlow has no GPU kernel for an operation of this model, or not for its data type{where}.",
        "Train with --device cpu; the matched line names the operation.",
        "tensorflow 53026; tensorflow 22476",
        retry=Retry.ON_CPU,
    ),
    # --- loss and device checks
    Rule(
        "loss-nan",
        either(loss_is_nan, raised("LossNotFiniteError"), loss_was_logged_nan),
        "The loss was no longer a number{where}; a bug of the GPU plug-in or of BatchNormalization is likely.",
        "Run it on the CPU, or with another optimizer.",
        "tensorflow_macos 231",
        also_success=True,
        retry=Retry.ON_CPU,
    ),
    Rule(
        "untrusted-device",
        raised("UntrustedDeviceError"),
        "{message}",
        "Train on the CPU with --device cpu, or install the pinned TensorFlow and plug-in together.",
        "tf-keras 140; tensorflow 92686",
        retry=Retry.ON_CPU,
    ),
)
