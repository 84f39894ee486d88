"""The page's head, and how the page travels."""

import asyncio
import gzip
from typing import Any

import pytest
from starlette.responses import HTMLResponse

from facegen.ui import page


def get(app: Any, path: str, accepts: str) -> tuple[dict[bytes, bytes], bytes]:
    """Headers and body of an answer."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"here"), (b"accept-encoding", accepts.encode())]}  # fmt: skip
    asyncio.run(app(scope, receive, send))
    start, *rest = sent
    return dict(start["headers"]), b"".join(message.get("body", b"") for message in rest)


@pytest.mark.parametrize("accepts", ["gzip, deflate, br", "identity"])
def test_the_page_is_compressed_where_the_browser_takes_that(accepts: str) -> None:
    (middleware,) = page.middleware()
    html = f"<html><head><title>Gradio</title></head><body>{'a sentence in five languages ' * 500}</body></html>"
    app = middleware.cls(HTMLResponse(html), *middleware.args, **middleware.kwargs)
    headers, body = get(app, "/", accepts)
    assert headers[b"content-length"] == str(len(body)).encode()
    assert headers[b"vary"] == b"Accept-Encoding"
    if "gzip" in accepts:
        assert headers[b"content-encoding"] == b"gzip"
        assert len(body) < len(html) / 10
        body = gzip.decompress(body)
    assert f"<title>{page.TITLE}</title>" in body.decode()
    assert get(app, "/config", accepts)[1].decode() == html
