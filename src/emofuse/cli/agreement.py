"""``emofuse agreement``: how far human coders agree, with each other and with emofuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emofuse.cli import options
from emofuse.cli.printing import print_line, print_remark
from emofuse.core.number_format import number, percent
from emofuse.core.text import shown

if TYPE_CHECKING:
    from emofuse.coding.agreement import Agreement, Figure


def agreement(
    timeline: Annotated[
        Path,
        typer.Argument(
            metavar="TIMELINE", help="What emofuse said: a .json of emofuse timeline, or a folder of them."
        ),
    ],
    annotations: Annotated[
        list[str],
        typer.Argument(
            metavar="ANNOTATION…",
            help="What people said: files of ELAN, Praat, BORIS or audformat, tables of spans, or folders of "
            "them. CODER=FILE says who has coded it.",
        ),
    ],
    *,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TIER[=PERSON]",
            help="Use this tier, and of whom it is. Can be given several times. Default: all tiers that name "
            "a person of the timeline, or all if there is one person.",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MAP",
            help="What labels mean: joy=happy,fine= (fine is left out), the file of a map (.csv, .toml), or "
            "the name of a label set. Equal names need no map.",
        ),
    ] = None,
    unit: Annotated[
        float,
        typer.Option(metavar="SECONDS", parser=options.seconds(0.01), help="Of what time is compared."),
    ] = 0.1,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out", "-o", metavar="NAME",
            help="A file to write: .html (a page), .csv, .json, or .svg (the tiers above each other). Can be "
            "given several times.",
        ),
    ] = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Measure how far human coders agree, with each other and with emofuse.

    Share of time with the same label, Cohen's kappa, Krippendorff's alpha, and which labels are confused; for
    everybody and by person, with intervals over recordings, or over the minutes of a single one. What nobody
    coded is missing, not agreement.

    Example: `emofuse agreement talk.json anna.eaf bert.eaf --labels joy=happy --out agreement.html`
    """
    from emofuse.coding.agreement import compare_codings
    from emofuse.coding.agreement_files import check_suffix, write_agreement
    from emofuse.coding.assignment import CodingRules, read_labels, read_tiers
    from emofuse.coding.recordings import read_recordings

    for name in out or []:
        check_suffix(name)
    rules = CodingRules(read_labels(labels or []), read_tiers(tier or []))
    recordings, remarks = read_recordings(timeline, annotations)
    try:
        found = compare_codings(recordings, rules, unit_s=unit)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    for name in out or []:
        write_agreement(found, name)
    for remark in (*remarks, *found.remarks):
        print_remark(remark)
    _print(found, Console())
    for name in out or []:
        print_line(f"wrote {name}")


def _print(found: Agreement, console: Console) -> None:
    """The figures about everybody; those by person are in the files."""
    if found.has_intervals:
        how = f"95 % intervals over {found.n_blocks} {found.resampled}"
    else:
        how = f"no intervals: {found.n_blocks} {found.resampled} are too few"
    table = Table(caption=f"units of {found.unit_s:g} s; {how}")
    table.add_column("coders")
    for heading in ("both coded, s", "same label, %", "Cohen's kappa"):
        table.add_column(heading, justify="right")
    for pair in found.pairs:
        if pair.person is None:
            table.add_row(
                escape(shown(f"{pair.first} and {pair.second}")), number(pair.n_units * found.unit_s, 1),
                _cell(pair.agreement, lambda value: percent(value, 0)), _cell(pair.kappa),
            )  # fmt: skip
    console.print(table)
    for group in found.groups:
        if group.person is None:
            print_line(f"Krippendorff's alpha of {', '.join(group.coders)}: {_cell(group.alpha)}")


def _cell(figure: Figure, write: Callable[[float | None], str] = lambda value: number(value, 2)) -> str:
    if figure.interval is None:
        return write(figure.value)
    low, high = map(write, figure.interval)
    return f"{write(figure.value)} ({low} to {high})"
