"""The page of an agreement: one HTML file that makes no network requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from markupsafe import Markup

from emofuse.coding.agreement import Agreement, GroupAgreement, PairAgreement
from emofuse.coding.tier_picture import draw_tiers
from emofuse.coding.timeline_files import EMOFUSE
from emofuse.core.number_format import count
from emofuse.exports.viewer import emotion_style, style
from emofuse.folders.resampling import LEAST
from emofuse.system.templates import render_html


@dataclass(frozen=True, slots=True)
class _Confusion:
    """The confusion of a pair, with the labels that either gave."""

    first: str
    second: str
    labels: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    """Seconds."""
    shares: tuple[tuple[float, ...], ...]
    """Of each row."""

    @classmethod
    def of(cls, pair: PairAgreement, found: Agreement) -> _Confusion:
        counts = pair.confusion
        used = [n for n in range(len(found.labels)) if any(counts[n]) or any(row[n] for row in counts)]
        rows = tuple(tuple(counts[i][j] * found.unit_s for j in used) for i in used)
        shares = tuple(tuple(value / sum(row) if sum(row) else 0.0 for value in row) for row in rows)
        return cls(pair.first, pair.second, tuple(found.labels[n] for n in used), rows, shares)


def write_agreement_page(found: Agreement, file: IO[bytes]) -> None:
    """Write the page: figures, by person, tiers above each other, confusions, and how all was made."""
    pairs = [one for one in found.pairs if one.person is None]
    html = render_html(
        __package__ or "",
        "agreement.html.j2",
        found=found,
        style=Markup(style() + emotion_style(found.labels)),
        picture=Markup(draw_tiers(found)),
        pairs=pairs,
        groups=[one for one in found.groups if one.person is None],
        of_people=_by_person(found),
        confusions=[_Confusion.of(one, found) for one in pairs],
        coded=[(coder, found.coded_s(coder)) for coder in found.coders],
        emofuse=EMOFUSE,
        least=LEAST,
        n_blocks=count(found.n_blocks),
    )
    file.write(html.encode())


def _by_person(found: Agreement) -> list[tuple[str, list[PairAgreement], list[GroupAgreement]]]:
    people = dict.fromkeys(one.person for one in found.pairs if one.person is not None)
    return [
        (
            person,
            [one for one in found.pairs if one.person == person],
            [one for one in found.groups if one.person == person],
        )
        for person in people
    ]
