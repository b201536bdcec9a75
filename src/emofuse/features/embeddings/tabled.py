"""What recipes read from tables of embeddings: of which file of a take, and of which recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from emofuse.core.errors import FeatureError
from emofuse.core.recipes.embedding import Embedding
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Clip, Take
from emofuse.features.embeddings.tables import EmbeddingTable, embedding_table, table_part
from emofuse.features.store import ModalityFeatures

Modality = Literal["voice", "face"]


def tabled(recipe: Recipe) -> list[Modality]:
    """What a recipe reads from tables of embeddings."""
    return [name for name in recipe.modalities if getattr(recipe, name).features.kind == "table"]


def embedding_of(recipe: Recipe, modality: Modality) -> Embedding:
    """The embedding of a modality that is read from one."""
    embedding: Embedding | None = getattr(recipe, modality).features.embedding
    assert embedding is not None
    return embedding


def tabled_clip(take: Take, modality: Modality) -> Clip | None:
    """Of which file of a take a table of embeddings is asked."""
    return take.voice or take.face if modality == "voice" else take.face or take.voice


def tabled_part(
    settings: VoiceFeatures | FaceFeatures, file: str | Path | None, span_s: tuple[float | None, float | None]
) -> ModalityFeatures:
    """What a table of embeddings has of a recording, which is not opened.

    Raises:
        FeatureError: the table cannot be read, or is not the one that the recipe names.
    """
    assert settings.embedding is not None
    if isinstance(settings, VoiceFeatures):
        return table_part(settings.embedding, "voice", file, span_s, settings.encoder_parts)
    return table_part(settings.embedding, "face", file, span_s)


def check_rows(recipe: Recipe, takes: Sequence[Take]) -> None:
    """Check that no two recordings of a corpus read the same rows of a table of embeddings.

    Raises:
        FeatureError: two do, or the table cannot be read, or has none of the recordings.
    """
    for modality in tabled(recipe):
        embedding = embedding_of(recipe, modality)
        if embedding.file is None:
            raise FeatureError(f"{modality}.features.embedding needs file, the table of the corpus")
        _check(embedding_table(embedding), [tabled_clip(take, modality) for take in takes])


def _check(table: EmbeddingTable, clips: Sequence[Clip | None]) -> None:
    readers: dict[str, Path] = {}
    for clip in clips:
        key = None if clip is None else table.key(clip.path)
        if clip is None or key is None:
            continue
        other = readers.setdefault(key, clip.path)
        if other != clip.path:
            raise FeatureError(
                f"{table.path}: {key} can be {other} and {clip.path}: name their folders in the column file"
            )
    if clips and not readers:
        raise FeatureError(f"{table.path}: the table has no row for any recording of the corpus")


def check_windows(recipe: Recipe, file: str | Path) -> None:
    """Check that the tables of a recipe have what is read of a long recording: rows by time.

    Raises:
        FeatureError: a table has none of the recording, or was not given, or has no times.
    """
    for modality in tabled(recipe):
        embedding = embedding_of(recipe, modality)
        if embedding.file is None:
            raise FeatureError(str(table_part(embedding, modality, file, (None, None)).missing))
        table = embedding_table(embedding)
        if table.key(file) is None:
            raise FeatureError(str(table.of(file, None, None)))
        if table.times_s is None:
            raise FeatureError(
                f"{table.path}: a timeline reads the {modality} by windows, and the table has no column time"
            )


def with_tables(recipe: Recipe, tables: Mapping[Modality, Path | str]) -> Recipe:
    """The recipe with other tables, of the recordings that are to be read.

    Raises:
        FeatureError: it reads no table there.
    """
    for modality, path in tables.items():
        if modality not in tabled(recipe):
            raise FeatureError(f"{path}: this recognizer reads no {modality} from a table of embeddings")
        recipe = _changed(recipe, modality, file=str(Path(path).absolute()), other_table=True)
    return recipe


def with_copies(recipe: Recipe, copies: Mapping[Modality, Path]) -> Recipe:
    """The recipe with the places where ONNX files lie; what reads no ONNX file stays as it is."""
    for modality, path in copies.items():
        if getattr(recipe, modality).features.kind == "onnx":
            recipe = _changed(recipe, modality, file=str(path.absolute()))
    return recipe


def _changed(recipe: Recipe, modality: Modality, **changes: object) -> Recipe:
    part = getattr(recipe, modality)
    embedding = embedding_of(recipe, modality).model_copy(update=changes)
    features = part.features.model_copy(update={"embedding": embedding})
    return recipe.model_copy(update={modality: part.model_copy(update={"features": features})})


def given_tables(recipe: Recipe) -> dict[Modality, Path]:
    """The tables that :func:`with_tables` put into a recipe."""
    tables = {name: embedding_of(recipe, name) for name in tabled(recipe)}
    return {name: Path(str(one.file)) for name, one in tables.items() if one.other_table}
