"""Feature extraction by Core ML: processes decode and augment images, and this process alone calls Core ML.

The GPU and the Neural Engine are shared by all processes of a machine, and each process that loads the model compiles
it and holds its memory, so one caller is right for them; on the CPU, Core ML starts threads of its own. coremltools
keeps Python's global lock while Core ML predicts, so images are prepared in other processes rather than in threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coremlbench.createml.feature_extraction import Task, open_rows, prepare_image
from coremlbench.createml.feature_journal import JournalEntry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from coremlbench.createml.feature_extraction import Pixels

BATCH = 16
"""Images per call of Core ML: all copies of an image under the protocol, and few enough for little memory."""


@dataclass(frozen=True)
class CoreMLExtraction:
    """Computes the rows of images with ``features``: images (height, width, 3) to float32 features (images, length).

    ``processes`` prepare the images; by default there is one for each core but that of the process that calls Core ML.
    """

    features: Callable[[Sequence[Pixels]], npt.NDArray[np.float32]]
    processes: int | None = None

    def __call__(self, tasks: Sequence[Task]) -> Iterator[JournalEntry]:
        """Extract the features of each image and write them to its target; yield what was written.

        Raises:
            UnusableDataError: an image cannot be read any more.
            BadFeaturesError: Core ML gave something else than features.
        """
        import numpy as np

        from coremlbench_datasets.parallel import cores, in_processes

        processes = self.processes or max(1, cores() - 1)
        # One image at a time: its copies are a few megabytes, which are sent from process to process.
        for task, pixels in in_processes(prepare_task, tasks, workers=processes, chunk=1):
            batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
            rows = np.concatenate([self.features(batch) for batch in batches])
            open_rows(task.target.path, task.target.size, rows.shape[1])[task.row : task.row + len(rows)] = rows
            yield JournalEntry(task.row, len(rows), hashlib.sha256(rows.tobytes()).hexdigest())


def prepare_task(task: Task) -> tuple[Task, list[Pixels]]:
    """Return the task with its image's augmented copies, or the resized image alone without augmentation."""
    return task, prepare_image(task.path, task.target.size, task.options, task.seed)
