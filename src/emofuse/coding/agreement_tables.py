"""Agreement as files: a table (CSV) with a row per comparison, and JSON with everything.

The columns of the table are ``kind`` (``pair``, ``all coders``, ``all coders and emofuse``), ``coders``,
``person``, ``seconds_s``, then each figure with the bounds of its 95 % interval.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, Final

from emofuse.coding.agreement import Agreement, Figure
from emofuse.coding.timeline_files import EMOFUSE
from emofuse.core.text import encodable
from emofuse.exports.tables import write_rows
from emofuse.folders.resampling import LEVEL
from emofuse.timeline.plain_rows import Row

SCHEMA: Final = "urn:emofuse:agreement:1"
COLUMNS: Final = (
    "kind", "coders", "person", "seconds_s",
    *(f"{name}{part}" for name in ("agreement", "kappa", "alpha") for part in ("", "_low", "_high")),
)  # fmt: skip


def agreement_rows(found: Agreement) -> Iterator[Row]:
    """One row per comparison; the person of those about everybody is empty."""
    for pair in found.pairs:
        yield {
            "kind": "pair",
            "coders": f"{pair.first}; {pair.second}",
            "person": pair.person,
            "seconds_s": pair.n_units * found.unit_s,
            **_bounds("agreement", pair.agreement),
            **_bounds("kappa", pair.kappa),
            **_bounds("alpha", Figure(None, None)),
        }
    for group in found.groups:
        yield {
            "kind": "all coders and emofuse" if EMOFUSE in group.coders else "all coders",
            "coders": "; ".join(group.coders),
            "person": group.person,
            "seconds_s": group.n_units * found.unit_s,
            **_bounds("agreement", Figure(None, None)),
            **_bounds("kappa", Figure(None, None)),
            **_bounds("alpha", group.alpha),
        }


def write_agreement_csv(found: Agreement, file: IO[bytes]) -> None:
    """Write the rows of :func:`agreement_rows` as CSV."""
    write_rows(file, COLUMNS, agreement_rows(found))


def write_agreement_json(found: Agreement, file: IO[bytes]) -> None:
    """Write all figures, the confusions in units, and how they were made."""
    data = {
        "schema": SCHEMA,
        "unit_s": found.unit_s,
        "labels": list(found.labels),
        "coders": [{"name": coder, "coded_s": round(found.coded_s(coder), 3)} for coder in found.coders],
        "recordings": list(found.recordings),
        "resampled": found.resampled,
        "n_resampled": found.n_blocks,
        "level": LEVEL,
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "person": pair.person,
                "n_units": pair.n_units,
                "agreement": _figure(pair.agreement),
                "kappa": _figure(pair.kappa),
                "confusion": [list(row) for row in pair.confusion],
            }
            for pair in found.pairs
        ],
        "groups": [
            {
                "coders": list(group.coders),
                "person": group.person,
                "n_units": group.n_units,
                "alpha": _figure(group.alpha),
            }
            for group in found.groups
        ],
        "remarks": list(found.remarks),
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1)
    file.write(encodable(text).encode() + b"\n")


def _figure(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "interval": None if figure.interval is None else list(figure.interval)}


def _bounds(name: str, figure: Figure) -> Row:
    low, high = figure.interval or (None, None)
    return {name: figure.value, f"{name}_low": low, f"{name}_high": high}
