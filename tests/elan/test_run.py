"""ELAN starts emofuse: parameters, lines, tiers, and cancelling."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from emofuse.elan.package import install_recognizers
from emofuse.elan.run import run_recognizer
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.records import Timeline
from emofuse.timeline.segments import SegmentRules
from tests.support import elan
from tests.support.processes import children


@pytest.fixture
def recognizers(tmp_path: Path) -> dict[str, elan.Found]:
    """Both, installed in a folder with a space, by the kind of media that they read."""
    extensions = tmp_path / "my ELAN"
    extensions.mkdir()
    install_recognizers(extensions, sys.executable)
    return {one.kinds["source"]: one for one in elan.find(extensions)}


def expected(timeline: Timeline) -> dict[str, list[tuple[int, int, str]]]:
    """The tiers of emotions, from the timeline as the library reads it."""
    found: dict[str, list[tuple[int, int, str]]] = {}
    for person, segments in timeline.by_person(timeline.segments).items():
        name = "emotion" if person is None else f"emotion@{person.replace(' ', '_')}"
        found[name] = [
            (round(one.start_s * 1000), round(one.end_s * 1000), one.emotion or "abstained")
            for one in segments
            if one.status != "nothing_to_read"
        ]
    return found


def assert_read(found: elan.Found, source: Path, tiers: Path) -> None:
    """One run, whose tiers are those of the library."""
    run = elan.Run(found, {"source": f"file://{source}", "output_tiers": str(tiers)})
    shares = [share for line in run.lines() if (share := elan.progress(line)) is not None]
    assert run.wait() == 0 and run.report[-1] == elan.DONE, run.report
    assert len(shares) > 1 and shares == sorted(shares) and 0 <= shares[0] < shares[-1] < 1
    assert any("CC BY-NC-SA 4.0" in line for line in run.report)
    read = elan.read_tiers(tiers)
    whole = Recognizer.load().timeline(source)
    emotions = {name: spans for name, spans in read.items() if name.startswith("emotion")}
    assert emotions == expected(whole) and any(emotions.values())
    for name, spans in emotions.items():
        beside = read[name.replace("emotion", "confidence", 1)]
        assert [one[:2] for one in beside] == [one[:2] for one in spans]
        assert all(0 <= float(one[2]) <= 1 for one in beside if one[2])


def test_elan_reads_a_conversation(
    recognizers: dict[str, elan.Found], conversation: Path, tmp_path: Path
) -> None:
    assert_read(recognizers["video"], conversation, tmp_path / "my tiers.xml")


@pytest.mark.ravdess
@pytest.mark.parametrize("kind", ["video", "audio"])
def test_elan_reads_a_real_clip(
    recognizers: dict[str, elan.Found], ravdess: Path, tmp_path: Path, kind: str
) -> None:
    clip = min(path for path in (ravdess / kind).rglob("0?-01-0*") if path.is_file())
    assert_read(recognizers[kind], clip, tmp_path / "tiers.xml")


def test_cancel_ends_it_and_leaves_no_tiers(
    recognizers: dict[str, elan.Found], conversation: Path, tmp_path: Path
) -> None:
    tiers = tmp_path / "tiers.xml"
    run = elan.Run(recognizers["video"], {"source": str(conversation), "output_tiers": str(tiers)})
    for line in run.lines():
        if (elan.progress(line) or 0) > 0:
            break
    workers = children(run.pid)
    assert run.cancel() != 0 and run.report[-1] != elan.DONE
    assert not tiers.exists() and not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert {path.name for path in tmp_path.iterdir()} <= {"my ELAN"}


def test_what_cannot_be_read_is_said(recognizers: dict[str, elan.Found], tmp_path: Path) -> None:
    tiers = tmp_path / "tiers.xml"
    tiers.write_text("of an earlier run", encoding="utf-8")
    values = {"source": str(tmp_path / "no such talk.wav"), "output_tiers": str(tiers)}
    run = elan.Run(recognizers["audio"], values)
    list(run.lines())
    assert run.wait() == 1 and run.report[-1] == elan.FAILED
    assert any(line.startswith("ERROR: ") and "no such talk.wav" in line for line in run.report)
    assert tiers.read_text(encoding="utf-8") == "of an earlier run"


def test_parameters_that_cannot_be_used_are_said() -> None:
    lines: list[str] = []
    assert not run_recognizer(b"<PARAM/>", lines.append)
    assert lines == ["ERROR: no recording was chosen (source)", elan.FAILED]


def test_settings_of_the_user(video_clips: dict[str, Path], tmp_path: Path) -> None:
    lines: list[str] = []
    clip = min(video_clips.values())
    tiers = tmp_path / "tiers.xml"
    values = {
        "source": str(clip), "output_tiers": str(tiers), "abstain_below": "1.0",
        "confidence_tiers": "no", "bundle": "",
    }  # fmt: skip
    found = elan.Found("emofuse-video", "", "", tmp_path, "", {}, {})
    assert run_recognizer(elan.parameters_xml(found, values).encode(), lines.append)
    read = elan.read_tiers(tiers)
    assert all(name.startswith("emotion") for name in read)
    sure = Recognizer.load().timeline(clip, segment_rules=SegmentRules(abstain_below=1.0))
    assert read == expected(sure) and {one[2] for spans in read.values() for one in spans} == {"abstained"}
    values["bundle"] = str(tmp_path / "no such bundle")
    assert not run_recognizer(elan.parameters_xml(found, values).encode(), lines.append)
    assert lines[-1] == elan.FAILED and "no such bundle" in lines[-2]


def test_a_closed_pipe_ends_it(video_clips: dict[str, Path], tmp_path: Path) -> None:
    tiers = tmp_path / "tiers.xml"

    def say(line: str) -> None:
        if elan.progress(line) is None:  # after the first line
            raise BrokenPipeError

    values = {"source": str(min(video_clips.values())), "output_tiers": str(tiers)}
    found = elan.Found("emofuse-video", "", "", tmp_path, "", {}, {})
    with pytest.raises(BrokenPipeError):
        run_recognizer(elan.parameters_xml(found, values).encode(), say)
    assert not tiers.exists()
