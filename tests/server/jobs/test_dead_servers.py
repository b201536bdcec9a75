from __future__ import annotations

from emofuse.server.jobs.dead_servers import DeadServers


class Watch:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_server_is_dead_when_its_beats_stand_still() -> None:
    watch = Watch()
    dead = DeadServers(20.0, longest_gap_s=4.0, clock=watch)
    for n in range(10):
        assert dead.observe({"moves": n, "stands": 5}) == []
        watch.now_s += 2
    assert dead.observe({"moves": 10, "stands": 5}) == ["stands"]
    assert dead.observe({"moves": 11, "stands": 5}) == ["stands"], "until somebody has released it"
    assert dead.observe({"moves": 12, "stands": 6}) == [], "it lives after all"
    assert dead.observe({"moves": 13}) == []


def test_time_in_which_nobody_could_look_does_not_count() -> None:
    """The database was away for a minute, or this server was stopped: the others could not beat, or did."""
    watch = Watch()
    dead = DeadServers(20.0, longest_gap_s=4.0, clock=watch)
    dead.observe({"other": 5})
    for _ in range(4):
        watch.now_s += 60
        assert dead.observe({"other": 5}) == []
    watch.now_s += 60
    assert dead.observe({"other": 5}) == ["other"]


def test_a_server_that_came_back_is_watched_anew() -> None:
    watch = Watch()
    dead = DeadServers(3.0, longest_gap_s=4.0, clock=watch)
    dead.observe({"other": 5})
    watch.now_s += 4
    assert dead.observe({}) == []
    watch.now_s += 4
    assert dead.observe({"other": 5}) == []
