"""``emofuse ship``: build the recogniser that comes with emofuse. For who maintains the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from emofuse.cli import options
from emofuse.cli.progress import stages


def ship(
    corpus: Annotated[
        Path, typer.Argument(metavar="RAVDESS", help="The corpus: all voices, and one speaker's films.")
    ],
    *,
    expression: Annotated[
        Path,
        typer.Option(
            metavar="WEIGHTS", help="weights.safetensors of emofuse faces train --architecture compact."
        ),
    ],
    fer2013: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of FER2013: train.npz and public_test.npz.")
    ],
    out: options.BundleOut,
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", metavar="R", help="A recipe with a face of kind expression.")
    ] = "out-of-the-box",
    check_speaker: Annotated[
        str, typer.Option(metavar="S", help="Whose films check the result; they fit nothing.")
    ] = "01",
    check_faces: Annotated[
        Path | None,
        typer.Option(metavar="NPZ", help="More faces of that speaker: arrays codes and frames (grey)."),
    ] = None,
    jobs: options.Jobs = 0,
    cache: options.CacheFolder = None,
) -> None:
    """Build the recogniser that comes with emofuse. For maintainers: users need `emofuse train`.

    The voice is fitted on the corpus; the face is an expression CNN that was trained on FER2013; each side's
    weight is measured alone. Refuses to build more than 12 MB. The speaker of the check is heard by a second
    voice that was trained without.

    Example: `emofuse ship ravdess --expression compact/weights.safetensors --fer2013 fer2013 --out bundle`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.ship.build import ship as build

    with stages() as on_progress:
        bundle = build(
            load_corpus(corpus), load_recipe(recipe), expression, fer2013, out,
            check_speaker=check_speaker, check_faces=check_faces, jobs=options.processes(jobs),
            store=options.feature_store(cache), on_progress=on_progress,
        )  # fmt: skip
    told = bundle.provenance
    size = sum(int(facts["bytes"]) for facts in bundle.files.values())
    typer.echo(f"bundle: {bundle.folder}, {size / 1e6:.1f} MB, licence: {bundle.licence}")
    typer.echo(f"voice, speakers left out: {_figure(told['voice'])}")
    face = told["face"]
    typer.echo(f"face: temperature {face['temperature']:.2f} on {face['n_faces']} faces of public_test")
    typer.echo(f"weights: voice {told['weights']['voice']:.2f}, face {told['weights']['face']:.2f}")
    for name, largest in told["float16_largest_difference"].items():
        typer.echo(f"float16 changes no probability of the {name} by more than {largest:.1g}")
    check = told.get("check")
    if check is None:
        typer.echo(f"no speaker {check_speaker} beside others: nothing was checked")
        return
    typer.echo(
        f"check on speaker {check['speaker']}, whom the voice had not heard ({_figure(check['voice'])}):"
    )
    typer.echo(f"  films: {check['films']['right']} of {check['films']['n']}")
    for name, counts in check.get("face_sequences", {}).items():
        typer.echo(f"  face sequences, {name}: {counts['right']} of {counts['n']}")


def _figure(voice: dict[str, Any]) -> str:
    low, high = voice["interval_over_speakers"]
    return f"{voice['accuracy_on_held_out_speakers']:.1%} [{low:.1%}, {high:.1%}], n = {voice['takes']}"
