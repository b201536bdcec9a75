from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from emofuse.cli.printing import (
    bar,
    live_view,
    print_message,
    print_predictions,
    print_segments,
    print_summary,
)
from emofuse.core.dimensions import Rated, Scale
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Prediction
from emofuse.timeline.live import LiveWindow
from emofuse.timeline.records import Segment, Timeline, Window
from emofuse.timeline.still_faces import STILL
from tests.support.label_studies import LABELS
from tests.support.rated_timelines import rated_timeline


def test_messages_name_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    print_message("\x1b]0;title\x07.wav: not a video")
    assert capsys.readouterr() == ("", "emofuse: \\x1b]0;title\\x07.wav: not a video\n")


def predictions_table(*predictions: Prediction) -> str:
    text = io.StringIO()
    print_predictions(predictions, Console(file=text, width=150))
    return text.getvalue()


def prediction(name: str) -> Prediction:
    return Prediction(
        name, EMOTIONS, np.array([0.9, 0.02, 0.08, 0, 0, 0, 0, 0]), ("voice",),
        voice=np.full(8, 1 / 8), face_missing="no video", notes=("",),
    )  # fmt: skip


def test_the_table_lists_probable_emotions_in_descending_order() -> None:
    text = predictions_table(prediction("a.wav"))
    assert text.index("neutral") < text.index("happy")
    assert "90%" in text
    assert "8%" in text
    assert "calm" not in text
    assert predictions_table() == ""


@pytest.mark.parametrize("name", ["take[red]1.wav", "[bold].wav"])
def test_file_names_are_not_markup(name: str) -> None:
    assert name in predictions_table(prediction(name))


def test_repeated_file_names_are_shown_with_their_folders() -> None:
    text = predictions_table(*map(prediction, ("a/x.wav", "b/x.wav", "c/y.wav")))
    assert "a/x.wav" in text and "b/x.wav" in text
    assert "y.wav" in text and "c/y.wav" not in text


def segments_table(*segments: Segment, people: tuple[str, ...] = ()) -> str:
    text = io.StringIO()
    timeline = Timeline("a.mp4", 4000.0, 0.0, (), segments, EMOTIONS, "r", people=people)
    print_segments(timeline, Console(file=text, width=100))
    return text.getvalue()


def test_segments_show_person_and_confidence() -> None:
    several = segments_table(
        Segment(0, 3700.04, "happy", 0.816, person="[red] Anna"),
        Segment(0, 2, None, 0.3, abstained=True),
        Segment(2, 3, None),
        people=("[red] Anna",),
    )
    for text in ("[red] Anna", "1:01:40.0", "happy", "82%", "a voice", "not sure", "30%", "nothing to read"):
        assert text in several
    alone = segments_table(Segment(0, 2.5, "sad", 0.5))
    assert "who" not in alone and "0:02.5" in alone and "sad" in alone


HALVES = np.array([0.48, 0.48, 0.01, 0.01, 0.005, 0.005, 0.005, 0.005])
"""What a face network without calm makes of a steady face."""


def test_neutral_and_calm_are_one_row_where_the_face_alone_answers() -> None:
    alone = Prediction("a.mp4", EMOTIONS, HALVES, ("face",), face=HALVES, voice_missing="silent")
    (row,) = [line for line in predictions_table(alone).splitlines() if "%" in line]
    assert "neutral or calm  96%" in row
    assert alone.as_dict()["probabilities"]["calm"] == 0.48
    both = Prediction("a.mp4", EMOTIONS, HALVES, ("voice", "face"), voice=HALVES, face=HALVES)
    assert "neutral    48%" in predictions_table(both) and "calm       48%" in predictions_table(both)


def test_a_segment_of_a_steady_face_is_neutral_or_calm() -> None:
    text = segments_table(Segment(0, 2.5, "neutral", 0.36, alike=("calm",)))
    assert "neutral or calm" in text and "72%" in text and "not sure" not in text


def test_the_live_view_shows_neutral_or_calm_as_one_bar() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    window = Window(0.0, 3.0, None, HALVES, HALVES, person="person 1")
    console.print(live_view([LiveWindow(window, 0.1, 0, 0, 0.0)], EMOTIONS))
    assert "neutral or calm" in (text := console.export_text()) and "96%" in text


def live_window(person: str | None, end_s: float = 3.0, **more: Any) -> LiveWindow:
    fused = np.full(8, 0.05)
    fused[:3] = 0.04, 0.06, 0.65
    window = Window(end_s - 3, end_s, None, fused, fused, 0.5, 1.0, person=person, **more)
    return LiveWindow(window, 1.64, 7, 2, 0.0)


def test_the_summary_has_a_row_per_person() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    windows = [
        Window(0.0, 4.0, None, None, np.eye(8)[4], 0.5, 1.0, person="Anna [1]", speaker="Anna [1]"),
        Window(4.0, 8.0, np.eye(8)[3], None, np.eye(8)[3], 1.0, 0.0),
    ]
    segments = (
        Segment(0.0, 3.0, "angry", 0.8, person="Anna [1]"),
        Segment(3.0, 4.0, None, 0.2, abstained=True, person="Anna [1]"),
        Segment(4.0, 8.0, "sad", 0.6),
    )
    print_summary(
        Timeline("a.mp4", 8.0, 0.0, tuple(windows), segments, EMOTIONS, "r", people=("Anna [1]",)), console
    )
    rows = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    assert ["Anna", "[1]", "0:02.0", "0:04.0", "angry", "75%", "80%"] in rows
    assert ["not", "sure", "25%"] in rows
    assert ["a", "voice", "0:04.0", "sad", "100%", "60%"] in rows


def test_the_live_view_shows_people_emotions_and_latency() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(live_view([live_window("person 1"), live_window("person [2]")], EMOTIONS))
    text = console.export_text()
    assert "person 1" in text and "person [2]" in text
    assert all(emotion in text for emotion in EMOTIONS)
    assert text.count("65%") == 2 and text.count("from      face") == 2
    assert "latency 1.6 s   dropped frames 7   skipped windows 2" in text


def test_the_live_view_of_many_labels_has_the_highest_that_fit() -> None:
    """In their order, with a line for all others; long names are cut."""
    labels = LABELS[50]
    fused = np.full(50, 0.006)
    fused[[3, 30, 48]] = 0.3, 0.2, 0.218
    one = LiveWindow(Window(0.0, 3.0, fused, None, fused, 0.5, person="Anna"), 1.6, 0, 0, 0.0)
    console = Console(width=80, height=24, record=True, file=io.StringIO())
    console.print(live_view([one], labels, height=24))
    lines = console.export_text().splitlines()
    assert len(lines) < 24 and all(cell_len(line.rstrip()) <= 80 for line in lines)
    shown = [line for line in lines if line.startswith(("label", "looks"))]
    places = [
        next(i for i, line in enumerate(shown) if line.startswith(text))
        for text in ("label 03", "label 30", "looks")
    ]
    assert places == sorted(places) and "looks away and says not…" in shown[places[2]]
    assert [shown[place].split()[-1] for place in places] == ["30%", "20%", "22%"]
    (others,) = [line for line in lines if "others" in line]
    assert others.startswith(f"{50 - len(shown)} others")
    assert lines.index(others) == lines.index(shown[-1]) + 1
    assert f"{0.006 * (50 - len(shown)):.0%}" in others
    nothing = LiveWindow(Window(0.0, 3.0, None, None, None, 0.0, reasons=("voice:silent",)), 0.1, 0, 0, 0.0)
    console.print(live_view([nothing], labels, height=24))
    assert console.export_text().count("–") == 17


def test_long_labels_keep_columns_in_the_table_of_predictions() -> None:
    labels = (LABELS[50][-2], "怒り", "calm")
    shares = np.array([0.2, 0.3, 0.5])
    text = predictions_table(
        Prediction("a.wav", labels, shares, ("voice",), voice=shares, face_missing="no video")
    )
    ends = [
        cell_len(line[: line.index("%")]) for line in text.splitlines() if "calm" in line or "怒り" in line
    ]
    assert len(set(ends)) == 1 and "interviewer's" in text


def test_the_live_view_says_where_a_face_never_moves() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    window = Window(0.0, 3.0, None, None, None, face_present=0.0, reasons=(STILL, "voice:silent"))
    console.print(live_view([LiveWindow(window, 0.1, 0, 0, 0.0)], EMOTIONS))
    assert "never moves: a picture" in (text := console.export_text()) and "person" not in text


def test_bars_are_as_long_as_shares() -> None:
    assert bar(0, 4) == "    "
    assert bar(1, 4) == bar(2, 4) == "████"
    assert bar(0.5, 4) == "██  "
    assert bar(0.5 + 1 / 64, 8) == "████▏   "


SCALES = (Scale("valence", 1.0, 7.0), Scale("self rating", -1.0, 1.0))


def test_the_live_view_shows_ratings_on_their_scales() -> None:
    rated = {"valence": Rated(4.0, 1.0, 7.0)}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(live_view([live_window("person 1", ratings=rated)], EMOTIONS, SCALES))
    lines = console.export_text().splitlines()
    (valence,) = [line for line in lines if line.startswith("valence")]
    assert valence.split() == ["valence", "─" * 12 + "█" + "─" * 11, "4.00"]
    (other,) = [line for line in lines if line.startswith("self rating")]
    assert other.split() == ["self", "rating", "–"]


def test_the_live_view_of_ratings_alone_tells_nothing_of_emotions() -> None:
    window = Window(0.0, 3.0, None, None, None, 0.5, ratings={"self rating": Rated(-1.0, -1.0, -0.5)})
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(live_view([LiveWindow(window, 0.1, 0, 0, 0.0)], (), SCALES))
    text = console.export_text()
    assert "-1.00" in text and "█" in text and "nothing to read" not in text
    nothing = Window(0.0, 3.0, None, None, None, 0.0, reasons=("voice:silent",))
    console.print(live_view([LiveWindow(nothing, 0.1, 0, 0, 0.0)], (), SCALES))
    assert "nothing to read" in console.export_text()


@pytest.mark.parametrize("emotions", [True, False])
def test_the_summary_has_a_column_per_scale(*, emotions: bool) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    timeline = rated_timeline(emotions=emotions)
    print_segments(timeline, console)
    assert (console.export_text() != "") == emotions
    print_summary(timeline, console)
    text = console.export_text()
    assert ("expresses" in text) == emotions
    assert "nothing to read" not in text or emotions
    rows = [line.replace("│", " ").replace("┃", " ").split() for line in text.splitlines()]
    assert any(row[-3:] == ["valence", "self", "rating"] for row in rows)
    (ben,) = [row for row in rows if row[:1] == ["Ben"]]
    assert ben[-1] == "-0.50"
