"""Serves the Model Context Protocol below /mcp, and the published results of agents."""

import asyncio
from typing import Any

from starlette.middleware import Middleware
from starlette.responses import FileResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from facegen.errors import ResourceError
from facegen.ui.agents.files import AgentFiles, AgentSettings
from facegen.ui.services import Services

PATH = "/mcp"
_MOST_REQUEST_BYTES = 64 << 20
_INSTRUCTIONS = (
    "Makes synthetic faces: put a face into a video or picture, draw faces of nobody, make a portrait speak, and say whether a "
    "file was made so. Use only faces and voices of people who agreed to it. Every result is signed and marked."
)


def middleware(services: Services, settings: AgentSettings) -> Middleware:
    """What answers agents.

    Raises:
        ResourceError: the protocol's library is not installed.
    """
    try:
        from mcp.server.fastmcp import FastMCP
    except ImportError:
        raise ResourceError(
            "Expected the library mcp for agents, found none; install it: pip install 'facegen[mcp]'"
        ) from None
    from facegen.ui.agents.tools import Tools

    files = AgentFiles(services, settings)
    # which hosts may ask is decided for the whole studio in `hosts.py`
    server: FastMCP[Any] = FastMCP(
        "facegen",
        instructions=_INSTRUCTIONS,
        log_level="WARNING",
        host="0.0.0.0",
        streamable_http_path=PATH,
        max_request_body_size=_MOST_REQUEST_BYTES,
    )
    Tools(services, files).add_to(server)
    server.streamable_http_app()
    return Middleware(_AgentRoutes, manager=server.session_manager, files=files)


class _AgentRoutes:
    """Answers what is below /mcp, and leaves the rest to the studio."""

    def __init__(self, app: ASGIApp, manager: Any, files: AgentFiles) -> None:
        self.app, self._manager, self._files = app, manager, files
        self._serving: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "") if scope["type"] == "http" else ""
        if path.startswith(f"{PATH}/files/"):
            await self._send_file(path, scope, receive, send)
        elif path.rstrip("/") == PATH:
            if self._serving is None:
                # in the loop of the server, which is not there yet when the studio is built
                self._serving = asyncio.create_task(self._serve())
            await self._is_ready.wait()
            await self._manager.handle_request(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self) -> None:
        async with self._manager.run():
            self._is_ready.set()
            await asyncio.Event().wait()

    async def _send_file(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._files.find_published(path.split("/")[3])
        answer = FileResponse(found, filename=found.name) if found else PlainTextResponse("No such file.", 404)
        await answer(scope, receive, send)
