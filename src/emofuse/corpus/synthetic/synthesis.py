"""A corpus of drawn faces and computed voices, with the file names and formats of RAVDESS.

With it the whole pipeline can be run and tested without data. Results on it say nothing about people: such a
corpus is marked by a file, :data:`emofuse.corpus.corpus.SYNTHETIC_MARK`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2

from emofuse.core.errors import CorpusError
from emofuse.core.labels import EMOTIONS
from emofuse.corpus.corpus import SYNTHETIC_MARK
from emofuse.system.atomic_write import write_atomically
from emofuse.system.process_pool import as_completed

if TYPE_CHECKING:
    from emofuse.corpus.synthetic.clip import TakeCode


GENERATOR: Final = "emofuse-synthetic-1"
"""Must change whenever the same seed would give other faces or voices."""

MAX_TAKES: Final = 8
MAX_TAKES_NEUTRAL: Final = 4
MAX_ACTOR: Final = 99

# (intensity, statement, repetition) of the first, second, … take; neutral has no strong intensity
_TAKES: Final = ((1, 1, 1), (2, 2, 1), (1, 2, 1), (2, 1, 1), (1, 1, 2), (2, 2, 2), (1, 2, 2), (2, 1, 2))
_TAKES_NEUTRAL: Final = ((1, 1, 1), (1, 2, 1), (1, 1, 2), (1, 2, 2))


def synthesize(
    out: Path,
    *,
    n_actors: int,
    n_takes: int,
    seed: int,
    jobs: int = 1,
    on_clip: Callable[[int, int], None] | None = None,
    first_actor: int = 1,
    voices_only: bool = False,
    ratings: bool = False,
) -> list[Path]:
    """Make a synthetic corpus, or the part of it that does not exist yet.

    Each take is ``out/Actor_NN/01-01-….mp4`` (1280×720 H.264 at 30000/1001 frames per second, AAC 48 kHz)
    and ``03-01-….wav`` (48 kHz, 16-bit, mono) with the same audio. An actor depends only on the seed and the
    actor's number, a take also on its name: the same seed gives the same corpus whatever the number of jobs,
    and a larger corpus contains the smaller one.

    Args:
        out: the root folder, created if it does not exist.
        n_actors: how many actors; odd numbers are men, even numbers women.
        n_takes: takes per emotion and actor, 1 to 8; neutral has at most 4, as in RAVDESS.
        seed: 0 or more.
        jobs: processes.
        on_clip: called after each take with the number done and the total.
        first_actor: the number of the first actor.
        voices_only: make the ``.wav`` files alone, which takes a small part of the time.
        ratings: also write valence and arousal of all takes that are there into ``out/ratings.csv``, a table
            that describes the corpus (:mod:`emofuse.corpus.synthetic.ratings`).

    Returns:
        All files of these takes, sorted, whether made now or before.

    Raises:
        CorpusError: a number is out of range, or ``out`` holds another corpus.
        MissingExtraError: scipy is not installed.
    """
    _check(n_actors, n_takes, seed, jobs, first_actor)
    from emofuse.corpus.synthetic import clip

    actors = range(first_actor, first_actor + n_actors)
    codes = [clip.TakeCode(*fields, actor) for actor in actors for fields in _plan(n_takes)]
    _mark(out, actors, n_takes, seed)
    for actor in actors:
        _folder(out, actor).mkdir(exist_ok=True)
    todo = [code for code in codes if not all(map(_complete, _paths(out, code, voices_only=voices_only)))]
    done = len(codes) - len(todo)
    for _ in _make_all(out, seed, todo, jobs, voices_only=voices_only):
        done += 1
        if on_clip is not None:
            on_clip(done, len(codes))
    if ratings:
        from emofuse.corpus.synthetic.ratings import write_ratings

        write_ratings(out, seed)
    return sorted(path for code in codes for path in _paths(out, code, voices_only=voices_only))


def _check(n_actors: int, n_takes: int, seed: int, jobs: int, first_actor: int) -> None:
    last = first_actor + n_actors - 1
    if n_actors < 1 or first_actor < 1 or last > MAX_ACTOR:
        raise CorpusError(
            f"actors {first_actor} to {last}: a corpus has at least 1, numbered 1 to {MAX_ACTOR}"
        )
    if not 1 <= n_takes <= MAX_TAKES:
        raise CorpusError(
            f"takes: {n_takes} of each emotion, but RAVDESS names have room for 1 to {MAX_TAKES} "
            f"({MAX_TAKES_NEUTRAL} of neutral)"
        )
    if seed < 0:
        raise CorpusError(f"seed: {seed} must be 0 or more")
    if jobs < 1:
        raise CorpusError(f"jobs: {jobs} must be 1 or more")


def _plan(n_takes: int) -> Iterator[tuple[int, int, int, int]]:
    """Emotion, intensity, statement and repetition of one actor's takes, in order."""
    for index, emotion in enumerate(EMOTIONS):
        takes = _TAKES_NEUTRAL if emotion == "neutral" else _TAKES
        for fields in takes[:n_takes]:
            yield (index + 1, *fields)


def _folder(out: Path, actor: int) -> Path:
    return out / f"Actor_{actor:02d}"


def _paths(out: Path, code: TakeCode, *, voices_only: bool) -> tuple[Path, ...]:
    """The recording of the voice, and the video unless only voices are made."""
    folder = _folder(out, code.actor)
    audio = folder / f"{code.name(3)}.wav"
    return (audio,) if voices_only else (audio, folder / f"{code.name(1)}.mp4")


def _complete(path: Path) -> bool:
    """Files are written atomically: one that exists and is not empty is complete."""
    return path.is_file() and path.stat().st_size > 0


def _mark(out: Path, actors: range, n_takes: int, seed: int) -> None:
    """Mark the corpus as synthetic before its first clip is written.

    Actors that are already there are counted; a corpus of another seed or generator is refused, because its
    actors of the same numbers would be other people.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / SYNTHETIC_MARK
    present = {int(folder.name[-2:]) for folder in out.glob("Actor_[0-9][0-9]") if any(folder.iterdir())}
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if (before.get("generator"), before.get("seed")) != (GENERATOR, seed):
            raise CorpusError(
                f"{out} holds a synthetic corpus of {before.get('generator')}, seed {before.get('seed')}: "
                "use that seed or another folder"
            )
        n_takes = max(n_takes, int(before.get("n_takes", 0)))
    elif present:
        raise CorpusError(f"{out} holds a corpus that is not synthetic: use another folder")
    facts = {"generator": GENERATOR, "seed": seed, "n_actors": len(present | set(actors)), "n_takes": n_takes}
    write_atomically(path, (json.dumps(facts, indent=2) + "\n").encode())


def _make_all(out: Path, seed: int, codes: list[TakeCode], jobs: int, *, voices_only: bool) -> Iterator[None]:
    """Make takes; yield after each."""
    if jobs == 1 or len(codes) < 2:
        for code in codes:
            _make(out, seed, code, voices_only)
            yield
        return
    arguments = [(out, seed, code, voices_only) for code in codes]
    for _ in as_completed(_make, arguments, jobs, setup=_start_worker):
        yield


def _start_worker() -> None:
    """One thread per process: the processes share the cores."""
    cv2.setNumThreads(1)


def _make(out: Path, seed: int, code: TakeCode, voices_only: bool) -> None:
    from emofuse.corpus.synthetic import clip, encode
    from emofuse.corpus.synthetic.voice import SAMPLE_RATE_HZ

    speech = clip.take_speech(seed, code)
    audio, *videos = _paths(out, code, voices_only=voices_only)
    if not _complete(audio):
        encode.write_wav(audio, speech.samples, SAMPLE_RATE_HZ)
    for video in videos:
        if _complete(video):
            continue
        background = clip.person(seed, code.actor).portrait.background
        patches = clip.face_patches(seed, code, speech)
        encode.write_mp4(video, background, patches, speech.samples, SAMPLE_RATE_HZ)
