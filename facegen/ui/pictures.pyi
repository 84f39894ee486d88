"""Components that hand pictures of a browser over as they came: Gradio's own decode them in the studio's process."""

import base64
from pathlib import Path
from typing import Any

import gradio as gr

from facegen.errors import InputError

class Picture(gr.Image):
    """A picture, given to handlers as the path of its file."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """The path of the upload."""
        return payload.path if payload is not None else None
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

class Camera(gr.Image):
    """A camera whose frames are given to handlers as the bytes of picture files."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """The bytes of a frame."""
        if payload is None:
            return None
        if payload.path:
            return Path(payload.path).read_bytes()
        return base64.b64decode((payload.url or "").partition(",")[2])
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

class Painting(gr.ImageEditor):
    """An editor whose layers are given to handlers as the bytes of picture files."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """The layers; the background is the studio's own."""
        held = None if payload is None else self.blob_storage.pop(payload.id, None) if payload.id else payload
        layers = [] if held is None else [layer for layer in held.layers if layer]
        return [layer if isinstance(layer, bytes) else Path(layer.path).read_bytes() for layer in layers]
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

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
