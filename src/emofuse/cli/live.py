"""``emofuse live``: emotions in real time, from a camera and a microphone, a stream, or a file."""

from __future__ import annotations

import enum
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from emofuse.cli import options
from emofuse.cli.interrupts import left_to_command
from emofuse.cli.printing import live_view, print_bundle, print_message, print_remark
from emofuse.core.errors import ExportError
from emofuse.core.records import StreamChoice
from emofuse.core.times import short_clock

if TYPE_CHECKING:
    from emofuse.media.live.stream import LiveStream
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.timeline.live import LiveWindow
    from emofuse.timeline.windows import WindowRules

_STALE_S = 2.0
"""A person whose last window is this much older than the newest is no longer shown."""


class Format(enum.StrEnum):
    """How windows are printed."""

    VIEW = "view"
    JSON = "json"


def live(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A file, played in real time; an address (rtsp://, http://, udp://, tcp://…); a device "
            "(v4l2:/dev/video0). Default: the camera and the microphone of this machine.",
        ),
    ] = None,
    *,
    microphone: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Audio input: FORMAT:NAME (alsa:default), or none."),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Video input: FORMAT:NAME (v4l2:/dev/video0), or none."),
    ] = None,
    output: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", show_default="view in a terminal, else json",
            help="A live view in the terminal, or one line of JSON per window.",
        ),
    ] = None,
    bundle: options.BundleFolder = None,
    window: options.WindowLength = 3.0,
    hop: options.Hop = 1.0,
    faces_per_second: options.FacesPerSecond = 5.0,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=options.seconds(), help="Stop after this time: 90, or 1:30."),
    ] = None,
    save_to: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Also write the lines of JSON to this new file."),
    ] = None,
    lsl: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Also send the windows as an LSL stream of this name, with the extra emofuse\\[lsl]. LSL "
            "announces it to the local network, and every machine there that is not kept out by a firewall "
            "or by LSL's own configuration (lsl_api.cfg) can read it, unencrypted.",
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start a file again when it ends.")] = False,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", parser=options.seconds(0.5, 3600), help="How long an address may be silent."
        ),
    ] = 5.0,
    profile: options.ProfileFile = None,
    no_baseline: options.NoBaseline = False,
    audio_stream: options.AudioStream = None,
    video_stream: options.VideoStream = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Recognize emotions in real time, window by window, until the source ends or Ctrl-C is pressed.

    A machine that is too slow drops frames, then windows, so that results are never late. Predictions are
    about expression as in the training recordings, not about what somebody feels.

    Example: `emofuse live`; `emofuse live rtsp://camera.local/stream --format json`
    """
    from emofuse.features.profile import Profile
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.timeline.live import live_windows

    logging.getLogger("emofuse").setLevel(logging.ERROR)
    rules = options.window_rules(window, hop, faces_per_second)
    if source == "":
        raise typer.BadParameter("an empty name is not a source: omit it to use camera and microphone")
    if seconds is not None and not seconds > 0:
        raise typer.BadParameter(f"--seconds must be positive, got {seconds}")
    view = (output or (Format.VIEW if sys.stdout.isatty() else Format.JSON)) is Format.VIEW
    with ExitStack() as stack:
        stop = stack.enter_context(stopped_by_signals())
        recognizer = Recognizer.load(bundle)
        print_bundle(recognizer.bundle, bundle)
        writers: list[Callable[[LiveWindow], None]] = []
        emotions = recognizer.emotions
        if save_to is not None:
            writers.append(_file_writer(save_to, emotions, stack))
        if lsl is not None:
            writers.append(_lsl_writer(lsl, recognizer, rules))
        person = None if profile is None else Profile.load(profile)
        windows = live_windows(
            recognizer, source, microphone=microphone, camera=camera, rules=rules, profile=person,
            seconds=seconds, loop=loop, timeout_s=timeout, streams=StreamChoice(audio_stream, video_stream),
            own_baseline=not no_baseline, stop=stop, on_open=_print_stream, on_note=print_remark,
        )  # fmt: skip
        stack.callback(windows.close)
        writers.append(_view_writer(recognizer, stack) if view else _stdout_writer(emotions, stop))
        last = None
        for last in windows:
            for write in writers:
                write(last)
    if stop.is_set():
        print_remark("stopped")
    elif last is None:
        print_message("the stream ended before anything could be read")
    else:
        print_remark(f"the stream ended at {short_clock(last.window.end_s)}")


def _print_stream(stream: LiveStream) -> None:
    for note in stream.notes:
        print_remark(note)
    kinds = " and ".join(
        name for name, present in (("audio", stream.has_audio), ("video", stream.has_video)) if present
    )
    print_remark(f"reading {kinds} from {', '.join(stream.labels)}; press Ctrl-C to stop")


@contextmanager
def stopped_by_signals() -> Generator[threading.Event]:
    """An event that SIGINT (Ctrl-C) and SIGTERM set; a second SIGINT interrupts at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    with left_to_command():
        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _stdout_writer(emotions: tuple[str, ...], stop: threading.Event) -> Callable[[LiveWindow], None]:
    """Print lines of JSON, flushed one by one; the reader of a pipe may close it."""

    def write(one: LiveWindow) -> None:
        try:
            sys.stdout.write(one.as_line(emotions) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # the interpreter flushes again at exit, which must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            stop.set()

    return write


def _file_writer(path: Path, emotions: tuple[str, ...], stack: ExitStack) -> Callable[[LiveWindow], None]:
    """Write lines of JSON to a new file, flushed one by one, so that a crash loses none."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise ExportError(f"{path} already exists: choose another name or remove it") from None
    # a failed start leaves no file behind that would stop the next one
    stack.callback(_remove_empty, path)
    stack.enter_context(file)

    def write(one: LiveWindow) -> None:
        file.write(one.as_line(emotions) + "\n")
        file.flush()

    return write


def _lsl_writer(name: str, recognizer: Recognizer, rules: WindowRules) -> Callable[[LiveWindow], None]:
    """Send windows to LSL, and say that they are sent."""
    from emofuse.exports.lsl_outlet import LslOutlet

    if not name.strip():
        raise typer.BadParameter("an LSL stream needs a name: --lsl emofuse")
    outlet = LslOutlet(
        name, recognizer.emotions, recognizer.dimensions, window_s=rules.window_s, hop_s=rules.hop_s,
        reader=f"{recognizer.recipe.name}; {recognizer.licence}",
    )  # fmt: skip
    print_remark(f"LSL stream {name!r}: whoever LSL reaches on this network can read it")
    return outlet.push


def _remove_empty(path: Path) -> None:
    with suppress(FileNotFoundError):  # already removed
        if not path.stat().st_size:
            path.unlink()


def _view_writer(recognizer: Recognizer, stack: ExitStack) -> Callable[[LiveWindow], None]:
    """Redraw the live view for each window."""
    screen = stack.enter_context(Live(console=Console(), auto_refresh=False, vertical_overflow="crop"))
    newest: dict[str | None, LiveWindow] = {}

    def write(one: LiveWindow) -> None:
        newest.pop(one.window.person, None)
        newest[one.window.person] = one
        for name in [n for n, old in newest.items() if one.window.end_s - old.window.end_s > _STALE_S]:
            del newest[name]
        # an unattributed voice that has since been attributed
        if any(old.window.end_s < one.window.end_s and n is None for n, old in newest.items()):
            del newest[None]
        view = live_view(
            list(newest.values()),
            recognizer.emotions,
            recognizer.dimensions,
            height=screen.console.size.height,
        )
        screen.update(view, refresh=True)

    return write
