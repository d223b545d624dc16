"""Recognise the layout of a folder of images: the names of the parts of a split, and folders that are no classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from coremlbench.types.errors import InputError
from coremlbench_datasets.examination import class_name, folders_in

SplitRole = Literal["training", "validation", "test"]
_ROLES: dict[str, SplitRole] = {
    "train": "training",
    "training": "training",
    "trainingset": "training",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "tests": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
_BY_IMPORTANCE: tuple[SplitRole, ...] = ("training", "test", "validation")
_SUFFIX = re.compile(r"[\s_-]*(data|dataset|set|images|pictures|photos)$")
MAX_SHOWN_NAMES = 4


def split_role(name: str) -> SplitRole | None:
    """Return which part of a split a folder's name says, in any spelling: train, Training Data, val_set, Testing."""
    plain = name.casefold().strip()
    return _ROLES.get(plain) or _ROLES.get(_SUFFIX.sub("", plain))


def find_split(folders: Sequence[Path], label: str) -> tuple[Path, Path] | None:
    """Return the folders of training and test images, ``None`` if the folders are classes.

    Without a test part, the validation part is the test set. One part among folders of other names is a class: a train
    can be on a picture.

    Raises:
        InputError: there is one part only, or one of them twice.
    """
    by_role: dict[SplitRole, list[Path]] = {}
    for folder in folders:
        role = split_role(folder.name)
        if role is not None:
            by_role.setdefault(role, []).append(folder)
    testing: SplitRole = "test" if "test" in by_role else "validation"
    if "training" in by_role and testing in by_role:
        for role in ("training", testing):
            if len(by_role[role]) > 1:
                names = " and ".join(class_name(folder) for folder in by_role[role])
                raise InputError(f"{label} has two folders of {role} pictures, {names}; remove or rename one of them.")
        return by_role["training"][0], by_role[testing][0]
    if by_role and all(split_role(folder.name) for folder in folders):
        missing = "test" if "training" in by_role else "train"
        present = next(by_role[role][0] for role in _BY_IMPORTANCE if role in by_role)
        raise InputError(
            f"{label} has a folder {class_name(present)} and no folder {missing}; it needs both or neither."
        )
    return None


def check_classes(folders: Sequence[Path], label: str) -> None:
    """Check that folders are classes, and not parts of a dataset that have the classes below them.

    Raises:
        InputError: folders that would be classes have several sub-folders of the same names.
    """
    inner = {
        folder: {class_name(sub) for sub in folders_in(folder) if not sub.is_symlink()}  # links can lead in a circle
        for folder in folders
    }
    for index, first in enumerate(folders):
        for second in folders[index + 1 :]:
            shared = sorted(inner[first] & inner[second])
            if len(shared) > 1:
                names = ", ".join(shared[:MAX_SHOWN_NAMES]) + (", …" if len(shared) > MAX_SHOWN_NAMES else "")
                raise InputError(
                    f"The folders {class_name(first)} and {class_name(second)} of {label} have sub-folders of the same "
                    f"names ({names}), so they are no classes: name them train and test if they are the parts of a "
                    "split, or put the pictures of each class into one folder."
                )
