"""Who may ask: checks of host, origin, token and rate before any route, and the headers of every answer.

A page of another site must not reach a service on this machine through the reader's browser. It could by a
name that leads here (DNS rebinding: the ``Host`` then is that name), by a request in the reader's name (the
``Origin`` then is that site's), or by showing what is here in a frame.

One ASGI middleware checks requests and WebSocket handshakes alike. What is not listed in :data:`OPEN` wants
the token: a route that is added later does, too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emofuse.server.label_studio import PREFIX
from emofuse.server.problems import Problem, too_many
from emofuse.server.settings import DAY_S, LOOPBACK_NAMES, ServerSettings, is_loopback

OPEN: Final = frozenset(("/", "/v1/health", "/favicon.ico"))
"""Paths that need no token: the page, which asks for it, and what tells whether the service lives."""
OPEN_BELOW: Final = "/page/"
"""What the page is made of."""
COOKIE: Final = "emofuse-session"
SESSION_S: Final = 7 * DAY_S
"""How long a browser stays signed in."""

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the service's own page may load: its own files."""
EXPORTED_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the exported page of a timeline may load: what is in it. Its own policy, which holds besides, names
the one script by its digest."""

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(self), geolocation=()"),
)
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_MOST_CLIENTS: Final = 4096
_FAILED_COST: Final = 10
"""Further requests that one with a wrong token counts for."""


class Tokens:
    """Compare tokens and sign session cookies, in constant time."""

    def __init__(self, token: str | None) -> None:
        self.wanted = token is not None
        self._digest = _digest((token or "").encode())

    def is_token(self, given: bytes) -> bool:
        """Whether it is the token."""
        return self.wanted and hmac.compare_digest(_digest(given), self._digest)

    def new_session(self, now_s: float) -> str:
        """A cookie's value. It holds no token, ends by itself, and is good for a restarted service, too."""
        ends = f"{int(now_s + SESSION_S):x}"
        return f"{ends}.{self._signature(ends)}"

    def is_session(self, value: str, now_s: float) -> bool:
        """Whether it is the value of a cookie that this or an earlier service of the same token gave."""
        ends, _, signature = value.partition(".")
        if not re.fullmatch(r"[0-9a-f]{1,12}", ends) or not signature.isascii():
            return False
        signed = hmac.compare_digest(signature, self._signature(ends))
        return signed and now_s < int(ends, 16)

    def _signature(self, ends: str) -> str:
        return hmac.new(self._digest, f"session {ends}".encode(), hashlib.sha256).hexdigest()


class Rate:
    """How often each client asks: a bucket of tokens that fills again."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, float(burst)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now_s: float) -> float:
        """Count a request; return how many seconds too early it comes, 0 where it may pass."""
        left = self._refilled(client, now_s)
        passes = left >= 1
        self._left[client] = (left - 1 if passes else left, now_s)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if passes else (1 - left) / self._per_s

    def fine(self, client: str, now_s: float, cost: float) -> None:
        """Let a client wait longer for its next requests."""
        self._left[client] = (max(0.0, self._refilled(client, now_s) - cost), now_s)

    def _refilled(self, client: str, now_s: float) -> float:
        left, before = self._left.pop(client, (self._burst, now_s))
        return min(self._burst, left + (now_s - before) * self._per_s)


class Access:
    """The middleware."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens
        self._rate = Rate(settings.quotas.requests_per_s, settings.quotas.burst)
        self._hosts = frozenset(host.lower() for host in settings.hosts) | LOOPBACK_NAMES
        self._local = is_loopback(settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Problem as problem:
            await refuse(problem, scope, receive, _with_headers(scope, send))
            return
        await self._app(scope, receive, _with_headers(scope, send))

    def _check(self, scope: Scope) -> None:
        headers = _first_headers(scope["headers"])
        host = headers.get(b"host", b"")
        self._check_host(host)
        _check_origin(headers.get(b"origin"), host)
        if scope["path"] == "/v1/health":
            return
        client = _client(scope)
        now_s = time.monotonic()
        late_s = self._rate.take(client, now_s)
        if late_s:
            raise too_many("You ask too often.", late_s)
        if not self._may_pass(scope["path"], headers):
            self._rate.fine(client, now_s, _FAILED_COST)
            raise Problem(
                401, "Unauthorized",
                "Send the token of this service: Authorization: Bearer TOKEN; a page signs in at "
                "POST /v1/session.",
                headers={"WWW-Authenticate": 'Bearer realm="emofuse"'},
            )  # fmt: skip

    def _check_host(self, value: bytes) -> None:
        found = _HOST.fullmatch(value)
        name = found[1].decode().strip("[]").lower() if found else ""
        if name in self._hosts or (not self._local and _is_address(name)):
            return
        raise Problem(
            403, "Foreign host",
            "This service does not go by that name: use its address, or start it with --allow-host NAME.",
        )  # fmt: skip

    def _may_pass(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        if not self._tokens.wanted or path in OPEN or path.startswith(OPEN_BELOW):
            return True
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            return self._tokens.is_token(given.strip())
        if scheme.lower() == b"basic" and path.startswith(PREFIX):  # the one way that Label Studio has
            return self._tokens.is_token(_basic_password(given))
        return self._tokens.is_session(_cookie(headers.get(b"cookie", b"")), time.time())


async def refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request or a WebSocket handshake with a problem."""
    response = problem.response()
    if scope["type"] == "websocket":
        extensions: Iterable[Any] = scope.get("extensions") or ()
        if "websocket.http.response" not in extensions:
            await send({"type": "websocket.close", "code": 1008, "reason": problem.title})
            return
        await response(scope, receive, send)
        return
    await response(scope, receive, send)


def _basic_password(given: bytes) -> bytes:
    """The password of basic authentication; whatever the name is."""
    try:
        return base64.b64decode(given.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _check_origin(origin: bytes | None, host: bytes) -> None:
    """A program sends none; a page of this service sends its own, whatever a proxy does about TLS."""
    if origin is None:
        return
    scheme, separator, place = origin.lower().partition(b"://")
    if (
        separator
        and scheme in (b"http", b"https")
        and _without_default_port(scheme, place) == (_without_default_port(scheme, host.lower()))
    ):
        return
    raise Problem(
        403,
        "Foreign origin",
        "A page of another site asked: pages reach this service from its own address.",
    )


def _without_default_port(scheme: bytes, place: bytes) -> bytes:
    return place.removesuffix(b":80" if scheme == b"http" else b":443")


def _first_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """By name. Of a header that must not come twice, and does, all values: no check accepts that."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        joint = b"; " if name == b"cookie" else b", "
        found[name] = found[name] + joint + value if name in found else value
    return found


def _cookie(header: bytes) -> str:
    for part in header.split(b";"):
        name, _, value = part.strip().partition(b"=")
        if name == COOKIE.encode():
            return value.decode("latin-1")
    return ""


def _client(scope: Scope) -> str:
    """The address of a client; of IPv6, that of its network."""
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _is_address(name: str) -> bool:
    """Whether a host is a number: no name server can make one lead elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(b"emofuse token " + value).digest()


def _with_headers(scope: Scope, send: Send) -> Send:
    """Give every answer the headers that keep browsers safe."""

    async def with_headers(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            headers += [one for one in _HEADERS if one[0] not in names]
            if b"content-security-policy" not in names:
                headers.append((b"content-security-policy", PAGE_POLICY.encode()))
            if b"cache-control" not in names:
                caching = b"no-cache" if scope["path"].startswith(OPEN_BELOW) else b"no-store"
                headers.append((b"cache-control", caching))
            message = {**message, "headers": headers}
        await send(message)

    return with_headers
