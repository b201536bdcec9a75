"""An LSL stream, received by pylsl in another process. Everything stays on this machine's loopback."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import MissingExtraError
from emofuse.exports.lsl_outlet import LslOutlet
from tests.support.lsl import loopback

ROOT = Path(__file__).parents[2]
SENDER = """
import ast
import sys
import numpy as np
from emofuse.core.dimensions import Rated, Scale
from emofuse.exports.lsl_outlet import LslOutlet
from emofuse.timeline.live import LiveWindow
from emofuse.timeline.records import Window

labels = ("ja", "nein", "感情 é")
scales = (Scale("valence", 1.0, 7.0), Scale("self rating", -1.0, 1.0, 0.8))
outlet = LslOutlet("emofuse test", labels, scales, window_s=3.0, hop_s=1.0, reader="a recipe; CC BY")
print(outlet.has_receivers, flush=True)
for line in sys.stdin:
    fused, ratings, speech, person, latency = ast.literal_eval(line)
    values = None if fused is None else np.array(fused)
    rated = {name: Rated(*one) for name, one in ratings.items()}
    window = Window(0.0, 3.0, None, None, values, speech=speech, person=person, ratings=rated)
    outlet.push(LiveWindow(window, latency, 0, 0, 0.0))
    print(outlet.has_receivers, flush=True)
"""

RECEIVER = """
import json, subprocess, sys, xml.etree.ElementTree as ET
import pylsl

sender = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
)
receivers = [sender.stdout.readline().strip()]
(info,) = pylsl.resolve_byprop("name", "emofuse test", timeout=120)
inlet = pylsl.StreamInlet(info)
inlet.open_stream(timeout=60)
full = inlet.info(timeout=60)
samples, times, sent = [], [], []
for window in (
    ([0.5, 0.3, 0.2], {"valence": (4.5, 3.5, 5.5)}, 0.8, "Anna", 0.25),
    (None, {}, 0.0, None, 0.25),
    ([0.1, 0.1, 0.8], {"valence": (2, 1, 3), "self rating": (-0.5, -1, 0)}, None, "Bo", 0.0),
    ([0.2, 0.2, 0.6], {}, None, "Anna", 5.0),
):
    before = pylsl.local_clock()
    sender.stdin.write(repr(window) + "\\n")
    receivers.append(sender.stdout.readline().strip())
    values, time_s = inlet.pull_sample(timeout=60)
    sent.append((before, pylsl.local_clock()))
    samples.append(values)
    times.append(time_s)
sender.stdin.close()
sender.wait()
root = ET.fromstring(full.as_xml())
print(json.dumps({
    "info": {"name": full.name(), "type": full.type(), "channels": full.channel_count(),
             "rate": full.nominal_srate(), "format": root.findtext("channel_format")},
    "source_id": full.source_id(),
    "channels": [[one.findtext("label"), one.findtext("unit")] for one in root.iter("channel")],
    "ranges": [[one.findtext(key) for key in ("label", "type", "minimum", "maximum", "interval")]
               for one in root.iter("channel") if one.find("minimum") is not None],
    "reading": {one.tag: one.text for one in root.find("desc/reading")},
    "samples": samples, "times": times, "sent": sent, "receivers": receivers,
}))
"""


def test_windows_are_received(tmp_path: Path) -> None:
    receiver = subprocess.run(
        [sys.executable, "-c", RECEIVER, SENDER],
        env=loopback(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert receiver.returncode == 0, receiver.stderr
    found = json.loads(receiver.stdout.splitlines()[-1])
    assert found["info"] == {
        "name": "emofuse test", "type": "Emotion", "channels": 12, "rate": 0.0, "format": "float32",
    }  # fmt: skip
    assert found["source_id"].startswith("emofuse:") and found["source_id"].endswith(":emofuse test")
    assert found["channels"] == [
        ["ja", "probability"], ["nein", "probability"], ["感情 é", "probability"],
        ["rated_valence", "rating"], ["rated_valence_low", "rating"], ["rated_valence_high", "rating"],
        ["rated_self rating", "rating"], ["rated_self rating_low", "rating"],
        ["rated_self rating_high", "rating"],
        ["speech", "share"],
        ["face_present", "share"], ["person", "number"],
    ]  # fmt: skip
    assert found["ranges"][0] == ["rated_valence", "Rating", "1", "7", "0.9"]
    assert found["ranges"][5] == ["rated_self rating_high", "Rating", "-1", "1", "0.8"]
    assert len(found["ranges"]) == 6
    assert found["reading"]["recognizer"] == "a recipe; CC BY" and found["reading"]["window_s"] == "3"
    samples = np.array(found["samples"], dtype=float)
    nan = math.nan
    none = [nan] * 3
    wanted = [
        [0.5, 0.3, 0.2, 4.5, 3.5, 5.5, *none, 0.8, nan, 1],
        [*none, *none, *none, 0.0, nan, 0],
        [0.1, 0.1, 0.8, 2, 1, 3, -0.5, -1, 0, nan, nan, 2],
        [0.2, 0.2, 0.6, *none, *none, nan, nan, 1],
    ]
    np.testing.assert_allclose(samples, wanted, rtol=1e-6)
    # the time is that of LSL's clock, a latency before it was sent
    for time_s, (before, after), latency in zip(
        found["times"], found["sent"], [0.25, 0.25, 0.0, 5.0], strict=True
    ):
        if latency < 1:
            assert before - latency - 1e-3 <= time_s <= after - latency + 1e-3
    assert found["times"] == sorted(found["times"])
    assert found["receivers"] == ["False", *["True"] * 4]


def test_without_pylsl_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(MissingExtraError, match=r"emofuse\[lsl\]"):
        LslOutlet("a", ("b", "c"), window_s=3, hop_s=1, reader="d")
