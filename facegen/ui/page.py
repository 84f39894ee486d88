"""Head of the page: title, description, icon, link preview, and scripts."""

import gzip
import html
import re
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facegen.ui.examples import FILES

TITLE = "facegen: a studio for synthetic faces"
DESCRIPTION = (
    "Swap a face in a video, draw faces that do not exist, make a portrait talk, and train the models behind it: "
    "on your own machine, marked and signed."
)
ICON = Path(__file__).with_name("icon.png")
PREVIEW = "preview.jpg"
"""A picture of a result, for those who get a link to the page."""

HEAD = """
<script>
(() => {
  // the button that was refused for want of consent, pressed again once the box is ticked
  let last = null, pending = null;
  const carryOn = () => {
    const button = pending;
    pending = null;
    if (button) setTimeout(() => button.click(), 150);
  };
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button, [data-example]');
    if (button) last = button;
  }, true);
  document.addEventListener('change', (event) => {
    const box = event.target.closest('#consent');
    if (!box || !event.target.checked) return;
    box.classList.remove('missing');
    carryOn();
  }, true);
  const isSeen = (element) => {
    const box = element.getBoundingClientRect();
    return box.top >= 0 && box.bottom <= window.innerHeight;
  };
  const show = (card) => {
    if (card.dataset.needs === 'consent') {
      const box = document.querySelector('#consent');
      // what a camera records goes on by itself
      pending = last?.matches('.capture-button') ? null : last;
      // ticked before this refusal was seen
      if (box.querySelector('input').checked) return carryOn();
      box.classList.add('missing');
      if (!isSeen(box)) box.scrollIntoView({block: 'center', behavior: 'smooth'});
    } else if (card.offsetParent && !isSeen(card)) {
      card.scrollIntoView({block: 'center', behavior: 'smooth'});
    }
  };
  const shown = new Set();
  let waits = false, cut = null;
  const look = () => {
    waits = false;
    for (const card of document.querySelectorAll('.fg-status.notice[data-at]')) {
      if (shown.has(card.dataset.at)) continue;
      shown.add(card.dataset.at);
      show(card);
    }
    // the faces that were cut out lie above the button that cut them
    const done = document.querySelector('#faceset-status [data-state=done]');
    const faces = document.querySelector('#faceset-gallery');
    if (done && done !== cut && faces?.offsetParent && !isSeen(faces)) {
      faces.scrollIntoView({block: 'center', behavior: 'smooth'});
    }
    cut = done;
  };
  // names for what Gradio leaves without one, for those who hear the page
  const named = (element, words) => {
    if (words && element.getAttribute('aria-label') !== words) element.setAttribute('aria-label', words);
  };
  const name = () => {
    const text = (element) => (element?.textContent ?? '').trim().replace(/\\s+/g, ' ');
    const title = (element) => text(element.closest('.block')?.querySelector('[data-testid=block-label], label > span'));
    for (const box of document.querySelectorAll('button.upload-container')) {
      named(box, [title(box), text(box)].filter(Boolean).join(': '));
    }
    for (const file of document.querySelectorAll('input[type=file]')) named(file, title(file) || text(file.closest('button')));
    for (const image of document.querySelectorAll('.image-container > button')) named(image, title(image) || 'Image');
    // the small button that adds files lies within another, which does nothing of its own
    for (const outer of document.querySelectorAll('button.icon-button:has(input[type=file])')) {
      outer.setAttribute('role', 'group');
      outer.tabIndex = -1;
      named(outer, 'Upload');
      outer.title = 'Upload';
    }
    // a tile is called what is written under it
    for (const tile of document.querySelectorAll('button.thumbnail-item, button.gallery-item')) named(tile, text(tile));
    for (const canvas of document.querySelectorAll('.block canvas')) {
      canvas.setAttribute('role', 'img');
      named(canvas, title(canvas) || 'Image');
    }
    // a link to a file has a button within: one stop of Tab is enough
    for (const link of document.querySelectorAll('a.download-link')) {
      named(link, text(link) || 'Download');
      for (const button of link.querySelectorAll('button')) button.tabIndex = -1;
    }
    // Tab goes from a list's box to the next control, not into the list that closes behind it
    for (const list of document.querySelectorAll('ul[role=listbox]')) list.tabIndex = -1;
    // what a button of a player or a camera shows is part of its name
    for (const speed of document.querySelectorAll('button.playback, button.capture-button')) named(speed, text(speed));
    for (const empty of document.querySelectorAll('div.empty[aria-label]')) empty.setAttribute('role', 'img');
  };
  // options whose model is still on the Hub: greyed, and a press on one asks what it needs instead of choosing it
  let json = null, needs = {};
  const missing = (option) => {
    const words = document.querySelector('#hub-options [data-missing]')?.dataset.missing ?? '{}';
    if (words !== json) needs = JSON.parse(json = words);
    return needs[option.closest('.block')?.id]?.[option.dataset.index];
  };
  const grey = () => {
    for (const option of document.querySelectorAll('li[role=option]')) {
      if (missing(option) === undefined) option.removeAttribute('aria-disabled');
      else option.setAttribute('aria-disabled', 'true');
    }
  };
  const askFor = (event, option) => {
    const value = option ? missing(option) : undefined;
    if (value === undefined) return;
    const field = option.closest('.block');
    event.preventDefault();
    event.stopPropagation();
    const box = field.querySelector('input[role=combobox]');
    if (box.value) {
      // else what was typed to find it would count as a choice
      box.value = '';
      box.dispatchEvent(new Event('input', {bubbles: true}));
    }
    box.blur();
    const bridge = document.querySelector('#hub-options [data-missing]');
    bridge.dispatchEvent(new CustomEvent('hub-option', {bubbles: true, detail: {field: field.id, value}}));
  };
  document.addEventListener('mousedown', (event) => askFor(event, event.target.closest?.('li[role=option]')), true);
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing || event.target.getAttribute?.('role') !== 'combobox') return;
    askFor(event, document.getElementById(event.target.getAttribute('aria-activedescendant')));
  }, true);
  // Enter in a box of text or a number presses the main button of what the box belongs to
  const written = 'input[type=text], input[type=number], input:not([type]), textarea[rows="1"]';
  document.addEventListener('keydown', (event) => {
    const box = event.target;
    if (event.key !== 'Enter' || event.isComposing || !box.matches?.(written)) return;
    if (box.closest('.fg-buttons') || box.getAttribute('role') === 'combobox' || box.closest('[role=listbox]')) return;
    for (let part = box.parentElement; part; part = part.parentElement) {
      const button = [...part.querySelectorAll('button.primary:not([disabled])')].find((one) => one.offsetParent);
      if (!button) continue;
      event.preventDefault();
      box.blur();
      setTimeout(() => button.click(), 50);
      return;
    }
  });
  new MutationObserver(() => {
    if (!waits) setTimeout(() => { look(); name(); grey(); }, 60);
    waits = true;
  }).observe(document.documentElement, {childList: true, subtree: true});
})();
</script>
"""


def middleware() -> list[Middleware]:
    """What lays facegen's own description of the page over Gradio's, and serves the picture of it."""
    return [Middleware(_Described)]


class _Described:
    """Changes the page's head, and compresses the page: its tables of five languages are most of it, and Gradio compresses none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").rstrip("/") if scope["type"] == "http" else None
        if path == f"/{PREVIEW}":
            await FileResponse(FILES / PREVIEW)(scope, receive, send)
        elif path == "":
            takes_gzip = "gzip" in Headers(scope=scope).get("accept-encoding", "")
            await self.app(scope, receive, _Head(send, _address(scope), takes_gzip=takes_gzip))
        else:
            await self.app(scope, receive, send)


def _address(scope: Scope) -> str:
    headers = Headers(scope=scope)
    scheme = headers.get("x-forwarded-proto", scope.get("scheme", "http"))
    return html.escape(f"{scheme}://{headers.get('host', '')}", quote=True)


class _Head:
    """Holds a page back until it is whole, and sends it with its head changed, compressed where the browser takes that."""

    def __init__(self, send: Send, address: str, *, takes_gzip: bool) -> None:
        self._send, self._address, self._takes_gzip = send, address, takes_gzip
        self._start: dict[str, Any] = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = dict(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        headers = MutableHeaders(raw=list(self._start["headers"]))
        if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
            self._body = describe(self._body.decode(), self._address).encode()
            headers.add_vary_header("Accept-Encoding")
            if self._takes_gzip:
                self._body = gzip.compress(self._body, compresslevel=6)
                headers["content-encoding"] = "gzip"
            headers["content-length"] = str(len(self._body))
        await self._send({**self._start, "headers": headers.raw})
        await self._send({**message, "body": self._body})


def describe(page: str, address: str) -> str:
    """The page (HTML) with facegen's title, description and picture in place of Gradio's."""
    picture = f"{address}/{PREVIEW}"
    own = (
        f'<title>{TITLE}</title><meta name="description" content="{DESCRIPTION}" />'
        f'<meta property="og:title" content="{TITLE}" /><meta property="og:type" content="website" />'
        f'<meta property="og:description" content="{DESCRIPTION}" /><meta property="og:image" content="{picture}" />'
        '<meta name="twitter:card" content="summary_large_image" />'
    )
    theirs = r"<meta\s+(?:property=\"og:|name=\"(?:twitter:|description\"))[^>]*>|<title>[^<]*</title>"
    return re.sub(theirs, "", page).replace("</head>", f"{own}</head>", 1)
