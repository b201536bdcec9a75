"""The face of the synthetic corpus: a moving drawing, shaded like a sphere.

Only a patch around the head is redrawn for each frame; the rest is a still background. Lengths are pixels of
the 1280×720 frame; head coordinates have their origin between the eyes and the nose, x to the right, y down.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from emofuse.core.records import Float32, UInt8
from emofuse.corpus.synthetic import drawing as features
from emofuse.corpus.synthetic.drawing import Pose
from emofuse.corpus.synthetic.expression import Float64
from emofuse.corpus.synthetic.identity import FaceIdentity
from emofuse.corpus.synthetic.strokes import ellipse, fill, scaled, soft_shape

WIDTH: Final = 1280
HEIGHT: Final = 720
PATCH: Final = 512
"""Side of the square that is redrawn for each frame; even, like its offsets, for 4:2:0 chroma."""
PATCH_LEFT: Final = (WIDTH - PATCH) // 2
PATCH_TOP: Final = 96
_MID: Final = PATCH / 2
_ZOOM: Final = 1.09
"""Head coordinates to pixels. dlib's detector searches at sizes a fifth apart (216, 259, 311 pixels): with
this zoom a face is well within the range of one of them, and its box does not jump from frame to frame."""
_PIVOT: Final = 140.0
"""Where the head rotates on the neck, in head coordinates."""


class Portrait:
    """One person in front of a wall; what does not move is drawn once."""

    def __init__(self, identity: FaceIdentity, rng: np.random.Generator) -> None:
        """Draw the wall, the shoulders and the head without features."""
        self.identity = identity
        self.background = _background(identity, rng)
        """(720, 1280, 3) uint8 BGR, the frame without the head."""
        self._back = self.background[PATCH_TOP : PATCH_TOP + PATCH, PATCH_LEFT : PATCH_LEFT + PATCH].copy()
        self._head, self._mask = _bare_head(identity, rng)
        grain = np.round(rng.normal(0, 0.8, (PATCH + 64, PATCH + 64, 1)))
        self._grain = np.repeat(grain, 3, axis=2).astype(np.int16)

    def patch(self, pose: Pose, rng: np.random.Generator) -> UInt8:
        """(512, 512, 3) uint8 BGR: the square around the head at this moment."""
        head = self._head.copy()
        features.draw(head, self.identity, pose, (_MID, _MID))
        # OpenCV's edges are sharper than those of a lens; enlarging softens the rest.
        # Four channels are warped faster than three, and the mask must be warped too.
        layer = cv2.cvtColor(cv2.GaussianBlur(head, (3, 3), 0.6), cv2.COLOR_BGR2BGRA)
        layer[:, :, 3] = self._mask
        transform = cv2.getRotationMatrix2D((_MID, _MID + _PIVOT), pose.roll, _ZOOM)
        transform += np.array([[0, 0, pose.shift[0]], [0, 0, pose.shift[1]]])
        warped = cv2.warpAffine(layer, transform, (PATCH, PATCH))
        share = warped[:, :, 3].astype(np.float32) / 255
        mixed = cv2.blendLinear(cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR), self._back, share, 1 - share)
        y, x = rng.integers(0, 64, 2)
        grain = self._grain[y : y + PATCH, x : x + PATCH]
        return np.asarray(cv2.add(mixed, grain, dtype=cv2.CV_8U), np.uint8)

    def frame(self, patch: UInt8) -> UInt8:
        """(720, 1280, 3) uint8 BGR: the frame with this patch in it."""
        whole = self.background.copy()
        whole[PATCH_TOP : PATCH_TOP + PATCH, PATCH_LEFT : PATCH_LEFT + PATCH] = patch
        return whole


def _background(identity: FaceIdentity, rng: np.random.Generator) -> UInt8:
    """The wall, the shoulders and the neck: (720, 1280, 3) uint8 BGR."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    fall = 1.0 - 0.10 * ((across / WIDTH - 0.5 - 0.2 * identity.light) ** 2 + (down / HEIGHT - 0.4) ** 2) * 4
    image = np.clip(fall[:, :, None] * np.array(identity.wall, np.float32), 0, 255).astype(np.uint8)
    middle = np.array([WIDTH / 2, PATCH_TOP + _MID])
    wide = 250.0 if identity.female else 290.0
    shoulders = np.array(
        [(-wide, 400), (-wide, 290), (-wide + 60, 232), (-95, 196), (0, 214), (95, 196), (wide - 60, 232),
         (wide, 290), (wide, 400)]
    )  # fmt: skip
    if identity.female:
        behind = np.array([(-150, 20), (150, 20), (146, 190), (118, 236), (-118, 236), (-146, 190)])
        fill(image, behind * (identity.half_width / 122, 1) + middle, scaled(identity.hair, 0.7))
    half_neck = 58.0 if identity.female else 70.0
    neck = np.array(
        [(-half_neck, 60), (half_neck, 60), (half_neck + 14, 205), (0, 240), (-half_neck - 14, 205)]
    )
    fill(image, shoulders + middle, identity.shirt)
    fill(image, neck + middle, scaled(identity.skin, 0.80))
    soft_shape(
        image, np.array([(-70, 120), (70, 120), (60, 182), (-60, 182)]) + middle, (30, 40, 60), 0.35, 12
    )
    blurred = cv2.GaussianBlur(image, (0, 0), 1.6)
    grain = rng.normal(0, 1.2, (HEIGHT, WIDTH, 1))
    return np.asarray(np.clip(blurred + grain, 0, 255), np.uint8)


def _bare_head(identity: FaceIdentity, rng: np.random.Generator) -> tuple[UInt8, UInt8]:
    """A head without features, (512, 512, 3) uint8 BGR, and its mask, (512, 512) uint8."""
    hair_color = np.array(identity.hair, np.float32)
    streaks = cv2.GaussianBlur(rng.normal(0, 60, (PATCH, PATCH)).astype(np.float32), (0, 0), 1.0, sigmaY=14)
    head = np.clip(hair_color * (1 + streaks[:, :, None] / 26) + 4, 0, 255).astype(np.uint8)
    mask = np.zeros((PATCH, PATCH), np.uint8)
    outline = _outline(identity)
    back = _back_hair(identity)
    ears = [ellipse((side * (identity.half_width - 1), 6), (15, 30), 8 * side) for side in (-1, 1)]
    fill(mask, back + _MID, (255, 255, 255))
    if identity.female:
        # below the chin the hair hangs behind the neck: it belongs to the background
        under = np.array([(-1, 40), (1, 40), (0.82, 260), (-0.82, 260)]) * (identity.half_width, 1)
        fill(mask, under + _MID, (0, 0, 0))
    for shape in (outline, *ears):
        fill(mask, shape + _MID, (255, 255, 255))
    if not identity.female:
        for ear in ears:
            fill(head, ear + _MID, scaled(identity.skin, 0.82))
    skin = _skin(identity)
    inside = np.zeros((PATCH, PATCH), np.uint8)
    fill(inside, outline + _MID, (255, 255, 255))
    fill(inside, _front_hair(identity) + _MID, (0, 0, 0))
    inside_soft = cv2.GaussianBlur(inside, (0, 0), 1.5).astype(np.float32) / 255
    whole = cv2.blendLinear(skin, head, inside_soft, 1 - inside_soft)
    return np.asarray(whole, np.uint8), np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2), np.uint8)


def _outline(identity: FaceIdentity) -> Float64:
    """(n, 2) the outline of the face, from the forehead to the chin and back."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    across, down = np.cos(angle), np.sin(angle)
    taper = 1 - (0.26 - 0.14 * identity.jaw) * np.clip(down, 0, 1) ** 2.0
    x = identity.half_width * np.sign(across) * np.abs(across) ** 0.9 * taper
    return np.stack([x, identity.half_height * down], axis=1)


def _back_hair(identity: FaceIdentity) -> Float64:
    w, h = identity.half_width, identity.half_height
    crown = np.linspace(np.pi, 2 * np.pi, 40)
    top = np.stack([(w + 16) * np.cos(crown), -20 + (h + 8) * np.sin(crown)], axis=1)
    if identity.female:
        sides = [(w + 20, 60), (w + 16, 150), (w - 20, 196), (-w + 20, 196), (-w - 16, 150), (-w - 20, 60)]
    else:
        sides = [(w + 8, 0), (w - 10, 30), (-w + 10, 30), (-w - 8, 0)]
    return np.concatenate([top, np.array(sides, float)])


def _front_hair(identity: FaceIdentity) -> Float64:
    """The hair over the forehead, parted to one side."""
    w, h = identity.half_width, identity.half_height
    low = -h * (0.70 - 0.5 * identity.fringe)
    part = identity.parting * w * 0.5
    temple = -18.0 if identity.female else -42.0
    return np.array(
        [(-w - 30, temple), (-w + 7, temple), (-w * 0.86, -62), (-w * 0.62, low + 12), (part - 24, low - 6),
         (part, low - 14), (part + 24, low - 6), (w * 0.62, low + 12), (w * 0.86, -62), (w - 7, temple),
         (w + 30, temple), (w + 30, -h - 40), (-w - 30, -h - 40)]
    )  # fmt: skip


def _skin(identity: FaceIdentity) -> UInt8:
    """(512, 512, 3) the skin of the face, lit from above and from one side."""
    down, across = np.mgrid[0:PATCH, 0:PATCH].astype(np.float32) - np.float32(_MID)
    x, y = across / (identity.half_width * 1.08), down / (identity.half_height * 1.08)
    depth = np.sqrt(np.clip(1 - x**2 - y**2, 0.0, 1))
    shade = 0.62 + 0.40 * depth + 0.16 * identity.light * x - 0.10 * y

    def bump(cx: float, cy: float, sx: float, sy: float) -> Float32:
        out: Float32 = np.exp(-0.5 * (((across - cx) / sx) ** 2 + ((down - cy) / sy) ** 2))
        return out

    for side in (-1, 1):
        shade -= 0.20 * bump(side * identity.eye_gap, -24, 34, 19)
        shade += 0.06 * bump(side * 66, 40, 30, 24)
        shade -= 0.10 * bump(side * identity.nose_width * 0.72, 22, 7, 26)
    shade += 0.10 * bump(0, 8, 8, 34) + 0.05 * bump(0, -100, 60, 36) + 0.06 * bump(0, 138, 22, 14)
    shade -= 0.12 * bump(0, 112, 30, 8)
    blush = sum(bump(side * 70, 44, 32, 26) for side in (-1, 1))
    color = shade[:, :, None] * np.array(identity.skin, np.float32)
    color[:, :, :2] *= 1 - 0.06 * np.asarray(blush)[:, :, None]
    return np.asarray(np.clip(color, 0, 255), np.uint8)
