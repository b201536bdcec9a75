"""``emofuse quantize``: a bundle whose convolutions are computed in 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options
from emofuse.cli.printing import print_bundle, print_message
from emofuse.cli.progress import stages
from emofuse.core.text import shown


def quantize(
    files: Annotated[
        list[Path],
        options.recordings(
            "Recordings like those that will be read, twenty or more; folders are searched for them."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the new bundle.")],
    bundle: options.BundleFolder = None,
) -> None:
    """Make a smaller, faster copy of a recogniser: convolutions in whole numbers of 8 bits.

    Half of the recordings show which range each layer needs; on the other half both bundles are compared.
    Most of a prediction's time goes into decoding, so this pays where networks are large. Nobody needs to
    say what the recordings express.

    Example: `emofuse quantize interviews/ --bundle demo-run/bundle --out demo-run/bundle-int8`
    """
    from emofuse.recognition.batch_inputs import find_recordings
    from emofuse.recognition.bundle import load_bundle
    from emofuse.recognition.quantization import quantize as make

    known = load_bundle(bundle)
    print_bundle(known, bundle)
    listing = find_recordings(files)
    readable = [name for name in listing.files if name not in listing.refused]
    with stages() as on_progress:
        made = make(known, readable, out, on_progress=on_progress)
    for name, reason in listing.refused.items():
        print_message(f"skipped {name}: {reason}")
    for reason in made.skipped:
        print_message(f"skipped {reason}")
    typer.echo(f"wrote {shown(str(out))}, licence: {made.bundle.licence}")
    for one in made.networks:
        typer.echo(
            f"{one.name}: {one.bytes_before / 1e6:.2f} -> {one.bytes_after / 1e6:.2f} MB, "
            f"{one.ms_before:.1f} -> {one.ms_after:.1f} ms a clip"
        )
    typer.echo(
        f"on {made.compared} other recordings: {made.winners_changed} answers changed, and no probability by "
        f"more than {made.largest_change:.3f}"
    )
    if listing.refused or made.skipped:
        raise typer.Exit(1)
