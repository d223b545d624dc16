"""Peak figures of Apple's chips, each with its source; ``None`` for a figure that has not been published.

Where sources differ, or a chip is sold with fewer cores or slower memory, the larger figure is used. It gives a lower
roofline bound, and a bound must never be above the time that a machine needs.

- Memory bandwidth: bus width times memory rate, which Apple rounds down (409.6 GB/s is "400GB/s").
- GPU: Apple gives teraflops (float32) for the M1 and M2 families only. Since the M3 a core executes float16, float32
  and integers at the same time, so the float32 figure is doubled. The cores of the M5's and M6's GPUs have matrix
  units, which Apple calls Neural Accelerators: Apple says "over 4x the peak GPU compute" of the M4 and gives no figure.
- Neural Engine: Apple's operations a second. Apple does not name the data type. Up to the M3 it is taken to be
  float16; for the M4 it is taken to be int8, a rate that float16 does not reach. There is no figure for the M5, the M6
  (which has two engines) and the A18 Pro in Macs; that of the M3 Ultra is twice the M3's.
- On-chip memory: where weights may stay from one call to the next. The system-level cache is 8, 24, 48 or 96 MB in
  the M1 to M3; the caches of the CPU (20 to 72 MB) and of the GPU are added. Apple publishes none of these; the sum is
  rounded up generously.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NEWSROOM = "apple.com/newsroom"
CORE_RATES = "github.com/huggingface/huggingface.js/pull/1044"
"""Teraflops of the M3 and M4 families, collected by others; Apple publishes none."""


@dataclass(frozen=True)
class Chip:
    """The peak figures of one chip.

    ``bandwidth`` is in bytes a second. ``gpu_core`` is the operations a second of one of at most ``gpu_cores`` cores,
    ``neural_engine`` those of the whole engine. ``on_chip`` is in bytes. ``neural_accelerators`` says that each core of
    the GPU has a matrix unit.
    """

    name: str
    bandwidth: float
    gpu_cores: int
    gpu_core: float | None
    neural_engine: float | None
    on_chip: int
    source: str
    neural_accelerators: bool = False


MB = 1 << 20
BASE, PRO, MAX, ULTRA = 32 * MB, 64 * MB, 128 * MB, 256 * MB
CLOCKS = "github.com/philipturner/metal-benchmarks"
"""GPU clocks, operations and system-level caches of the M1 and M2 families, measured by others."""
M1_SOURCE = f"{NEWSROOM}: 2020/11 M1, 2021/10 M1 Pro and M1 Max, 2022/03 M1 Ultra; {CLOCKS}"
M2_SOURCE = f"{NEWSROOM}: 2022/06 M2, 2023/01 M2 Pro and M2 Max, 2023/06 M2 Ultra; {CLOCKS}"
M3_SOURCE = f"{NEWSROOM}: 2023/10 M3, M3 Pro and M3 Max, 2025/03 M3 Ultra; {CORE_RATES}; Apple Tech Talk 111375"
M4_SOURCE = f"{NEWSROOM}: 2024/05 M4, 2024/10 M4 Pro and M4 Max; {CORE_RATES}; Apple Tech Talk 111375"
M5_SOURCE = f"{NEWSROOM}: 2025/10 M5, 2026/03 M5 Pro and M5 Max, 2026/08 M5 Ultra"
M6_SOURCE = f"{NEWSROOM}: 2026/08 M6"
A18_SOURCE = "apple.com/macbook-neo/specs"

CHIPS = (
    Chip("M1", 68.3e9, 8, 0.332e12, 11e12, BASE, M1_SOURCE),
    Chip("M1 Pro", 204.8e9, 16, 0.332e12, 11e12, PRO, M1_SOURCE),
    Chip("M1 Max", 409.6e9, 32, 0.332e12, 11e12, MAX, M1_SOURCE),
    Chip("M1 Ultra", 819.2e9, 64, 0.332e12, 22e12, ULTRA, M1_SOURCE),
    Chip("M2", 102.4e9, 10, 0.36e12, 15.8e12, BASE, M2_SOURCE),
    Chip("M2 Pro", 204.8e9, 19, 0.36e12, 15.8e12, PRO, M2_SOURCE),
    Chip("M2 Max", 409.6e9, 38, 0.36e12, 15.8e12, MAX, M2_SOURCE),
    Chip("M2 Ultra", 819.2e9, 76, 0.36e12, 31.6e12, ULTRA, M2_SOURCE),
    Chip("M3", 102.4e9, 10, 0.82e12, 18e12, BASE, M3_SOURCE),
    Chip("M3 Pro", 153.6e9, 18, 0.82e12, 18e12, PRO, M3_SOURCE),
    Chip("M3 Max", 409.6e9, 40, 0.82e12, 18e12, MAX, M3_SOURCE),
    Chip("M3 Ultra", 819.2e9, 80, 0.82e12, 36e12, ULTRA, M3_SOURCE),
    Chip("M4", 120e9, 10, 0.92e12, 38e12, BASE, M4_SOURCE),
    Chip("M4 Pro", 273.1e9, 20, 0.92e12, 38e12, PRO, M4_SOURCE),
    Chip("M4 Max", 546.2e9, 40, 0.92e12, 38e12, MAX, M4_SOURCE),
    Chip("M5", 153.6e9, 10, None, None, BASE, M5_SOURCE, neural_accelerators=True),
    Chip("M5 Pro", 307.2e9, 20, None, None, PRO, M5_SOURCE, neural_accelerators=True),
    Chip("M5 Max", 614.4e9, 40, None, None, MAX, M5_SOURCE, neural_accelerators=True),
    Chip("M5 Ultra", 1228.8e9, 80, None, None, ULTRA, M5_SOURCE, neural_accelerators=True),
    Chip("M6", 170.7e9, 12, None, None, BASE, M6_SOURCE, neural_accelerators=True),
    Chip("A18 Pro", 60e9, 5, None, None, BASE, A18_SOURCE),
)


def find_chip(name: str) -> Chip | None:
    """Return the chip that the description of a machine names, ``None`` when it is not in the table."""
    match = re.search(r"Apple ([AM]\d+(?: (?:Pro|Max|Ultra))?)\b", name)
    return next((chip for chip in CHIPS if match is not None and chip.name == match[1]), None)


def accelerator_note(name: str) -> str:
    """Return a note on the matrix units in the GPU of the chip that ``name`` names, "" for chips without."""
    chip = find_chip(name)
    if chip is None or not chip.neural_accelerators:
        return ""
    return (
        f"Each core of the {chip.name}'s GPU has a Neural Accelerator, a matrix unit besides the Neural Engine: what "
        "runs on the GPU may use it."
    )
