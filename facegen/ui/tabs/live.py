"""The Live tab: swaps the face of the visitor's camera in real time."""

import base64
import io
import statistics
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from gradio.data_classes import ImageData
from PIL import Image

from facegen.errors import FacegenError, InputError
from facegen.media import read_picture
from facegen.swap.options import SwapOptions
from facegen.ui.examples import EXAMPLE_CLICK, PORTRAITS, example_cards
from facegen.ui.handlers import Shell, loading, note, refusal, require_consent, step
from facegen.ui.pictures import Camera, Picture, write_upload
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import requests as swaps

if TYPE_CHECKING:
    from facegen.swap.live import LiveSwap

_MOST_AT_ONCE = 4
_EVERY_SECONDS = 0.08
_LONGEST_SECONDS = 600
_JPEG_QUALITY = 85
_RATE_FRAMES = 20
"""Frames over which the rate is taken."""
_SPOKEN_EVERY = 10
"""Frames between two updates of the words."""


@dataclass(frozen=True)
class _Seat:
    """The live swap of a visitor, as it is being prepared or as it stands."""

    source: str
    swap: "Future[LiveSwap]"


class LiveSwaps:
    """The live swaps of the latest visitors, one each."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._seats: dict[str, _Seat] = {}
        self._lock = threading.Lock()

    def prepare(self, visitor: Visitor, source: str) -> "Future[LiveSwap]":
        """The visitor's swap with this source; where it is not at hand its models are loaded, and nobody waits here for it."""
        with self._lock:
            seat = self._seats.get(visitor.mark)
            if seat is None or seat.source != source:
                seat = _Seat(source, Future())
                others = {mark: other for mark, other in self._seats.items() if mark != visitor.mark}
                self._seats = {**dict([*others.items()][-_MOST_AT_ONCE + 1 :]), visitor.mark: seat}
                threading.Thread(target=self._load, args=(seat,), name="live-load", daemon=True).start()
        return seat.swap

    def _load(self, seat: _Seat) -> None:
        try:
            from facegen.swap.live import LiveSwap

            pipeline = self._services.pipeline()
            seat.swap.set_result(LiveSwap([seat.source], pipeline.analyser, pipeline.engine(SwapOptions())))
        except BaseException as error:  # whoever asks for the swap meets it
            seat.swap.set_exception(error)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the latest frames brought."""

    times: tuple[float, ...] = ()
    """When they were made, seconds of a clock."""
    durations: tuple[float, ...] = ()
    """What each took, seconds."""
    count: int = 0
    """How many were made."""
    refusal: str = ""
    """The sentence, where they were refused."""


def frame_image(first_rgb: np.ndarray, **about: Any) -> gr.Image:
    """A picture whose frames go to the page and onto no disk, where `gr.Image` would put every one.

    Args:
        first_rgb: (H, W, 3) uint8 what it shows at first.
        about: as `gr.Image` takes it.
    """
    image = gr.Image(first_rgb, interactive=False, format="jpeg", streaming=True, **about)

    def postprocess(frame_rgb: np.ndarray) -> ImageData:
        encoded = io.BytesIO()
        Image.fromarray(frame_rgb).save(encoded, "JPEG", quality=_JPEG_QUALITY)
        return ImageData(url=f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}")

    # on this one alone: of a class of one's own Gradio would write a stub beside the module
    image.postprocess = postprocess  # type: ignore[method-assign, assignment]
    return image


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
            result = frame_image(
                swaps.example_frames(services.examples)[1],
                label="Live", height=440, buttons=["fullscreen"], elem_id="live-result",
            )  # fmt: skip

    def swap_frame(visitor: Visitor, consent: bool, path: str | None, frame: bytes | None, seen: Seen) -> Any:
        if frame is None:
            return gr.skip(), gr.skip(), Seen()
        try:
            require_consent(consent)
            if not path:
                raise InputError("Expected a picture of the face, found none; add one.")
            swap = live_swaps.prepare(visitor, path)
            if not swap.done():
                return loading(), gr.skip(), Seen()
            live = swap.result()
            file = write_upload(services.visitor_folder(visitor) / "camera", frame)
            made = live(read_picture(file))
            file.unlink()
        except FacegenError as error:
            # said once: it is true of the next frame, too
            card = gr.skip() if seen.refusal == str(error) else refusal(error)
            return card, gr.skip(), Seen(refusal=str(error))
        times = (*seen.times, time.monotonic())[-_RATE_FRAMES:]
        durations = (*seen.durations, live.seconds)[-_RATE_FRAMES:]
        now = Seen(times=times, durations=durations, count=seen.count + 1)
        if now.count % _SPOKEN_EVERY:
            return gr.skip(), made, now
        rate = (len(times) - 1) / max(times[-1] - times[0], 1e-6)
        latency = 1000 * statistics.median(durations)
        return note(f"{rate:.1f} frames/s; a frame takes {latency:.0f} ms here."), made, now

    def use_example(event: gr.EventData) -> str:
        return str(services.examples.file(f"{event.example}.jpg"))

    seen = gr.State(Seen())
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
