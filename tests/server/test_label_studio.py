from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.exports.label_studio import labeling_config
from emofuse.server.label_studio import LabelStudio, fetch, local_file, read_labeling, remote_name
from emofuse.server.problems import Problem
from tests.support.file_server import FileServer

TOKEN = "label-studio-token"


def test_the_configuration_that_emofuse_writes_is_read() -> None:
    for key in ("audio", "video"):
        found = read_labeling(labeling_config(("ja", 'nein "<&>'), key))
        assert found.key == key
        assert found.names == {
            "labels": "emotion", "media": "audio", "person": "person",
            "values": sorted(["ja", 'nein "<&>', "abstained"]),
        }  # fmt: skip


def test_a_configuration_of_ones_own() -> None:
    config = (
        '<View><Choices name="c" toName="snd"/><Labels name="text" toName="t"><Label value="x"/></Labels>'
        '<Text name="t" value="$text"/><Labels name="mood" toName="snd"><Label value="sad"/></Labels>'
        '<Audio name="snd" value="$wav"/><TextArea name="note" toName="snd" perRegion="true"/></View>'
    )
    found = read_labeling(config)
    assert found.key == "wav"
    assert found.names == {"labels": "mood", "media": "snd", "person": None, "values": ["sad"]}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("", "not XML"),
        ("<View>", "not XML"),
        ("<View/>", "has no <Labels"),
        ('<View><Labels name="a" toName="b"/><Audio name="b" value="fixed.wav"/></View>', "has no <Labels"),
        ('<!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/passwd">]><View>&x;</View>', "entities"),
    ],
)
def test_what_cannot_be_filled_is_named(config: str, says: str) -> None:
    with pytest.raises(Problem, match=says):
        read_labeling(config)


def test_names_of_local_files() -> None:
    assert local_file("/data/local-files/?d=a/b%20c.mp4") == "a/b c.mp4"
    assert local_file("/data/local-files/?d=%2Fa.mp4") == "a.mp4"
    assert local_file("/data/upload/1/a.mp4") is None and local_file("https://x/?d=a") is None
    assert remote_name("/data/upload/1/a%20b.mp4") == "a b.mp4"


def test_a_recording_is_fetched_with_the_token(http_server: FileServer, tmp_path: Path) -> None:
    http_server.serve("/data/upload/1/a.wav", b"sound")
    studio = LabelStudio(http_server.url, TOKEN)
    for number, address in enumerate(("/data/upload/1/a.wav", f"{http_server.url}/data/upload/1/a.wav")):
        fetch(studio, address, tmp_path / str(number), 10)
        assert (tmp_path / str(number)).read_bytes() == b"sound"
    assert {headers["Authorization"] for _, headers in http_server.requests} == {f"Token {TOKEN}"}
    assert TOKEN not in repr(studio)
    with pytest.raises(Problem, match="may have 4 bytes"):
        fetch(studio, "/data/upload/1/a.wav", tmp_path / "large", 4)


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data", "http://127.0.0.1:1/data/upload/1/a.wav",
        "file:///etc/passwd", "//example.org/data/upload/a.wav", "/api/projects", "/data/../api/users",
        "/data/%2e%2e/api/users", "/data/%252e%252e/api/users", "data/upload/a.wav", "s3://bucket/a.wav",
        "http://user@{host}/data/a.wav", "http://{host}.example.org/data/a.wav",
    ],
)  # fmt: skip
def test_nothing_is_fetched_from_elsewhere(http_server: FileServer, tmp_path: Path, address: str) -> None:
    host = http_server.url.removeprefix("http://")
    with pytest.raises(Problem, match="not one of Label Studio's own"):
        fetch(LabelStudio(http_server.url, TOKEN), address.replace("{host}", host), tmp_path / "a", 10)
    assert http_server.requests == [] and list(tmp_path.iterdir()) == []


def test_redirects_and_failures(http_server: FileServer, tmp_path: Path) -> None:
    http_server.serve("/data/upload/1/a.wav", b"", statuses=[302], location="http://169.254.169.254/")
    studio = LabelStudio(http_server.url, TOKEN)
    with pytest.raises(Problem, match="answered 302"):
        fetch(studio, "/data/upload/1/a.wav", tmp_path / "a", 10)
    with pytest.raises(Problem, match="answered 404"):
        fetch(studio, "/data/upload/1/none.wav", tmp_path / "b", 10)
    assert len(http_server.requests) == 2
    with pytest.raises(Problem, match="was not reached"):
        fetch(LabelStudio("http://127.0.0.1:1", TOKEN), "/data/upload/1/a.wav", tmp_path / "c", 10)
    with pytest.raises(Problem, match="has no token of Label Studio"):
        fetch(LabelStudio(http_server.url), "/data/upload/1/a.wav", tmp_path / "d", 10)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://a", "http://", "http://a?b", "http://me:pw@a"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="the address of Label Studio"):
        LabelStudio(url)
