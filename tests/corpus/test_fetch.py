from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import stat
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import CorpusError, DownloadError
from emofuse.corpus.fetch import FetchedArchive, fetch_ravdess, parse_actor_range, unpack
from emofuse.system.download import Retries
from tests.support.file_server import FileServer

FAST = Retries(timeout_s=5.0, pause_s=0.001)
RNG = random.Random(5)
SPEECH = "Audio_Speech_Actors_01-24.zip"


def name(actor: int, *, part: str = "audio-speech", take: int = 1) -> str:
    modality, suffix = ("03", "wav") if part.startswith("audio") else ("01", "mp4")
    channel = "01" if part.endswith("speech") else "02"
    return f"{modality}-{channel}-01-01-01-{take:02d}-{actor:02d}.{suffix}"


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(path, data)
    return buffer.getvalue()


def recordings(part: str, actors: range | tuple[int, ...], *, folders: bool = True) -> dict[str, bytes]:
    names = [(actor, name(actor, part=part, take=take)) for actor in actors for take in (1, 2)]
    return {(f"Actor_{a:02d}/{n}" if folders else n): RNG.randbytes(3000) for a, n in names}


class Zenodo:
    """A record on the local server, in the format of Zenodo's record API."""

    def __init__(self, server: FileServer) -> None:
        self.server = server
        self.contents: dict[str, dict[str, bytes]] = {}
        self.files: list[dict[str, Any]] = []

    def add(self, archive: str, data: bytes, *, checksum: str | None = None, **faults: Any) -> None:
        url = self.server.serve(f"/api/records/1188976/files/{archive}/content", data, **faults)
        checksum = checksum or f"md5:{hashlib.md5(data).hexdigest()}"
        entry = {"key": archive, "size": len(data), "checksum": checksum, "links": {"self": url}}
        self.files = [file for file in self.files if file["key"] != archive] + [entry]

    def add_members(self, archive: str, members: dict[str, bytes], **faults: Any) -> None:
        self.contents[archive] = members
        self.add(archive, zipped(members), **faults)

    @property
    def url(self) -> str:
        return self.server.serve("/api/records/1188976", json.dumps({"files": self.files}).encode())

    def ranges(self, archive: str) -> list[str | None]:
        return self.server.ranges(f"/api/records/1188976/files/{archive}/content")

    def fetch(
        self, root: Path, actors: tuple[int, ...], *parts: str, **settings: Any
    ) -> list[FetchedArchive]:
        return fetch_ravdess(
            root, actors=actors, parts=parts, api_url=self.url, **{"retries": FAST, **settings}
        )


@pytest.fixture
def zenodo(http_server: FileServer) -> Zenodo:
    zenodo = Zenodo(http_server)
    song = tuple(actor for actor in range(1, 25) if actor != 18)
    zenodo.add_members(SPEECH, recordings("audio-speech", range(1, 25)))
    zenodo.add_members("Audio_Song_Actors_01-24.zip", recordings("audio-song", song))
    for actor in (1, 2, 18):
        members = recordings("video-speech", (actor,), folders=actor != 2)
        zenodo.add_members(f"Video_Speech_Actor_{actor:02d}.zip", members)
    zenodo.add_members("Video_Song_Actor_01.zip", recordings("video-song", (1,)))
    return zenodo


def tree(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix in (".wav", ".mp4"))


def leftovers(root: Path) -> list[str]:
    return sorted(p.name for p in root.rglob("*") if p.suffix in (".part", ".zip"))


@pytest.mark.parametrize(
    ("text", "actors"),
    [
        ("1-24", tuple(range(1, 25))),
        ("1,3,5-7", (1, 3, 5, 6, 7)),
        ("7", (7,)),
        (" 05 - 6 , 2,5 ", (2, 5, 6)),
        ("24-24", (24,)),
    ],
)
def test_actor_range(text: str, actors: tuple[int, ...]) -> None:
    assert parse_actor_range(text) == actors


@pytest.mark.parametrize(
    "text", ["", ",", "1,", "a", "1-", "-3", "3-1", "0", "25", "1-25", "1..3", "1;2", "²", "1-999999999999"]
)
def test_actor_range_refused(text: str) -> None:
    with pytest.raises(CorpusError, match="actors"):
        parse_actor_range(text)


def test_only_the_wanted_actors_of_an_audio_archive(zenodo: Zenodo, tmp_path: Path) -> None:
    [fetched] = zenodo.fetch(tmp_path, (3, 17), "audio-speech")
    assert tree(tmp_path) == [f"Actor_{a:02d}/{name(a, take=t)}" for a in (3, 17) for t in (1, 2)]
    for path in tree(tmp_path):
        assert (tmp_path / path).read_bytes() == zenodo.contents[SPEECH][path]
    assert fetched.archive == SPEECH
    assert fetched.written == 4
    assert [file.relative_to(tmp_path).as_posix() for file in fetched.files] == tree(tmp_path)
    assert leftovers(tmp_path) == []


def test_all_parts_with_and_without_folders(zenodo: Zenodo, tmp_path: Path) -> None:
    fetched = zenodo.fetch(tmp_path, (1, 2), "video-speech", "audio-song", "audio-speech")
    assert [f.archive for f in fetched] == [
        *("Audio_Speech_Actors_01-24.zip", "Audio_Song_Actors_01-24.zip"),
        *("Video_Speech_Actor_01.zip", "Video_Speech_Actor_02.zip"),
    ]
    assert tree(tmp_path) == sorted(
        f"Actor_{actor:02d}/{name(actor, part=part, take=take)}"
        for actor in (1, 2)
        for part in ("audio-speech", "audio-song", "video-speech")
        for take in (1, 2)
    )


def test_actor_18_has_no_song(zenodo: Zenodo, tmp_path: Path) -> None:
    fetched = zenodo.fetch(tmp_path, (1, 18), "video-song", "audio-song")
    assert [f.archive for f in fetched] == ["Audio_Song_Actors_01-24.zip", "Video_Song_Actor_01.zip"]
    with pytest.raises(CorpusError, match="actor 18 has no song"):
        zenodo.fetch(tmp_path, (18,), "video-song", "audio-song")


def test_licence_note(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.fetch(tmp_path, (1,), "audio-speech")
    note = (tmp_path / "LICENSE-RAVDESS.txt").read_text(encoding="utf-8")
    for wanted in ("CC BY-NC-SA 4.0", "Livingstone", "Russo", "10.1371/journal.pone.0196391"):
        assert wanted in note


def test_progress(zenodo: Zenodo, tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    zenodo.fetch(tmp_path, (1,), "audio-speech", on_progress=lambda what, *n: seen.update({what: n}))
    size = zenodo.files[0]["size"]
    assert seen == {SPEECH: (size, size), f"unpacking {SPEECH}": (6000, 6000)}


def test_second_run_downloads_nothing(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.fetch(tmp_path, (1, 2), "audio-speech")
    before = {path: (tmp_path / path).stat().st_mtime_ns for path in tree(tmp_path)}
    [again] = zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert (len(again.files), again.written) == (2, 0)
    assert len(zenodo.ranges(SPEECH)) == 1
    assert before == {path: (tmp_path / path).stat().st_mtime_ns for path in tree(tmp_path)}


def test_more_actors_later(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.fetch(tmp_path, (1,), "audio-speech")
    [more] = zenodo.fetch(tmp_path, (1, 2), "audio-speech")
    assert (len(more.files), more.written) == (4, 2)


@pytest.mark.parametrize("damage", ["missing", "altered", "cut"])
def test_damaged_recordings_are_fetched_again(zenodo: Zenodo, tmp_path: Path, damage: str) -> None:
    zenodo.fetch(tmp_path, (1,), "audio-speech")
    victim = tmp_path / "Actor_01" / name(1)
    data = victim.read_bytes()
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(data[:-1] + (b"" if damage == "cut" else bytes([data[-1] ^ 1])))
    [again] = zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert again.written == 1
    assert victim.read_bytes() == data


def test_a_new_archive_in_the_record_is_fetched(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.fetch(tmp_path, (1,), "audio-speech")
    zenodo.add_members(SPEECH, recordings("audio-speech", (1,)))
    [again] = zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert again.written == 2
    assert (tmp_path / "Actor_01" / name(1)).read_bytes() == zenodo.contents[SPEECH][f"Actor_01/{name(1)}"]


def test_a_damaged_receipt_is_ignored(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.fetch(tmp_path, (1,), "audio-speech")
    (tmp_path / ".fetch" / f"{SPEECH}.json").write_text("[]")
    [again] = zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert (len(again.files), again.written) == (2, 0)


def test_keep_archives(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.fetch(tmp_path, (1,), "audio-speech", keep_archives=True)
    assert leftovers(tmp_path) == [SPEECH]
    zenodo.fetch(tmp_path, (2,), "audio-speech", keep_archives=True)
    assert len(zenodo.ranges(SPEECH)) == 1


def test_drops_are_resumed(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.add_members(SPEECH, recordings("audio-speech", (1, 2)), drops=[5000, 2000])
    zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert zenodo.ranges(SPEECH) == [None, "bytes=5000-", "bytes=7000-"]
    assert len(tree(tmp_path)) == 2


def test_range_ignored(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.add_members(SPEECH, recordings("audio-speech", (1, 2)), drops=[5000], ranges=False)
    zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert len(tree(tmp_path)) == 2


def test_an_interrupted_run_is_resumed(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.add_members(SPEECH, recordings("audio-speech", (1, 2)), drops=[5000, 0, 0])
    with pytest.raises(DownloadError, match="gave up"):
        zenodo.fetch(tmp_path, (1,), "audio-speech", retries=replace(FAST, attempts=2))
    assert tree(tmp_path) == []
    zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert zenodo.ranges(SPEECH)[-1] == "bytes=5000-"
    assert len(tree(tmp_path)) == 2


def test_wrong_checksum(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.add(SPEECH, zipped(recordings("audio-speech", (1,))), checksum="md5:" + "0" * 32)
    with pytest.raises(DownloadError, match=f"{SPEECH}.*expected {'0' * 32}, got "):
        zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert tree(tmp_path) == leftovers(tmp_path) == []


def test_name_not_in_the_record(zenodo: Zenodo, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"the record has no file Video_Speech_Actor_03\.zip"):
        zenodo.fetch(tmp_path / "new", (1, 3), "video-speech")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "record", [b"", b"<html>", b"[]", b'{"files": 3}', b'{"files": [{"size": 1}]}', b"\xff\xfe", b'"files"']
)
def test_not_a_record(http_server: FileServer, tmp_path: Path, record: bytes) -> None:
    url = http_server.serve("/record", record)
    with pytest.raises(CorpusError, match="not a Zenodo record"):
        fetch_ravdess(tmp_path, actors=(1,), parts=("audio-speech",), api_url=url, retries=FAST)


@pytest.mark.parametrize(
    "change",
    [
        {"size": "12"},
        {"size": -1},
        {"checksum": "0123"},
        {"checksum": None},
        {"links": {"self": None}},
        {"links": {}},
        {"links": []},
    ],
)
def test_record_with_invalid_entries(zenodo: Zenodo, tmp_path: Path, change: dict[str, Any]) -> None:
    zenodo.files[0].update(change)
    with pytest.raises(CorpusError, match=SPEECH):
        zenodo.fetch(tmp_path, (1,), "audio-speech")


def test_link_to_a_local_file_is_not_read(zenodo: Zenodo, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * zenodo.files[0]["size"])
    zenodo.files[0]["links"]["self"] = (tmp_path / "secret").as_uri()
    with pytest.raises(DownloadError, match="only http and https"):
        zenodo.fetch(tmp_path / "root", (1,), "audio-speech")


@pytest.mark.parametrize(
    ("actors", "parts"), [((0,), PARTS := ("audio-speech",)), ((25,), PARTS), ((), PARTS)]
)
def test_unknown_actors(
    zenodo: Zenodo, tmp_path: Path, actors: tuple[int, ...], parts: tuple[str, ...]
) -> None:
    with pytest.raises(CorpusError, match="RAVDESS has actors 1 to 24"):
        zenodo.fetch(tmp_path, actors, *parts)


@pytest.mark.parametrize("parts", [(), ("audio",), ("audio-speech", "text")])
def test_unknown_parts(zenodo: Zenodo, tmp_path: Path, parts: tuple[str, ...]) -> None:
    with pytest.raises(CorpusError, match="use some of audio-speech, audio-song, video-speech, video-song"):
        zenodo.fetch(tmp_path, (1,), *parts)


def test_too_little_space_is_found_before_any_download(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.files[0]["size"] = 10**18
    with pytest.raises(DownloadError, match=r"needs \S+ TB but only .* free"):
        zenodo.fetch(tmp_path, (1,), "audio-speech")
    assert zenodo.ranges(SPEECH) == []


def test_root_is_a_file(zenodo: Zenodo, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("in the way")
    with pytest.raises(CorpusError, match="root"):
        zenodo.fetch(tmp_path / "root", (1,), "audio-speech")


def refused(zenodo: Zenodo, tmp_path: Path, data: bytes, problem: str) -> None:
    """The archive is refused, and nothing of it is written anywhere."""
    root = tmp_path / "deep" / "root"
    zenodo.add(SPEECH, data)
    with pytest.raises(CorpusError, match=problem):
        zenodo.fetch(root, (1,), "audio-speech")
    assert tree(tmp_path) == []
    assert not [p for p in tmp_path.rglob("*") if "evil" in p.name or p.is_symlink()]
    assert [n for n in leftovers(tmp_path) if n.endswith(".part")] == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../evil.wav", "leads out of the folder"),
        (f"Actor_01/../../../{name(1, take=2)}", "leads out of the folder"),
        (f"..\\{name(1, take=2)}", "leads out of the folder"),
        (f"/tmp/evil/Actor_01/{name(1, take=2)}", "an absolute path"),
        (f"C:\\{name(1, take=2)}", "an absolute path"),
        ("\\\\server\\evil.wav", "an absolute path"),
        ("..", "leads out of the folder"),
    ],
)
def test_paths_that_lead_outside(zenodo: Zenodo, tmp_path: Path, path: str, problem: str) -> None:
    refused(zenodo, tmp_path, zipped({f"Actor_01/{name(1)}": b"fine", path: b"evil"}), problem)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "a special file"), (stat.S_IFCHR, "a special")],
)
def test_members_that_are_not_files(zenodo: Zenodo, tmp_path: Path, kind: int, problem: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"Actor_01/{name(1)}", b"fine")
        member = zipfile.ZipInfo(f"Actor_01/{name(1, take=2)}")
        member.create_system = 3
        member.external_attr = (kind | 0o777) << 16
        archive.writestr(member, "/etc/hostname")
    refused(zenodo, tmp_path, buffer.getvalue(), problem)


def test_bomb_by_ratio(zenodo: Zenodo, tmp_path: Path) -> None:
    data = zipped({f"Actor_01/{name(1)}": bytes(30_000_000)})
    assert len(data) < 100_000
    refused(zenodo, tmp_path, data, r"30.0 MB: refused")


def with_declared_size(data: bytes, size: int) -> bytes:
    """Change the uncompressed size in the central directory, and in the local header, of a one-member zip."""
    changed = bytearray(data)
    struct.pack_into("<I", changed, changed.index(b"PK\x01\x02") + 24, size)
    struct.pack_into("<I", changed, changed.index(b"PK\x03\x04") + 22, size)
    return bytes(changed)


def test_bomb_that_hides_its_size(zenodo: Zenodo, tmp_path: Path) -> None:
    data = with_declared_size(zipped({f"Actor_01/{name(1)}": bytes(30_000_000)}), 1000)
    refused(zenodo, tmp_path, data, "damaged or not a zip")


def test_member_shorter_than_declared(zenodo: Zenodo, tmp_path: Path) -> None:
    data = with_declared_size(zipped({f"Actor_01/{name(1)}": RNG.randbytes(1000)}), 2000)
    refused(zenodo, tmp_path, data, "damaged or not a zip")


def test_truncated_zip(zenodo: Zenodo, tmp_path: Path) -> None:
    data = zipped(recordings("audio-speech", (1,)))
    refused(zenodo, tmp_path, data[: len(data) // 2], "damaged or not a zip")


def test_not_a_zip(zenodo: Zenodo, tmp_path: Path) -> None:
    refused(zenodo, tmp_path, b"<html>404</html>", "damaged or not a zip")


def test_damaged_member_is_not_left(zenodo: Zenodo, tmp_path: Path) -> None:
    data = bytearray(zipped({f"Actor_01/{name(1)}": RNG.randbytes(5000)}))
    data[2000] ^= 0xFF
    refused(zenodo, tmp_path, bytes(data), "damaged or not a zip")


def test_encrypted_member(zenodo: Zenodo, tmp_path: Path) -> None:
    data = bytearray(zipped({f"Actor_01/{name(1)}": b"abc"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[data.index(b"PK\x03\x04") + 6] |= 1
    refused(zenodo, tmp_path, bytes(data), "encrypted")


def test_archive_without_the_actor(zenodo: Zenodo, tmp_path: Path) -> None:
    refused(zenodo, tmp_path, zipped(recordings("audio-speech", (2,))), "no recording of actors 1")


def test_two_recordings_of_the_same_name(zenodo: Zenodo, tmp_path: Path) -> None:
    data = zipped({f"Actor_01/{name(1)}": b"one", f"again/Actor_01/{name(1)}": b"two"})
    refused(zenodo, tmp_path, data, "two different recordings")


def test_other_files_are_left_out(zenodo: Zenodo, tmp_path: Path) -> None:
    extra = {
        "__MACOSX/Actor_01/._x.wav": b"x",
        "Actor_01/.DS_Store": b"x",
        "Actor_01/read me.txt": b"x",
        "Actor_01/": b"",
        f"copy/Actor_01/{name(1)}": b"same",
    }
    zenodo.add(SPEECH, zipped({f"Actor_01/{name(1)}": b"same", "Actor_02/other name.wav": b"2"} | extra))
    zenodo.fetch(tmp_path, (1, 2), "audio-speech")
    assert tree(tmp_path) == [f"Actor_01/{name(1)}", "Actor_02/other name.wav"]


def test_folder_that_is_a_link_is_not_followed(zenodo: Zenodo, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "Actor_01").symlink_to(outside)
    with pytest.raises(CorpusError, match="leads out of"):
        zenodo.fetch(root, (1,), "audio-speech")
    assert list(outside.iterdir()) == []


def test_unpack_keeps_complete_recordings(tmp_path: Path) -> None:
    members = recordings("audio-speech", (1,))
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(members))
    first = unpack(path, tmp_path, actors=frozenset({1}))
    shutil.copy(first.files[0], first.files[1])
    again = unpack(path, tmp_path, actors=frozenset({1}))
    assert (first.written, again.written) == (2, 1)
    assert {zlib.crc32(f.read_bytes()) for f in again.files} == {zlib.crc32(d) for d in members.values()}
