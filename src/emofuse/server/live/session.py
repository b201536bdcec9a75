"""A live session in its worker process: parts come through the inbox, windows go out as progress.

Parts are decoded here, never in the server. In the inbox: ``{"begin": …}`` once, with
``options`` and the paths of ``profiles`` by name, then
``{"audio": BASE64, "time_s": …}`` and ``{"picture": BASE64, "time_s": …}``, and ``{"end": true}``. Out come
``{"ready": …}``, what the recognizer is, ``{"window": …}``, ``{"faces": …}``, ``{"table": LINE}``,
``{"note": TEXT}`` and ``{"refused": …}``.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from emofuse.core.alike import alike_indices, joined_name
from emofuse.core.errors import EmofuseError, MediaError, ProfileError
from emofuse.core.limits import Limits
from emofuse.exports.tables import windows_csv_of
from emofuse.exports.tiers import WORDS
from emofuse.media.live.pushed import PushedStream
from emofuse.server.live.messages import LiveOptions, audio_block
from emofuse.timeline.live import LiveWindow, read_live, warm_up
from emofuse.timeline.people import KnownPeople
from emofuse.timeline.records import FaceBox, Timeline, Window

if TYPE_CHECKING:
    from emofuse.system.isolated_workers import Reply, Request
    from emofuse.timeline.model_interface import EmotionModel
    from emofuse.timeline.people import Profiles

_POLL_S: Final = 0.5
_EDGES: Final = ("left", "top", "right", "bottom")


class Talk(Protocol):
    """What a session needs of the connection to its server."""

    @property
    def cancelled(self) -> threading.Event:
        """Set when nobody waits for the session any more."""
        ...

    def progress(self, message: Mapping[str, Any]) -> None:
        """Send a message; from any thread."""
        ...

    def receive(self, timeout_s: float) -> Reply | None:
        """The next message of the inbox; None if none comes in time."""
        ...


def live_session(recognizer: EmotionModel, request: Request, talk: Talk) -> Reply:
    """Read a session until its end.

    Args:
        recognizer: reads the windows.
        request: ``limits`` with ``max_pixels`` and ``block_s``; ``purpose``, which a table says.
        talk: the connection to the server.

    Returns:
        ``windows``, ``read_until_s``, and the three counts of a :class:`LiveWindow`; or ``error``.
    """
    warm_up(recognizer, LiveOptions().rules())
    described: dict[str, Any] = {
        "recognizer": recognizer.recipe.name,
        "emotions": list(recognizer.emotions),
    }
    if recognizer.dimensions:
        described["dimensions"] = [scale.to_dict() for scale in recognizer.dimensions]
    talk.progress({"ready": {**described, "licence": recognizer.licence, "reasons": WORDS}})
    try:
        begin = _begin(talk)
        if begin is None:
            return _summary(None, 0)
        return _Session(recognizer, begin, request, talk).read()
    except EmofuseError as error:
        return {"error": str(error), "kind": "live"}


def _begin(talk: Talk) -> Mapping[str, Any] | None:
    """What the session begins with; None if it ends before."""
    while not talk.cancelled.is_set():
        message = talk.receive(_POLL_S)
        if message is None:
            continue
        return message.get("begin")
    return None


class _Session:
    """A session that has begun."""

    def __init__(
        self, recognizer: EmotionModel, begin: Mapping[str, Any], request: Request, talk: Talk
    ) -> None:
        limits: Mapping[str, Any] = request["limits"]
        self._recognizer, self._talk, self._limits = recognizer, talk, limits
        self._purpose = request.get("purpose")
        self._options = LiveOptions(**begin["options"])
        self._profile = _profiles(begin.get("profiles") or {})
        self._stream = PushedStream(
            audio=self._options.audio, video=self._options.video,
            frames_per_s=self._options.faces_per_second, limits=Limits(limits["max_pixels"]),
            on_refused=lambda error, time_s: self._refuse("picture", error, time_s),
        )  # fmt: skip

    def read(self) -> Reply:
        """Windows go out as they are read, until the end of the inbox."""
        feed = threading.Thread(target=self._feed, daemon=True, name="emofuse-live-feed")
        feed.start()
        emotions = self._recognizer.emotions
        last: LiveWindow | None = None
        n_windows = 0
        windows = read_live(
            self._recognizer, self._stream, rules=self._options.rules(), profile=self._profile,
            own_baseline=self._options.own_baseline,
            on_note=lambda note: self._talk.progress({"note": note}),
            on_faces=self._tell_faces if self._options.faces else None,
        )  # fmt: skip
        if self._options.table:
            self._talk.progress({"table": windows_csv_of(self._timeline())[0]})
        try:
            for last in windows:
                if self._talk.cancelled.is_set():
                    break
                n_windows += 1
                shown = {"shown": _shown(last.window, emotions)}
                self._talk.progress({"window": last.as_dict(emotions) | shown})
                if self._options.table:
                    self._talk.progress({"table": windows_csv_of(self._timeline(last.window))[1]})
        finally:
            windows.close()
            self._stream.close()
        return _summary(last, n_windows)

    def _timeline(self, *windows: Window) -> Timeline:
        """A timeline of these windows alone, for the lines of the table."""
        people = {name for one in windows for name in (one.person, one.speaker) if name is not None}
        start_s, end_s = (windows[0].start_s, windows[-1].end_s) if windows else (0.0, 0.0)
        return Timeline(
            "<live>", end_s - start_s, start_s, windows, (), tuple(self._recognizer.emotions),
            self._recognizer.recipe.name, self._recognizer.licence, tuple(people), purpose=self._purpose,
            dimensions=self._recognizer.dimensions,
        )  # fmt: skip

    def _tell_faces(self, found: Sequence[tuple[FaceBox, str | None]]) -> None:
        """Send boxes, those of each time together."""
        for time_s, boxes in groupby(found, key=lambda one: one[0].time_s):
            faces = [
                {"person": name, **dict(zip(_EDGES, (round(edge, 1) for edge in box.edges), strict=True))}
                for box, name in boxes
            ]
            self._talk.progress({"faces": {"time_s": round(time_s, 3), "faces": faces}})

    def _feed(self) -> None:
        """Push what comes through the inbox, until its end."""
        while not self._talk.cancelled.is_set() and not self._stream.ended:
            message = self._talk.receive(_POLL_S)
            if message is None:
                continue
            if "end" in message:
                break
            what = "audio" if "audio" in message else "picture"
            time_s = float(message["time_s"])
            payload = base64.b64decode(message[what])
            try:
                if what == "audio":
                    self._stream.push_audio(audio_block(payload, time_s, self._limits["block_s"]))
                else:
                    self._stream.push_picture(payload, time_s)
            except MediaError as error:
                self._refuse(what, error, time_s)
        self._stream.end()

    def _refuse(self, what: str, error: MediaError, time_s: float) -> None:
        self._talk.progress({"refused": {"what": what, "time_s": time_s, "problem": error.problem}})


def _profiles(paths: Mapping[str, str]) -> Profiles | None:
    """Of the only person who is named, or of several by name.

    Raises:
        ProfileError: one cannot be loaded, or several cannot be told apart.
    """
    from emofuse.features.profile import Profile

    loaded: dict[str, Profile] = {}
    for name, path in paths.items():
        try:
            loaded[name] = Profile.load(Path(path))
        except ProfileError as error:
            raise ProfileError(str(error).replace(path, f"the profile of {name}")) from None
    profiles = loaded if len(loaded) > 1 else next(iter(loaded.values()), None)
    try:
        KnownPeople.of(profiles)
    except ValueError as error:
        raise ProfileError(str(error)) from None
    return profiles


def _shown(window: Window, emotions: Sequence[str]) -> dict[str, Any] | None:
    """What is shown to people as the emotion of a window, with its share; None: nothing could be read."""
    if window.fused is None:
        return None
    best = int(np.argmax(window.fused))
    alike = alike_indices(emotions, window.fused, best) if window.voice is None else ()
    group = sorted((best, *alike))
    share = round(float(window.fused[group].sum()), 6)
    return {"emotion": joined_name([emotions[index] for index in group]), "share": share}


def _summary(last: LiveWindow | None, n_windows: int) -> Reply:
    return {
        "windows": n_windows,
        "read_until_s": None if last is None else round(last.window.end_s, 3),
        "dropped_pictures": 0 if last is None else last.dropped_pictures,
        "skipped_windows": 0 if last is None else last.skipped_windows,
        "lost_sound_s": 0.0 if last is None else round(last.lost_sound_s, 3),
    }
