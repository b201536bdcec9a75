"""The ONNX files that make a bundle's embeddings: copies of them, and what its license file says."""

from __future__ import annotations

from collections.abc import Mapping

from emofuse.core.recipes.recipe import Recipe
from emofuse.core.text import printable
from emofuse.corpus.joined import joined_licence
from emofuse.features.embeddings.onnx_files import COPIED_BYTES, kept_file, read_embedding
from emofuse.features.embeddings.tabled import Modality, embedding_of
from emofuse.recognition.bundle import EMBEDDING_FILES


def embedding_copies(recipe: Recipe) -> dict[str, bytes]:
    """The ONNX files of a recipe that go into its bundle, by their names there.

    One of more than 512 MiB stays where it is: whoever uses the bundle puts it into the weights folder.

    Raises:
        WeightsError: a file is missing or altered.
    """
    copies = {}
    for modality in _read_by(recipe):
        content = read_embedding(embedding_of(recipe, modality))
        if len(content) <= COPIED_BYTES:
            copies[EMBEDDING_FILES[modality]] = content
    return copies


def embedding_terms(recipe: Recipe, copies: Mapping[str, bytes]) -> str:
    """What the license file of a bundle says of the ONNX files of its recipe; empty: it has none."""
    lines = []
    for modality in _read_by(recipe):
        embedding, name = embedding_of(recipe, modality), EMBEDDING_FILES[modality]
        kept = kept_file(embedding.sha256).name
        where = f"It is {name}" if name in copies else f"It is no part of this bundle: keep it as {kept}"
        lines.append(
            f"\nThe {modality} is read by an ONNX file with the sha256 {embedding.sha256}.\n"
            f"{where}. Its licence: {printable(embedding.licence)}.\n"
            f"It was trained on: {printable(embedding.trained_on)}.\n"
        )
    return "".join(lines)


def licence_with_embeddings(recipe: Recipe, corpus: str, licence: str) -> str:
    """The licence of a trained recognizer: that of its corpus, and of a file that forbids commercial use.

    Args:
        recipe: whose ONNX files are part of the recognizer.
        corpus: the name of the training data.
        licence: that of the training data.

    >>> from emofuse.core.recipes.load import load_recipe
    >>> licence_with_embeddings(load_recipe("any-labels"), "mine", "not stated")
    'CC BY-NC-SA 4.0; mine: not stated'
    """
    files = [(f"{name} embedding", embedding_of(recipe, name).licence) for name in _read_by(recipe)]
    strict = [(name, of_file) for name, of_file in files if "-NC" in of_file and of_file not in licence]
    return joined_licence([(corpus, licence), *strict]) if strict else licence


def _read_by(recipe: Recipe) -> list[Modality]:
    """What ONNX files read."""
    return [name for name in recipe.modalities if getattr(recipe, name).features.kind == "onnx"]
