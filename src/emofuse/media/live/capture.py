"""A thread that reads one live input: its clock, its pace, and what it skips when it cannot keep up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from emofuse.core.errors import EmofuseError, MediaError
from emofuse.core.limits import Limits
from emofuse.core.records import StreamChoice, Waveform
from emofuse.media.container import (
    DECODING_ERRORS,
    error_text,
    open_container,
    origin_s,
    packet_clock,
)
from emofuse.media.decode_errors import DecodeErrors
from emofuse.media.decoder_setup import check_size, codec_options
from emofuse.media.frame_sampling import Frame, SampleTimes
from emofuse.media.live.inputs import InputRequest, LiveInput, open_input
from emofuse.media.live.stream_readers import AudioReader, VideoReader
from emofuse.media.stream_choice import choose_streams

Clock = Callable[[], float]

_LEAD_S: Final = 1.0
"""What arrives faster than real time (a download) is held back when it is this far ahead."""
_LATE_S: Final = 2.0
"""When a file is read this late, its clock continues from there, like a paused player's."""
_GAP_S: Final = 10.0
"""The longest wait for a gap in a file's timestamps."""
_JUMP_S: Final = 5.0
"""Timestamps this far ahead of real time mean that the sender restarted its clock."""
_BACK_S: Final = 1.0
_CHECK_LOAD_S: Final = 1.0
"""How often a capture checks whether it keeps up."""
_RETRY_S: Final = 0.005
_SILENT_S: Final = 5.0
"""A device that delivers nothing for this much longer than the time limit is considered hung."""
_SKIPS: Final = ("DEFAULT", "NONREF", "NONKEY")
"""What the decoder skips, at each level of load: nothing, frames that no other refers to, most."""


class _StreamClock:
    """Maps presentation times to stream time, and stream time to the clock."""

    def __init__(self, clock: Clock, started_s: float, pace: float | None) -> None:
        """``pace``: how fast a file is played; None for inputs that have their own pace."""
        self._clock, self._started_s = clock, started_s
        self._is_file, self._pace = pace is not None, pace or 1.0
        self.origin_s: float | None = None
        """The presentation time of stream time zero; None before the first packet."""
        self._zero_s: float | None = None
        """The clock time at which a file's time zero is due."""
        self._last_s: dict[int, float] = {}
        self.reached_s = 0.0

    def start_file(self, origin_s: float) -> None:
        """Keep a file's own clock; each round of a loop continues from the one before."""
        self._last_s.clear()
        self.origin_s = origin_s - self.reached_s

    def now(self) -> float:
        """The current stream time, for inputs that arrive in real time."""
        return self._clock() - self._started_s

    def note(self, stream: int, presented_s: float) -> bool:
        """Note a packet's time; True if the sender's clock restarted."""
        restarted = False
        if self.origin_s is None:
            self.origin_s = presented_s - self.now()
        elif not self._is_file:
            time_s = presented_s - self.origin_s
            back = time_s < self._last_s.get(stream, time_s) - _BACK_S
            restarted = back or time_s > max(self.now(), self.reached_s) + _JUMP_S
            if restarted:
                self.origin_s = presented_s - max(self.now(), self.reached_s)
                self._last_s.clear()
        time_s = presented_s - self.origin_s
        if self._zero_s is None:
            self._zero_s = self._clock() - time_s / self._pace
        self._last_s[stream] = time_s
        return restarted

    def wait_s(self, presented_s: float) -> float:
        """How long it is until a packet is due; if a file is far behind, its clock is set back."""
        assert self.origin_s is not None and self._zero_s is not None
        time_s = presented_s - self.origin_s
        if not self._is_file:
            return time_s - _LEAD_S - self.now()
        wait_s = self._zero_s + time_s / self._pace - self._clock()
        if wait_s < -_LATE_S:
            self._zero_s -= wait_s
        elif wait_s > _GAP_S:
            self._zero_s -= wait_s - _GAP_S
            return _GAP_S
        return wait_s

    def reach(self, time_s: float) -> None:
        """Note that something was passed on that ends at this time."""
        self.reached_s = max(self.reached_s, time_s)


class _DecoderLoad:
    """Measures whether decoding keeps up, by the time spent waiting for something to decode."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s, self._idle_s, self._level = clock(), 0.0, 0

    def idle(self, seconds: float) -> None:
        self._idle_s += max(0.0, seconds)

    def skip(self) -> str:
        """What the decoder should skip from now on."""
        passed_s = self._clock() - self._since_s
        if passed_s >= _CHECK_LOAD_S:
            share = self._idle_s / passed_s
            if share < 0.03:
                self._level = min(self._level + 1, len(_SKIPS) - 1)
            elif share > 0.3:
                self._level = max(self._level - 1, 0)
            self._since_s, self._idle_s = self._clock(), 0.0
        return _SKIPS[self._level]


def end_of(part: Waveform | Frame) -> float:
    """Where an audio block or a frame ends."""
    return part.start_s + part.duration_s if isinstance(part, Waveform) else part.time_s


class Sink(Protocol):
    """What captures deliver to, and the settings that it gives them."""

    clock: Clock
    frames_per_s: float
    pace: float
    loop: bool
    timeout_s: float
    streams: StreamChoice
    started: threading.Event
    started_s: float
    stopping: threading.Event
    changed: threading.Condition

    def put(self, part: Waveform | Frame, at_s: float) -> None:
        """Take what was decoded, and when, on the clock."""

    def drop_frames(self, n: int) -> None:
        """Count frames that were not even decoded."""


class Capture:
    """A thread that reads one input."""

    def __init__(self, request: InputRequest, stream: Sink) -> None:
        self.request, self._stream, self._clock = request, stream, stream.clock
        self.input: LiveInput | None = None
        self.has_audio = self.has_video = False
        self.is_open = self.ended = False
        self.problem: EmofuseError | None = None
        self.bug: Exception | None = None
        self.attempts: list[str] = []
        self.notes: tuple[str, ...] = ()
        """Which of several streams are read."""
        self.last_s = 0.0
        """When something last arrived."""
        self._errors = DecodeErrors()
        self.thread = threading.Thread(target=self._run, name=f"emofuse-live-{request.what}", daemon=True)

    @property
    def hung(self) -> bool:
        """Whether a device delivers nothing and cannot be interrupted."""
        limit_s = self._stream.timeout_s + _SILENT_S
        live = self.is_open and not self.ended and self.input is not None and self.input.kind != "file"
        return live and self._stream.started.is_set() and self._clock() - self.last_s > limit_s

    def _run(self) -> None:
        try:
            self._read_any()
        except EmofuseError as error:
            self.problem = error
        except DECODING_ERRORS as error:
            name = self.input.label if self.input is not None else self.request.what
            self.problem = MediaError(name, f"cannot be read ({error_text(error)})")
        except Exception as error:  # a programming error: raised again where the parts are taken
            self.bug = error
        finally:
            self.ended = True
            with self._stream.changed:
                self._stream.changed.notify_all()

    def _read_any(self) -> None:
        """Read the first input that opens."""
        for given in self.request.inputs:
            with contextlib.ExitStack() as stack:
                try:
                    container = stack.enter_context(open_input(given, self._stream.timeout_s))
                    chosen, self.notes = self._choose(given, container)
                except MediaError as error:
                    self.problem = MediaError(given.label, error.problem)
                    self.attempts.append(f"{given.label} ({error.problem})")
                    continue
                self.problem, self.input = None, given
                self._announce(chosen)
                clock = _StreamClock(
                    self._clock, self._stream.started_s, self._stream.pace if given.kind == "file" else None
                )
                sample_times = SampleTimes(self._stream.frames_per_s, 1e-3)
                self._read(container, chosen, clock, sample_times)
            while given.kind == "file" and self._stream.loop and self._going and clock.reached_s > 0:
                with open_input(given, self._stream.timeout_s) as container:
                    self._read(container, self._choose(given, container)[0], clock, sample_times)
            return

    def _choose(
        self, given: LiveInput, container: InputContainer
    ) -> tuple[list[AudioStream | VideoStream], tuple[str, ...]]:
        """The streams that are read, and the notes on those where there are several."""
        reopen = (lambda: open_container(given.name)) if given.kind == "file" else None
        wanted = None if given.kind == "device" else self._stream.streams
        found = choose_streams(Path(given.label), container, wanted, reopen)
        audio, video = found.audio, found.video
        chosen: list[AudioStream | VideoStream] = []
        if audio is not None and given.audio:
            chosen.append(audio)
        if video is not None and given.video:
            check_size(Path(given.label), video, Limits())
            chosen.append(video)
        if not chosen:
            raise MediaError(given.label, "it has neither of the wanted streams")
        read = {"audio": given.audio, "video": given.video}
        return chosen, tuple(note for note in found.notes if read[note.partition(" ")[0]])

    def _announce(self, chosen: Sequence[AudioStream | VideoStream]) -> None:
        self.has_audio = any(isinstance(one, AudioStream) for one in chosen)
        self.has_video = any(isinstance(one, VideoStream) for one in chosen)
        with self._stream.changed:
            self.is_open = True
            self._stream.changed.notify_all()
        self._stream.started.wait()
        self.last_s = self._clock()

    @property
    def _going(self) -> bool:
        return not self._stream.stopping.is_set()

    def _read(
        self,
        container: InputContainer,
        chosen: Sequence[AudioStream | VideoStream],
        clock: _StreamClock,
        sample_times: SampleTimes,
    ) -> None:
        """Decode until the end, or until the stream is closed."""
        assert self.input is not None
        times = None
        if self.input.kind == "file":
            times = packet_clock(container)
            clock.start_file(origin_s(container))
        readers: dict[int, AudioReader | VideoReader] = {}
        load = _DecoderLoad(self._clock)
        arriving = self._packets(container, chosen, load)
        for packet in arriving if times is None else times.moved(arriving):
            self.last_s = self._clock()
            stream, time_s = packet.stream, _time_of(packet)
            if time_s is not None:
                if clock.note(stream.index, time_s):
                    self._flush(readers.values(), clock)
                    for reader in readers.values():
                        reader.start(clock.origin_s or 0.0)
                self._wait(clock.wait_s(time_s), load)
            if not self._going:
                return
            if stream.index not in readers:
                origin = clock.origin_s if clock.origin_s is not None else -clock.now()
                readers[stream.index] = self._reader(stream, origin, sample_times)
            reader = readers[stream.index]
            if isinstance(reader, VideoReader):
                stream.codec_context.skip_frame = skipped = load.skip()
                reader.is_skipping = skipped != _SKIPS[0]
            for frame in self._errors.decode(packet):
                self._pass_on(reader, frame, clock)
        for reader in readers.values():
            for frame in self._errors.guard(reader.drain):
                self._pass_on(reader, frame, clock)
        self._flush(readers.values(), clock)

    def _reader(self, stream: Any, origin: float, sample_times: SampleTimes) -> AudioReader | VideoReader:
        if isinstance(stream, AudioStream):
            return AudioReader(stream, origin)
        stream.thread_type = "SLICE"  # one thread per frame would hold several frames back
        stream.codec_context.options = codec_options(Limits())  # frames may grow on the way
        return VideoReader(stream, origin, sample_times, self._stream)

    def _pass_on(self, reader: AudioReader | VideoReader, frame: Any, clock: _StreamClock) -> None:
        at_s = self._clock()
        for part in reader.add(frame):
            clock.reach(end_of(part))
            self._stream.put(part, at_s)

    def _flush(self, readers: Iterable[AudioReader | VideoReader], clock: _StreamClock) -> None:
        for reader in readers:
            for part in reader.flush():
                clock.reach(end_of(part))
                self._stream.put(part, self._clock())

    def _wait(self, seconds: float, load: _DecoderLoad) -> None:
        if seconds > 0:
            load.idle(seconds)
            self._stream.stopping.wait(seconds)
            self.last_s = self._clock()

    def _packets(
        self,
        container: InputContainer,
        chosen: Sequence[AudioStream | VideoStream],
        load: _DecoderLoad,
    ) -> Iterator[Packet[Any]]:
        """Packets until the end; a silent peer or a lost connection is an error."""
        assert self.input is not None
        packets = container.demux(tuple(chosen))
        while self._going:
            before_s = self._clock()
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except av.error.BlockingIOError:  # a device that has nothing at the moment
                time.sleep(_RETRY_S)
                packets = container.demux(tuple(chosen))
                continue
            except (av.error.FFmpegError, ValueError) as error:
                if self.input.kind == "file":
                    return  # all that is readable of a damaged file has been read
                silent = isinstance(error, av.error.ExitError | TimeoutError)
                limit_s = self._stream.timeout_s
                problem = (
                    f"no data for {limit_s:g} s"
                    if silent
                    else f"the connection was lost ({error_text(error)})"
                )
                raise MediaError(self.input.label, problem) from None
            finally:
                load.idle(self._clock() - before_s)
            if packet.size:
                yield packet


def _time_of(packet: Packet[Any]) -> float | None:
    """When a packet is due, in decoding order, in which packets arrive."""
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None or packet.time_base is None else float(ticks * packet.time_base)
