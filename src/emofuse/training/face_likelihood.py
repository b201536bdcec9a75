"""How likely an output of the face network is, given the emotion that is expressed.

A face network's probabilities answer "which emotion does this face show?", for faces that were picked because
they show one. Fused as they are, a speaking face that shows nothing is strong evidence for neutral. The
likelihood asks instead how often a face looks as it does while each emotion is expressed: most emotions are
heard more often than they are seen, so that a neutral face says little, and a happy one much.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.labels import EMOTIONS

HIDDEN_SHARE: Final = 0.5
"""Prior belief: in half of the clips in which an emotion is expressed, the face looks neutral throughout."""
_SEEN_SHARE: Final = 0.5
"""Prior belief: where a face shows something, half of the network's probability is on what is expressed; the
rest is spread over all emotions."""
_PRIOR_CLIPS: Final = 50.0
"""Weight of a prior belief, in clips or faces of each emotion."""

_NEUTRAL: Final = [EMOTIONS.index(name) for name in ("neutral", "calm")]
LEAST_LIKELIHOOD: Final = 1e-6
"""A likelihood below this is raised to it."""


Matrix = NDArray[np.float64]
"""(8, 8): one row per expressed emotion, with the shares of what the network then outputs; each sums to 1."""


def likelihood_of_clips(
    log_probabilities: NDArray[np.floating], emotions: NDArray[np.int64] | NDArray[np.float64]
) -> Matrix:
    """Measured on clips of a corpus, whose faces may show nothing.

    Args:
        log_probabilities: (n, 8), of a face network that had not seen the speakers.
        emotions: (n,) what is expressed; or (n, 8) shares of raters, each of which counts as that share of a
            clip.
    """
    return _posterior_mean(log_probabilities, emotions, _with_hidden(_seen()))


def likelihood_of_faces(log_probabilities: NDArray[np.floating], emotions: NDArray[np.int64]) -> Matrix:
    """Measured on single faces that were picked because they show something; how many do not is believed.

    Args:
        log_probabilities: (n, 8), of a face network that had not seen the faces.
        emotions: (n,) what is shown. Faces that are neutral count as calm, too, and the other way round.
    """
    neutral = np.isin(emotions, _NEUTRAL)
    both = [np.full(int(neutral.sum()), emotion) for emotion in _NEUTRAL]
    rows = [log_probabilities[~neutral], *[log_probabilities[neutral]] * len(_NEUTRAL)]
    return _with_hidden(
        _posterior_mean(np.concatenate(rows), np.concatenate([emotions[~neutral], *both]), _seen())
    )


def log_likelihood(log_probabilities: NDArray[np.floating], matrix: Matrix) -> NDArray[np.float64]:
    """(n, 8) log-probabilities of the face network → (n, 8) log-likelihoods, up to a constant per clip.

    The expected likelihood under the network's own uncertainty.
    """
    likelihood = np.exp(log_probabilities.astype(np.float64)) @ matrix.T
    return np.asarray(np.log(np.maximum(likelihood, LEAST_LIKELIHOOD)))


def _seen() -> Matrix:
    """What is believed of a face that shows something. Neutral and calm are one look."""
    own = np.eye(len(EMOTIONS))
    own[_NEUTRAL] = _neutral_look()
    return np.asarray(_SEEN_SHARE * own + (1 - _SEEN_SHARE) / len(EMOTIONS))


def _with_hidden(seen: Matrix) -> Matrix:
    return np.asarray(HIDDEN_SHARE * _neutral_look() + (1 - HIDDEN_SHARE) * seen)


def _neutral_look() -> NDArray[np.float64]:
    return np.bincount(_NEUTRAL, minlength=len(EMOTIONS)) / len(_NEUTRAL)


def _posterior_mean(
    log_probabilities: NDArray[np.floating],
    emotions: NDArray[np.int64] | NDArray[np.float64],
    prior: Matrix,
) -> Matrix:
    """The mean of each row's Dirichlet distribution after the outputs, each of which counts in shares."""
    if emotions.ndim == 2:
        rows = emotions.T @ np.exp(log_probabilities.astype(np.float64))
    else:
        rows = np.array(
            [
                np.exp(log_probabilities[emotions == emotion].astype(np.float64)).sum(0)
                for emotion in range(len(EMOTIONS))
            ]
        )
    total = rows + _PRIOR_CLIPS * prior
    return np.asarray(total / total.sum(1, keepdims=True))
