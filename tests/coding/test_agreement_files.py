"""The page, the tables and the picture of an agreement."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from emofuse.coding.agreement import Agreement, compare_codings
from emofuse.coding.agreement_files import WRITERS, write_agreement
from emofuse.coding.recordings import read_recordings
from emofuse.core.errors import ExportError
from emofuse.exports.write import write_timeline
from tests.coding.conftest import PEOPLE
from tests.support import accessibility, chromium, timelines
from tests.support.annotation_files import write_csv
from tests.support.report_page import Page
from tests.support.typed import not_none


@pytest.fixture
def found(coded: Path) -> Agreement:
    files = [*sorted(coded.glob("*.eaf")), coded / "talk.zoe.TextGrid"]
    return compare_codings(read_recordings(coded / "talk.mp4.json", files)[0])


def test_the_table_has_all_figures(found: Agreement, tmp_path: Path) -> None:
    with write_agreement(found, tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.pairs) + len(found.groups) == 18 + 6
    for row, pair in zip(rows, found.pairs, strict=False):
        assert (row["kind"], row["coders"], row["person"]) == (
            "pair",
            f"{pair.first}; {pair.second}",
            pair.person or "",
        )
        assert float(row["seconds_s"]) == pytest.approx(pair.n_units / 10)
        assert float(row["kappa"]) == pytest.approx(not_none(pair.kappa.value), abs=1e-6)
        assert float(row["kappa_low"]) == pytest.approx(not_none(pair.kappa.interval)[0], abs=1e-6)
    kinds = [row["kind"] for row in rows[18:]]
    assert kinds == ["all coders"] * 3 + ["all coders and emofuse"] * 3


def test_json_has_all_figures(found: Agreement, tmp_path: Path) -> None:
    data = json.loads(write_agreement(found, tmp_path / "a.json").read_text(encoding="utf-8"))
    assert (data["schema"], data["unit_s"], data["resampled"]) == ("urn:emofuse:agreement:1", 0.1, "minutes")
    assert [tuple(map(tuple, one["confusion"])) for one in data["pairs"]] == [
        one.confusion for one in found.pairs
    ]
    assert data["groups"][0]["alpha"]["value"] == found.groups[0].alpha.value
    assert [one["name"] for one in data["coders"]] == ["eva", "tim", "zoe", "emofuse"]


def test_the_page_says_the_same(found: Agreement, tmp_path: Path) -> None:
    page = Page(write_agreement(found, tmp_path / "a.html").read_text(encoding="utf-8"))
    everybody = [one for one in found.pairs if one.person is None]
    row = page.tables[""]  # the last table without a caption: by person
    assert row[0][:2] == ["Coders", "Coded, s"]
    for pair in everybody:
        assert f"{not_none(pair.kappa.value):.3f}" in page.text
        confusion = page.table(f"{pair.first} (rows) and {pair.second} (columns)")
        seconds = sum(float(cell) for line in confusion[1:] for cell in line[1:] if cell.strip())
        assert seconds == pytest.approx(pair.n_units / 10, abs=1.0)
    assert "drawing 10 minutes with replacement" in page.text
    assert not [attributes for _, attributes in page.tags if {"src", "href"} & set(attributes)]


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    bad = '<b onclick="x">&'
    timeline = timelines.timeline(source=f"{bad}.mp4", emotions=("<i>", "&amp;"), people=(bad, "Bert"))
    path = write_timeline(timeline, tmp_path / "t.json")
    (tmp_path / "a.csv").write_text(
        f'start,end,label,person\n0,1,<i>,"{bad.replace(chr(34), chr(34) * 2)}"\n'
    )
    recordings, _ = read_recordings(path, [f"<u>={tmp_path / 'a.csv'}", write_csv(tmp_path / "b.csv", [])])
    found = compare_codings(recordings)
    for suffix in WRITERS:
        text = write_agreement(found, tmp_path / f"out{suffix}").read_text(encoding="utf-8")
        if suffix in {".html", ".svg"}:
            assert "<b on" not in text and "<i>" not in text and "<u>" not in text
    ET.fromstring((tmp_path / "out.svg").read_text(encoding="utf-8"))


def test_the_picture_has_a_row_for_each_coder_and_person(found: Agreement, tmp_path: Path) -> None:
    root = ET.fromstring(write_agreement(found, tmp_path / "a.svg").read_text(encoding="utf-8"))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [texts.count(coder) for coder in found.coders] == [len(PEOPLE)] * 4
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith("emofuse: ") for title in titles) and len(titles) > 300


@pytest.mark.skipif(chromium.find() is None, reason="needs Chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_in_a_browser(found: Agreement, tmp_path: Path, dark: bool) -> None:
    path = write_agreement(found, tmp_path / "a.html")
    with chromium.browser(tmp_path / "profile") as page:
        for size in ((1280, 900), (390, 844)):
            page.open_address(path.as_uri(), size=size, dark=dark)
            assert accessibility.grave_problems(page) == []
            wide = page.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, "nothing is wider than the screen"


def test_other_suffixes_are_refused(found: Agreement, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"a\.xlsx: agreement is written to files with the suffix \.html"):
        write_agreement(found, tmp_path / "a.xlsx")
