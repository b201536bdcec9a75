"""A live session in its worker process: parts come through the inbox, windows go out as progress.

Parts are decoded here, never in the server. In the inbox: ``{"begin": options}`` once, then
``{"audio": BASE64, "time_s": …}`` and ``{"picture": BASE64, "time_s": …}``, and ``{"end": true}``. Out come
``{"ready": …}``, what the recognizer is, ``{"window": …}``, ``{"note": TEXT}`` and ``{"refused": …}``.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from emofuse.core.errors import EmofuseError, MediaError
from emofuse.core.limits import Limits
from emofuse.media.live.pushed import PushedStream
from emofuse.server.live.messages import LiveOptions, audio_block
from emofuse.timeline.live import LiveWindow, read_live, warm_up

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.system.isolated_workers import Reply, Request
    from emofuse.timeline.model_interface import EmotionModel

_POLL_S: Final = 0.5


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
        request: ``limits`` with ``max_pixels`` and ``block_s``.
        talk: the connection to the server.

    Returns:
        ``windows``, ``read_until_s``, and the three counts of a :class:`LiveWindow`; or ``error``.
    """
    warm_up(recognizer, LiveOptions().rules())
    described = {"recognizer": recognizer.recipe.name, "emotions": list(recognizer.emotions)}
    talk.progress({"ready": {**described, "licence": recognizer.licence}})
    try:
        begin = _begin(talk)
        if begin is None:
            return _summary(None, 0)
        return _Session(recognizer, begin, request["limits"], talk).read()
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
        self, recognizer: EmotionModel, begin: Mapping[str, Any], limits: Mapping[str, Any], talk: Talk
    ) -> None:
        self._recognizer, self._talk, self._limits = recognizer, talk, limits
        self._options = LiveOptions(**begin["options"])
        self._profile = _profile(begin.get("profile"))
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
        )  # fmt: skip
        try:
            for last in windows:
                if self._talk.cancelled.is_set():
                    break
                n_windows += 1
                self._talk.progress({"window": last.as_dict(emotions)})
        finally:
            windows.close()
            self._stream.close()
        return _summary(last, n_windows)

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


def _profile(path: str | None) -> Profile | None:
    from emofuse.features.profile import Profile

    return None if path is None else Profile.load(Path(path))


def _summary(last: LiveWindow | None, n_windows: int) -> Reply:
    return {
        "windows": n_windows,
        "read_until_s": None if last is None else round(last.window.end_s, 3),
        "dropped_pictures": 0 if last is None else last.dropped_pictures,
        "skipped_windows": 0 if last is None else last.skipped_windows,
        "lost_sound_s": 0.0 if last is None else round(last.lost_sound_s, 3),
    }
