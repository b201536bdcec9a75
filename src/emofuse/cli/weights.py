"""``emofuse weights``: list and fetch published weight files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options
from emofuse.cli.progress import transfers

app = typer.Typer(
    name="weights",
    help="List and fetch the published weight files that emofuse can use.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("list")
def list_weights() -> None:
    """List the weight files: what they are, their license, and whether they have been fetched.

    Example: `emofuse weights list`
    """
    from emofuse.core.pretrained import WEIGHTS
    from emofuse.system.model_files import locate_weights, weights_folder

    folder = weights_folder()
    typer.echo(f"weights folder: {folder}")
    for file in WEIGHTS.values():
        found = locate_weights(file)
        state = "not here" if found is None else "here" if found.parent == folder else f"in {found.parent}"
        typer.echo(f"{file.name} ({state}): {file.about}. {file.licence}. sha256 {file.sha256}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from emofuse weights list.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="PATH", help="A copy of the file, or the URL of a mirror, to use instead."
        ),
    ] = None,
    *,
    _quiet: options.Quiet = False,
) -> None:
    """Fetch a weight file from its published address, or from a copy, and check its sha256.

    Example: `emofuse weights fetch deepface-emotion`
    """
    from emofuse.system.model_files import fetch_weights, take_weights

    if source is not None and not source.startswith(("http://", "https://")):
        typer.echo(take_weights(name, Path(source)))
        return
    with transfers() as on_progress:
        path = fetch_weights(name, on_progress=on_progress, url=source)
    typer.echo(path)


@app.command()
def encoder(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="WEIGHTS",
            help="Weights of Whisper base: .safetensors, tensors named as by OpenAI or Hugging Face.",
        ),
    ],
    *,
    float32: Annotated[
        bool, typer.Option("--float32", help="Store the weights as they are: 43 MB instead of 12.")
    ] = False,
) -> None:
    """Make a speech encoder from the weights of Whisper base, and keep it in the weights folder.

    Prints its sha256, by which a recipe names it (voice.features.encoder_sha256). The one that comes with
    emofuse was made so.

    Example: `emofuse weights encoder model.safetensors`
    """
    options.check_training()
    import hashlib

    from emofuse.features.voice.speech_encoder import encoder_file
    from emofuse.system.atomic_write import write_atomically
    from emofuse.system.model_files import weights_folder
    from emofuse.training.networks.speech_encoder import export_encoder, read_encoder, store_as_int8

    graph = export_encoder(read_encoder(source))
    if not float32:
        graph = store_as_int8(graph)
    sha256 = hashlib.sha256(graph).hexdigest()
    path = weights_folder() / encoder_file(sha256)
    write_atomically(path, graph)
    typer.echo(f"{path}\nencoder_sha256 = {sha256}")
