"""Components that hand pictures of a browser over as they came: Gradio's own decode them in the studio's process."""

import base64
from abc import ABCMeta
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.base import server
from gradio.components.image_editor import AcceptBlobs
from starlette.exceptions import HTTPException

from facegen.errors import InputError

_MOST_LAYERS = 8
_MOST_BYTES = 64_000_000
"""Of all paintings that were sent and not taken yet."""


def _component(base: type, preprocess: Callable[[Any, Any], Any], about: str, **others: Any) -> Any:
    """A component that gives handlers something else; made without Gradio's metaclass, which writes a stub beside this file."""
    attributes = {"__doc__": about, "__module__": __name__, "is_template": True, "preprocess": preprocess, **others}
    return ABCMeta.__new__(type(base), base.__name__, (base,), attributes)


def _path(component: Any, payload: Any) -> str | None:
    return payload.path if payload is not None else None


def _frame(component: Any, payload: Any) -> bytes | None:
    if payload is None:
        return None
    if payload.path:
        return Path(payload.path).read_bytes()
    return base64.b64decode((payload.url or "").partition(",")[2])


def _layers(component: Any, payload: Any) -> list[bytes]:
    held = None if payload is None else component.blob_storage.pop(payload.id, None) if payload.id else payload
    layers = [] if held is None else [layer for layer in held.layers if layer]
    return [layer if isinstance(layer, bytes) else Path(layer.path).read_bytes() for layer in layers]


@server  # type: ignore[untyped-decorator]
def accept_blobs(component: Any, data: AcceptBlobs) -> None:
    """Gradio's own, within bounds: what nobody fetches stays in the memory of the studio."""
    index = str(data.data.get("index") or "null")
    if index != "null" and (not index.isdecimal() or int(index) >= _MOST_LAYERS):
        raise HTTPException(400, f"Expected at most {_MOST_LAYERS} layers, found number {index[:20]}; use the page.")
    gr.ImageEditor.accept_blobs(component, data)
    held = component.blob_storage
    while sum(map(_size, held.values())) > _MOST_BYTES:
        held.pop(next(iter(held)))


def _size(blobs: Any) -> int:
    return sum(len(one) for one in (blobs.background, blobs.composite, *blobs.layers) if one)


Picture = _component(gr.Image, _path, "A picture, given to handlers as the path of its file.")
Camera = _component(gr.Image, _frame, "A camera whose frames are given to handlers as the bytes of picture files.")
Painting = _component(
    gr.ImageEditor,
    _layers,
    "An editor whose layers are given to handlers as the bytes of picture files.",
    accept_blobs=accept_blobs,
)


def write_upload(folder: Path, content: bytes) -> Path:
    """The file of a picture that came without one, in a folder of the visitor's.

    Raises:
        InputError: there is nothing in it.
    """
    if not content:
        raise InputError("Expected a picture, found nothing; send it again.")
    folder.mkdir(exist_ok=True)
    file = folder / "picture"
    file.write_bytes(content)
    return file
