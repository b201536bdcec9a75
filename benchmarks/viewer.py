"""How fast the viewer is with a long film: its start, and each way of moving in it, in Chromium.

    python benchmarks/viewer.py [--hours 2] [--width 1280]

Prints JSON: the size of the page, the milliseconds until it stands and for an update with other annotations;
for scrolling, zooming, seeking and selecting, how long the script took for each frame (median, 95 %), and how
many frames a second were drawn when one followed the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from emofuse.exports.viewer import view_data
from emofuse.exports.waveform import Peaks
from emofuse.exports.write import write_timeline
from tests.support import chromium, timelines

FRAMES = 120
WAYS = {
    "scroll": "viewer.showSpan(from + i * 3, 600)",
    "scroll over all": "viewer.showSpan(from + i * 10, (to - from) * 0.8)",
    "scroll over all, as lines": "viewer.state.stacked = false; viewer.showSpan(from + i * 10, 5760)",
    "zoom": "viewer.zoom(i % 40 < 20 ? 0.8 : 1.25)",
    "seek": "viewer.seek(from + ((i * 7919) % 1000) * (to - from) / 1000)",
    "select": "viewer.setSelection({ start: from + i, end: from + 60 + i })",
}
TIMED = """
(async () => {
  const viewer = globalThis.timelineViewer, { from, to } = viewer.model, took = [];
  const next = () => new Promise((done) => requestAnimationFrame(done));
  viewer.state.stacked = true; viewer.showSpan(from, to - from); await next(); await next();
  const begun = performance.now();
  for (let i = 0; i < FRAMES; i++) {
    const before = performance.now();
    WAY;
    let spent = performance.now() - before;
    // what was put off to the next frame counts too
    cancelAnimationFrame(viewer.pending); viewer.pending = null;
    const start = performance.now();
    if (viewer.stale) viewer.draw(); else viewer.drawCursor();
    spent += performance.now() - start;
    took.push(spent);
    await next();
  }
  return [took, (1000 * FRAMES) / (performance.now() - begun)];
})()
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--width", type=int, default=1280)
    arguments = parser.parse_args()
    timeline = timelines.interview(arguments.hours * 3600)
    high = np.random.default_rng(0).integers(1, 100, 4000).astype(np.int8)
    waveform = Peaks(timeline.duration_s / 4000, -high, high)
    before = time.perf_counter()
    view = json.dumps(view_data(timeline, waveform))
    figures: dict[str, object] = {
        "windows": len(timeline.windows),
        "faces": len(timeline.faces),
        "segments": len(timeline.segments),
        "view_data_s": round(time.perf_counter() - before, 2),
        "view_mib": round(len(view) / 2**20, 2),
    }
    with tempfile.TemporaryDirectory() as folder, chromium.browser(Path(folder) / "home") as page:
        path = write_timeline(timeline, Path(folder) / "a.html", waveform=waveform)
        figures["page_mib"] = round(path.stat().st_size / 2**20, 2)
        page.open(path, size=(arguments.width, 900))
        figures["page_ms"] = round(page.run("performance.now()"))
        page.run(f"globalThis.otherView = {view}; 0")
        mounted = "(() => { const start = performance.now(); {}; return performance.now() - start; })()"
        figures["update_ms"] = round(page.run(mounted.replace("{}", "timelineViewer.update(otherView)", 1)))
        for name, way in WAYS.items():
            took, rate = page.run(TIMED.replace("FRAMES", str(FRAMES)).replace("WAY", way))
            median, high_ms = np.percentile(took, [50, 95])
            figures[name] = {"median_ms": round(median, 1), "p95_ms": round(high_ms, 1), "per_s": round(rate)}
        remount = (
            "const root = document.getElementById('viewer'), data = document.getElementById('timeline-data');"
            "timelineViewer.close(); globalThis.timelineViewer ="
            " emofuseViewer.mount(root, otherView, { texts: JSON.parse(data.textContent).texts })"
        )
        figures["mount_ms"] = round(page.run(mounted.replace("{}", remount, 1)))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
