"""Checks of Host and Origin headers: no requests from other sites, none by DNS rebinding.

A studio that listens on this machine alone, or that one person uses, answers requests for its machine by a loopback name or by
an address, and for no other name: a page whose name resolves to 127.0.0.1 all at once would otherwise be the studio's own page
to a browser. One that others reach goes by names that it cannot know, and answers to each; pages of other sites get nothing
of it either. The profile's `hosts` and FACEGEN_HOSTS (separated by commas) name further hosts, such as that of a proxy; where
they name some, no others are answered, and `*`, as in the profile of a Space, lets every page in.
"""

import ipaddress
import os
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from facegen.ui.profile import Profile

_REFUSAL = (
    "Expected a request for this studio's own page, found one of another site or host; open the studio's address, or have its "
    "operator name this host in FACEGEN_HOSTS."
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def middleware(profile: Profile) -> list[Middleware]:
    """What refuses requests of other sites and hosts."""
    named = [*profile.hosts, *os.environ.get("FACEGEN_HOSTS", "").split(",")]
    named = [name.strip().lower() for name in named if name.strip()]
    if "*" in named:
        return []
    is_open = not named and (profile.share or (profile.shared and profile.host not in LOOPBACK))
    hosts = None if is_open else ("localhost", profile.host.lower(), *named)
    return [Middleware(_OwnHosts, hosts=hosts, sites=named)]


class _OwnHosts:
    """Answers requests for known hosts (None: for all) that come from no other site's page."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None, sites: Iterable[str]) -> None:
        self.app, self.sites = app, frozenset(sites)
        self.hosts = None if hosts is None else frozenset(hosts) - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._is_own(Headers(scope=scope)):
            if scope["type"] == "http":
                await PlainTextResponse(_REFUSAL, 403)(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)

    def _is_own(self, headers: Headers) -> bool:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_known(f"//{host}"):
            return False
        if origin is None:
            return headers.get("sec-fetch-site", "same-origin") != "cross-site" or _is_visit(headers)
        # a proxy may listen on another port than the studio
        if _place(origin) == _place(f"//{host}") or _name(origin) in self.sites:
            return True
        # where names are not known a proxy may also have changed the host; a page of another site cannot say these two
        said = headers.get("sec-fetch-site", ""), _name(f"//{headers.get('x-forwarded-host', '')}")
        return self.hosts is None and (said[0] == "same-origin" or (said[0] == "" and said[1] == _name(origin) != ""))

    def _is_known(self, address: str) -> bool:
        name = _name(address)
        if self.hosts is None:
            return name != ""
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return name in self.hosts


def _is_visit(headers: Headers) -> bool:
    """Whether a page is opened, as from a link, and not read by another one."""
    return headers.get("sec-fetch-mode") == "navigate"


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _place(address: str) -> tuple[str, int | None]:
    try:
        return _name(address), urlsplit(address).port
    except ValueError:
        return "", None
