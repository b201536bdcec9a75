"""JPEG and WebP pictures in memory, good and bad."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.core.limits import Limits
from emofuse.media.pictures import decode_picture


def picture(suffix: str, width: int = 64, height: int = 48) -> bytes:
    rows = np.linspace(30, 220, height)[:, None] * np.ones((1, width))
    coded, data = cv2.imencode(suffix, np.repeat(rows.astype(np.uint8)[..., None], 3, axis=2))
    assert coded
    return data.tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_pixels_are_those_of_another_decoder(suffix: str) -> None:
    data = picture(suffix)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    found = decode_picture(data).to_ndarray(format="bgr24")
    assert expected is not None and found.shape == expected.shape
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 3


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_picture_that_is_cut_off(suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    _, data = cv2.imencode(suffix, noise)
    with pytest.raises(MediaError, match="damaged or cut off"):
        decode_picture(data.tobytes()[: int(share * len(data))])


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_pixels_are_counted_before_they_are_decoded(suffix: str) -> None:
    data = picture(suffix, 640, 480)
    assert decode_picture(data, Limits(640 * 480)).width == 640
    with pytest.raises(MediaError, match=r"more pixels than the limit, 0\.3 million"):
        decode_picture(data, Limits(300_000))


def test_a_header_that_declares_more_pixels_than_there_are() -> None:
    data = bytearray(picture(".jpg"))
    at = data.index(b"\xff\xc0")
    for side in (20_000, 65_500):  # a decoder that made room for them would take up to 12 GB
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
        with pytest.raises(MediaError, match=r"damaged|more pixels than the limit"):
            decode_picture(bytes(data))


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(100), b"\x89PNG\r\n\x1a\n" + bytes(100), b"<svg/>"])
def test_other_formats_are_not_even_tried(data: bytes) -> None:
    with pytest.raises(MediaError, match="neither a JPEG nor a WebP"):
        decode_picture(data)


def test_random_bytes_after_a_good_start_never_raise_anything_else() -> None:
    random = np.random.default_rng(1)
    for suffix in (".jpg", ".webp"):
        good = picture(suffix)
        for _ in range(200):
            data = bytearray(good)
            for at in random.integers(4, len(data), 5):
                data[at] = random.integers(256)
            try:
                decode_picture(bytes(data))
            except MediaError as error:
                assert str(error).startswith("<picture>")
