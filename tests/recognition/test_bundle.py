from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from emofuse import Recognizer
from emofuse.core.errors import BundleError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import parse_recipe
from emofuse.recognition.bundle import MANIFEST, Bundle, load_bundle, save_bundle
from tests.support import small_corpora

FILES = {"voice.onnx": b"voice", "face.onnx": b"face", "fusion-0.onnx": b"fusion"}


def save(folder: Path, *, licence: str = "CC0-1.0", files: dict[str, bytes] | None = None) -> Bundle:
    return save_bundle(
        folder,
        files=FILES if files is None else files,
        recipe=parse_recipe({"name": "x", "seed": 3}),
        emotions=EMOTIONS,
        licence=licence,
        provenance={"corpus": "Kölner Korpus", "takes": 8},
    )


def edit(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


def test_a_saved_bundle_is_read_back(tmp_path: Path) -> None:
    saved = save(tmp_path / "deep" / "b")
    bundle = load_bundle(str(tmp_path / "deep" / "b"))
    assert bundle == saved
    assert {name: bundle.read(name) for name in FILES} == FILES
    assert bundle.emotions == EMOTIONS
    assert bundle.recipe.seed == 3
    assert bundle.provenance["takes"] == 8
    assert bundle.fusions == ("fusion-0.onnx",)
    assert sorted(path.name for path in bundle.folder.iterdir()) == sorted([*FILES, "LICENSE.txt", MANIFEST])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b"]


def test_manifest_has_the_sha256_of_every_file(tmp_path: Path) -> None:
    save(tmp_path / "b")
    manifest = json.loads((tmp_path / "b" / MANIFEST).read_text())
    assert {"sha256", "bytes"} == set(manifest["files"]["LICENSE.txt"])
    for name, facts in manifest["files"].items():
        data = (tmp_path / "b" / name).read_bytes()
        assert facts == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert manifest["schema"] == 1


def test_members_keep_their_order(tmp_path: Path) -> None:
    """Member 10 reads the features of network 10: after member 9, not after member 1."""
    names = [f"fusion-{k}.onnx" for k in range(12)]
    bundle = save(tmp_path / "b", files={name: name.encode() for name in names})
    assert list(bundle.fusions) == names


def test_the_license_of_ravdess_is_included(tmp_path: Path) -> None:
    save(tmp_path / "b", licence="CC BY-NC-SA 4.0")
    text = (tmp_path / "b" / "LICENSE.txt").read_text(encoding="utf-8")
    assert "Licence of this trained recogniser: CC BY-NC-SA 4.0" in text
    assert "Livingstone" in text
    assert "https://creativecommons.org/licenses/by-nc-sa/4.0/" in text
    assert "Kölner Korpus" in text
    save(tmp_path / "free")
    free = (tmp_path / "free" / "LICENSE.txt").read_text(encoding="utf-8")
    assert "CC0-1.0" in free
    assert "Livingstone" not in free


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_altered_byte_is_found_and_named(tmp_path: Path, name: str) -> None:
    bundle = save(tmp_path / "b")
    path = bundle.folder / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} is altered"):
        load_bundle(bundle.folder).read(name)


@pytest.mark.parametrize("name", [*sorted(FILES), "LICENSE.txt"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    save(tmp_path / "b")
    (tmp_path / "b" / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/x.onnx", "..", ""])
def test_no_file_outside_the_bundle(tmp_path: Path, name: str) -> None:
    bundle = save(tmp_path / "b")
    (tmp_path / "secret").write_bytes(b"x")
    (bundle.folder / "sub").mkdir()
    (bundle.folder / "sub" / "x.onnx").write_bytes(b"x")
    facts = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}
    edit(bundle.folder, files={**bundle.files, name: facts})
    with pytest.raises(BundleError):
        load_bundle(bundle.folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "bundle schema 2, this version reads 1"),
        ({"recipe": {"name": "x", "colour": 1}}, "colour is not a key of a recipe.*another version"),
    ],
)
def test_a_manifest_of_another_kind(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    save(tmp_path / "b")
    edit(tmp_path / "b", **change)
    with pytest.raises(BundleError, match=says):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a manifest of this version"),
        ("{}", "is not a manifest of this version.*'schema'"),
        ("[" * 100_000, "cannot be read: its values are nested too deeply"),
        ('{"a":' * 100_000, "cannot be read: its values are nested too deeply"),
        ('{"schema": ' + "1" * 10_000 + "}", "cannot be read: .*digits"),
        ('{"schema": 1}', "is not a manifest of this version.*'recipe'"),
    ],
)
def test_an_invalid_manifest(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match=says):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"licence": 5}, {"licence": None}, {"provenance": []}, {"provenance": "x"}, {"emotions": "happy"},
        {"emotions": [1, 2]}, {"emotions": {"happy": 1}}, {"emotions": ["happy", "happy"]},
        {"action_units": "AU01"}, {"action_units": [None]}, {"recipe": []}, {"recipe": "default"},
        {"files": {"voice.onnx": "x"}}, {"files": {"voice.onnx": 3}},
        {"files": {"voice.onnx": {"sha256": "x", "bytes": -1}}}, {"files": {"voice.onnx": {"sha256": 1}}},
    ],
)  # fmt: skip
def test_a_manifest_with_values_of_other_kinds(tmp_path: Path, change: dict[str, Any]) -> None:
    save(tmp_path / "b")
    edit(tmp_path / "b", **change)
    with pytest.raises(BundleError, match=rf"{MANIFEST}"):
        load_bundle(tmp_path / "b")


def test_a_bundle_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    bundle = save(tmp_path / "b")
    with (bundle.folder / "voice.onnx").open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(BundleError, match=r"voice\.onnx is altered"):
        bundle.read("voice.onnx")
    with (bundle.folder / MANIFEST).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BundleError, match="cannot be read: it is larger than 64 MiB"):
        load_bundle(bundle.folder)


@pytest.mark.parametrize("files", [None, ["voice.onnx"], {"voice.onnx": {}}])
def test_a_manifest_whose_files_have_no_checksums(tmp_path: Path, files: Any) -> None:
    bundle = save(tmp_path / "b")
    edit(bundle.folder, files=files)
    with pytest.raises(BundleError):
        load_bundle(bundle.folder).read("voice.onnx")


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle.*emofuse train makes one"):
        load_bundle(tmp_path / "nowhere")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    save(folder)  # empty: fine
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BundleError, match="is not empty"):
        save(folder, licence="other")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_nothing_is_left_behind_when_the_disk_is_full(tmp_path: Path) -> None:
    """A limit on file sizes stands in for a full disk: the first two files fit, the third does not."""
    code = f"""
import resource, sys
from pathlib import Path
from emofuse.recognition.bundle import save_bundle
from emofuse.core.errors import BundleError
from emofuse.core.recipes import parse_recipe
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_bundle(Path({str(tmp_path / "b")!r}), files={{"a": b"a", "b": b"b", "c": bytes(200_000)}},
                recipe=parse_recipe({{"name": "x"}}), emotions=("a",), licence="l", provenance={{}})
except BundleError as error:
    sys.exit(f"caught: {{error}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "caught: " in done.stderr
    assert "could not be written: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_trained_bundle_holds_no_pickle_and_has_its_provenance(au_bundle: Path, tmp_path: Path) -> None:
    bundle = load_bundle(au_bundle)
    for path in au_bundle.iterdir():
        data = path.read_bytes()
        # a pickle starts with its protocol, a torch archive is a zip, joblib may compress
        assert data[:1] != b"\x80", path
        assert not data.startswith((b"PK\x03\x04", b"\x1f\x8b", b"x\x9c")), path
        assert path.suffix in {".onnx", ".json", ".txt"}
    assert bundle.licence == "CC BY-NC-SA 4.0"
    assert bundle.provenance["corpus"] == "RAVDESS"
    assert bundle.provenance["takes"] == 144
    assert bundle.provenance["speakers"] == ["01", "02", "03", "04", "05", "06"]
    assert bundle.provenance["recipe_hash"] == bundle.recipe.hash()
    moved = shutil.copytree(au_bundle, tmp_path / "moved")
    assert load_bundle(moved).files == bundle.files
    assert str(au_bundle.parent) not in (au_bundle / MANIFEST).read_text()


def with_network(folder: Path, au_bundle: Path, network: bytes) -> Path:
    """A bundle with another network for the voice, and the checksum of it."""
    shutil.copytree(au_bundle, folder)
    (folder / "voice.onnx").write_bytes(network)
    files = json.loads((folder / MANIFEST).read_text())["files"]
    files["voice.onnx"] = {"sha256": hashlib.sha256(network).hexdigest(), "bytes": len(network)}
    edit(folder, files=files)
    return folder


def graph(nodes: list[Any], *initializers: Any, inputs: Sequence[str] = ("inputs",)) -> bytes:
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    made = helper.make_graph(nodes, "g", given, out, list(initializers))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def declaring(n_values: int, **external: str) -> Any:
    """Weights that declare more than they hold, or that lie in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[n_values], raw_data=b"\0" * 8)
    for key, value in external.items():
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


ADD = [helper.make_node("Add", ["inputs", "w"], ["y"])]


@pytest.mark.parametrize(
    "network",
    [
        b"",
        b"garbage" * 100,
        graph(ADD, declaring(2**44)),
        graph(ADD, declaring(2**28)),
        graph(ADD, declaring(4, location="/etc/hostname")),
        graph(ADD, declaring(4, location="../../../../../../etc/hostname")),
        graph([helper.make_node("NoSuchOperator", ["inputs"], ["y"])]),
        graph([helper.make_node("Add", ["inputs", "more"], ["y"])], inputs=("inputs", "more")),
    ],
    ids=["empty", "garbage", "64 TiB", "1 GiB", "absolute", "relative", "operator", "inputs"],
)
def test_networks_from_elsewhere_are_refused_in_one_line(
    au_bundle: Path, tmp_path: Path, network: bytes
) -> None:
    folder = with_network(tmp_path / "b", au_bundle, network)
    with pytest.raises(BundleError, match=r"voice\.onnx is not a network") as caught:
        Recognizer.load(folder)
    assert "\n" not in str(caught.value)


def test_a_network_that_asks_for_64_tib_when_it_runs_is_named(au_bundle: Path, tmp_path: Path) -> None:
    size = helper.make_tensor("size", TensorProto.INT64, [1], [2**44])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"]),
        helper.make_node("Add", ["inputs", "sum"], ["y"]),
    ]
    recognizer = Recognizer.load(with_network(tmp_path / "b", au_bundle, graph(nodes, size)))
    with pytest.raises(BundleError, match=r"voice\.onnx is a network that fails: ") as caught:
        recognizer.predict(small_corpora.speech(4, 0, 1), sample_rate_hz=small_corpora.RATE)
    assert "\n" not in str(caught.value)
