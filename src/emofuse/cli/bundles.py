"""The bundle of a command, and the tables of embeddings that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emofuse.features.extraction import Modality
    from emofuse.recognition.bundle import Bundle

Embeddings = Annotated[
    list[str] | None,
    typer.Option(
        "--embeddings", metavar="[MODALITY=]TABLE",
        help="Embeddings of the recordings (.parquet, or an .npy with a .csv), for a bundle that reads voice "
        "or face from a table.",
    ),
]  # fmt: skip


def load_bundle(folder: Path | None, embeddings: Sequence[str] | None = None) -> Bundle:
    """The bundle of :data:`~emofuse.cli.options.BundleFolder`, which reads the tables of :data:`Embeddings`.

    Raises:
        BundleError: it is missing, incomplete, or made by an incompatible version.
        FeatureError: it reads no such table.
    """
    from emofuse.features.embeddings.tabled import tabled, with_tables
    from emofuse.recognition import bundle

    loaded = bundle.load_bundle(folder)
    read: list[Modality] = tabled(loaded.recipe)
    tables: dict[Modality, Path | str] = {}
    for text in embeddings or ():
        name, equals, table = text.partition("=")
        modality = next((one for one in ("voice", "face") if equals and name == one), None)
        if modality is None:
            if len(read) > 1:
                raise typer.BadParameter(f"--embeddings {text}: say of what, as in {read[0]}={text}")
            modality, table = (read or ["voice"])[0], text
        tables[modality] = table
    return replace(loaded, recipe=with_tables(loaded.recipe, tables)) if tables else loaded
