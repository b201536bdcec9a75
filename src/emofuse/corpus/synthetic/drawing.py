"""The moving parts of the drawn face: brows, eyes, nose, mouth and folds.

Lengths are those of :mod:`emofuse.corpus.synthetic.face`, in the head's coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emofuse.core.records import UInt8
from emofuse.corpus.synthetic.expression import FaceExpression, Float64
from emofuse.corpus.synthetic.identity import FaceIdentity
from emofuse.corpus.synthetic.strokes import (
    curve,
    disc,
    ellipse,
    fill,
    line,
    scaled,
    shifted,
    soft_line,
    soft_shape,
)


@dataclass(frozen=True, slots=True)
class Pose:
    """The face at one moment: its expression, and movements that are not expression."""

    expression: FaceExpression
    speech: float  # how far speech opens the mouth, 0 to 1
    blink: float  # 1 is closed
    shift: tuple[float, float]  # of the head, pixels
    yaw: float  # pixels by which the features move on the sphere
    roll: float  # degrees


def draw(head: UInt8, identity: FaceIdentity, pose: Pose, middle: tuple[float, float]) -> None:
    """Draw brows, eyes, nose, mouth and folds onto a head without features, in place."""
    e = pose.expression
    # yaw and nod move the features on the sphere
    origin = shifted(np.array(middle), pose.yaw, 9 * e.head_down)
    _folds(head, identity, e, origin)
    for side in (-1, 1):
        _eye(head, identity, pose, origin, side)
        _brow(head, identity, e, origin, side)
    _nose(head, identity, e, origin)
    _mouth(head, identity, pose, origin)


def _brow(head: UInt8, identity: FaceIdentity, e: FaceExpression, origin: Float64, side: int) -> None:
    inner = np.array([24 - 7 * e.brow_lower, 2 - 15 * e.brow_inner + 13 * e.brow_lower - 2 * e.brow_outer])
    middle = np.array([identity.eye_gap, -7 - 6 * e.brow_inner - 12 * e.brow_outer + 9 * e.brow_lower])
    outer = np.array([identity.eye_gap + 33, 3 - 14 * e.brow_outer + 4 * e.brow_lower + 4 * e.brow_inner])
    base = np.array([0.0, -22 - identity.brow_height])
    spine = curve(inner, middle, outer, 12) + base
    thick = identity.brow_thick * np.interp(np.linspace(0, 1, 12), [0, 0.25, 1], [0.8, 1.0, 0.3])
    lift = np.stack([np.zeros(12), thick / 2], axis=1)
    shape = np.concatenate([spine - lift, (spine + lift)[::-1]])
    soft_shape(head, shape * (side, 1) + origin, scaled(identity.hair, 0.9), 0.9, 1.2)


def _eye(head: UInt8, identity: FaceIdentity, pose: Pose, origin: Float64, side: int) -> None:
    e = pose.expression
    openness = np.clip(1 + 0.55 * e.lids, 0.3, 1.7) * (1 - pose.blink)
    up = identity.eye_height * float(np.clip(openness, 0.05, 1.7))
    low = identity.eye_height * 0.62 * float(np.clip(1 - 0.55 * e.squint, 0.15, 1.3)) * (1 - 0.8 * pose.blink)
    w = identity.eye_width
    droop = 2.5 * np.clip(-e.lids, -0.3, 1)
    center = shifted(origin, side * identity.eye_gap, -20)
    upper = curve(np.array([-w, 2.0]), np.array([-2.0, -up * 1.25]), np.array([w, -1.0 + droop]), 15)
    lower = curve(np.array([w, -1.0 + droop]), np.array([3.0, low * 1.25]), np.array([-w, 2.0]), 15)
    almond = np.concatenate([upper, lower]) * (side, 1)
    box = 40
    left, top = (np.floor(center) - box).astype(int)
    area = head[top : top + 2 * box, left : left + 2 * box]
    local = center - (left, top)
    ball = np.full_like(area, (218, 222, 224))
    gaze = shifted(local, 0, 1.5 + 1.5 * e.head_down - 1.0 * e.lids)
    disc(ball, gaze, identity.eye_height * 1.22, scaled(identity.iris, 0.75))
    disc(ball, gaze, identity.eye_height * 1.0, identity.iris)
    disc(ball, gaze, identity.eye_height * 0.5, (16, 16, 18))
    disc(ball, shifted(gaze, 3, -4), 2.0, (245, 245, 245))
    soft_line(ball, shifted(upper * (side, 1) + local, 0, -1), (90, 96, 110), 0.4, blur=2, width=4)
    mask = np.zeros(area.shape[:2], np.uint8)
    fill(mask, almond + local, (255, 255, 255))
    share = mask.astype(np.float32) / 255
    area[:] = cv2.blendLinear(ball, np.ascontiguousarray(area), share, 1 - share)
    lash = (26, 26, 34) if identity.female else (40, 42, 52)
    line(area, upper * (side, 1) + local, lash, 3 if identity.female else 2)
    line(area, lower * (side, 1) + local, scaled(identity.skin, 0.62), 1)
    crease = shifted(upper * (side, 1) + local, 0, -6 - 0.15 * up)
    soft_line(area, crease, scaled(identity.skin, 0.55), 0.5, blur=1.2, width=2)
    if e.squint > 0.2:
        bag = shifted(lower * (side, 1) + local, 0, 6)
        soft_line(area, bag, scaled(identity.skin, 0.55), 0.5 * min(e.squint, 1), blur=1.4, width=2)


def _nose(head: UInt8, identity: FaceIdentity, e: FaceExpression, origin: Float64) -> None:
    w = identity.nose_width * (1 + 0.12 * np.clip(e.upper_lip, 0, 1.2))
    rise = 4 * float(np.clip(e.upper_lip, -0.3, 1.3))
    dark = scaled(identity.skin, 0.45)
    for side in (-1, 1):
        nostril = ellipse((side * w * 0.42, 46 - rise), (6.0, 3.2), -14 * side)
        soft_shape(head, nostril + origin, scaled(identity.skin, 0.28), 0.85, 1.0)
        wing = curve(np.array([w * 0.72, 28.0]), np.array([w * 1.08, 40.0]), np.array([w * 0.66, 49.0]), 8)
        wing = shifted(wing, 0, -rise) * (side, 1)
        soft_line(head, wing + origin, dark, 0.55, blur=1.3, width=2)
        if e.upper_lip > 0.2:
            for step in (0, 7):
                fold = np.array([(4, -6.0 + step), (13, -11.0 + step)]) * (side, 1)
                soft_line(head, fold + origin, dark, 0.6 * min(e.upper_lip, 1), blur=1.2, width=2)
    base = curve(
        np.array([-w * 0.5, 50.0 - rise]), np.array([0.0, 56.0 - rise]), np.array([w * 0.5, 50.0 - rise]), 8
    )
    soft_line(head, base + origin, dark, 0.5, blur=1.8, width=3)


def _mouth(head: UInt8, identity: FaceIdentity, pose: Pose, origin: Float64) -> None:
    e = pose.expression
    half = identity.mouth_width * float(
        np.clip(1 + 0.22 * e.mouth_width + 0.08 * e.corners - 0.08 * pose.speech, 0.6, 1.45)
    )
    corner = -16 * (e.corners + identity.rest_corners)
    gap = 24 * float(np.clip(e.mouth_open, 0, 1.3)) + 17 * pose.speech * (
        1 - 0.5 * float(np.clip(e.press, 0, 1))
    )
    lip = identity.lip_thick * float(np.clip(1 - 0.55 * e.press, 0.3, 1.2))
    raise_upper = 8 * float(np.clip(e.upper_lip, -0.3, 1.3))
    y = 84.0
    left, right = np.array([-half, y + corner]), np.array([half, y + corner])
    top_in = y - 0.35 * gap - raise_upper * 0.6
    low_in = y + 0.65 * gap
    bend = -0.25 * corner

    def rim(middle: float) -> Float64:
        return curve(left, np.array([0.0, middle + bend]), right, 21)

    upper_in, lower_in = rim(top_in), rim(max(low_in, top_in + 1))
    bow = np.abs(np.linspace(-1, 1, 21))
    upper_out = upper_in - np.stack(
        [np.zeros(21), lip * (1 - bow**2.2) * np.where(bow < 0.16, 0.72, 1.0)], axis=1
    )
    lower_out = lower_in + np.stack([np.zeros(21), 1.25 * lip * (1 - bow**2.0)], axis=1)
    red = (identity.skin[0] * 0.56, identity.skin[1] * 0.56, identity.skin[2] * 0.80)
    if not identity.female:
        red = (identity.skin[0] * 0.62, identity.skin[1] * 0.62, identity.skin[2] * 0.77)
    soft_shape(
        head,
        np.concatenate([shifted(lower_out, 0, -2), shifted(lower_out, 0, 7)[::-1]]) + origin,
        scaled(identity.skin, 0.5),
        0.35,
        3,
    )
    fill(head, np.concatenate([upper_out, lower_in[::-1]]) + origin, scaled(red, 0.88))
    fill(head, np.concatenate([upper_in, lower_out[::-1]]) + origin, red)
    if gap > 2:
        hollow = np.concatenate([upper_in, lower_in[::-1]])
        fill(head, hollow + origin, (38, 34, 70))
        teeth = np.minimum(shifted(upper_in, 0, min(9.0, 0.55 * gap)), np.maximum(lower_in, upper_in))
        core = slice(3, 18)
        fill(head, np.concatenate([upper_in[core], teeth[core][::-1]]) + origin, (206, 214, 218))
    line(head, upper_in + origin, scaled(red, 0.45), 2)
    for end in (left, right):
        disc(head, end + origin, 2.2, scaled(red, 0.5))


def _folds(head: UInt8, identity: FaceIdentity, e: FaceExpression, origin: Float64) -> None:
    """The lines of an expression: between the brows, on the forehead, beside nose and mouth."""
    dark = scaled(identity.skin, 0.5)
    cheek = float(np.clip(max(e.corners, e.upper_lip, 0.5 * e.squint), 0, 1))
    for side in (-1, 1):
        if cheek > 0.15:
            end = np.array([identity.mouth_width * 1.34, 76 - 6 * e.corners])
            fold = curve(np.array([identity.nose_width * 1.15, 36.0]), np.array([54.0, 52.0]), end, 10)
            soft_line(head, fold * (side, 1) + origin, dark, 0.6 * cheek, blur=2.0, width=3)
        if e.corners < -0.2:
            fold = np.array(
                [(identity.mouth_width + 4, 92 - 10 * e.corners), (identity.mouth_width + 6, 112.0)]
            )
            soft_line(head, fold * (side, 1) + origin, dark, 0.5 * min(-e.corners, 1), blur=2.0, width=3)
        if e.brow_lower > 0.2:
            frown = np.array([(8, -58.0), (7, -40.0)]) * (side, 1)
            soft_line(head, frown + origin, dark, 0.6 * min(e.brow_lower, 1), blur=1.3, width=3)
    lift = float(np.clip(max(e.brow_inner, e.brow_outer), 0, 1))
    if lift > 0.25:
        wide = 50 if e.brow_outer > 0.4 * e.brow_inner else 30
        for row in (-94.0, -84.0):
            crease = curve(np.array([-wide, row]), np.array([0.0, row - 5]), np.array([wide, row]), 12)
            soft_line(head, crease + origin, dark, 0.45 * lift, blur=1.4, width=2)
