"""Broken files of every format that a study brings: made of valid ones, and read in a process of its own.

A format is a row of :data:`FORMATS`. How recordings are broken, :func:`benchmarks.fuzz.damaged`, is how these
files are; what people do to text is added to it: inserted bytes, repeated pieces, strange characters.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.fuzz import DAMAGES, damaged
from emofuse.system.isolated_workers import Handler, Lost, Reply, Request, Task, isolated

MOST_BYTES: Final = 2**30
"""Of memory that a reader may take beyond what it had before."""
LIMIT_S: Final = 300.0
"""A crowded machine is ten times slower; what hangs takes all of it."""
ALL_DAMAGES: Final = (*DAMAGES, "inserted", "repeated", "strange text", "huge numbers")
_STRANGE: Final = (
    b"\0", b"\xff\xfe", b"\xf0\x9f\x98\x80", "\u202e".encode(), b"\r", b'"', b"'", b";", b"\t", b"=", b"{",
    b"[", b"]", b"!!python/object/apply:os.system", b"&a [*a]", b"NaN", b"-inf", b"1e999", b"9" * 400,
    b"../../../etc/passwd",
)  # fmt: skip
_TRACEBACK_LIKE: Final = re.compile(r"Traceback|\b[A-Z]\w*(Exception|Warning)\b|0x[0-9a-f]{6,}")
_LONGEST_MESSAGE: Final = 4000


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file.

    ``files``: valid ones, by name; the first is broken, others lie beside it. ``read``: reads such files.
    """

    files: Callable[[], Mapping[str, bytes]]
    read: Callable[[Path], object]


def written(kind: str, folder: Path) -> Path:
    """Write the valid files of a format into a folder; return the one that is read."""
    folder.mkdir(parents=True)
    files = FORMATS[kind].files()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / next(iter(files))


def broken(content: bytes, damage: str, rng: np.random.Generator) -> bytes:
    """The content of a file, broken in one way."""
    if damage in DAMAGES:
        return damaged(content, damage, rng)
    at = int(rng.integers(0, len(content) + 1))
    if damage == "inserted":
        return content[:at] + rng.bytes(int(2 ** rng.uniform(0, 12))) + content[at:]
    if damage == "repeated":
        end = int(rng.integers(at, len(content) + 1))
        return content[:end] + content[at:end] * int(rng.integers(1, 20)) + content[end:]
    if damage == "strange text":
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(0, len(content) + 1))
            content = content[:at] + _STRANGE[rng.integers(0, len(_STRANGE))] + content[at:]
        return content
    # sizes that a file declares: its bytes become the largest ones
    return content[:at] + b"\xff" * int(rng.integers(1, 9)) + content[at + 8 :]


@dataclass
class Broken:
    """The outcomes of reading broken files of some formats."""

    folder: Path
    offenders: list[str] = field(default_factory=list)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many files of a format were ``read`` or ``refused``."""

    def write(self, kind: str, seed: int) -> Path:
        """Write the broken file of a seed, and what lies beside it, into a folder of its own."""
        folder = self.folder / f"{kind} {seed}"
        folder.mkdir(parents=True)
        files = dict(FORMATS[kind].files())
        name = next(iter(files))
        rng = np.random.default_rng(seed)
        files[name] = broken(files[name], ALL_DAMAGES[seed % len(ALL_DAMAGES)], rng)
        for one, content in files.items():
            (folder / one).write_bytes(content)
        return folder / name

    def run(self, kinds: Sequence[str], seeds: range, jobs: int = 1) -> Broken:
        """Write and read the files of all seeds."""
        files = [(kind, seed) for kind in kinds for seed in seeds]

        def tasks() -> Iterator[Task]:
            for number, (kind, seed) in enumerate(files):
                yield Task(number, {"kind": kind, "file": str(self.write(kind, seed))}, LIMIT_S)

        setup = {"kinds": list(kinds), "folder": str(self.folder)}
        reader = "tests.support.broken_files:load_reader"
        with contextlib.closing(isolated(reader, setup, tasks(), jobs)) as replies:
            for number, reply in replies:
                self.judge(*files[number], reply)
        return self

    def judge(self, kind: str, seed: int, reply: Reply | Lost) -> None:
        """Count the outcome, and collect what no user should see."""
        name = f"{kind}, seed {seed} ({ALL_DAMAGES[seed % len(ALL_DAMAGES)]})"
        if isinstance(reply, Lost):
            self.offenders.append(f"{name}: {reply.reason}")
            return
        message = reply["error"]
        self.outcomes[kind, "read" if message is None else "refused"] += 1
        if reply["bytes"] > MOST_BYTES:
            self.offenders.append(f"{name}: took {reply['bytes'] >> 20} MiB")
        if message is None:
            return
        unclear = not reply["expected"] or "\n" in message or len(message) > _LONGEST_MESSAGE
        if unclear or _TRACEBACK_LIKE.search(message) or reply["printed"]:
            self.offenders.append(f"{name}: {message[:300]!r} {reply['printed'][:300]!r}")


def load_reader(setup: Mapping[str, Any]) -> Handler:
    """In a process of its own: read files of some formats."""
    from emofuse.core.errors import EmofuseError
    from emofuse.system.memory import leave_no_core

    leave_no_core()
    with tempfile.TemporaryDirectory() as valid:  # libraries are loaded, and count for no file
        for kind in setup["kinds"]:
            FORMATS[kind].read(written(kind, Path(valid, kind)))

    def peak() -> int:
        """Bytes; Windows does not tell them in this way."""
        if sys.platform == "win32":
            return 0
        import resource

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (
            1 if sys.platform == "darwin" else 1024
        )

    def read(request: Request) -> Reply:
        before, error, expected = peak(), None, True
        printed = io.StringIO()
        with contextlib.redirect_stderr(printed):
            try:
                FORMATS[request["kind"]].read(Path(request["file"]))
            except EmofuseError as found:
                error = str(found)
            except Exception as found:  # what no reader should raise
                error, expected = f"{type(found).__name__}: {found}", False
        return {"error": error, "expected": expected, "bytes": peak() - before, "printed": printed.getvalue()}

    return read


def _clip_table_csv() -> dict[str, bytes]:
    rows = [
        f"{speaker}-{emotion}.wav,{emotion},{speaker},0.5,2.5"
        for speaker in "ab"
        for emotion in ("sad", "happy")
    ]
    table = "\n".join(["path,emotion,speaker,start,end", *rows]) + "\n"
    return {"clips.csv": table.encode(), **{f"{s}-{e}.wav": b"" for s in "ab" for e in ("sad", "happy")}}


def _clip_table_parquet() -> dict[str, bytes]:
    import pyarrow as pa

    names = [f"{speaker}-{emotion}.wav" for speaker in "ab" for emotion in ("sad", "happy")]
    columns = {
        "path": names, "emotion": ["sad", "happy"] * 2, "speaker": list("aabb"), "start": [0.5] * 4,
        "end": [2.5] * 4,
    }  # fmt: skip
    return {"clips.parquet": _parquet(pa.table(columns)), **dict.fromkeys(names, b"")}


def _label_map_csv() -> dict[str, bytes]:
    return {"map.csv": "label,becomes\nfröhlich,froh\ntraurig,traurig\nwütend,Ärger\nandere,\n".encode()}


def _label_map_toml() -> dict[str, bytes]:
    return {"map.toml": '"fröhlich" = "froh"\n"traurig" = "traurig"\n"andere" = ""\n'.encode()}


def _array() -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32))
    return {"voice.npy": buffer.getvalue(), "voice.csv": _INDEX}


_INDEX: Final = b"file,time\na.wav,0\na.wav,0.5\nb.wav,0\nb.wav,1.25\n"


def _index() -> dict[str, bytes]:
    return {"voice.csv": _INDEX, "voice.npy": _array()["voice.npy"]}


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _columns_of_values() -> dict[str, bytes]:
    import pyarrow as pa

    values = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    times = {"file": ["a.wav"] * 20 + ["b.wav"] * 20, "time": [*np.arange(20) / 4] * 2}
    return {"voice.parquet": _parquet(pa.table(times | {f"v{k}": values[:, k] for k in range(6)}))}


def _lists_of_values() -> dict[str, bytes]:
    import pyarrow as pa

    values = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    return {
        "voice.parquet": _parquet(
            pa.table({"file": [f"{k}.wav" for k in range(40)], "embedding": list(values)})
        )
    }


def _onnx() -> dict[str, bytes]:
    from tests.support import embedding_graphs

    return {"voice.onnx": embedding_graphs.voice_bands().SerializeToString()}


def _recipe() -> dict[str, bytes]:
    text = """name = "mine"
modalities = ["voice"]
[voice.network]
kind = "ensemble"
[voice.features]
kind = "onnx"
[voice.features.embedding]
file = "voice.onnx"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
size = 12
trained_on = "sines"
licence = "CC0-1.0"
"""
    return {"recipe.toml": text.encode()}


_AUDFORMAT_HEADER: Final = """name: acted
usage: research
languages: [deu]
schemes:
  emotion: {dtype: str, labels: [happy, sad]}
  speaker: {dtype: str, labels: {a: {gender: female}, b: {gender: male}}}
tables:
  emotion:
    type: filewise
    columns:
      emotion: {scheme_id: emotion}
      speaker: {scheme_id: speaker}
"""
_AUDFORMAT_ROWS: Final = (
    ("a-happy.wav", "happy", "a"),
    ("a-sad.wav", "sad", "a"),
    ("b-happy.wav", "happy", "b"),
)


def _audformat_csv() -> dict[str, bytes]:
    rows = "\n".join(["file,emotion,speaker", *(",".join(row) for row in _AUDFORMAT_ROWS)]) + "\n"
    return {"db.emotion.csv": rows.encode(), **_beside_audformat()}


def _audformat_parquet() -> dict[str, bytes]:
    import pyarrow as pa

    columns = dict(
        zip(("file", "emotion", "speaker"), map(list, zip(*_AUDFORMAT_ROWS, strict=True)), strict=True)
    )
    return {"db.emotion.parquet": _parquet(pa.table(columns)), **_beside_audformat()}


def _audformat_header() -> dict[str, bytes]:
    return {"db.yaml": _AUDFORMAT_HEADER.encode(), **_audformat_csv()}


def _beside_audformat() -> dict[str, bytes]:
    return {"db.yaml": _AUDFORMAT_HEADER.encode(), **{row[0]: b"" for row in _AUDFORMAT_ROWS}}


def _read_audformat(path: Path) -> None:
    from emofuse.corpus.load import load_corpus

    load_corpus(path.parent)


def _read_clips(path: Path) -> None:
    from emofuse.corpus.load import load_corpus

    load_corpus(path)


def _read_labels(path: Path) -> None:
    from emofuse.corpus.label_files import table_labels

    table_labels(path)


def _read_table(path: Path) -> None:
    """As predictions and windows read it."""
    from emofuse.core.recipes.embedding import Embedding, Pooling
    from emofuse.features.embeddings.tables import table_part

    table = path if path.suffix != ".csv" else path.with_suffix(".npy")
    pooling: tuple[Pooling, ...] = (
        ("mean", "std") if b"time" in path.read_bytes() or path.suffix != ".parquet" else ()
    )
    embedding = Embedding(
        file=str(table), sha256="0" * 64, size=6, trained_on="sines", licence="CC0-1.0", pooling=pooling,
        other_table=True,
    )  # fmt: skip
    for file in ("a.wav", "b.wav", "3.wav"):
        table_part(embedding, "voice", file, (None, None))
        table_part(embedding, "voice", file, (0.25, 1.0))


def _read_onnx(path: Path) -> None:
    import hashlib
    import os

    from emofuse.core.recipes.embedding import Embedding
    from emofuse.features.embeddings.onnx_files import embed_voice

    os.environ["EMOFUSE_EMBEDDINGS"] = str(path.parent / "tried")
    embedding = Embedding(
        file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=12, trained_on="sines",
        licence="CC0-1.0",
    )  # fmt: skip
    embed_voice(np.linspace(-0.1, 0.1, 8000, dtype=np.float32), embedding)


def _elan_parameters() -> dict[str, bytes]:
    params = {"source": "a film.mp4", "output_tiers": "tiers.xml", "abstain_below": 0.4, "window_s": 3.0}
    lines = [f'<param name="{name}">{value}</param>' for name, value in params.items()]
    return {"elan.xml": "\n".join(['<?xml version="1.0"?>', "<PARAM>", *lines, "</PARAM>"]).encode()}


def _summary() -> dict[str, bytes]:
    columns = (
        "file,person,condition,share_x,share_y,mean_probability_x,mean_probability_y,read_s,share_abstained"
    )
    rows = [f"film {n}.mp4,Anna,c{n % 2},0.2,0.7,0.4,0.6,12.5,0.1" for n in range(20)]
    return {"summary.csv": "\r\n".join([columns, *rows, ""]).encode()}


def _read_elan_parameters(path: Path) -> None:
    from emofuse.elan.parameters import read_parameters

    read_parameters(path.read_bytes())


def _read_summary(path: Path) -> None:
    from emofuse.folders.statistics_tables import read_summary

    read_summary(path)


def _read_recipe(path: Path) -> None:
    from emofuse.core.recipes.load import load_recipe

    load_recipe(path)


def _timeline_as(suffix: str) -> Callable[[], dict[str, bytes]]:
    def files() -> dict[str, bytes]:
        from emofuse.exports.write import write_timeline
        from tests.support import timelines

        with tempfile.TemporaryDirectory() as folder:
            path = write_timeline(timelines.random_timeline(3), Path(folder, f"talk{suffix}"))
            return {path.name: path.read_bytes()}

    return files


def _spans() -> dict[str, bytes]:
    rows = [f"{n},{n}.5,happy,Anna" for n in range(12)]
    return {"talk.csv": "\n".join(["start,end,label,person", *rows, ""]).encode()}


def _boris() -> dict[str, bytes]:
    rows = [f"Anna\tsad\t{('START', 'STOP')[n % 2]}\t{n}.5" for n in range(12)]
    return {"talk.tsv": "\n".join(["Subject\tBehavior\tBehavior type\tTime", *rows, ""]).encode()}


def _audformat_segments() -> dict[str, bytes]:
    import pyarrow as pa

    times = pa.array([n * 10**9 for n in range(13)], pa.duration("ns"))
    columns = {"file": ["a.wav"] * 12, "start": times[:-1], "end": times[1:], "eva": ["happy", "sad"] * 6}
    return {"db.parquet": _parquet(pa.table(columns))}


def _read_annotations(path: Path) -> None:
    from emofuse.coding.read import read_annotations

    read_annotations(path)


def _read_timeline(path: Path) -> None:
    from emofuse.coding.timeline_files import read_timeline_coding

    read_timeline_coding(path)


def _profile() -> dict[str, bytes]:
    from emofuse.features.own_baseline import OwnBaseline
    from emofuse.features.profile import Profile
    from emofuse.features.speaker_normalization import Moments

    moments = Moments(3, np.linspace(0, 1, 40), np.linspace(1, 2, 40))
    baseline = OwnBaseline(3.0, np.linspace(-1, 1, 8), 0.5)
    made = Profile("0123456789abcdef", {"voice": moments}, 3, baselines={"voice": baseline})
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder, "anna.npz"))
        return {"anna.npz": Path(folder, "anna.npz").read_bytes()}


def _action_units() -> dict[str, bytes]:
    rows = [f"talk-{n},{n / 7:.4f},0.25" for n in range(9)]
    return {"units.csv": "\n".join(["code,AU01_r,AU02_r", *rows, ""]).encode()}


def _openface_frames() -> dict[str, bytes]:
    rows = [f"{n + 1}, 0, {n / 25:.3f}, 0.98, 1, {n / 9:.2f}, {1 - n / 20:.2f}" for n in range(12)]
    header = "frame, face_id, timestamp, confidence, success, AU01_r, AU02_r"
    return {"talk.csv": "\n".join([header, *rows, ""]).encode()}


def _file_list() -> dict[str, bytes]:
    from emofuse.recognition.file_list import FileList

    with tempfile.TemporaryDirectory() as folder:
        names = tuple(f"film {n}.mp4" for n in range(12))
        FileList(names, tuple(range(100, 112)), {names[3]: "no name"}).save(Path(folder, "files.jsonl"))
        return {"files.jsonl": Path(folder, "files.jsonl").read_bytes()}


def _bundle() -> dict[str, bytes]:
    from emofuse.core.recipes.load import load_recipe
    from emofuse.recognition.bundle import MANIFEST, save_bundle

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "bundle")
        save_bundle(
            made, files={"voice.onnx": b"network"}, recipe=load_recipe("whisper-only"),
            emotions=("calm", "tense"), licence="not stated", provenance={"corpus": "mine"},
        )  # fmt: skip
        names = [MANIFEST, *(path.name for path in sorted(made.iterdir()) if path.name != MANIFEST)]
        return {name: (made / name).read_bytes() for name in names}


def _run() -> dict[str, bytes]:
    system = {"accuracy": 0.75, "uar": 0.75, "accuracy_ci95": [0.5, 1.0], "n": 4, "folds": [{"fold": "1"}]}
    results = {
        "schema": 1, "protocol": "actors-2", "seed": 0, "emotions": ["calm", "tense"],
        "recipe": {"name": "mine", "settings": {}}, "corpus": {"name": "mine", "clips": 4, "actors": 2},
        "systems": {"voice": system, "fused": system}, "notes": ["a note"],
    }  # fmt: skip
    rows = [
        f"t{n},t{n}.wav,{'ab'[n % 2]},{('calm', 'tense')[n // 2]},1,{name},{n / 4},{1 - n / 4}"
        for name in ("voice", "fused")
        for n in range(4)
    ]
    table = "\n".join(["take,clip,actor,emotion,fold,system,calm,tense", *rows, ""])
    return {"results.json": json.dumps(results).encode(), "predictions.csv": table.encode()}


def _predictions() -> dict[str, bytes]:
    return dict(reversed(_run().items()))


def _read_profile(path: Path) -> None:
    from emofuse.features.profile import Profile

    Profile.load(path)


def _read_action_units(path: Path) -> None:
    from emofuse.features.face.action_units import read_action_units

    read_action_units(path)


def _read_file_list(path: Path) -> None:
    from emofuse.recognition.file_list import FileList

    FileList.load(path)


def _read_bundle(path: Path) -> None:
    from emofuse.recognition.bundle import load_bundle

    load_bundle(path.parent)


def _read_run(path: Path) -> None:
    from emofuse.evaluation.run_files import read_run

    read_run(path.parent)


FORMATS: Final[dict[str, Format]] = {
    "clip table, CSV": Format(_clip_table_csv, _read_clips),
    "clip table, Parquet": Format(_clip_table_parquet, _read_clips),
    "audformat, header": Format(_audformat_header, _read_audformat),
    "audformat, CSV": Format(_audformat_csv, _read_audformat),
    "audformat, Parquet": Format(_audformat_parquet, _read_audformat),
    "label map, CSV": Format(_label_map_csv, _read_labels),
    "label map, TOML": Format(_label_map_toml, _read_labels),
    "recipe": Format(_recipe, _read_recipe),
    "embeddings, NPY": Format(_array, _read_table),
    "embeddings, index of NPY": Format(_index, _read_table),
    "embeddings, Parquet columns": Format(_columns_of_values, _read_table),
    "embeddings, Parquet lists": Format(_lists_of_values, _read_table),
    "ONNX": Format(_onnx, _read_onnx),
    "ELAN": Format(_timeline_as(".eaf"), _read_annotations),
    "TextGrid": Format(_timeline_as(".TextGrid"), _read_annotations),
    "spans, CSV": Format(_spans, _read_annotations),
    "spans, BORIS": Format(_boris, _read_annotations),
    "spans, audformat": Format(_audformat_segments, _read_annotations),
    "timeline, JSON": Format(_timeline_as(".json"), _read_timeline),
    "parameters of ELAN": Format(_elan_parameters, _read_elan_parameters),
    "summary of a folder": Format(_summary, _read_summary),
    "profile": Format(_profile, _read_profile),
    "action units": Format(_action_units, _read_action_units),
    "action units, frames": Format(_openface_frames, _read_action_units),
    "list of files": Format(_file_list, _read_file_list),
    "bundle": Format(_bundle, _read_bundle),
    "results of a run": Format(_run, _read_run),
    "predictions of a run": Format(_predictions, _read_run),
}
