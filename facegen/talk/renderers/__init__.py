"""Renderers of a talk behind the protocol `TalkRenderer`: portrait, LivePortrait, dubbing (with Wav2Lip and EDTalk), field."""

from __future__ import annotations

import threading
from collections import OrderedDict

from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.jobs.progress import OnProgress
from facegen.media import is_picture
from facegen.talk.engines import FIELD, LIPSYNC, LIVE_PORTRAIT, EngineName
from facegen.talk.renderers.protocol import DrivingSignals, TalkClip, TalkInfo, TalkRenderer
from facegen.talk.request import TalkRequest

__all__ = ["DrivingSignals", "RendererCache", "TalkClip", "TalkInfo", "TalkRenderer", "choose_renderer"]

_LOADED = 2
"""Renderers that stay in memory: the one in use and the one before."""


def choose_renderer(request: TalkRequest) -> type[TalkRenderer]:
    """The kind of renderer that a request asks for, by its engine and by what its portrait is.

    Raises:
        InputError: the engine moves lips of videos and the portrait is a picture, or the other way round.
    """
    engine = EngineName.parse(request.options.engine).kind
    if engine == FIELD:
        from facegen.talk.renderers.field import FieldRenderer

        return FieldRenderer
    is_video = bool(request.portrait) and request.options.frame is None and not is_picture(request.portrait)
    if engine == LIVE_PORTRAIT:
        if is_video:
            raise InputError(
                f"Expected a picture as portrait for the engine {engine}, found a video; choose a second of it (frame)."
            )
        from facegen.talk.renderers.live_portrait import LivePortraitRenderer

        return LivePortraitRenderer
    if is_video:
        from facegen.talk.renderers.dubbing import DubbingRenderer

        return DubbingRenderer
    if engine in LIPSYNC:
        raise InputError(
            f"Expected a video as portrait for the engine {engine}, found a picture; choose the engine portrait."
        )
    from facegen.talk.renderers.portrait import PortraitRenderer

    return PortraitRenderer


class RendererCache:
    """Loads renderers and keeps the last few, so that one preview after the other does not load them again.

    Args:
        analyser: finds faces in portraits and videos.
    """

    def __init__(self, analyser: FaceAnalyser) -> None:
        self._analyser = analyser
        self._loaded: OrderedDict[tuple[object, ...], TalkRenderer] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, request: TalkRequest, on_progress: OnProgress = lambda *_: None) -> TalkRenderer:
        """The renderer of a request, loaded.

        Raises:
            InputError: as `TalkRenderer.load`.
        """
        kind = choose_renderer(request)
        kind.check(request)
        key = (kind, *kind.key(request))
        renderer = self._loaded.get(key) or kind.load(request, self._analyser, on_progress)
        with self._lock:
            self._loaded[key] = renderer
            self._loaded.move_to_end(key)
            while len(self._loaded) > _LOADED:
                self._loaded.popitem(last=False)
        return renderer
