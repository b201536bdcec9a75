"""A thread that reads one live input: its clock, its pace, and what it leaves out when it cannot keep up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from emofuse.core.errors import EmofuseError, MediaError
from emofuse.core.records import Waveform
from emofuse.media.audio_blocks import AudioBlocks, AudioFormatConverter, form_of
from emofuse.media.container import DECODING_ERRORS, DecodeErrors, origin_s, streams
from emofuse.media.frame_sampling import Frame, FrameSampler, SampleTimes
from emofuse.media.frames import pixel_aspect
from emofuse.media.live.inputs import InputRequest, LiveInput, error_text, open_input

Clock = Callable[[], float]

_BLOCK_S: Final = 0.1
"""Sound is handed on in blocks of this length."""
_LEAD_S: Final = 1.0
"""What comes faster than it is played (a download) is held back when it is this far ahead."""
_LATE_S: Final = 2.0
"""A file that is read this late goes on from there, as a player that was stopped."""
_HOLE_S: Final = 10.0
"""A hole in a file's timestamps is not sat out for longer."""
_JUMP_S: Final = 5.0
"""Timestamps that run ahead of the time that passes by this much began anew."""
_BACK_S: Final = 1.0
_WATCH_S: Final = 1.0
"""How often a capture looks whether it keeps up."""
_AGAIN_S: Final = 0.005
_SILENT_S: Final = 5.0
"""A device that gives nothing for so much longer than the time limit is taken for hung."""
_SKIPS: Final = ("DEFAULT", "NONREF", "NONKEY")
"""What the decoder leaves out, at each degree of slowness: nothing, what no picture leans on, most."""


class _StreamClock:
    """Where presentation times lie on the time of the stream, and when that is."""

    def __init__(self, clock: Clock, begun_s: float, pace: float | None) -> None:
        """``pace``: that of a file; None for what has its own."""
        self._clock, self._begun_s = clock, begun_s
        self._is_file, self._pace = pace is not None, pace or 1.0
        self.origin_s: float | None = None
        """The presentation time at which the time of the stream is zero; None before the first packet."""
        self._zero_s: float | None = None
        """When, on the clock, a file's time zero is due."""
        self._last_s: dict[int, float] = {}
        self.reached_s = 0.0

    def begin_file(self, origin_s: float) -> None:
        """A file's own clock is kept; each round of a loop follows on the one before."""
        self._last_s.clear()
        self.origin_s = origin_s - self.reached_s

    def now(self) -> float:
        """What time it is on the stream, for what comes as it happens."""
        return self._clock() - self._begun_s

    def place(self, stream: int, presented_s: float) -> bool:
        """Take note of a packet's time; True where the clock of the sender began anew."""
        anew = False
        if self.origin_s is None:
            self.origin_s = presented_s - self.now()
        elif not self._is_file:
            time_s = presented_s - self.origin_s
            back = time_s < self._last_s.get(stream, time_s) - _BACK_S
            anew = back or time_s > max(self.now(), self.reached_s) + _JUMP_S
            if anew:
                self.origin_s = presented_s - max(self.now(), self.reached_s)
                self._last_s.clear()
        time_s = presented_s - self.origin_s
        if self._zero_s is None:
            self._zero_s = self._clock() - time_s / self._pace
        self._last_s[stream] = time_s
        return anew

    def wait_s(self, presented_s: float) -> float:
        """How long it is until a packet is due; a file that is far too late is put off."""
        assert self.origin_s is not None and self._zero_s is not None
        time_s = presented_s - self.origin_s
        if not self._is_file:
            return time_s - _LEAD_S - self.now()
        wait_s = self._zero_s + time_s / self._pace - self._clock()
        if wait_s < -_LATE_S:
            self._zero_s -= wait_s
        elif wait_s > _HOLE_S:
            self._zero_s -= wait_s - _HOLE_S
            return _HOLE_S
        return wait_s

    def reach(self, time_s: float) -> None:
        """Something was handed on that ends there."""
        self.reached_s = max(self.reached_s, time_s)


class _DecoderLoad:
    """Whether decoding keeps up, told by the time that is spent waiting for something to decode."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s, self._idle_s, self._degree = clock(), 0.0, 0

    def idle(self, seconds: float) -> None:
        self._idle_s += max(0.0, seconds)

    def skip(self) -> str:
        """What the decoder should leave out from now on."""
        passed_s = self._clock() - self._since_s
        if passed_s >= _WATCH_S:
            share = self._idle_s / passed_s
            if share < 0.03:
                self._degree = min(self._degree + 1, len(_SKIPS) - 1)
            elif share > 0.3:
                self._degree = max(self._degree - 1, 0)
            self._since_s, self._idle_s = self._clock(), 0.0
        return _SKIPS[self._degree]


def end_of(part: Waveform | Frame) -> float:
    """Where a block of sound or a picture ends."""
    return part.start_s + part.duration_s if isinstance(part, Waveform) else part.time_s


class Sink(Protocol):
    """What captures hand on to, and what they are told."""

    clock: Clock
    frames_per_s: float
    pace: float
    loop: bool
    timeout_s: float
    begun: threading.Event
    begun_s: float
    stopping: threading.Event
    changed: threading.Condition

    def put(self, part: Waveform | Frame, at_s: float) -> None:
        """Take what was decoded at a time on the clock."""

    def drop_frames(self, n: int) -> None:
        """Count pictures that were not even decoded."""


class Capture:
    """A thread that reads one input."""

    def __init__(self, wanted: InputRequest, stream: Sink) -> None:
        self.wanted, self._stream, self._clock = wanted, stream, stream.clock
        self.input: LiveInput | None = None
        self.has_audio = self.has_video = False
        self.is_open = self.ended = False
        self.problem: EmofuseError | None = None
        self.fault: Exception | None = None
        self.tried: list[str] = []
        self.last_s = 0.0
        """When something came last."""
        self._errors = DecodeErrors()
        self.thread = threading.Thread(target=self._run, name=f"emofuse-live-{wanted.what}", daemon=True)

    @property
    def hung(self) -> bool:
        """A device that says nothing and cannot be interrupted."""
        limit_s = self._stream.timeout_s + _SILENT_S
        live = self.is_open and not self.ended and self.input is not None and self.input.kind != "file"
        return live and self._stream.begun.is_set() and self._clock() - self.last_s > limit_s

    def _run(self) -> None:
        try:
            self._read_any()
        except EmofuseError as error:
            self.problem = error
        except DECODING_ERRORS as error:
            name = self.input.label if self.input is not None else self.wanted.what
            self.problem = MediaError(name, f"cannot be read ({error_text(error)})")
        except Exception as error:  # a fault of the program: raised again where the parts are taken
            self.fault = error
        finally:
            self.ended = True
            with self._stream.changed:
                self._stream.changed.notify_all()

    def _read_any(self) -> None:
        """Read the first input that opens."""
        for given in self.wanted.inputs:
            with contextlib.ExitStack() as stack:
                try:
                    container = stack.enter_context(open_input(given, self._stream.timeout_s))
                    chosen = self._choose(given, container)
                except MediaError as error:
                    self.problem = MediaError(given.label, error.problem)
                    self.tried.append(f"{given.label} ({error.problem})")
                    continue
                self.problem, self.input = None, given
                self._announce(chosen)
                timing = _StreamClock(
                    self._clock, self._stream.begun_s, self._stream.pace if given.kind == "file" else None
                )
                places = SampleTimes(self._stream.frames_per_s, 1e-3)
                self._read(container, chosen, timing, places)
            while given.kind == "file" and self._stream.loop and self._going and timing.reached_s > 0:
                with open_input(given, self._stream.timeout_s) as container:
                    self._read(container, self._choose(given, container), timing, places)
            return

    @staticmethod
    def _choose(given: LiveInput, container: InputContainer) -> list[AudioStream | VideoStream]:
        audio, video = streams(Path(given.label), container)
        chosen: list[AudioStream | VideoStream] = []
        if audio is not None and given.audio:
            chosen.append(audio)
        if video is not None and given.video:
            chosen.append(video)
        if not chosen:
            raise MediaError(given.label, "it has nothing of what is wanted")
        return chosen

    def _announce(self, chosen: Sequence[AudioStream | VideoStream]) -> None:
        self.has_audio = any(isinstance(one, AudioStream) for one in chosen)
        self.has_video = any(isinstance(one, VideoStream) for one in chosen)
        with self._stream.changed:
            self.is_open = True
            self._stream.changed.notify_all()
        self._stream.begun.wait()
        self.last_s = self._clock()

    @property
    def _going(self) -> bool:
        return not self._stream.stopping.is_set()

    def _read(
        self,
        container: InputContainer,
        chosen: Sequence[AudioStream | VideoStream],
        timing: _StreamClock,
        places: SampleTimes,
    ) -> None:
        """Decode until the end, or until nobody reads any more."""
        assert self.input is not None
        if self.input.kind == "file":
            timing.begin_file(origin_s(container))
        readers: dict[int, _AudioReader | _VideoReader] = {}
        pressure = _DecoderLoad(self._clock)
        for packet in self._packets(container, chosen, pressure):
            self.last_s = self._clock()
            stream, time_s = packet.stream, _time_of(packet)
            if time_s is not None:
                if timing.place(stream.index, time_s):
                    self._flush(readers.values(), timing)
                    for reader in readers.values():
                        reader.begin(timing.origin_s or 0.0)
                self._wait(timing.wait_s(time_s), pressure)
            if not self._going:
                return
            if stream.index not in readers:
                origin = timing.origin_s if timing.origin_s is not None else -timing.now()
                readers[stream.index] = self._reader(stream, origin, places)
            reader = readers[stream.index]
            if isinstance(reader, _VideoReader):
                stream.codec_context.skip_frame = skipped = pressure.skip()
                reader.is_skipping = skipped != _SKIPS[0]
            for frame in self._errors.guard(packet.decode):
                self._hand_on(reader, frame, timing)
        for reader in readers.values():
            for frame in self._errors.guard(reader.rest):
                self._hand_on(reader, frame, timing)
        self._flush(readers.values(), timing)

    def _reader(self, stream: Any, origin: float, places: SampleTimes) -> _AudioReader | _VideoReader:
        if isinstance(stream, AudioStream):
            return _AudioReader(stream, origin)
        stream.thread_type = "SLICE"  # threads that each take a picture would hold several back
        return _VideoReader(stream, origin, places, self._stream)

    def _hand_on(self, reader: _AudioReader | _VideoReader, frame: Any, timing: _StreamClock) -> None:
        at_s = self._clock()
        for part in reader.add(frame):
            timing.reach(end_of(part))
            self._stream.put(part, at_s)

    def _flush(self, readers: Iterable[_AudioReader | _VideoReader], timing: _StreamClock) -> None:
        for reader in readers:
            for part in reader.flush():
                timing.reach(end_of(part))
                self._stream.put(part, self._clock())

    def _wait(self, seconds: float, pressure: _DecoderLoad) -> None:
        if seconds > 0:
            pressure.idle(seconds)
            self._stream.stopping.wait(seconds)
            self.last_s = self._clock()

    def _packets(
        self,
        container: InputContainer,
        chosen: Sequence[AudioStream | VideoStream],
        pressure: _DecoderLoad,
    ) -> Iterator[Packet[Any]]:
        """Packets until the end; a silent peer or a broken connection is an error."""
        assert self.input is not None
        packets = container.demux(tuple(chosen))
        while self._going:
            before_s = self._clock()
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except av.error.BlockingIOError:  # a device with nothing to give just now
                time.sleep(_AGAIN_S)
                packets = container.demux(tuple(chosen))
                continue
            except (av.error.FFmpegError, ValueError) as error:
                if self.input.kind == "file":
                    return  # what can be read of a damaged file has been read
                silent = isinstance(error, av.error.ExitError | TimeoutError)
                limit_s = self._stream.timeout_s
                problem = f"nothing came for {limit_s:g} s" if silent else f"broke off ({error_text(error)})"
                raise MediaError(self.input.label, problem) from None
            finally:
                pressure.idle(self._clock() - before_s)
            if packet.size:
                yield packet


def _time_of(packet: Packet[Any]) -> float | None:
    """When a packet is due: in the order of decoding, which is that of coming."""
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None or packet.time_base is None else float(ticks * packet.time_base)


class _StreamReader:
    """The frames of one stream."""

    def __init__(self, stream: AudioStream | VideoStream) -> None:
        self._stream = stream

    def rest(self) -> list[Any]:
        """What the decoder still holds at the end."""
        frames = list(self._stream.codec_context.decode(None))
        for frame in frames:
            frame.time_base = self._stream.time_base  # the binding knows it of packets only
        return frames


class _AudioReader(_StreamReader):
    """Sound of one stream, at the rate and with the channels that it began with."""

    def __init__(self, stream: AudioStream, origin: float) -> None:
        super().__init__(stream)
        self.begin(origin)
        self._form: tuple[int, str, str] | None = None
        self._matcher: AudioFormatConverter | None = None

    def begin(self, origin: float) -> None:
        """Timestamps count from another origin from now on."""
        self._blocks = AudioBlocks(Path("live"), origin_s=origin, block_s=_BLOCK_S)

    def add(self, frame: AudioFrame) -> list[Waveform]:
        form = form_of(frame)
        if self._matcher is None:
            rate, kind, layout = self._form = form
            self._matcher = AudioFormatConverter(kind, layout, rate)
        frames = [frame] if form == self._form else self._matcher.match(frame)
        return [block for one in frames for block in self._blocks.add(one)]

    def flush(self) -> list[Waveform]:
        return self._blocks.flush()


class _VideoReader(_StreamReader):
    """Pictures of one stream."""

    def __init__(self, stream: VideoStream, origin: float, places: SampleTimes, live: Sink) -> None:
        super().__init__(stream)
        self._video, self._places, self._live = stream, places, live
        self._last_s = float("nan")
        self.is_skipping = False
        """The decoder was told to leave pictures out."""
        self.begin(origin)

    def begin(self, origin: float) -> None:
        """Timestamps count from another origin from now on."""
        self._sampler = FrameSampler(
            self._places,
            origin_s=origin,
            aspect=pixel_aspect(self._video),
            frame_s=1 / float(self._video.average_rate or self._video.guessed_rate or 25),
        )

    def add(self, frame: VideoFrame) -> list[Frame]:
        picture = self._sampler.add(frame)
        if picture is None:
            return []
        missing = (picture.time_s - self._last_s) * self._live.frames_per_s - 1
        if self.is_skipping and missing > 0.5:
            self._live.drop_frames(round(missing))
        self._last_s = picture.time_s
        return [picture]

    def flush(self) -> list[Frame]:
        return []
