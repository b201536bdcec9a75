from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from emofuse.core.errors import RecipeError
from emofuse.core.recipes.load import load_recipe, parse_recipe, shipped_recipes
from emofuse.core.recipes.recipe import Recipe

HASHES = {
    "any-labels": "c2d8bc9da8f84e8c",
    "cross-corpus": "859c44f15f35a4cb",
    "default": "582e3b1724b3a011",
    "demo": "29533c4647dc9f12",
    "out-of-the-box": "0e8a62575df82da5",
    "ravdess-au": "ccd7c5457c2d4fab",
    "ravdess-blendshapes": "7486cf7e4ac25cbe",
    "ravdess-ensemble": "baa046e1abcb1c81",
    "ravdess-robust": "f289c7e335544a4b",
    "ravdess-video": "e85c742c48a69681",
    "ravdess-whisper": "e7b8ca1a15d8131c",
    "ravdess-whisper-robust": "eabbfb0460cc5264",
    "rosred-2022": "f163e4b96f36beba",
    "whisper-only": "80d9bfec8e7c2c25",
}
SHIPPED = tuple(HASHES)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_recipes_are_named_and_described() -> None:
    assert shipped_recipes() == SHIPPED
    for name in SHIPPED:
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.description
        assert parse_recipe(json.loads(json.dumps(recipe.model_dump(mode="json")))) == recipe
    assert len({load_recipe(name).hash() for name in SHIPPED}) == len(SHIPPED)


def test_the_notebooks_recipe_fuses_1400_features() -> None:
    recipe = load_recipe("rosred-2022")
    assert recipe.voice.network.n_features == 1000
    assert recipe.face.network.n_features == 400
    assert recipe.fusion.classifiers == ("lr", "pca-lr", "svm", "nn")
    assert recipe.fusion.nn.hidden == (2096, 1024)


def test_the_most_accurate_recipe_enrolls_and_refits() -> None:
    recipe = load_recipe("ravdess-ensemble")
    assert recipe.voice.network.kind == recipe.face.network.kind == "ensemble"
    assert recipe.fusion.refit
    assert recipe.enrolment is not None
    assert recipe.enrolment.clips == (1, 2, 4, 8, 16, 30)
    assert recipe.enrolment.both is not None


def test_extends_changes_only_what_is_set(tmp_path: Path) -> None:
    path = write(tmp_path / "x.toml", 'extends = "default"\nname = "x"\n[voice.training]\nepochs = 3\n')
    mine, theirs = load_recipe(path).model_dump(), load_recipe("default").model_dump()
    assert mine["voice"]["training"].pop("epochs") == 3
    assert theirs["voice"]["training"].pop("epochs") != 3
    assert mine.pop("name") == "x"
    theirs.pop("name")
    assert mine == theirs
    further = write(tmp_path / "sub" / "y.toml", 'extends = "../x.toml"\nname = "y"\nseed = 9\n')
    assert load_recipe(str(further)).voice.training.epochs == 3
    assert load_recipe(further).seed == 9


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("[voice.training]\nepoch = 3", ["voice.training.epoch is not a key of a recipe"]),
        ("[voyce]\nx = 1", ["voyce is not a key of a recipe"]),
        ("[voice.training]\nepochs = 0", ["voice.training.epochs", "greater than 0", "got 0"]),
        (
            "[voice.features]\nkind = 'mfcc'",
            ["voice.features.kind", "'log-mel'", "'rosred-image'", "got 'mfcc'"],
        ),
        ("[fusion]\nclassifiers = ['lr', 'knn']", ["fusion.classifiers.1", "'svm'", "got 'knn'"]),
        ("[fusion]\nclassifiers = ['lr', 'lr']", ["fusion", "each once"]),
        ("[fusion]\nclassifiers = []", ["fusion", "at least one"]),
        ("[voice.training]\nlearning_rate = nan", ["voice.training.learning_rate", "finite"]),
        ("[voice.training]\nlearning_rate = inf", ["voice.training.learning_rate", "got inf"]),
        ("[voice.training]\nepochs = 'many'", ["voice.training.epochs", "integer", "got 'many'"]),
        ("[voice.features]\npitch = 'perhaps'", ["voice.features.pitch", "boolean", "got 'perhaps'"]),
        (
            "[voice.features]\nwin_length = 1024",
            ["voice.features", "win_length 1024 is longer than n_fft 512"],
        ),
        ("[voice.features]\nfmax_hz = 9000.0", ["fmax_hz 9000.0 must lie between"]),
        ("[face.features]\nsize = 64", ["face", "features.size must be 48"]),
        ("[face.features]\ntable = 'x.csv'", ["table goes with kind = 'au-table'"]),
        ("[face.features]\ndetector = 'haar'", ["face.features.detector", "'yunet'", "got 'haar'"]),
        (
            "[face.features]\nkind = 'blendshapes'\ndetector = 'yunet'\n[face.network]\nkind = 'lstm'",
            ["detector goes with kind = 'stack'"],
        ),
        ("[face.network]\nkind = 'lstm'", ["network 'lstm' reads features 'blendshapes', got 'stack'"]),
        ("[face.features]\nkind = 'blendshapes'", ["network 'lrcn' reads features 'stack'"]),
        ("[face.network.emotion_cnn]\nsource = 'file'", ["source = 'file' needs path"]),
        ("[face.network.emotion_cnn]\nsource = 'scratch'\npath = 'x.h5'", ["source = 'scratch' has no path"]),
        (
            "[face.network.emotion_cnn]\npath = 'x.safetensors'",
            ["face.network.emotion_cnn", "a .safetensors file needs source = 'file'"],
        ),
        (
            "[voice.network]\nkind = 'alexnet'",
            ["network 'alexnet' reads features 'rosred-image', got 'log-mel'"],
        ),
        ("[fusion]\nmembers = 2", ["members goes with inputs = 'features'"]),
        ("[fusion]\ninputs = 'features'\nmembers = 9", ["members 9 is more than inner_folds 4"]),
        ("[fusion]\ninputs = 'features'\nrefit = true", ["refit goes with inputs = 'probabilities'"]),
        ("[fusion]\nrefit = true\n[voice.training]\npatience = 3", ["nobody is left for patience"]),
        ("[enrolment]", ["enrolment needs network.kind = 'ensemble' for voice and face"]),
        ("[voice]\nspeeds = [0.9]", ["speeds and conditions go with network.kind = 'ensemble'"]),
        ("[voice]\nspeeds = [3.0]", ["voice.speeds.0", "less than or equal to 2", "got 3.0"]),
        ("[voice.features]\nspeed = 0.0", ["voice.features.speed", "greater than or equal to 0.5"]),
        (
            "[voice.features]\nkind = 'descriptors'\npitch = false",
            ["descriptors need pitch = true and 26 or more n_mels"],
        ),
        (
            "[voice.network]\nkind = 'ensemble'",
            ["network 'ensemble' reads features 'descriptors' or 'encoder' or 'onnx'", "got 'log-mel'"],
        ),
        (
            "[face.network]\nkind = 'ensemble'",
            ["network 'ensemble' reads features 'au-table' or 'functionals' or 'onnx'", "got 'stack'"],
        ),
        ("[voice.network.ensemble]\nridges = []", ["voice.network.ensemble.ridges", "at least 1"]),
        ("[voice.network.ensemble]\ngamma = 0.0", ["voice.network.ensemble.gamma", "greater than 0"]),
        ("voice = 3", ["voice: ", "got 3"]),
        ("x ==", ["not valid TOML"]),
    ],
)
def test_errors_name_the_key_the_value_and_what_is_allowed(
    tmp_path: Path, text: str, messages: list[str]
) -> None:
    path = write(tmp_path / "x.toml", f'extends = "default"\nname = "x"\n{text}\n')
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert all(part in str(caught.value) for part in [str(path), *messages]), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("x = " + "{a=" * 100_000, "not valid TOML"),
        (f"x = {'1' * 10_000}", "not valid TOML"),
        (f"x = '{'y' * 2**20}'", "too large for a recipe: more than 1 MiB"),
    ],
    ids=["arrays", "tables", "digits", "size"],
)
def test_no_file_is_too_deep_or_too_large(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "x.toml", text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text",
    ["[voice.training]\nepochs = '3'", "[voice.training]\nepochs = 3.0", "[voice.features]\npitch = 'yes'"],
)
def test_nothing_is_converted_silently(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe(write(tmp_path / "x.toml", f'extends = "default"\nname = "x"\n{text}\n'))


def test_the_package_loads_its_modules_when_a_name_is_used() -> None:
    code = (
        "import sys, emofuse.core.recipes as recipes\n"
        "assert 'pydantic' not in sys.modules\n"
        "for name in recipes.__all__: getattr(recipes, name)\n"
        "assert 'pydantic' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_integers_are_accepted_as_floats(tmp_path: Path) -> None:
    text = 'extends = "default"\nname = "x"\n[voice.features]\nduration_s = 2\n'
    assert load_recipe(write(tmp_path / "x.toml", text)).voice.features.duration_s == 2.0


def test_none_unsets_an_inherited_setting(tmp_path: Path) -> None:
    """TOML has no null."""
    base = 'extends = "default"\nname = "base"\n[voice.training]\npatience = 3\n'
    assert load_recipe(write(tmp_path / "base.toml", base)).voice.training.patience == 3
    text = 'extends = "base.toml"\nname = "x"\n[voice.training]\npatience = "none"\n'
    assert load_recipe(write(tmp_path / "x.toml", text)).voice.training.patience is None
    text = 'extends = "default"\nname = "x"\n[voice.training]\nepochs = "none"\n'
    with pytest.raises(RecipeError, match=r"voice\.training\.epochs"):
        load_recipe(write(tmp_path / "y.toml", text))


def test_no_such_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=f"no recipe 'defualt'.*{', '.join(SHIPPED)}"):
        load_recipe("defualt")
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(tmp_path)
    path = write(tmp_path / "x.toml", 'extends = "gone.toml"\nname = "x"\n')
    with pytest.raises(RecipeError, match=r"gone\.toml"):
        load_recipe(path)
    with pytest.raises(RecipeError, match="extends must be the name or path"):
        load_recipe(write(tmp_path / "y.toml", 'extends = 3\nname = "y"\n'))
    with pytest.raises(RecipeError, match="name: Field required"):
        parse_recipe({})


def test_a_recipe_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b'name = "x"\ndescription = "caf\xe9"\n')
    with pytest.raises(RecipeError):
        load_recipe(tmp_path / "x.toml")


def test_circular_extends_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.toml", 'extends = "b.toml"\nname = "a"\n')
    write(tmp_path / "b.toml", 'extends = "../c/a.toml"\nname = "b"\n')
    write(tmp_path / "self.toml", 'extends = "self.toml"\nname = "self"\n')
    (tmp_path.parent / "c").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for start in ("a.toml", "self.toml", str(tmp_path / "b.toml")):
        with pytest.raises(RecipeError, match="extends itself"):
            load_recipe(start)


def test_weight_paths_are_relative_to_their_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "below" / "base.toml",
        'extends = "default"\nname = "base"\n'
        '[face.network.emotion_cnn]\nsource = "file"\npath = "weights/cnn.h5"\n',
    )
    child = write(tmp_path / "child.toml", 'extends = "below/base.toml"\nname = "child"\n')
    monkeypatch.chdir("/")
    wanted = (tmp_path / "below" / "weights" / "cnn.h5").resolve()
    assert load_recipe(child).face.network.emotion_cnn.path == str(wanted)
    absolute = write(
        tmp_path / "abs.toml",
        'extends = "default"\nname = "abs"\n[face.network.emotion_cnn]\nsource="file"\npath = "/w/cnn.h5"\n',
    )
    assert load_recipe(absolute).face.network.emotion_cnn.path == "/w/cnn.h5"


@pytest.mark.parametrize("name", SHIPPED)
def test_hashes_of_shipped_recipes_never_change(name: str) -> None:
    """Journals, caches and reports of earlier runs name them."""
    assert load_recipe(name).hash() == HASHES[name]


def test_hash_is_the_same_in_another_process() -> None:
    code = "from emofuse.core.recipes.load import load_recipe; print(load_recipe('default').hash())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == load_recipe("default").hash()
    assert len(done.stdout.strip()) == 16


CHANGES: dict[type, Any] = {bool: lambda x: not x, int: lambda x: x + 1, float: lambda x: x * 0.9 + 0.0137}


def changed(model: BaseModel, path: str = "") -> list[tuple[str, BaseModel]]:
    """The same recipe with one setting changed, for every setting, whether or not it makes sense."""
    out: list[tuple[str, BaseModel]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            for where, part in changed(value, f"{path}{name}."):
                out.append((where, model.model_copy(update={name: part})))
            continue
        new = CHANGES.get(type(value), lambda x: (*x, 7) if isinstance(x, tuple) else f"{x}x")(value)
        out.append((path + name, model.model_copy(update={name: new})))
    return out


def test_older_recipes_keep_their_hash(tmp_path: Path) -> None:
    """What was computed with them is found again: keys that came later show only where they are used."""
    default = load_recipe("default")
    assert default.face.features.hash() == "c0bf7be5b3a1d068"
    assert load_recipe("ravdess-au").face.features.hash() == "1fc88a5748239a15"
    assert "detector" not in default.model_dump(mode="json")["face"]["features"]
    text = 'extends = "default"\nname = "default"\n[face.features]\ndetector = "yunet"\n'
    other = load_recipe(write(tmp_path / "x.toml", text))
    assert parse_recipe(other.model_dump(mode="json")) == other != default
    assert len({default.hash(), other.hash()}) == 2


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic warns of the nonsense
@pytest.mark.parametrize("name", ["default", "rosred-2022"])
def test_hash_changes_with_every_setting(name: str) -> None:
    recipe = load_recipe(name)
    others = changed(recipe)
    assert len(others) > 55
    hashes = {where: other.hash() for where, other in others if isinstance(other, Recipe)}
    assert recipe.hash() not in hashes.values()
    assert len(set(hashes.values())) == len(others)


def test_recipes_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_recipe("default").voice.training.epochs = 3
