"""What Label Studio's own SDK says of every task and configuration, in an environment of its own.

It pins an older OpenCV, so that it cannot stand beside emofuse.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment
from tests.support import timelines

SDK = "label-studio-sdk==2.1.2"
CHECK = """
import json, sys
from pathlib import Path
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import TaskValue

n_regions = 0
for path in sorted(Path(sys.argv[1]).glob("*.label-studio.json")):
    interface = LabelInterface(path.with_suffix(".xml").read_text(encoding="utf-8"))
    interface.validate()
    (task,) = json.loads(path.read_text(encoding="utf-8"))
    TaskValue.model_validate(task)
    for found in task["predictions"]:
        errors = interface.validate_prediction(found, return_errors=True)
        assert not errors, (path.name, errors)
        n_regions += len(found["result"])
broken = {"result": [{"from_name": "emotion", "to_name": "audio", "type": "labels",
                      "value": {"start": 0, "end": 1, "labels": ["no such label"]}}]}
assert interface.validate_prediction(broken, return_errors=True)
print(json.dumps(n_regions))
"""

pytestmark = pytest.mark.soak


def test_the_sdk_accepts_every_prediction(tmp_path: Path) -> None:
    venv.create(tmp_path / "sdk", with_pip=True)
    python = tmp_path / "sdk" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", SDK], check=True)
    out = tmp_path / "tasks"
    for seed in range(20):
        write_timeline(timelines.random_timeline(seed), out / f"random-{seed}.label-studio.json")
        write_timeline(timelines.marked_timeline(seed), out / f"marked-{seed}.label-studio.json")
    names = tuple(f'感情 "{n}" <&> é' for n in range(50))
    segments = tuple(Segment(n / 10, (n + 1) / 10, name, 0.5) for n, name in enumerate(names))
    labels = timelines.timeline(emotions=names, segments=segments, picture_size=(640, 480))
    write_timeline(labels, out / "labels.label-studio.json")
    done = subprocess.run([python, "-c", CHECK, out], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) > 500
