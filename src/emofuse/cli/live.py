"""``emofuse live``: what is expressed now, from a camera and a microphone, an address, or a file."""

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
from emofuse.cli.printing import live_view, print_bundle, print_message
from emofuse.core.errors import ExportError
from emofuse.core.times import short_clock

if TYPE_CHECKING:
    from emofuse.media.live.stream import LiveStream
    from emofuse.timeline.live import LiveWindow

_GONE_S = 2.0
"""Somebody whose last window is this much older than the newest is not shown any more."""


class Format(enum.StrEnum):
    """How windows are shown."""

    VIEW = "view"
    JSON = "json"


def live(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A file, read at its own pace; an address (rtsp://, http://, udp://, tcp://…); a device "
            "(v4l2:/dev/video0). Default: the camera and the microphone of this machine.",
        ),
    ] = None,
    *,
    microphone: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="What is heard: FORMAT:NAME (alsa:default), or none."),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="What is seen: FORMAT:NAME (v4l2:/dev/video0), or none."),
    ] = None,
    output: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", show_default="view in a terminal, else json",
            help="A view for the terminal, or a line of JSON for each window.",
        ),
    ] = None,
    bundle: options.BundleFolder = None,
    window: options.WindowLength = 3.0,
    hop: options.Hop = 1.0,
    faces_per_second: options.FacesPerSecond = 5.0,
    seconds: Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop after so long.")] = None,
    save_to: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Write the lines of JSON to this new file as well."),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin a file again at its end.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.5, max=3600, help="How long an address may stay silent.")
    ] = 5.0,
    profile: options.ProfileFile = None,
) -> None:  # fmt: skip
    """Read what is expressed now, window after window, until it ends or is interrupted (Ctrl-C).

    A machine that is too slow looks at fewer pictures, then reads fewer windows: answers are never old.
    What is reported is expression as in the training recordings, not what somebody feels.

    Example: `emofuse live`; `emofuse live rtsp://camera.local/stream --format json`
    """
    from emofuse.features.profile import Profile
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.timeline.live import live_windows

    logging.getLogger("emofuse").setLevel(logging.ERROR)
    rules = options.window_rules(window, hop, faces_per_second)
    if source == "":
        raise typer.BadParameter("an empty name is no source: leave it out for camera and microphone")
    if seconds is not None and not seconds > 0:
        raise typer.BadParameter(f"--seconds must be positive, got {seconds}")
    view = (output or (Format.VIEW if sys.stdout.isatty() else Format.JSON)) is Format.VIEW
    with ExitStack() as stack:
        stop = stack.enter_context(stopped_by_signals())
        recognizer = Recognizer.load(bundle)
        print_bundle(recognizer.bundle, bundle)
        shows: list[Callable[[LiveWindow], None]] = []
        emotions = recognizer.emotions
        if save_to is not None:
            shows.append(_saved(save_to, emotions, stack))
        person = None if profile is None else Profile.load(profile)
        windows = live_windows(
            recognizer, source, microphone=microphone, camera=camera, rules=rules, profile=person,
            seconds=seconds, loop=loop, timeout_s=timeout, stop=stop, on_open=_opened,
        )  # fmt: skip
        stack.callback(windows.close)
        shows.append(_viewed(emotions, stack) if view else _printed(emotions, stop))
        last = None
        for last in windows:
            for show in shows:
                show(last)
    if stop.is_set():
        print_message("stopped")
    elif last is None:
        print_message("the stream ended before anything could be read")
    else:
        print_message(f"the stream ended at {short_clock(last.window.end_s)}")


def _opened(stream: LiveStream) -> None:
    for note in stream.notes:
        print_message(note)
    what = " and ".join(
        name for name, there in (("sound", stream.has_audio), ("pictures", stream.has_video)) if there
    )
    print_message(f"reading {what} of {', '.join(stream.labels)}; Ctrl-C ends it")


@contextmanager
def stopped_by_signals() -> Generator[threading.Event]:
    """An event that is set by Ctrl-C or a request to end; a second Ctrl-C interrupts at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _printed(emotions: tuple[str, ...], stop: threading.Event) -> Callable[[LiveWindow], None]:
    """Lines on standard output, each at once; whoever reads them may leave."""

    def show(one: LiveWindow) -> None:
        try:
            sys.stdout.write(one.as_line(emotions) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # The interpreter flushes once more at its end, which must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            stop.set()

    return show


def _saved(path: Path, emotions: tuple[str, ...], stack: ExitStack) -> Callable[[LiveWindow], None]:
    """Lines in a file, written as they come: what was read before a crash is there."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise ExportError(f"{path}: is there already; name a new file, or remove it") from None
    # a start that failed leaves nothing that the next one would not write over
    stack.callback(_remove_empty, path)
    stack.enter_context(file)

    def show(one: LiveWindow) -> None:
        file.write(one.as_line(emotions) + "\n")
        file.flush()

    return show


def _remove_empty(path: Path) -> None:
    with suppress(FileNotFoundError):  # somebody was faster
        if not path.stat().st_size:
            path.unlink()


def _viewed(emotions: tuple[str, ...], stack: ExitStack) -> Callable[[LiveWindow], None]:
    """A view that is drawn anew with each window."""
    screen = stack.enter_context(Live(console=Console(), auto_refresh=False, vertical_overflow="crop"))
    newest: dict[str | None, LiveWindow] = {}

    def show(one: LiveWindow) -> None:
        newest.pop(one.window.person, None)
        newest[one.window.person] = one
        for name in [n for n, old in newest.items() if one.window.end_s - old.window.end_s > _GONE_S]:
            del newest[name]
        # a voice that is nobody's, once it is somebody's again
        if any(old.window.end_s < one.window.end_s and n is None for n, old in newest.items()):
            del newest[None]
        screen.update(live_view(list(newest.values()), emotions), refresh=True)

    return show
