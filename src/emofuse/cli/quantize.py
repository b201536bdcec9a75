"""``emofuse quantize``: a copy of a bundle with int8 convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options
from emofuse.cli.printing import print_bundle, print_line, print_message, print_remark
from emofuse.cli.progress import stages


def quantize(
    files: Annotated[
        list[Path],
        options.recordings(
            "Twenty or more recordings like those to be read later; folders are searched for them."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the new bundle.")],
    bundle: options.BundleFolder = None,
    _quiet: options.Quiet = False,
) -> None:
    """Make a smaller and faster copy of a recognizer, with int8 convolutions.

    Half of the recordings calibrate the range of each layer, and both bundles are compared on the other half.
    They need no labels. Most of the time of a prediction is spent on decoding, so this helps where networks
    are large.

    Example: `emofuse quantize interviews/ --bundle demo-run/bundle --out demo-run/bundle-int8`
    """
    from emofuse.recognition.batch_inputs import find_recordings
    from emofuse.recognition.bundle import load_bundle
    from emofuse.recognition.quantization import quantize as quantize_bundle

    original = load_bundle(bundle)
    print_bundle(original, bundle)
    listing = find_recordings(files)
    readable = [name for name in listing.files if name not in listing.refused]
    with stages() as on_progress:
        result = quantize_bundle(original, readable, out, on_progress=on_progress)
    for line in listing.left_out:
        print_remark(line)
    for name, reason in listing.refused.items():
        print_message(f"skipped {name}: {reason}")
    for reason in result.skipped:
        print_message(f"skipped {reason}")
    print_line(f"wrote {out}, license: {result.bundle.licence}")
    for one in result.networks:
        typer.echo(
            f"{one.name}: {one.bytes_before / 1e6:.2f} -> {one.bytes_after / 1e6:.2f} MB, "
            f"{one.ms_before:.1f} -> {one.ms_after:.1f} ms per clip"
        )
    typer.echo(
        f"on {result.compared} other recordings: {result.winners_changed} predictions changed, and no "
        f"probability by more than {result.largest_change:.3f}"
    )
    if listing.refused or result.skipped:
        raise typer.Exit(1)
