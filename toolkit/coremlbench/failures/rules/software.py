"""Libraries that do not match the machine or each other: messages of the dynamic loader, TensorFlow and Python."""

from __future__ import annotations

from coremlbench.failures.matchers import crash_reported, either, logged, raised
from coremlbench.failures.rules.rule import Retry, Rule

SOFTWARE: tuple[Rule, ...] = (
    # --- TensorFlow and its plug-in
    Rule(
        "optimizer-platform",
        logged(r"could not find registered platform with id"),
        "The optimizer needs XLA, which tensorflow-metal does not have.",
        "Use the legacy optimizer, or the CPU.",
        "tensorflow 58988",
        retry=Retry.ON_CPU,
    ),
    Rule(
        "metal-plugin",
        logged(r"libmetal_plugin\.dylib", r"Symbol not found|Library not loaded"),
        "tensorflow-metal and TensorFlow do not match.",
        "Install the versions of requirements.lock together: TensorFlow 2.18.1 and tensorflow-metal 1.2.0.",
        "tensorflow 84167",
        retry=Retry.ON_CPU,
    ),
    # --- Turi Create
    Rule(
        "turicreate-platform",
        logged(r"TURICREATE ERROR.*did not find an available binary package"),
        "Turi Create has no build for this Python or processor.",
        "It needs an x86-64 Python up to 3.8; `{doctor}` says how to get one.",
        "turicreate 3462",
        retry=Retry.NEVER,
    ),
    Rule(
        "turicreate-environment",
        logged(r"module 'numpy' has no attribute 'bool'|Descriptors cannot(?: not)? be created directly"),
        "Turi Create's environment holds a NumPy or protobuf that is too new for it.",
        "Remove the environments folder under COREMLBENCH_CACHE; the next run makes it again from its lock.",
        "observed with numpy 1.24 and protobuf 4",
        retry=Retry.NEVER,
    ),
    # --- the processor
    Rule(
        "illegal-instruction",
        logged(r"was compiled to use .*(AVX|SSE|FMA).* instructions, but these aren't available on your machine"),
        "TensorFlow needs instructions that this processor does not have{avx_note}.",
        "Use a native arm64 Python on Apple silicon; on an old processor, another machine or a build without AVX.",
        "tensorflow 27198; tensorflow 26241",
        retry=Retry.NEVER,
    ),
    Rule(
        "wrong-architecture",
        logged(
            r"incompatible architecture \(have|mach-o, but wrong architecture|wrong ELF class"
            r"|Bad CPU type in executable|Exec format error"
        ),
        "A library was built for another processor than this Python.",
        "Make the environment again with a Python of one architecture: a native arm64 one on Apple silicon.",
        "tensorflow_macos 273; tensorflow 57483",
        retry=Retry.NEVER,
    ),
    # --- the dynamic loader
    Rule(
        "system-too-old",
        logged(r"version [`'\"]?(GLIBC|GLIBCXX|CXXABI)_[\d.]+'? not found|dyld: .*built for (newer )?macOS .*newer"),
        "A library needs a newer system than this one (its C library is too old).",
        "Use a newer system or container: TensorFlow 2.21's packages need glibc 2.27 or newer.",
        "tensorflow 48761; tensorflow 25593",
        retry=Retry.NEVER,
    ),
    Rule(
        "code-signature",
        either(
            logged(r"not valid for use in process|library load disallowed by system policy|Code Signature Invalid"),
            crash_reported("ended for its code signature", r"^CODESIGNING\b|Code Signature|code signature"),
        ),
        "macOS refused to load a library, for its signature or because it is in quarantine.",
        "Make the environment again with pip or uv, which do not put files in quarantine; "
        "`xattr -dr com.apple.quarantine DIR` frees files that a browser fetched.",
        "flet 4543; borg 5622",
        retry=Retry.NEVER,
    ),
    Rule(
        "library-missing",
        either(
            logged(
                r"ImportError: .*(cannot open shared object file|Library not loaded|Symbol not found|undefined symbol)"
            ),
            crash_reported("the dynamic loader found no library or symbol", r"^DYLD\b"),
        ),
        "A library that the worker needs is missing, or not the one that it was built with.",
        "Make the environment again from its lock with `make install`; the matched lines name the library.",
        "dlopen(3); the loader's own text",
        retry=Retry.NEVER,
    ),
    Rule(
        "module-missing",
        either(
            raised("ModuleNotFoundError"),
            logged(r"python\S*: (No module named|Error while finding module specification)"),
        ),
        "A Python package that the worker needs is not installed here.",
        "Make the environment again from its lock with `make install`; the message names the package.",
        "Python's own text",
        retry=Retry.NEVER,
    ),
    Rule(
        "numpy-version",
        logged(
            r"numpy\.dtype size changed|numpy\.core\.multiarray failed to import"
            r"|compiled using NumPy 1\.x cannot be run"
        ),
        "A library was built for another NumPy than the one that is installed.",
        "Make the environment again from its lock with `make install`.",
        "tensorflow 98406; exo 109",
        retry=Retry.NEVER,
    ),
    # --- two copies of a library in a process
    Rule(
        "protobuf-twice",
        logged(r"descriptor(_database)?\.cc:\d+\] (File already exists in database|CHECK failed: .*Add\()"),
        "Two libraries in one process brought copies of protobuf that collide.",
        "Make the environment again from its lock with `make install`; do not add packages to it.",
        "tensorflow 70340; protobuf 15194",
        retry=Retry.NEVER,
    ),
    Rule(
        "openmp-twice",
        logged(r"OMP: Error #15|Initializing lib(i)?omp\w*\.(dylib|so), but found"),
        "Two libraries in one process brought copies of OpenMP that collide.",
        "Make the environment again from its lock; do not mix conda's packages with pip's. "
        "KMP_DUPLICATE_LIB_OK=TRUE hides it and may falsify results.",
        "pytorch 78490; min-dalle 12",
        retry=Retry.NEVER,
    ),
    Rule(
        "fork",
        logged(r"may have been in progress in another thread when fork\(\) was called|__THE_PROCESS_HAS_FORKED"),
        "macOS ended a process that was forked while Apple's libraries were in use.",
        "Run it again; if it happens again, report it with `{bundle}`, as nothing here forks on purpose.",
        "rails 38560; scancode-toolkit 1019",
    ),
    Rule(
        "developer-tools",
        logged(r"xcrun: error|invalid active developer path|have not agreed to the Xcode license"),
        "Apple's command line tools are missing, or their licence was not agreed to.",
        "Run `xcode-select --install`, then `sudo xcodebuild -license accept` if it is still asked for.",
        "Apple Technical Note TN2339",
        retry=Retry.NEVER,
    ),
    # --- environments
    Rule(
        "environment",
        raised("EnvironmentBuildError"),
        "{message}",
        "Run `{doctor}`, and then this again.",
        "worker",
        retry=Retry.NEVER,
    ),
)
