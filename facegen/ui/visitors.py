"""Visitors: recognised across visits by a cookie, each limited to a share of events and uploads.

The cookie is an unguessable token that scripts of a page cannot read. Limits of waiting events and uploads go by the
address, because a cookie can be left out; behind a proxy that is the address which the proxy adds.
"""

import copy
import hashlib
import ipaddress
import re
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facegen.ui.profile import Profile

COOKIE = "facegen_visitor"
_KEPT_SECONDS = 30 * 24 * 3600
_TOKEN = re.compile(r"[A-Za-z0-9_-]{24}")
_EVENTS = re.compile(r".*/(queue/join|(call|run|api)/.+)")
"""Where events are sent to, by a page and by programs."""
_OTHERS = re.compile(r".*/(upload|component_server|cancel|reset|login|mcp)")
"""What else is sent to a studio; Gradio takes more, such as recordings of the screen, that no part of the page sends."""
_LARGEST_BODY = 16_000_000
"""Bytes of what is sent beside uploads: the values of widgets, a frame of a camera, a drawn mask."""


class Visitor:
    """Who is asking: an unguessable token. Gradio copies a state's initial value for each visit: a new one."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(18)

    @property
    def mark(self) -> str:
        """What runs carry to be recognised as this visitor's; the token cannot be had from it."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:24]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Visitor":
        return Visitor()


def recognise(visitor: Visitor, cookies: dict[str, str], name: str | None = None) -> Visitor:
    """Who signed in; else the visitor whom the browser's cookie names, else the one of this visit."""
    if name:
        return Visitor(f"name {name}")  # no cookie can say this: of a cookie's characters a space is none
    token = cookies.get(COOKIE, "")
    return Visitor(token) if _TOKEN.fullmatch(token) else visitor


def middleware(profile: Profile, waiting: Callable[[str], int]) -> list[Middleware]:
    """What gives browsers their cookie and holds the shares of a shared studio; nothing in one's own.

    Args:
        profile: limits of the studio.
        waiting: how many events of an address wait or are at work.
    """
    return [Middleware(_Shares, profile=profile, waiting=waiting)] if profile.shared else []


def address_of(scope: Scope) -> str:
    """The address that a request comes from; behind a proxy of this network, the one that it says it comes from."""
    host = str((scope.get("client") or ("", 0))[0])
    forwarded = Headers(scope=scope).get("x-forwarded-for", "")
    try:
        is_near = not ipaddress.ip_address(host).is_global
    except ValueError:
        is_near = False
    return forwarded.rpartition(",")[2].strip() if is_near and forwarded else host


class _Shares:
    """Sets the cookie with the page, and refuses uploads and events beyond an address's share."""

    def __init__(self, app: ASGIApp, profile: Profile, waiting: Callable[[str], int]) -> None:
        self.app, self._profile, self._waiting = app, profile, waiting
        self._uploads: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._arriving: Counter[str] = Counter()
        """Events by address that are being sent, which the queue does not count yet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope.get("path", "").rstrip("/")
        code, refusal = self._refusal(scope, path) if scope["method"] == "POST" else (200, "")
        if refusal:
            await PlainTextResponse(refusal, code)(scope, receive, send)
        elif path == "" and scope["method"] == "GET" and not _has_cookie(scope):
            await self.app(scope, receive, _with_cookie(scope, send))
        elif _EVENTS.fullmatch(path):
            address = address_of(scope)
            self._arriving[address] += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self._arriving[address] -= 1
        else:
            await self.app(scope, receive, send)

    def _refusal(self, scope: Scope, path: str) -> tuple[int, str]:
        """Code and sentence that refuse a request; no words where it is within the share."""
        address, most = address_of(scope), self._profile
        length = Headers(scope=scope).get("content-length", "")
        is_event = _EVENTS.fullmatch(path) is not None
        if not is_event and not _OTHERS.fullmatch(path):
            return 404, "Expected what the page or a program sends to this studio, found another address; see its page."
        if path.endswith("/upload"):
            return 429, self._refuse_upload(address, length) if most.uploads_per_visitor_mb else ""
        is_bounded = path.endswith("/mcp") or (length.isdecimal() and int(length) <= _LARGEST_BODY)
        if not is_bounded:  # files of agents come in their messages, and have a bound of their own
            found = f"{int(length) / 1e6:.0f} MB" if length.isdecimal() else "no word of its size"
            return 413, f"Expected at most {_LARGEST_BODY / 1e6:g} MB in a request, found {found}; upload files first."
        waiting = self._waiting(address) + self._arriving[address] if is_event and most.events_per_visitor else 0
        if is_event and waiting >= most.events_per_visitor > 0:
            return 429, (
                f"Expected at most {most.events_per_visitor} things of yours at a time on this studio, found {waiting} that wait; "
                "wait for them."
            )
        return 200, ""

    def _refuse_upload(self, address: str, length: str) -> str:
        most, now = self._profile.uploads_per_visitor_mb, time.monotonic()
        if not length.isdecimal():
            return "Expected an upload that says how large it is, found none; use a browser or gradio_client."
        lasting = (self._profile.keep_hours or 24.0) * 3600
        recent = [(when, size) for when, size in self._uploads[address] if now - when < lasting]
        self._uploads[address] = recent
        if sum(size for _, size in recent) + int(length) > most * 1e6:
            return (
                f"Expected at most {most} MB of uploads of yours within {lasting / 3600:g} hours on this studio, found more; come "
                "back later."
            )
        if len(recent) >= self._profile.upload_files_per_visitor > 0:
            return (
                f"Expected at most {self._profile.upload_files_per_visitor} uploads of yours within {lasting / 3600:g} hours on this "
                "studio, found one more; come back later."
            )
        recent.append((now, int(length)))
        return ""


def _has_cookie(scope: Scope) -> bool:
    try:
        morsel = SimpleCookie(Headers(scope=scope).get("cookie", "")).get(COOKIE)
    except CookieError:
        return False
    return morsel is not None and _TOKEN.fullmatch(morsel.value) is not None


def _with_cookie(scope: Scope, send: Send) -> Send:
    """Sends a page with a new token; also the page itself, which is loaded with it, knows it by the next request."""
    headers = Headers(scope=scope)
    is_secure = headers.get("x-forwarded-proto", scope.get("scheme", "")) == "https"
    # a Space is shown in a frame of another site, which gets cookies only by the first of these
    reach = "SameSite=None; Secure; Partitioned" if is_secure else "SameSite=Lax"
    cookie = f"{COOKIE}={secrets.token_urlsafe(18)}; Path=/; Max-Age={_KEPT_SECONDS}; HttpOnly; {reach}"

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = copy.copy(message)
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return sending
