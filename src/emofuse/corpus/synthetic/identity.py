"""What makes one drawn person, whatever the emotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from emofuse.corpus.synthetic.strokes import Color

_SKINS: Final[tuple[Color, ...]] = (
    (178, 200, 232), (160, 186, 224), (140, 170, 212), (122, 154, 200), (104, 138, 186), (92, 122, 168),
)  # fmt: skip
_HAIRS: Final[tuple[Color, ...]] = (
    (28, 30, 36), (34, 44, 62), (40, 60, 90), (44, 84, 124), (60, 66, 74), (30, 48, 96),
)  # fmt: skip
_IRISES: Final[tuple[Color, ...]] = ((52, 72, 98), (98, 96, 70), (120, 94, 64), (40, 52, 70))
_WALLS: Final[tuple[Color, ...]] = (
    (226, 226, 224), (214, 220, 222), (222, 212, 200), (204, 214, 208), (210, 206, 216),
)  # fmt: skip
_SHIRTS: Final[tuple[Color, ...]] = ((44, 40, 38), (84, 60, 44), (52, 52, 84), (60, 74, 56), (90, 84, 80))


@dataclass(frozen=True, slots=True)
class FaceIdentity:
    """What makes one person's face, whatever the emotion."""

    female: bool
    skin: Color
    hair: Color
    iris: Color
    wall: Color
    shirt: Color
    half_width: float
    half_height: float
    jaw: float  # 0 round, 1 square
    eye_gap: float  # from the middle to the middle of an eye
    eye_width: float  # half
    eye_height: float  # half, opened as at rest
    brow_height: float  # above the eye
    brow_thick: float
    nose_width: float
    mouth_width: float  # half
    lip_thick: float
    rest_corners: float
    fringe: float  # how low the hair starts
    parting: float  # where it parts, -1 to 1
    light: float  # -1 from the left, 1 from the right

    @classmethod
    def sample(cls, female: bool, rng: np.random.Generator) -> FaceIdentity:
        """Draw a random person."""

        def pick(colors: tuple[Color, ...], jitter: float) -> Color:
            chosen = np.array(colors[int(rng.integers(len(colors)))]) + rng.uniform(-jitter, jitter, 3)
            blue, green, red = np.clip(chosen, 0, 255)
            return float(blue), float(green), float(red)

        def near(mean: float, share: float) -> float:
            return float(mean * (1 + share * np.clip(rng.standard_normal(), -2, 2)))

        return cls(
            female=female,
            skin=pick(_SKINS, 5),
            hair=pick(_HAIRS, 6),
            iris=pick(_IRISES, 8),
            wall=pick(_WALLS, 6),
            shirt=pick(_SHIRTS, 8),
            half_width=near(122 if female else 126, 0.025),
            half_height=near(164 if female else 168, 0.02),
            jaw=float(rng.uniform(0.1, 0.5) if female else rng.uniform(0.45, 0.9)),
            eye_gap=near(53, 0.03),
            eye_width=near(26.5 if female else 25, 0.03),
            eye_height=near(10.5 if female else 9.5, 0.04),
            brow_height=near(27, 0.05),
            brow_thick=near(6.0 if female else 8.5, 0.1),
            nose_width=near(23 if female else 26, 0.06),
            mouth_width=near(42, 0.04),
            lip_thick=near(9.5 if female else 7.5, 0.08),
            rest_corners=float(rng.normal(0, 0.06)),
            fringe=float(rng.uniform(0.0, 0.2)),
            parting=float(rng.uniform(-0.7, 0.7)),
            light=float(rng.uniform(-0.6, 0.6)),
        )
