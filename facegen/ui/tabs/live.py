"""The Live tab: swaps the face of the visitor's camera in real time."""

import threading
import time
from typing import Any

import gradio as gr
import numpy as np

from facegen.errors import InputError
from facegen.media import read_picture
from facegen.swap.live import LiveSwap
from facegen.swap.options import SwapOptions
from facegen.ui.examples import EXAMPLE_CLICK, PORTRAITS, example_cards
from facegen.ui.handlers import Shell, note, require_consent, show_errors, step
from facegen.ui.pictures import Camera, Picture, write_upload
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import requests as swaps

_MOST_AT_ONCE = 4
_EVERY_SECONDS = 0.08
_LONGEST_SECONDS = 600
_SPOKEN_EVERY = 5
"""Frames between two updates of the words."""


class LiveSwaps:
    """The live swaps of the latest visitors, one each."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._swaps: dict[str, tuple[str, LiveSwap]] = {}
        self._lock = threading.Lock()

    def frame(self, visitor: Visitor, source: str, image_rgb: np.ndarray) -> tuple[np.ndarray, LiveSwap]:
        """The next frame with the source's face, and the swap that made it.

        Raises:
            NoFaceError: no face in the source.
        """
        with self._lock:
            known = self._swaps.get(visitor.mark)
            if known is None or known[0] != source:
                pipeline = self._services.pipeline()
                known = source, LiveSwap([source], pipeline.analyser, pipeline.engine(SwapOptions()))
                others = {mark: swap for mark, swap in self._swaps.items() if mark != visitor.mark}
                self._swaps = {**dict([*others.items()][-_MOST_AT_ONCE + 1 :]), visitor.mark: known}
        return known[1](image_rgb), known[1]


def build(services: Services, shell: Shell) -> None:
    """Lay out the tab and wire it."""
    live_swaps = LiveSwaps(services)
    first = str(services.examples.file("ada.jpg"))
    with gr.Row(equal_height=False, elem_classes="fg-columns", elem_id="live-columns"):
        with gr.Column(scale=5, min_width=300):
            gr.HTML(step(1, "Whose face?", "One sharp picture from the front."))
            source = Picture(
                first,
                label="The face",
                sources=["upload"],
                height=150,
                buttons=[],
                elem_id="live-source",
            )
            cards = example_cards([(name, title, (name,)) for name, title in PORTRAITS.items()])
            examples = gr.HTML(
                f'<div class="fg-hint">Or one of these, who do not exist:</div>{cards}',
                js_on_load=EXAMPLE_CLICK,
                elem_id="live-examples",
            )
            gr.HTML(step(2, "Your camera", "Allow it, then press «Record»; no frame is kept."))
            camera = Camera(
                label="Camera", sources=["webcam"], streaming=True, height=260, buttons=[], elem_id="live-camera"
            )
        with gr.Column(scale=6, min_width=300):
            gr.HTML(step(3, "You, with that face"))
            words = gr.HTML(note(_FIRST_WORDS), elem_id="live-status")
            result = gr.Image(
                swaps.example_frames(services.examples)[1],
                label="Live", interactive=False, format="jpeg", streaming=True, height=440, buttons=["fullscreen"],
                elem_id="live-result",
            )  # fmt: skip

    @show_errors(3)
    def swap_frame(visitor: Visitor, consent: bool, path: str | None, frame: bytes | None, times: list[float]) -> Any:
        if frame is None:
            return gr.skip(), gr.skip(), []
        require_consent(consent)
        if not path:
            raise InputError("Expected a picture of the face, found none; add one.")
        image_rgb = read_picture(write_upload(services.visitor_folder(visitor) / "camera", frame))
        made, live = live_swaps.frame(visitor, path, image_rgb)
        times = [*times, time.monotonic()][-20:]
        if len(times) % _SPOKEN_EVERY and len(times) < 20:
            return gr.skip(), made, times
        rate = (len(times) - 1) / max(times[-1] - times[0], 1e-6)
        return note(f"{rate:.1f} frames/s; a frame takes {1000 * live.seconds:.0f} ms here."), made, times

    def use_example(event: gr.EventData) -> str:
        return str(services.examples.file(f"{event.example}.jpg"))

    seen = gr.State([])
    camera.stream(
        swap_frame,
        [shell.visitor, shell.consent, source, camera, seen],
        [words, result, seen],
        stream_every=_EVERY_SECONDS,
        time_limit=_LONGEST_SECONDS,
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
    )
    examples.click(use_example, None, source, show_progress="hidden", api_visibility="private")


_FIRST_WORDS = (
    "You see an example: Ada's face on a clip of Bea. Your camera shows it on you as you move; allow it under 2."
)
