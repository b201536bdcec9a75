from __future__ import annotations

import threading
from typing import Any

import pytest

from emofuse.core.errors import CancelledError, FeatureError
from emofuse.core.limits import Limits, ReadControl


def test_the_default_is_40_million_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOFUSE_MAX_PIXELS", raising=False)
    assert 7680 * 4320 < Limits().max_pixels == 40_000_000 < 8192 * 8192


def test_the_environment_sets_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_MAX_PIXELS", "70000000")
    assert Limits().max_pixels == 70_000_000
    assert Limits(max_pixels=5).max_pixels == 5
    for wrong in ("0", "-1", "4e7", "40 MP"):
        monkeypatch.setenv("EMOFUSE_MAX_PIXELS", wrong)
        with pytest.raises(FeatureError, match="EMOFUSE_MAX_PIXELS must be a number of pixels"):
            Limits()


def test_no_frame_at_all_is_no_limit() -> None:
    with pytest.raises(ValueError, match="max_pixels must be positive, got 0"):
        Limits(max_pixels=0)
    with pytest.raises(ValueError, match="max_duration_s must be positive, got nan"):
        Limits(max_duration_s=float("nan"))


def test_a_cancelled_reading_ends_before_it_reports() -> None:
    told: list[Any] = []
    cancel = threading.Event()
    control = ReadControl(cancel=cancel, on_progress=lambda *seconds: told.append(seconds))
    control.report(1.5, None)
    cancel.set()
    with pytest.raises(CancelledError, match="reading was cancelled"):
        control.report(2.0, 3.0)
    assert told == [(1.5, None)]
    ReadControl().report(1.0, 2.0)
