"""What the workers of the service do with recordings: all decoding happens here, and none in the server.

A request is JSON data with what to ``do``, and so is the reply. A reply with ``error``, a text without any
path of the server, says why there is none, and ``kind`` what is wrong: ``limit`` (the recording asks for too
much), ``media`` (it cannot be read), ``profile``, ``timeline``, ``annotations``, ``export``, ``study``,
``storage`` (a result cannot be written), ``options``, ``cancelled`` or ``bug``.

A file is its path, or ``{"folder": …, "path": …}``: a file below a folder, opened without following links.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emofuse.core.errors import (
    AnnotationError,
    BatchError,
    CancelledError,
    EmofuseError,
    ExportError,
    LimitError,
    MediaError,
    MissingExtraError,
    ProfileError,
    ServiceError,
    TimelineError,
)
from emofuse.core.limits import Limits, ReadControl
from emofuse.core.records import StreamChoice
from emofuse.system.worker_tasks import Talk, TaskHandler

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.system.worker_process import Reply, Request
    from emofuse.timeline.annotations import Annotations
    from emofuse.timeline.records import Timeline

TIMELINE: Final = "timeline.npz"
WAVEFORM: Final = "waveform.npz"
"""The files of a timeline in its folder."""
_PACKING: Final = 4
"""Of gzip: what is packed is read once or twice, on the same machine."""
_PROGRESS_S: Final = 0.2
"""Progress is told this often at most."""
_KINDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (CancelledError, "cancelled"),
    (ProfileError, "profile"),
    (TimelineError, "timeline"),
    (AnnotationError, "annotations"),
    (ExportError, "export"),
    (MissingExtraError, "export"),
    (ServiceError, "options"),
    (BatchError, "study"),
    (EmofuseError, "media"),
)


def load_reading(setup: Mapping[str, Any]) -> TaskHandler:
    """Load the recognizer, once for all requests; what is returned handles them, and never raises.

    Args:
        setup: ``bundle``, the folder of a recognizer; None: the one that comes with emofuse.

    Raises:
        BundleError: the bundle cannot be loaded.
    """
    import cv2

    from emofuse.recognition.recognizer import Recognizer

    cv2.setNumThreads(1)
    logging.getLogger("emofuse").setLevel(logging.ERROR)  # the license is reported once, by the parent
    recognizer = Recognizer.load(setup["bundle"], decoder_threads=1)

    def handle(request: Request, talk: Talk) -> Reply:
        names = _Names()
        try:
            names.add_all(request)
            reply = _DO[request["do"]](recognizer, request, talk, names)
        except Exception as error:
            reply = _refusal(error, _shown_name(request), names)
        clean: Reply = names.instead_of_paths(reply)
        return clean

    return handle


def _refusal(error: Exception, name: str, names: _Names) -> Reply:
    """The reply to a request that failed."""
    if isinstance(error, MediaError):
        shown = names.text(str(error.path))
        kind = "limit" if isinstance(error, LimitError) else "media"
        return {"error": f"{shown}: {error.problem}", "kind": kind}
    for of, kind in _KINDS:
        if isinstance(error, of):
            return {"error": str(error), "kind": kind}
    if isinstance(error, OSError):
        return {"error": f"{name}: its result cannot be written ({_reason(error)})", "kind": "storage"}
    if isinstance(error, MemoryError):
        return {"error": f"{name}: there is not enough memory to read it", "kind": "limit"}
    # the text of other errors may hold anything
    at = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}"
    return {"error": f"{name}: an error of emofuse itself ({place}); please report it", "kind": "bug"}


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


class _Names:
    """What stands in messages instead of paths of the server."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def add_all(self, request: Request) -> None:
        """Add what a request names."""
        for key, shown in (("out", "the result"), ("timeline", "the timeline"), ("profile", "the profile")):
            if isinstance(request.get(key), str):
                self.add(request[key], shown)
                self.add(Path(request[key], TIMELINE), shown)
                self.add(Path(request[key], WAVEFORM), f"{shown}'s waveform")
        for who, path in _profiles(request).items():
            self.add(path, f"the profile of {who}")
        for one in request.get("recordings", ()):
            if one["timeline"] is not None:
                self.add(Path(one["timeline"], TIMELINE), f"the timeline of {one['name']}")
        for path, name in zip(request.get("files", ()), request.get("names", ()), strict=True):
            self.add(path, name)
        if isinstance(request.get("file"), str):
            self.add(request["file"], _shown_name(request))

    def add(self, path: str | Path, name: str) -> None:
        """Have a name stand instead of a path."""
        self._shown[str(path)] = self._shown[str(Path(path))] = name

    def text(self, text: str) -> str:
        """A text without the paths."""
        for path in sorted(self._shown, key=len, reverse=True):
            text = text.replace(path, self._shown[path])
        return text

    def instead_of_paths(self, data: Any) -> Any:
        """JSON data whose texts have no paths."""
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, Mapping):
            return {key: self.instead_of_paths(value) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [self.instead_of_paths(value) for value in data]
        return data


# --- what is done


def _probe(_: Recognizer, request: Request, talk: Talk, names: _Names) -> Reply:
    """Refuse what cannot be read, without reading it."""
    from emofuse.media.container import open_media
    from emofuse.media.decoder_setup import check_size

    options = _options(request)
    streams = StreamChoice(options.get("audio_stream"), options.get("video_stream"))
    control = ReadControl(options["limits"], talk.cancelled)
    with _opened(request, names) as path, open_media(path, streams, control) as file:
        if file.video is not None:
            check_size(file.display_path, file.video, control.limits)
        # FFmpeg forgets a size or a number of channels that is beyond all bounds
        size = file.video and file.video.codec_context.width
        if not size and not (file.audio and file.audio.codec_context.channels):
            raise MediaError(file.display_path, "it has neither frames with a size nor audio with channels")
    return {}


def _predict(recognizer: Recognizer, request: Request, talk: Talk, names: _Names) -> Reply:
    """What ``emofuse predict`` prints, with the shown name as the source."""
    with _opened(request, names) as path:
        prediction = recognizer.predict(
            path, profile=_profile(request.get("profile")), cancel=talk.cancelled,
            on_progress=_Progress(talk), **_options(request),
        )  # fmt: skip
    return {"prediction": prediction.to_dict()}


def _timeline(recognizer: Recognizer, request: Request, talk: Talk, names: _Names) -> Reply:
    """Read a whole recording, and keep its timeline and its waveform in the folder ``out``."""
    from emofuse.exports.waveform import PeakMeter
    from emofuse.timeline.stored import save_timeline
    from emofuse.timeline.summary import summary_rows

    options = _timeline_options(request)
    people = {who: _load_profile(path) for who, path in _profiles(request).items()}
    meter = PeakMeter(start_s=options.get("start_s") or 0.0)
    with _opened(request, names) as path:
        timeline = recognizer.timeline(
            path, profile=people or _profile(request.get("profile")), cancel=talk.cancelled,
            on_progress=_Progress(talk), on_sound=meter.add, **options,
        )  # fmt: skip
    if not timeline.duration_s:
        raise MediaError(_shown_name(request), "there is nothing to read in this span")
    notes = tuple(map(names.text, timeline.notes))
    timeline = replace(timeline, source=_shown_name(request), notes=notes)
    out = Path(request["out"])
    out.mkdir(parents=True, exist_ok=True)
    save_timeline(timeline, out / TIMELINE)
    meter.peaks().save(out / WAVEFORM)
    return {
        "duration_s": timeline.duration_s,
        "n_people": len(timeline.people),
        "notes": list(timeline.remarks),
        "summary": list(summary_rows(timeline)),
    }


def _label_studio(recognizer: Recognizer, request: Request, talk: Talk, names: _Names) -> Reply:
    """A prediction for the tags of a labeling configuration."""
    from emofuse.exports.label_studio import LabelingNames, prediction

    labeling = LabelingNames(**{**request["labeling"], "values": frozenset(request["labeling"]["values"])})
    with _opened(request, names) as path:
        timeline = recognizer.timeline(path, cancel=talk.cancelled, **_timeline_options(request))
    return {"prediction": prediction(timeline, labeling)}


def _enroll(recognizer: Recognizer, request: Request, talk: Talk, _: _Names) -> Reply:
    """Make a profile of recordings of one person."""
    profile = recognizer.enroll(
        [Path(file) for file in request["files"]], with_face=bool(request.get("with_face")),
        limits=_options(request)["limits"], cancel=talk.cancelled,
    )  # fmt: skip
    profile.save(request["out"])
    return {
        "clips": profile.clips,
        "skipped": list(profile.skipped),
        "has_face": profile.face is not None,
        "note": recognizer.enrollment_note,
    }


def _annotated(recognizer: Recognizer, request: Request) -> tuple[Timeline, Annotations]:
    """A stored timeline with its annotations and its purpose, and the annotations."""
    from emofuse.timeline.annotated import annotated
    from emofuse.timeline.annotations import Annotations
    from emofuse.timeline.stored import load_timeline

    annotations = Annotations.from_data(request.get("annotations") or {})
    stored = load_timeline(Path(request["timeline"]).absolute() / TIMELINE)
    timeline = annotated(stored, annotations, model=recognizer)
    return replace(timeline, purpose=request["purpose"]), annotations


def _export(recognizer: Recognizer, request: Request, _: Talk, __: _Names) -> Reply:
    """Write a stored timeline, with its annotations, in one of the formats."""
    from emofuse.exports.waveform import Peaks
    from emofuse.exports.write import write_timeline

    folder, out = Path(request["timeline"]).absolute(), Path(request["out"]).absolute()
    timeline = _annotated(recognizer, request)[0]
    # a page looks for the recording beside itself, and nowhere else
    with contextlib.chdir(out.parent):
        write_timeline(timeline, out, request["format"], waveform=Peaks.load(folder / WAVEFORM))
    return {}


def _view(recognizer: Recognizer, request: Request, _: Talk, __: _Names) -> Reply:
    """Write what the page draws of a stored timeline, as JSON that is packed by gzip."""
    from emofuse.exports.viewer import view_data
    from emofuse.exports.waveform import Peaks
    from emofuse.system.atomic_write import write_atomically
    from emofuse.timeline.stored import load_facts

    folder = Path(request["timeline"]).absolute()
    timeline, annotations = _annotated(recognizer, request)
    people = load_facts(folder / TIMELINE).people
    answer = {
        "annotations_version": request["version"],
        "original_people": [one for one in people if one not in annotations.targets],
        "view": view_data(timeline, Peaks.load(folder / WAVEFORM)),
    }
    text = json.dumps(answer, allow_nan=False, separators=(",", ":"))
    with write_atomically(Path(request["out"])) as file:
        file.write(gzip.compress(text.encode(), _PACKING, mtime=0))
    return {}


def _study(recognizer: Recognizer, request: Request, _: Talk, __: _Names) -> Reply:
    """Write a table or a picture of many stored timelines, with their annotations."""
    from emofuse.folders.study import StudyRecording, write_study
    from emofuse.timeline.annotations import Annotations

    recordings = [
        StudyRecording(
            one["name"], None if one["timeline"] is None else Path(one["timeline"], TIMELINE),
            annotations=Annotations.from_data(one["annotations"]),
            digest=None if one["digest"] is None else Path(one["digest"]),
            **{key: one[key] for key in ("condition", "participant", "purpose", "consent", "error")},
        )
        for one in request["recordings"]
    ]  # fmt: skip
    write_study(
        recordings, request["result"], Path(request["out"]), emotions=recognizer.emotions, model=recognizer,
        conditions=request["conditions"], dark=request["dark"],
    )  # fmt: skip
    return {}


def _live(recognizer: Recognizer, request: Request, talk: Talk, _: _Names) -> Reply:
    """A session, until its end."""
    from emofuse.server.live.session import live_session

    return live_session(recognizer, request, talk)


_Way = Callable[["Recognizer", "Request", Talk, _Names], "Reply"]
_DO: Final[Mapping[str, _Way]] = {
    "probe": _probe,
    "predict": _predict,
    "timeline": _timeline,
    "enroll": _enroll,
    "label-studio": _label_studio,
    "export": _export,
    "view": _view,
    "study": _study,
    "live": _live,
}


# --- what is asked


def _shown_name(request: Request) -> str:
    """The name of a recording, which is no path: nothing is looked for under it."""
    return Path(str(request.get("name") or "the recording")).name or "the recording"


@contextlib.contextmanager
def _opened(request: Request, names: _Names) -> Iterator[Path]:
    """The path of the recording, which stays the same file whatever somebody does to its folder."""
    file = request["file"]
    if isinstance(file, str):
        yield Path(file)
        return
    from emofuse.system.beneath import open_beneath, path_of

    try:
        descriptor = open_beneath(file["folder"], file["path"])
    except OSError:  # what exactly is wrong would tell what lies in the folder
        raise MediaError(_shown_name(request), "there is no such file that may be read") from None
    try:
        path = path_of(descriptor)
        names.add(path, _shown_name(request))
        yield path
    finally:
        os.close(descriptor)


def _options(request: Request) -> dict[str, Any]:
    """Options that :meth:`Recognizer.predict` takes.

    Raises:
        ServiceError: they are not valid.
    """
    from emofuse.media.container import check_span

    options = dict(request.get("options") or {})
    try:
        options["limits"] = Limits(**options.get("limits") or {})
        check_span(options.get("start_s"), options.get("end_s"))
    except (TypeError, ValueError) as error:
        raise ServiceError(f"the options are not valid: {error}") from None
    return options


def _timeline_options(request: Request) -> dict[str, Any]:
    """Options that :meth:`Recognizer.timeline` takes.

    Raises:
        ServiceError: they are not valid.
    """
    from emofuse.timeline.segments import SegmentRules
    from emofuse.timeline.windows import WindowRules

    options = _options(request)
    parts = {
        part: {new: options.pop(old) for old, new in keys.items() if old in options}
        for part, keys in _RULES.items()
    }
    try:
        options["rules"] = WindowRules(**parts["rules"])
        options["segment_rules"] = SegmentRules(**parts["segment_rules"])
    except (TypeError, ValueError) as error:
        raise ServiceError(f"the options are not valid: {error}") from None
    return options


_RULES: Final = {
    "rules": {"window_s": "window_s", "hop_s": "hop_s", "faces_per_second": "pictures_per_s"},
    "segment_rules": {"abstain_below": "abstain_below", "change_cost": "change_cost"},
}
"""By the names that requests and rules have for them."""


def _profiles(request: Request) -> dict[str, str]:
    """The profiles of several people, by name."""
    profiles = request.get("profile")
    return dict(profiles) if isinstance(profiles, Mapping) else {}


def _profile(path: Any) -> Profile | None:
    """The profile of the one person, if there is one."""
    return _load_profile(path) if isinstance(path, str) else None


def _load_profile(path: str) -> Profile:
    from emofuse.features.profile import Profile

    return Profile.load(path)


class _Progress:
    """Tells how far the reading is, now and then."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._next_s = 0.0

    def __call__(self, done_s: float, total_s: float | None) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _PROGRESS_S
            self._talk.progress({"done_s": done_s, "total_s": total_s})
