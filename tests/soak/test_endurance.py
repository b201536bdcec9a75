"""An hour of recordings in one process: memory stays where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc"),
]

HOUR_S = 3600
PACE = 12
"""How many times faster than a clock the live stream plays; what is too fast is dropped, not queued."""
ALLOWED_MB = 15.0

SCRIPT = """
import os, sys
from pathlib import Path
from emofuse import Recognizer

def resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

what, path, hour_s, pace = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
recognizer = Recognizer.load()
if what == "live":
    from emofuse.timeline.live import live_windows
    found = live_windows(recognizer, path, loop=True, pace=pace, seconds=hour_s)
    ends = (one.window.end_s for one in found)
else:
    ends = (window.end_s for window in recognizer.stream(path))
last = 0.0
for end_s in ends:
    if end_s >= last + 30:
        last = end_s
        print(f"{end_s:.0f} {resident_mb():.1f}", flush=True)
"""


@pytest.mark.parametrize("what", ["timeline", "live"])
def test_memory_is_constant_over_an_hour(what: str, hour: Path, conversation: Path) -> None:
    path = conversation if what == "live" else hour
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, what, str(path), str(HOUR_S), str(PACE)],
        stdout=subprocess.PIPE, encoding="utf-8", check=True,
    )  # fmt: skip
    rows = np.array([[float(number) for number in line.split()] for line in done.stdout.splitlines()])
    at, memory = rows.T
    assert at[-1] > 0.95 * HOUR_S and len(at) > 20, "too few windows to say anything"
    quarters = [memory[(at >= q * HOUR_S / 4) & (at < (q + 1) * HOUR_S / 4)] for q in range(4)]
    medians = [float(np.median(quarter)) for quarter in quarters]
    print(f"{what}: MB resident in each quarter of an hour: {', '.join(f'{m:.0f}' for m in medians)}")
    assert medians[3] - medians[1] < ALLOWED_MB, medians
