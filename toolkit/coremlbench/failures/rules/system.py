"""Errors of the operating system: disk space, files, threads, memory, network."""

from __future__ import annotations

import errno

from coremlbench.failures.matchers import crash_reported, either, logged, oom_killed, raised, system_error, vanished
from coremlbench.failures.rules.rule import Retry, Rule

SMALLER = "Use a smaller batch, fewer or smaller images, or a machine with more memory"

FULL_DISK = (
    r"No space left on device|Disk quota exceeded|Disk may be full|database or disk is full|\bis out of space\b"
    r"|not enough (free )?(disk )?space|isn.t enough (free )?(disk )?space"
)

SYSTEM: tuple[Rule, ...] = (
    Rule(
        "disk-full",
        either(system_error(errno.ENOSPC, errno.EDQUOT), logged(FULL_DISK)),
        "The disk is full{where}{disk_note}.",
        "Free some space, or let --results and COREMLBENCH_CACHE name folders on another disk.",
        "errno 28; turicreate 102; turicreate 1632",
        retry=Retry.NEVER,
    ),
    Rule(
        "disk-error",
        either(
            system_error(errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV),
            logged(r"\[Errno 5\] Input/output error|Stale (NFS )?file handle"),
        ),
        "A disk did not answer{where}{said}.",
        "Look at the disk, or at the connection to it, and use a folder on another one.",
        "errno 5 and 116",
    ),
    Rule(
        "too-many-files",
        either(system_error(errno.EMFILE, errno.ENFILE), logged(r"\[Errno 24\]|Too many open files")),
        "{who} had more files open than the system allows{where}{files_note}.",
        "Run `ulimit -n 4096` in this terminal and try again.",
        "mac-ml-speed-test README",
        retry=Retry.MORE_OPEN_FILES,
    ),
    Rule(
        "permission",
        either(system_error(errno.EACCES, errno.EPERM, errno.EROFS), raised("PermissionError")),
        "{who} was not allowed to use a file{where}: {message}.",
        "Give this user access to it, or use another folder.",
        "errno 13",
        retry=Retry.NEVER,
    ),
    Rule(
        "folder-vanished",
        vanished,
        "A file or a folder of the run was taken away while it went on: {message}.",
        "Leave the results folder as it is until the run has ended, and run it again.",
        "errno 2",
    ),
    Rule(
        "certificate",
        logged(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"),
        "The certificate of a server could not be verified; a Python without certificates of its own, likely.",
        "On macOS run `Install Certificates.command` of python.org's Python; behind a company's proxy set "
        "SSL_CERT_FILE.",
        "Python for macOS, ReadMe",
        retry=Retry.NEVER,
    ),
    Rule(
        "network",
        either(
            system_error(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT),
            logged(r"Temporary failure in name resolution|nodename nor servname provided|Name or service not known"),
        ),
        "A server could not be reached{where}{said}.",
        "Connect this machine to the network, or put the files in place by hand: `coremlbench datasets` says where.",
        "errno 101; getaddrinfo(3)",
    ),
    Rule(
        "too-many-threads",
        logged(
            r"can't start new thread|Thread creation failed|pthread_create.* failed"
            r"|(fork|BlockingIOError).*Resource temporarily unavailable"
        ),
        "The system gave the worker no further thread or process{where}.",
        "End other programs, or raise the limit with `ulimit -u`; in a container, its limit of processes.",
        "toolbox 849; pthread_create(3)",
    ),
    Rule(
        "out-of-memory",
        either(
            raised("MemoryError"),
            system_error(errno.ENOMEM),
            logged(
                r"std::bad_alloc|^MemoryError\b|Failed to allocate memory for requested buffer"
                r"|Cannot allocate memory|malloc.*can't allocate region"
            ),
        ),
        "{who} could not get the memory it asked for{where}; it had taken {peak}.",
        SMALLER + ".",
        "turicreate 267; turicreate 615",
        retry=Retry.LESS_MEMORY,
    ),
    Rule(
        "out-of-memory",
        oom_killed,
        "The system killed the worker for memory{where} (oom_kill count +{oom_kills}, peak {peak}).",
        SMALLER + ".",
        "memory.events of the control group",
        retry=Retry.LESS_MEMORY,
    ),
    Rule(
        "out-of-memory",
        crash_reported("ended by macOS for memory", r"^JETSAM\b"),
        "macOS ended the worker for lack of memory{where} (peak {peak}).",
        SMALLER + ".",
        "the crash report's termination namespace",
        retry=Retry.LESS_MEMORY,
    ),
)
