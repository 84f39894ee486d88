"""Which pages may talk to the studio: none of another site, and none whose name was turned to this machine later.

A studio on somebody's own machine answers requests for that machine by its loopback names or by an address, and for no
other name: a page whose name resolves to 127.0.0.1 all at once would otherwise be the studio's own page to a browser.
FACEGEN_HOSTS names further hosts, such as that of a proxy, separated by commas; a shared studio, which anybody may
reach anyway, holds requests against it only where it is set.
"""

import ipaddress
import os
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_REFUSAL = (
    "Expected a request for this studio's own page, found one of another site or host; open the studio's address."
)


def middleware(*, shared: bool, host: str = "") -> list[Middleware]:
    """What refuses requests of other sites and hosts; nothing in a shared studio that names no hosts.

    Args:
        shared: whether several people use the studio.
        host: the address that it listens on.
    """
    named = [name.strip().lower() for name in os.environ.get("FACEGEN_HOSTS", "").split(",") if name.strip()]
    if shared and not named:
        return []
    return [Middleware(_OwnHosts, hosts=("localhost", host.lower(), *named), sites=named)]


class _OwnHosts:
    """Answers requests for known hosts that come from no other site's page."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], sites: Iterable[str]) -> None:
        self.app, self.hosts, self.sites = app, frozenset(hosts) - {""}, frozenset(sites)

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
        return _place(origin) == _place(f"//{host}") or _name(origin) in self.sites

    def _is_known(self, address: str) -> bool:
        name = _name(address)
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
