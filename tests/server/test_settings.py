from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.server.settings import ServerSettings, is_loopback

TOKEN = "a token of many characters"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "::1"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    assert ServerSettings(Path("data"), host=host).token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_any_other_host_does(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ValueError, match="needs a token"):
        ServerSettings(Path("data"), host=host)
    assert ServerSettings(Path("data"), host=host, token=TOKEN).token == TOKEN


def test_a_token_is_long_and_never_shown() -> None:
    with pytest.raises(ValueError, match="16 characters or more, got 5"):
        ServerSettings(Path("data"), token="short")
    assert TOKEN not in repr(ServerSettings(Path("data"), token=TOKEN))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"workers": 0}, "workers"), ({"port": 70000}, "port"), ({"keep_s": 0.0}, "keep_s")],
)
def test_settings_that_cannot_be(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServerSettings(Path("data"), **wrong)  # type: ignore[arg-type]


def test_one_worker_of_several_is_kept_free() -> None:
    assert ServerSettings(Path("data"), workers=1).kept_free == 0
    assert ServerSettings(Path("data"), workers=4).kept_free == 1


def test_jobs_are_in_the_data_folder_by_default(tmp_path: Path) -> None:
    assert ServerSettings(tmp_path).database_url == f"sqlite:///{tmp_path}/jobs.sqlite"
    assert ServerSettings(tmp_path, database="postgresql://h/d").database_url == "postgresql://h/d"
