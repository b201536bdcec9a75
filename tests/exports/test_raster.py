from __future__ import annotations

import numpy as np

from emofuse.exports.raster import rasterize

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">'


def test_shapes_cover_their_area() -> None:
    """Areas in pixels, from geometry."""
    drawn = rasterize(
        f'{HEAD}<rect x="5" y="4" width="10" height="8" fill="#000000"/>'
        '<path d="M20 0L40 0L40 20ZM20 18L24 18L24 20L20 20Z" fill="#0000ff"/></svg>', 2,
    )  # fmt: skip
    assert drawn.shape == (40, 80, 3)
    black = (drawn == 0).all(2).sum()
    blue = (drawn == (255, 0, 0)).all(2).sum()
    assert abs(int(black) - 20 * 16) <= 40
    assert abs(int(blue) - (40 * 40 / 2 + 8 * 4)) <= 90
    assert (drawn[8:23, 11:29] == 0).all()


def test_lines_and_texts_are_where_they_belong() -> None:
    drawn = rasterize(
        f'{HEAD}<path d="M10 2V18" stroke="#ff0000"/>'
        '<text x="38" y="10" text-anchor="end" dominant-baseline="middle" fill="#000000">…é</text></svg>', 2,
    )  # fmt: skip
    red = np.argwhere(drawn[..., 1] < 128)
    line = red[red[:, 1] < 30]
    assert abs(line[:, 1].mean() - 19.5) <= 1 and 2 <= line[:, 0].min() <= 6 and 33 <= line[:, 0].max() <= 38
    text = red[red[:, 1] >= 30]
    assert 68 <= text[:, 1].max() <= 78 and len(text)
