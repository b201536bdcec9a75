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
