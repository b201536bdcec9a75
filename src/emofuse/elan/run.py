"""What happens when ELAN starts the recognizer: parameters in, lines of progress and a result, tiers out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from emofuse.core.errors import EmofuseError
from emofuse.core.text import one_line, shown
from emofuse.elan.parameters import Parameters, read_parameters
from emofuse.elan.tiers import write_tiers
from emofuse.recognition.recognizer import Recognizer
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.records import Timeline
from emofuse.timeline.segments import SegmentRules
from emofuse.timeline.windows import WindowRules

DONE: Final = "RESULT: DONE."
"""ELAN takes nothing else for success, and closes the pipe at once."""
FAILED: Final = "RESULT: FAILED."
_MOST: Final = 0.99
"""At 1, ELAN looks for tiers, which are not yet there."""

Say = Callable[[str], None]
"""Writes a line that ELAN reads, at once."""


def run_recognizer(data: bytes, say: Say) -> bool:
    """Read the recording that ELAN names, and write its tiers.

    Args:
        data: what ELAN wrote to standard input.
        say: takes the lines for ELAN: ``PROGRESS: 0.25 …``, ``INFO: …``, ``ERROR: …``, and at the end
            ``RESULT: DONE.`` or ``RESULT: FAILED.``.

    Returns:
        Whether it is done. The tiers are written whole or not at all.

    Raises:
        OSError: ELAN reads no more, as after *Cancel* on Windows.
    """
    try:
        parameters = read_parameters(data)
        timeline = _read(parameters, say)
        with write_atomically(parameters.tiers) as file:
            write_tiers(timeline, file, with_confidence=parameters.with_confidence)
    except BrokenPipeError:
        raise
    except (EmofuseError, OSError, MemoryError) as error:
        say(f"ERROR: {one_line(shown(str(error)))}")
        say(FAILED)
        return False
    except Exception:
        with contextlib.suppress(OSError):
            say(FAILED)
        raise
    for remark in timeline.remarks:
        say(f"INFO: {one_line(remark)}")
    say(DONE)
    return True


def _read(parameters: Parameters, say: Say) -> Timeline:
    say("PROGRESS: 0.00 loading the recognizer")
    recognizer = Recognizer.load(parameters.bundle)
    licence = f"; {recognizer.licence}" if recognizer.licence else ""
    say(f"INFO: expressed emotion, read by {one_line(recognizer.recipe.name + licence)}")
    told = -1

    def on_progress(done_s: float, total_s: float | None) -> None:
        nonlocal told
        share = min(done_s / total_s, 1.0) * _MOST if total_s else 0.0
        if int(100 * share) != told:
            told = int(100 * share)
            of = "" if total_s is None else f" of {total_s:.0f}"
            say(f"PROGRESS: {told / 100:.2f} {done_s:.0f}{of} seconds")

    return recognizer.timeline(
        parameters.source,
        rules=WindowRules(window_s=parameters.window_s),
        segment_rules=SegmentRules(abstain_below=parameters.abstain_below),
        on_progress=on_progress,
    )
