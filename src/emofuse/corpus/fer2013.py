"""FER2013 (Goodfellow et al. 2013) with the votes of FER+ (Barsoum et al. 2016): gray faces, 48×48.

Facts that matter: the two label sets agree on less than two thirds of the images; many images occur twice,
some with another label, some in two splits; a few are blank.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import CorpusError
from emofuse.core.labels import FER_PLUS
from emofuse.system.array_files import read_arrays

N_VOTES: Final = 10
SIDE: Final = 48


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces with their labels and votes.

    ``images``: (n, 48, 48) uint8; ``emotion``: (n,) int64, order of :data:`~emofuse.core.labels.FER2013`;
    ``votes``: (n, 10) int64, of ten raters.
    """

    images: NDArray[np.uint8]
    emotion: NDArray[np.int64]
    votes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.shape[1:] != (SIDE, SIDE) or self.images.dtype != np.uint8:
            raise ValueError(f"faces are (n, 48, 48) uint8, not {self.images.shape} {self.images.dtype}")
        n = len(self.images)
        if self.emotion.shape != (n,) or self.votes.shape != (n, N_VOTES):
            raise ValueError(f"{n} faces, labels {self.emotion.shape}, votes {self.votes.shape}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: NDArray[np.bool_]) -> Faces:
        """A subset of the faces."""
        return Faces(self.images[rows], self.emotion[rows], self.votes[rows])

    @property
    def counted(self) -> NDArray[np.int64]:
        """(n, 10) votes without those of a single rater, which FER+ regards as errors."""
        return np.where(self.votes > 1, self.votes, 0)

    @property
    def distribution(self) -> NDArray[np.float32]:
        """(n, 8) shares of the eight emotions; zeros where most raters saw none of them."""
        counted = self.counted[:, : len(FER_PLUS)]
        shares = counted / np.maximum(counted.sum(1, keepdims=True), 1)
        return np.asarray(shares * self._has_emotion[:, None], dtype=np.float32)

    @property
    def majority(self) -> NDArray[np.int64]:
        """(n,) the emotion with more than half of the counted votes, as in FER+; -1 for none."""
        counted = self.counted
        clear = counted.max(1) * 2 > counted.sum(1)
        return np.where(clear & self._has_emotion, counted.argmax(1), -1)

    @property
    def most_voted(self) -> NDArray[np.int64]:
        """(n,) the emotion with the most votes; -1 for a tie, "unknown" or "no face"."""
        top = np.sort(self.votes, axis=1)
        return np.where(self._has_emotion & (top[:, -1] > top[:, -2]), self.votes.argmax(1), -1)

    @property
    def _has_emotion(self) -> NDArray[np.bool_]:
        counted = self.counted
        return np.asarray((counted.argmax(1) < len(FER_PLUS)) & (counted.sum(1) > 0))


def read_fer2013(folder: Path, split: str) -> Faces:
    """The faces of one split, from ``folder``/``split``.npz.

    Args:
        folder: where the files are.
        split: ``train`` or ``public_test``.

    Raises:
        CorpusError: the file is missing, damaged, or holds something else.
    """
    path = folder / f"{split}.npz"
    if not path.is_file():
        raise CorpusError(
            f"no {path}: FER2013 is read as train.npz and public_test.npz, with arrays images "
            "(n, 48, 48) uint8, emotion (n,) and votes (n, 10)"
        )
    try:
        arrays = read_arrays(path)
        images, emotion, votes = (arrays[name] for name in ("images", "emotion", "votes"))
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(f"{path}: not a file of FER2013 faces: {error}") from error
    try:
        for name, array in (("emotion", emotion), ("votes", votes)):
            if array.dtype.kind not in "iu":
                raise ValueError(f"{name} must be integers, not {array.dtype}")
        faces = Faces(images, emotion.astype(np.int64), votes.astype(np.int64))
    except ValueError as error:
        raise CorpusError(f"{path}: {error}") from error
    if len(faces) == 0 or not ((faces.emotion >= 0) & (faces.emotion < 7)).all() or (faces.votes < 0).any():
        raise CorpusError(
            f"{path}: labels must be 0 to 6, votes must be counts, and there must be at least one face"
        )
    return faces


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How many training faces were left out, and why.

    ``contradictory``: they occur with several labels; ``repeated``: copies of a face that is kept once.
    """

    blank: int
    in_other_split: int
    contradictory: int
    repeated: int


def clean_training_faces(faces: Faces, held_out: Faces) -> tuple[Faces, Cleaning]:
    """Training faces without blank ones, without those that are also held out, and each only once.

    An image that occurs with several labels is left out altogether; of others one copy is kept.
    """
    blank = faces.images.reshape(len(faces), -1).std(1) == 0
    held_out_digests = {_digest(image) for image in held_out.images}
    digests = [_digest(image) for image in faces.images]
    elsewhere = np.array([digest in held_out_digests for digest in digests]) & ~blank
    labels: dict[bytes, set[int]] = {}
    for digest, emotion in zip(digests, faces.emotion.tolist(), strict=True):
        labels.setdefault(digest, set()).add(emotion)
    contradictory = np.array([len(labels[digest]) > 1 for digest in digests]) & ~blank & ~elsewhere
    seen: set[bytes] = set()
    repeated = np.zeros(len(faces), dtype=np.bool_)
    for i, digest in enumerate(digests):
        repeated[i] = digest in seen
        seen.add(digest)
    repeated &= ~blank & ~elsewhere & ~contradictory
    counts = Cleaning(*(int(rows.sum()) for rows in (blank, elsewhere, contradictory, repeated)))
    return faces.take(~(blank | elsewhere | contradictory | repeated)), counts


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()
