"""What Apple's chips could do at most: literal rows, each with its source. A figure nobody gave is ``None``.

Where sources differ, or a chip is sold with fewer cores or slower memory, the larger figure stands: it makes for the
lower floor, and a floor must not be above what a machine can do.

- Memory: width of the bus times the rate of the memory, which Apple rounds down (409.6 GB/s is "400GB/s").
- GPU: Apple gives teraflops (float32) for the M1 and M2 families only. Since the M3 a core works on float16, float32
  and integers at the same time, so the float32 figure counts twice. The GPU of the M5 has matrix units, of which
  Apple says "over 4x the peak GPU compute" of the M4 and gives no figure.
- Neural Engine: Apple's operations a second. Apple does not say of what: up to the M3 of float16, on the M4 they are
  taken to be of int8, which float16 does not reach. There is none for the M5, and the M3 Ultra's is twice the M3's.
- On-chip memory: what weights may stay in from one call to the next. The system-level cache is 8, 24, 48 or 96 MB in
  the M1 to M3, and beside it are the caches of the CPU (20 to 72 MB) and of the GPU. Apple publishes none of it; the
  sum is rounded up generously.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NEWSROOM = "apple.com/newsroom"
CORE_RATES = "github.com/huggingface/huggingface.js/pull/1044"
"""Teraflops of the M3 and M4 families, collected by others: Apple publishes none."""


@dataclass(frozen=True)
class Chip:
    """The peak figures of one chip.

    ``gpu_core`` is operations a second of one of at most ``gpu_cores`` cores, ``neural_engine`` operations a second of
    the whole engine, ``bandwidth`` bytes a second, ``on_chip`` bytes.
    """

    name: str
    bandwidth: float
    gpu_cores: int
    gpu_core: float | None
    neural_engine: float | None
    on_chip: int
    source: str


MB = 1 << 20
BASE, PRO, MAX, ULTRA = 32 * MB, 64 * MB, 128 * MB, 256 * MB
CLOCKS = "github.com/philipturner/metal-benchmarks"
"""The GPUs' clocks, operations and system-level caches of the M1 and M2 families, measured by others."""
M1_SOURCE = f"{NEWSROOM}: 2020/11 M1, 2021/10 M1 Pro and M1 Max, 2022/03 M1 Ultra; {CLOCKS}"
M2_SOURCE = f"{NEWSROOM}: 2022/06 M2, 2023/01 M2 Pro and M2 Max, 2023/06 M2 Ultra; {CLOCKS}"
M3_SOURCE = f"{NEWSROOM}: 2023/10 M3, M3 Pro and M3 Max, 2025/03 M3 Ultra; {CORE_RATES}; Apple Tech Talk 111375"
M4_SOURCE = f"{NEWSROOM}: 2024/05 M4, 2024/10 M4 Pro and M4 Max; {CORE_RATES}; Apple Tech Talk 111375"
M5_SOURCE = f"{NEWSROOM}: 2025/10 M5, 2026/03 M5 Pro and M5 Max"

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
    Chip("M5", 153.6e9, 10, None, None, BASE, M5_SOURCE),
    Chip("M5 Pro", 307.2e9, 20, None, None, PRO, M5_SOURCE),
    Chip("M5 Max", 614.4e9, 40, None, None, MAX, M5_SOURCE),
)


def find_chip(name: str) -> Chip | None:
    """Return the row of the chip that a machine's description names, ``None`` when it is not in the table."""
    found = re.search(r"Apple (M\d+(?: (?:Pro|Max|Ultra))?)\b", name)
    return next((chip for chip in CHIPS if found is not None and chip.name == found[1]), None)
