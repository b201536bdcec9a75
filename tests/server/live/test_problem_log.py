"""The log of problems: by kind, counted, bounded."""

from __future__ import annotations

from emofuse.server.live.problem_log import ProblemLog


def test_the_same_problem_is_one_row() -> None:
    log = ProblemLog()
    for time_s in (1.0, 2.0, 3.0):
        log.add("picture", "it is damaged", time_s)
    log.add("audio", "too late", 2.5)
    assert log.rows() == [
        {"what": "picture", "problem": "it is damaged", "first_s": 1.0, "count": 3},
        {"what": "audio", "problem": "too late", "first_s": 2.5, "count": 1},
    ]


def test_a_client_cannot_fill_the_memory() -> None:
    log = ProblemLog()
    for number in range(1000):
        log.add("message", f"problem {number}")
    rows = log.rows()
    assert len(rows) == 101
    assert sum(row["count"] for row in rows) == 1000
