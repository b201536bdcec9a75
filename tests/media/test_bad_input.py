"""Everything that can be wrong with a file: a one-line MediaError, or what can be decoded, with a note."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.extraction import extract
from emofuse.media.container import open_container
from emofuse.media.decoding import Media, decode, probe
from emofuse.media.file_stream import open_stream
from emofuse.media.unread_formats import HEAD_BYTES, unread_format
from tests.support import media_files
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg, needs_sox


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-second video with its index at the front, so that a truncated file can still be opened."""
    noise = np.random.default_rng(0)
    images = [noise.integers(16, 235, (96, 160)).astype(np.uint8) for _ in range(60)]
    return media_files.write_video(
        tmp_path_factory.mktemp("clip") / "clip.mp4", [1001 * i for i in range(60)], frames=images,
        audio=(media_files.tone(2.0, 48000), 48000), options={"g": "12", "bf": "2"},
        container_options={"movflags": "faststart"},
    )  # fmt: skip


def assert_rejected(path: Path, message: str) -> None:
    for call in (probe, lambda p: decode(p, n_frames=5)):
        with pytest.raises(MediaError, match=message) as caught:
            call(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    "fault", [TypeError, AttributeError, AssertionError, KeyError, IndexError, NameError, ZeroDivisionError]
)
def test_a_programming_error_is_never_called_a_damaged_file(clip: Path, fault: type[Exception]) -> None:
    with pytest.raises(fault, match="ours"), open_container(clip):
        raise fault("ours")


def test_an_argument_unknown_to_pyav_is_not_damage(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emofuse.media.container.LENIENT_METADATA", {"no_such_argument": 1})
    with pytest.raises(TypeError, match="no_such_argument"):
        probe(clip)


@pytest.mark.parametrize(
    "damage", [av.error.InvalidDataError(1, "x"), OSError("x"), ValueError("x"), MemoryError()]
)
def test_damage_is_one_line(clip: Path, damage: Exception) -> None:
    with pytest.raises(MediaError, match="cannot be read"), open_container(clip):
        raise damage


def test_a_title_may_be_other_than_utf8(tmp_path: Path) -> None:
    plain = media_files.write_wav(tmp_path / "plain.wav", media_files.tone(0.5, 8000), 8000).read_bytes()
    title = b"Caf\xe9\0"  # Latin-1
    info = b"INFO" + b"INAM" + len(title).to_bytes(4, "little") + title + b"\0" * (len(title) % 2)
    content = plain[8:] + b"LIST" + len(info).to_bytes(4, "little") + info
    path = tmp_path / "titled.wav"
    path.write_bytes(b"RIFF" + len(content).to_bytes(4, "little") + content)
    with open_container(path) as container:
        assert container.metadata["title"].startswith("Caf")
    assert probe(path).audio_duration_s == pytest.approx(0.5)


def test_missing(tmp_path: Path) -> None:
    assert_rejected(tmp_path / "nothing.wav", "no such file")


def test_folder(tmp_path: Path) -> None:
    assert_rejected(tmp_path, "is a folder")


def test_zero_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert_rejected(path, "empty")


def test_not_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    assert_rejected(path, "not a regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path: Path) -> None:
    path = media_files.write_wav(tmp_path / "a.wav", media_files.tone(0.2, 8000), 8000)
    path.chmod(0)
    assert_rejected(path, "permission denied")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_no_permission_for_another_user(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    path = media_files.write_wav(folder / "a.wav", media_files.tone(0.2, 8000), 8000)
    folder.chmod(0)
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        status = 1
        try:
            os.setuid(65534)
            decode(path)
        except MediaError as error:
            status = 0 if "permission denied" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("content", [b"hello, this is a text\n" * 50, bytes(5000), os.urandom(3000)])
def test_not_media(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert_rejected(path, "not a media file|cannot be read|neither audio")


SOUNDS = {
    "sph": "NIST SPHERE", "voc": r"Creative Voice \(VOC\)", "gsm": "raw GSM", "8svx": "8SVX", "maud": "MAUD",
    "paf": r"PARIS \(PAF\)", "sf": "IRCAM", "wve": r"Psion \(WVE\)", "avr": "AVR", "sox": "SoX",
}  # fmt: skip
"""By suffix, formats that sox writes."""


@needs_sox
@pytest.mark.parametrize("suffix", SOUNDS)
def test_audio_that_is_not_read_is_named_with_a_way_out(tmp_path: Path, suffix: str) -> None:
    wave = media_files.write_wav(tmp_path / "a.wav", media_files.tone(1.0, 8000), 8000)
    path = tmp_path / f"a.{suffix}"
    subprocess.run(["sox", wave, path], check=True, capture_output=True)
    assert_rejected(path, f": an? {SOUNDS[suffix]} file, which is not read: convert it, .* sox in")
    back = tmp_path / "back.wav"
    subprocess.run(["sox", path, back], check=True, capture_output=True)
    assert probe(back).audio_duration_s == pytest.approx(1.0, abs=0.05), "the way out is one"
    with pytest.raises(MediaError, match=SOUNDS[suffix]):
        probe(path.read_bytes())


def test_dsd_audio_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.dsf"
    path.write_bytes(b"DSD " + (28).to_bytes(8, "little") + bytes(5000))
    assert_rejected(path, r"a DSF \(DSD audio\) file, which is not read: convert it, .* ffmpeg -i in.dsf")


@pytest.mark.parametrize(
    ("suffix", "name"), [("png", "PNG"), ("jpg", "JPEG"), ("bmp", "BMP"), ("tiff", "TIFF"), ("webp", "WebP")]
)
def test_a_still_image_is_named_and_refused(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 48), np.uint8))
    assert_rejected(path, f"a {name} image, and only recordings are read")
    renamed = path.rename(tmp_path / "a.mp4")
    for call in (open_stream, lambda source: extract(source, Recipe(name="test"))):
        with pytest.raises(MediaError, match=f"a {name} image"):
            call(renamed)


def test_a_photo_with_a_second_image_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 48), np.uint8))
    image = path.read_bytes()
    index = b"\xff\xe2" + (8).to_bytes(2, "big") + b"MPF\0II"  # the multi-picture format of CIPA DC-007
    path.write_bytes(image[:2] + index + image[2:] + image)
    assert_rejected(path, "a JPEG image, and only recordings are read")


@needs_sox
def test_big_endian_wav_is_named_with_a_way_out(tmp_path: Path) -> None:
    wave = media_files.write_wav(tmp_path / "a.wav", media_files.tone(1.0, 8000), 8000)
    path, back = tmp_path / "big.wav", tmp_path / "back.wav"
    subprocess.run(["sox", wave, "-B", path], check=True, capture_output=True)
    assert_rejected(path, r"a big-endian WAV \(RIFX\) file, which is not read: convert it, .* sox in.wav")
    subprocess.run(["sox", path, "-L", back], check=True, capture_output=True)
    assert probe(back).audio_duration_s == pytest.approx(1.0)


@pytest.mark.parametrize(("brand", "name"), [(b"heic", "HEIC"), (b"mif1", "HEIF"), (b"avif", "AVIF")])
def test_an_image_in_the_container_of_mp4_is_refused(tmp_path: Path, brand: bytes, name: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes((24).to_bytes(4, "big") + b"ftyp" + brand + bytes(4) + b"mif1" + brand + bytes(4000))
    assert_rejected(path, f"{name} image, and only recordings are read")


@needs_ffmpeg
def test_a_gif_is_named_with_a_way_out(tmp_path: Path) -> None:
    path, out = tmp_path / "a.gif", tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:duration=1:rate=10", path)
    assert_rejected(path, "a GIF image, which is not read: convert it, for example: ffmpeg -i in.gif out.mp4")
    ffmpeg("-i", path, out)
    assert probe(out).n_frames == 10, "the way out is one"


def test_recordings_are_not_taken_for_other_formats(tmp_path: Path, clip: Path) -> None:
    wave = media_files.write_wav(tmp_path / "a.wav", media_files.tone(0.2, 8000), 8000)
    for head in (clip.read_bytes(), wave.read_bytes(), b"\xff\xfb\x90\x64" * 200, b"\xff\xf1\x50\x80" * 200):
        assert unread_format(head[:HEAD_BYTES]) is None


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    media_files.write_wav(tmp_path / "secret.wav", media_files.tone(1, 8000), 8000)
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n")
    assert_rejected(path, "not a media file")


def test_a_name_is_not_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    media_files.write_wav(tmp_path / "concat:a|b.wav", media_files.tone(0.3, 8000), 8000)
    assert decode("concat:a|b.wav").audio is not None


def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    path = media_files.write_wav(tmp_path / "a.wav", media_files.tone(0.3, 8000), 8000)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.wav"))
    path.rename(odd)
    assert decode(odd).audio is not None


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    path = media_files.write_wav(tmp_path / "sound.mp4", media_files.tone(0.3, 8000), 8000)
    media = decode(path, n_frames=5)
    assert media.audio is not None and not media.has_video


def test_truncated_before_the_index(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:500])
    assert_rejected(path, "not a media file")


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_truncated_video_yields_what_is_there(tmp_path: Path, clip: Path, share: float) -> None:
    path = tmp_path / "cut.mp4"
    content = clip.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    media = decode(path, n_frames=10)
    assert media.frames is not None and len(media.frames.images) == 10
    assert media.notes and media.notes[0].startswith("damaged: decoding stopped at")
    again = decode(path, n_frames=10, threads=1)
    assert again.frames is not None
    for a, b in zip(media.frames.images, again.frames.images, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.wav", "pcm_s16le")])
def test_truncated_audio_yields_what_is_there(tmp_path: Path, name: str, codec: str) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 96000)).astype(np.float32)
    path = media_files.write_audio(tmp_path / name, samples, 48000, codec=codec)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    media = decode(path)
    assert media.audio is not None and 0.7 < media.audio.duration_s < 1.1
    n = media.audio.samples.shape[1] - 5000
    np.testing.assert_allclose(media.audio.samples[:, :n], samples[:, :n], atol=1e-4)
    assert media.notes and media.notes[0].startswith("damaged")


def test_extreme_values_are_clipped(tmp_path: Path) -> None:
    samples = media_files.tone(0.5, 16000)
    samples[0, 100:104] = [np.nan, np.inf, -np.inf, 1e30]
    audio = decode(media_files.write_audio(tmp_path / "a.wav", samples, 16000, codec="pcm_f32le")).audio
    assert audio is not None and np.isfinite(audio.samples).all() and np.abs(audio.samples).max() <= 32


@pytest.mark.parametrize("seed", range(25))
def test_damage_anywhere_is_handled(tmp_path: Path, clip: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = clip
    if seed % 3 == 0:
        source = media_files.write_audio(
            tmp_path / "b.flac", media_files.tone(0.5, 16000), 16000, codec="flac"
        )
    content = np.frombuffer(source.read_bytes(), np.uint8).copy()
    where = rng.integers(0, len(content) if seed % 2 else min(3000, len(content)), 40)
    content[where] = rng.integers(0, 256, 40)
    path = tmp_path / "bad.mp4"
    path.write_bytes(content.tobytes())
    for call in (probe, lambda p: decode(p, n_frames=8)):
        try:
            result = call(path)
        except MediaError as error:
            assert "\n" not in str(error)
        else:
            if isinstance(result, Media) and result.audio is not None:
                assert np.isfinite(result.audio.samples).all()


def test_nothing_is_printed(tmp_path: Path, clip: Path) -> None:
    content = np.frombuffer(clip.read_bytes(), np.uint8).copy()
    content[4000::97] ^= 255
    path = tmp_path / "bad.mp4"
    path.write_bytes(content.tobytes())
    code = (
        "import sys; from emofuse.media.decoding import decode; from emofuse.core.errors import MediaError\n"
        "try: decode(sys.argv[1], n_frames=5)\nexcept MediaError: pass"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=True)
    assert done.stdout == b"" and done.stderr == b""
