"""What a live capture opens: a file, an address on the network, or a camera and a microphone."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from emofuse.core.errors import MediaError
from emofuse.core.limits import Limits
from emofuse.media.container import LENIENT_METADATA, error_text, open_container
from emofuse.media.decoder_setup import codec_options
from emofuse.system import linux_devices
from emofuse.system.shared_settings import environment_defaults

Kind = Literal["file", "address", "device"]

NONE: Final = "none"
"""In place of a device name: no device."""
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCHEMES: Final = frozenset(
    {"http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "srtp", "tcp", "tls", "udp"}
)
# Who names an address wants the network; what answers there must not reach local files.
_PROTOCOLS: Final = "crypto,http,https,httpproxy,rtmp,rtmps,rtmpt,rtp,rtsp,srt,srtp,tcp,tls,udp"
_ADDRESS_FORMATS: Final = (
    "aac,ac3,asf,avi,flac,flv,live_flv,h264,hevc,hls,ivf,loas,matroska,webm,mjpeg,mpjpeg,mov,mp4,mp3,mpeg,"
    "mpegts,mpegvideo,nut,ogg,rtp,rtsp,sdp,wav"
)
_ADDRESS_OPTIONS: Final = {
    "protocol_whitelist": _PROTOCOLS,
    "format_whitelist": _ADDRESS_FORMATS,
    # What is read to find out the format is late already: one second of it, not five.
    "analyzeduration": "1000000",
    "rtsp_flags": "prefer_tcp",
    "overrun_nonfatal": "1",
}
_DEVICE_FORMATS: Final = (
    "alsa", "android_camera", "avfoundation", "bktr", "decklink", "dshow", "fbdev", "gdigrab", "iec61883",
    "jack", "lavfi", "openal", "oss", "pulse", "sndio", "v4l2", "vfwcap", "x11grab", "xcbgrab",
)  # fmt: skip
_PREFERRED_OPTIONS: Final = {
    # Tried first; a device that does not support them is opened without.
    "v4l2": {"video_size": "640x480", "framerate": "30"},
    "avfoundation": {"video_size": "640x480", "framerate": "30"},
    "dshow": {"video_size": "640x480", "framerate": "30"},
    "alsa": {"channels": "1"},
    "pulse": {"channels": "1", "fragment_size": "4096"},
}


@dataclass(frozen=True, slots=True)
class LiveInput:
    """One thing to open, and which of its streams are wanted."""

    name: str
    """A path, an address, or the name of a device."""
    kind: Kind
    device_format: str | None = None
    audio: bool = True
    video: bool = True

    @property
    def label(self) -> str:
        """What it is called in messages: an address without its password."""
        if self.kind == "device":
            return f"{self.device_format}:{self.name}"
        if self.kind == "address":
            parts = urlsplit(self.name)
            return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return self.name


@dataclass(frozen=True, slots=True)
class InputRequest:
    """Inputs of which the first that opens is used.

    ``required``: it is an error if none opens; ``what``: their name in messages.
    """

    inputs: tuple[LiveInput, ...]
    required: bool
    what: str


def requested_inputs(
    source: str | Path | None, *, microphone: str | None = None, camera: str | None = None
) -> list[InputRequest]:
    """The inputs to open.

    Args:
        source: a path, an address (``rtsp://…``), a device (``v4l2:/dev/video0``), or None: the camera and
            the microphone of this machine.
        microphone: a device, ``FORMAT:NAME`` or a name in the platform's own format, that takes the place of
            the source's audio; ``none``: no audio is wanted.
        camera: the same for video.

    Raises:
        MediaError: the address is of a kind that is not supported, or nothing is wanted.
    """
    requests = []
    if source is not None:
        given = _parsed(str(source))
        given = replace(given, audio=microphone is None, video=camera is None)
        if given.audio or given.video:
            requests.append(InputRequest((given,), True, "source"))
    for what, name in (("microphone", microphone), ("camera", camera)):
        is_audio = what == "microphone"
        if name is None and source is None:
            requests.append(
                InputRequest(
                    tuple(replace(one, audio=is_audio, video=not is_audio) for one in _default_devices(what)),
                    False,
                    what,
                )
            )
        elif name is not None and name != NONE:
            requests.append(
                InputRequest((replace(_device(name, what), audio=is_audio, video=not is_audio),), True, what)
            )
    if not requests:
        raise MediaError("live", "neither audio nor video is wanted")
    return requests


def _parsed(source: str) -> LiveInput:
    address = _ADDRESS.match(source)
    if address is not None:
        if address[1].lower() not in _SCHEMES:
            known = ", ".join(sorted(_SCHEMES))
            raise MediaError(
                source, f"addresses of this kind are not supported: use one of {known}, or a path"
            )
        return LiveInput(source, "address")
    if source.split(":", 1)[0] in _DEVICE_FORMATS and not Path(source).exists():
        return _device(source, "camera")
    if Path(source).is_char_device():
        return _device(source, "camera")
    return LiveInput(source, "file")


def _device(name: str, what: str) -> LiveInput:
    head, colon, rest = name.partition(":")
    if colon and head in _DEVICE_FORMATS:
        return LiveInput(rest, "device", head)
    return LiveInput(name, "device", _platform_formats(what)[0])


def _platform_formats(what: str) -> tuple[str, ...]:
    """Device formats of this platform, the best first."""
    if sys.platform == "darwin":
        return ("avfoundation",)
    if sys.platform == "win32":
        return ("dshow",)
    if what == "camera":
        return ("v4l2",)
    return tuple(name for name in ("pulse", "alsa") if name in av.formats_available) or ("alsa",)


def _default_devices(what: str) -> list[LiveInput]:
    """Devices of this machine, in the order in which they are tried."""
    if sys.platform == "darwin":
        names = ["default:none" if what == "camera" else "none:default"]
    elif sys.platform == "win32":
        kind = "video" if what == "camera" else "audio"
        names = [f"{kind}={name}" for name in _listed("dshow", kind)]
    elif what == "camera":
        names = linux_devices.cameras() or [linux_devices.DEFAULT_CAMERA]
    else:
        return [LiveInput("default", "device", name) for name in _platform_formats(what)] + [
            LiveInput(f"plughw:{card}", "device", "alsa") for card in linux_devices.capture_cards()
        ]
    return [LiveInput(name, "device", _platform_formats(what)[0]) for name in names]


def _listed(device_format: str, kind: str) -> list[str]:
    """Names of devices, as far as the platform lists them."""
    try:
        from av.device import enumerate_input_devices

        found = enumerate_input_devices(device_format)
    except (ImportError, ValueError, NotImplementedError, av.error.FFmpegError):
        return []
    return [
        one.name for one in found if one.name != "null" and (not one.media_types or kind in one.media_types)
    ]


def devices_found() -> str:
    """The devices that the platform lists, for a message."""
    found = []
    for what, kind in (("camera", "video"), ("microphone", "audio")):
        for device_format in _platform_formats(what):
            found += [f"{device_format}:{name}" for name in _listed(device_format, kind)]
    return ", ".join(dict.fromkeys(found)) or "none"


@contextlib.contextmanager
def open_input(given: LiveInput, timeout_s: float) -> Iterator[InputContainer]:
    """An open container.

    Args:
        given: what to open.
        timeout_s: how long an address may stay silent.

    Raises:
        MediaError: it cannot be opened.
    """
    if given.kind == "file":
        with open_container(given.name) as container:
            yield container
        return
    started_s = time.monotonic()
    try:
        container = _open_device(given) if given.kind == "device" else _open_address(given.name, timeout_s)
    except (av.error.FFmpegError, ValueError) as error:
        if given.kind == "address" and time.monotonic() - started_s > 0.9 * timeout_s:
            raise MediaError(given.label, f"no answer within {timeout_s:g} s") from None
        raise MediaError(given.label, f"cannot be opened ({error_text(error)})") from None
    with container:
        yield container


def _open_address(name: str, timeout_s: float) -> InputContainer:
    container: InputContainer = av.open(
        name, "r", options=_ADDRESS_OPTIONS | codec_options(Limits()), timeout=timeout_s, **LENIENT_METADATA
    )
    return container


def _open_device(given: LiveInput) -> InputContainer:
    device_format = given.device_format or ""
    alsa = linux_devices.alsa_files() if device_format == "alsa" else {}
    attempts: Sequence[dict[str, str]] = ({},)
    if device_format in _PREFERRED_OPTIONS:
        attempts = (_PREFERRED_OPTIONS[device_format], {})
    for options in attempts:
        given_options = options | codec_options(Limits())
        try:
            with environment_defaults(**alsa):
                container: InputContainer = av.open(
                    given.name, "r", format=device_format, options=given_options
                )
        except (av.error.FFmpegError, ValueError):
            if options is attempts[-1]:
                raise
        else:
            return container
    raise AssertionError("the last attempt either returns or raises")
