"""Make the images of these pages from runs on synthetic people.

    python docs/pictures.py --work runs/pictures

The recognizer that comes with emofuse reads two synthetic people, as in the commands of the pages. It was
made for real people, so its predictions for synthetic ones need not be right. The screenshot of the
timeline's page needs Chromium, the image of the TextGrid needs Praat and a display (Debian: praat, xvfb).
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from rich.console import Console

from emofuse import Recognizer
from emofuse.cli.printing import live_view, print_predictions, print_segments, print_summary
from emofuse.core.colors import EMOTION_COLORS
from emofuse.core.label_maps import CIRCUMPLEX_DEGREES
from emofuse.server.client import Client
from emofuse.timeline.live import LiveWindow, live_windows
from emofuse.timeline.records import Timeline

DOCS = Path(__file__).parent
PICTURES = DOCS / "pictures"
OVERLAY_AT_S = 15.0
LIVE_AT_S = 9.0
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
VIDEO = slice(240, 330), slice(130, 240)
"""Rows and columns of a face in the video in the page; where nothing has a color before it is there."""
PAGE_VIDEO = slice(320, 410), slice(130, 240)
"""A face in it, in the page of the service."""
COLORFUL = 20.0
"""Mean difference (0 to 255) of a face's greatest and least color: neither a black frame nor the page, light
or dark, before the video is there has as much."""
ANNOTATIONS = {
    "names": {"person 1": "Anna", "person 2": "Ben"},
    "markers": [{"start_s": 6.2, "text": "question 1"}, {"start_s": 14.6, "text": "question 2"}],
    "excluded": [{"start_s": 17.4, "end_s": 19.2, "reason": "a phone rings"}],
}
"""What somebody changed about the timeline."""
_WEB_FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def main() -> None:
    """Make what is missing in the work folder, then every image."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/pictures"))
    parser.add_argument("--browser", default=shutil.which("chromium"))
    given = parser.parse_args()
    work: Path = given.work
    work.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    toy, talk = work / "toy", work / "talk.mp4"
    emofuse("corpus", "synth", toy, "--actors", 2, "--takes", 1)
    subprocess.run([sys.executable, DOCS / "material.py", "conversation", toy, talk], check=True)
    recognizer = Recognizer.load()
    predictions(recognizer, toy)
    page, overlay = work / "talk.html", work / "talk-read.mp4"
    emofuse("timeline", talk, "--out", page, "--out", overlay)
    segments(recognizer.timeline(talk))
    frame(overlay, OVERLAY_AT_S)
    live(recognizer, talk)
    agreement(talk, work)
    enrollment()
    circumplex()
    if shutil.which("praat") is None or shutil.which("xvfb-run") is None:
        print("no Praat: the image of the TextGrid was not made", file=sys.stderr)
    else:
        praat(talk, work)
    if given.browser is None:
        sys.exit("no Chromium: the screenshot of the page was not made; select a browser with --browser")
    screenshot(given.browser, page, work)
    service_page(given.browser, talk, work)


def emofuse(*words: object) -> None:
    """Run a command of emofuse."""
    subprocess.run([sys.executable, "-m", "emofuse", *map(str, words)], check=True)


def terminal(name: str, title: str, show: Callable[[Console], None], width: int) -> None:
    """Save the output of a terminal as SVG that loads no fonts."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    show(console)
    svg = console.export_svg(title=title, unique_id=name.partition(".")[0])
    (PICTURES / name).write_text(_WEB_FONTS.sub("", svg), encoding="utf-8")


def predictions(recognizer: Recognizer, toy: Path) -> None:
    """The table of ``emofuse predict``: two videos and an audio file."""
    files = [toy / "Actor_02" / name for name in (
        "01-01-03-01-01-01-02.mp4", "01-01-05-01-01-01-02.mp4", "03-01-06-01-01-01-02.wav",
    )]  # fmt: skip
    found = list(recognizer.predict_files(files))
    terminal(
        "predict.svg", "emofuse predict *.mp4 *.wav", lambda console: print_predictions(found, console), 84
    )


def segments(timeline: Timeline) -> None:
    """The tables of ``emofuse timeline``."""

    def show(console: Console) -> None:
        print_segments(timeline, console)
        print_summary(timeline, console)

    terminal("segments.svg", "emofuse timeline talk.mp4", show, 60)


def frame(video: Path, at_s: float) -> None:
    """One frame of the overlay video."""
    with av.open(str(video)) as file:
        for picture in file.decode(video=0):
            if picture.time is not None and picture.time >= at_s:
                cv2.imwrite(
                    str(PICTURES / "overlay.jpg"),
                    picture.to_ndarray(format="bgr24"),
                    [cv2.IMWRITE_JPEG_QUALITY, 88],
                )
                return


def live(recognizer: Recognizer, talk: Path) -> None:
    """The view of ``emofuse live`` after some seconds."""
    newest: dict[str | None, LiveWindow] = {}
    for one in live_windows(recognizer, talk):
        if one.window.end_s > LIVE_AT_S:
            break
        newest[one.window.person] = one
    last_s = max(one.window.end_s for one in newest.values())
    shown = [one for one in newest.values() if last_s - one.window.end_s < 0.5]
    view = live_view(shown, recognizer.emotions)
    terminal("live.svg", "emofuse live talk.mp4", lambda console: console.print(view), 108)


def agreement(talk: Path, work: Path) -> None:
    """The tiers of docs/agreement.md: what two coders said, and emofuse."""
    text = (DOCS / "agreement.md").read_text(encoding="utf-8")
    tables = re.findall(r"<!-- file: (\S+) -->\n```csv\n(.*?)```", text, re.DOTALL)
    for name, content in tables:
        (work / name).write_text(content, encoding="utf-8")
    emofuse("timeline", talk, "--out", work / "talk.json")
    files = [work / name for name, _ in tables]
    picture = PICTURES / "agreement.svg"
    emofuse("agreement", work / "talk.json", *files, "--labels", "joy=happy", "--out", picture)


def enrollment() -> None:
    """The curve of docs/results.md: accuracy by number of enrolled clips."""
    from matplotlib.figure import Figure

    text = (DOCS / "results.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\d+) \| \*\*([\d.]+)\*\*.*?\| \*\*([\d.]+)\*\*.*?\| \*\*([\d.]+)\*\*; seed 0: [\d.]+ "
        r"\(([\d.]+) to ([\d.]+)\)",
        text,
        re.MULTILINE,
    )
    clips = [int(row[0]) for row in rows]
    positions = list(range(len(clips)))
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for column, (name, color) in enumerate((("voice", "#3f6fd1"), ("face", "#5b8f2a"), ("both", "#d1382f"))):
        values = [float(row[1 + column]) for row in rows]
        axes.plot(positions, values, "o-", color=color, label=name)
        for position, value in zip(positions, values, strict=True):
            axes.annotate(f"{value:.0f}", (position, value), (0, 6), textcoords="offset points", ha="center")
    low, high = ([float(row[at]) for row in rows] for at in (4, 5))
    axes.fill_between(positions, low, high, color="#d1382f", alpha=0.12, lw=0, label="both, 95 % (seed 0)")
    axes.set(xticks=positions, xticklabels=clips, ylim=(55, 98), ylabel="accuracy, %")
    axes.set_xlabel("enrolled clips of the person, without labels")
    axes.legend(loc="lower right", ncols=4, frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURES / "enrollment.svg", metadata={"Date": None})


def circumplex() -> None:
    """The eight emotions in the heuristic of valence and arousal."""
    from matplotlib.figure import Figure
    from numpy import cos, deg2rad, sin

    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color="#ccc", lw=0.8)
    axes.axvline(0, color="#ccc", lw=0.8)
    turns = [deg2rad(angle) for angle in range(361)]
    axes.plot(cos(turns), sin(turns), color="#ddd", lw=0.8)
    for name, angle in CIRCUMPLEX_DEGREES.items():
        x, y = (0.0, 0.0) if angle is None else (cos(deg2rad(angle)), sin(deg2rad(angle)))
        axes.plot(x, y, "o", ms=9, color=EMOTION_COLORS[name])
        side = "right" if x < 0 else "left"
        axes.annotate(name, (x, y), (-9 if x < 0 else 9, 5), textcoords="offset points", ha=side)
    axes.set(
        xlim=(-1.6, 1.6), ylim=(-1.25, 1.25), xlabel="valence", ylabel="arousal", aspect="equal",
        xticks=(-1, 0, 1), yticks=(-1, 0, 1),
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURES / "circumplex.svg", metadata={"Date": None})


def praat(talk: Path, work: Path) -> None:
    """The TextGrid below the waveform, as drawn by Praat."""
    sound = extract_audio(talk, work / "talk.wav")
    emofuse("timeline", talk, "--out", work / "talk.TextGrid")
    script = work / "draw.praat"
    script.write_text(
        f'sound = Read from file: "{sound.name}"\n'
        'grid = Read from file: "talk.TextGrid"\n'
        "Select outer viewport: 0, 9, 0, 6.2\nFont size: 9\nplusObject: sound\n"
        'Draw: 0, 0, "yes", "yes", "yes"\nSave as 300-dpi PNG file: "praat.png"\n'
    )
    subprocess.run(["xvfb-run", "-a", "praat", "--run", script.name], cwd=work, check=True)
    picture = cv2.imread(str(work / "praat.png"))
    assert picture is not None
    small = cv2.resize(picture, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(PICTURES / "praat.png"), small, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def extract_audio(video: Path, out: Path) -> Path:
    """The audio of a video as WAV, which Praat can read."""
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        stream = target.add_stream("pcm_s16le", rate=source.streams.audio[0].rate)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out


def screenshot(browser: str, page: Path, work: Path) -> None:
    """The page of a timeline in a browser, with the first frame of the video."""
    shoot(
        browser, page.absolute().as_uri(), PICTURES / "timeline.png", work, VIDEO, "--window-size=1100,1240"
    )


def service_page(browser: str, talk: Path, work: Path) -> None:
    """The page of a recording in a running service, as somebody left it, light and dark."""
    data = work / "service"
    shutil.rmtree(data, ignore_errors=True)
    command = ("serve", "--port", "0", "--data", data, "--purpose", "a study of interviews", "--quiet")
    words = [sys.executable, "-m", "emofuse", *map(str, command)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            address = service.stdout.readline().split()[-1]
            with Client(address) as client:
                job = client.wait(client.submit(talk).id)
                client.annotate(job.id, ANNOTATIONS)
            url = f"{address}/#/recording/{job.id}"
            for name, more in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
                picture = PICTURES / f"page-{name}.png"
                shoot(browser, url, picture, work, PAGE_VIDEO, "--window-size=1280,1500", *more)
        finally:
            service.terminate()


def shoot(browser: str, url: str, name: Path, work: Path, video: tuple[slice, slice], *more: str) -> None:
    """A picture of a page, once the video in it shows something."""
    words = [
        *CHROMIUM, f"--user-data-dir={(work / 'browser').absolute()}",
        f"--screenshot={name.absolute()}", *more,
    ]  # fmt: skip
    # the budget is of virtual time, which runs while the video, in real time, may not be there yet
    for patience_ms in (4_000, 8_000, 16_000, 32_000, 64_000) * 5:
        wait = f"--virtual-time-budget={patience_ms}"
        subprocess.run([browser, *words, wait, url], check=True, capture_output=True)
        picture = cv2.imread(str(name))
        assert picture is not None
        if np.ptp(picture[video].astype(np.int16), axis=-1).mean() > COLORFUL:
            cv2.imwrite(str(name), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
            return
    sys.exit("the browser never showed the video in the page")


if __name__ == "__main__":
    main()
