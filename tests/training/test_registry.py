from __future__ import annotations

from typing import get_args

import pytest

from emofuse.core.recipes.face import FaceNetwork
from emofuse.core.recipes.load import parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.recipes.voice import VoiceNetwork
from emofuse.training.registry import KINDS, network_kind
from tests.support import small_ensembles


def kinds(network: type[VoiceNetwork] | type[FaceNetwork]) -> set[str]:
    return set(get_args(network.model_fields["kind"].annotation))


def test_every_kind_that_a_recipe_may_name_has_a_row() -> None:
    assert set(KINDS) == kinds(VoiceNetwork) | kinds(FaceNetwork)


def test_a_network_that_sees_voice_and_face_at_once_is_an_ensemble() -> None:
    recipe = small_ensembles.recipe()
    assert network_kind("both", recipe) is network_kind("voice", recipe) is KINDS["ensemble"]


@pytest.mark.parametrize(
    ("face", "starts_from_weights"),
    [
        ({"network": {"emotion_cnn": {"source": "scratch", "frozen": False}}}, False),
        ({"features": {"kind": "au-table", "table": "t.csv"}, "network": {"kind": "au-mlp"}}, False),
        ({"features": {"kind": "blendshapes"}, "network": {"kind": "lstm"}}, True),
    ],
    ids=["lrcn", "au-mlp", "lstm"],
)
def test_weights_that_a_face_starts_from(face: dict[str, object], starts_from_weights: bool) -> None:
    recipe: Recipe = parse_recipe({"name": "x", "face": face})
    sha256 = network_kind("face", recipe).pretrained_sha256(recipe)
    assert (sha256 is not None) == starts_from_weights
