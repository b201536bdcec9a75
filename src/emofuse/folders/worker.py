"""The worker process of a folder: the timeline of one recording after the other, each into its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from emofuse.system.isolated_workers import Handler, Reply, Request


def load_writer(setup: Mapping[str, Any]) -> Handler:
    """Load the recognizer; the returned function reads a recording, writes its files, and never raises.

    Raises:
        BundleError: the bundle cannot be loaded.
        ProfileError: the profile cannot be read.
    """
    import logging

    import cv2

    from emofuse.core.errors import EmofuseError
    from emofuse.features.profile import Profile
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.system.atomic_write import is_disk_full
    from emofuse.timeline.segments import SegmentRules
    from emofuse.timeline.windows import WindowRules

    cv2.setNumThreads(1)
    logging.getLogger("emofuse").setLevel(logging.ERROR)  # the license is reported once, by the parent
    recognizer = Recognizer.load(
        setup["bundle"],
        embeddings=setup["embeddings"],
        decoder_threads=1,
    )
    profile = None if setup["profile"] is None else Profile.load(Path(setup["profile"]))
    streams = setup["streams"]
    options = {
        "rules": WindowRules(**setup["rules"]),
        "segment_rules": SegmentRules(**setup["segment_rules"]),
        "start_s": setup["start_s"],
        "end_s": setup["end_s"],
        "profile": profile,
        "own_baseline": setup["own_baseline"],
        "identity": setup["identity"],
        "audio_stream": streams["audio"],
        "video_stream": streams["video"],
    }

    def read(request: Request) -> Reply:
        try:
            return _read(recognizer, request, setup["suffixes"], options, setup.get("purpose"))
        except EmofuseError as error:
            return {"error": str(error)}
        except OSError as error:
            why = {"error": f"{type(error).__name__}: {error}"}
            return {**why, "disk_full": True} if is_disk_full(error) else why
        except Exception as error:  # one recording must not stop the others; the type shows a bug
            return {"error": f"{type(error).__name__}: {error}"}

    return read


def _read(
    recognizer: Any,
    request: Request,
    suffixes: list[str],
    options: Mapping[str, Any],
    purpose: str | None,
) -> Reply:
    from emofuse.core.errors import MediaError
    from emofuse.exports.waveform import PeakMeter
    from emofuse.exports.write import write_timeline
    from emofuse.timeline.summary import summary_rows

    meter = PeakMeter(start_s=options["start_s"] or 0.0)
    timeline = recognizer.timeline(request["file"], on_sound=meter.add, **options)
    timeline = replace(timeline, purpose=purpose)
    if not timeline.duration_s:
        raise MediaError(request["file"], "there is nothing to read in this span")
    waveform, condition = meter.peaks(), request["condition"]
    for suffix in suffixes:
        write_timeline(timeline, f"{request['out']}{suffix}", waveform=waveform, condition=condition)
    return {
        "error": None,
        "duration_s": timeline.duration_s,
        "n_people": len(timeline.people),
        "notes": list(timeline.remarks),
        "summary": list(summary_rows(timeline, condition)),
    }
