from __future__ import annotations

from pathlib import Path

from emofuse.server.incoming import Incoming


def test_what_a_request_brings_is_gone_at_its_end(tmp_path: Path) -> None:
    with Incoming(tmp_path) as incoming:
        with incoming.folder() as one, incoming.folder() as other:
            (one / "0").write_bytes(b"recording")
            assert one != other
        assert not one.exists()
    assert list((tmp_path / "incoming").iterdir()) == []


def test_what_a_killed_service_left_goes_and_that_of_another_stays(tmp_path: Path) -> None:
    left = tmp_path / "incoming" / "killed" / "request"
    left.mkdir(parents=True)
    (left / "0").write_bytes(b"recording")
    with Incoming(tmp_path) as first, first.folder() as mine:
        (mine / "0").write_bytes(b"mine")
        with Incoming(tmp_path):
            assert not left.exists()
            assert (mine / "0").read_bytes() == b"mine"
        assert (mine / "0").exists()
