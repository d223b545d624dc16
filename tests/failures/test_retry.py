"""What the next attempt after each kind of failure changes."""

from coremlbench.failures.classify import RULES
from coremlbench.failures.retry import RETRY_BY_KIND, Retry, retry_after
from coremlbench.failures.training_checks import CHECKS


def kinds(retry: Retry) -> set[str]:
    return {kind for kind, value in RETRY_BY_KIND.items() if value is retry}


def test_rules_and_checks_of_one_kind_agree() -> None:
    rows = {(rule.kind, rule.retry) for rule in RULES} | {(check.kind, check.retry) for check in CHECKS}
    assert rows == set(RETRY_BY_KIND.items())


def test_causes_that_the_user_has_to_remove_are_never_retried() -> None:
    assert kinds(Retry.NEVER) == {
        *("interrupted", "input", "unusable-data", "missing-data", "missing-weights", "environment", "not-started"),
        *("turicreate-platform", "turicreate-environment", "disk-full", "permission", "file-size-limit"),
        *("module-missing", "library-missing", "wrong-architecture", "system-too-old", "illegal-instruction"),
        *("code-signature", "numpy-version", "protobuf-twice", "openmp-twice", "developer-tools", "certificate"),
        *("forbidden-call", "unreadable-model", "coreml-input", "swift-compiler", "createml-feature-length"),
    }


def test_remedies() -> None:
    assert kinds(Retry.LESS_MEMORY) == {"memory-limit", "out-of-memory", "gpu-memory", "killed"}
    assert kinds(Retry.ON_CPU) == {
        *("gpu-fault", "gpu-hang", "gpu-preempted", "gpu-assertion", "gpu-compiler", "gpu-driver", "gpu-library"),
        *("metal-plugin", "optimizer-platform", "untrusted-device", "loss-nan", "loss-exploded"),
        *("missing-kernel", "failed-check", "coreml-gpu-compiler"),
    }
    assert kinds(Retry.ON_CPU_WITH_NEW_SEED) == {"at-chance"}
    assert kinds(Retry.MORE_OPEN_FILES) == {"too-many-files"}


def test_other_kinds_are_retried_unchanged() -> None:
    assert retry_after("hang") is Retry.UNCHANGED
    assert retry_after("of a later release") is Retry.UNCHANGED
