"""`TalkPipeline`: from a portrait and sound to a video."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from facegen import media, provenance
from facegen.device import use_one_thread
from facegen.faces import FaceAnalyser
from facegen.jobs import Progress, Run
from facegen.jobs.files import check_output_file
from facegen.jobs.ordered_map import ordered_map
from facegen.jobs.pipeline import Models, Pipeline
from facegen.talk.jobs import TALK
from facegen.talk.motion import MotionModel
from facegen.talk.options import TalkOptions
from facegen.talk.recorder import WORKERS, SegmentRecorder
from facegen.talk.renderers import DrivingSignals, RendererCache, TalkClip, choose_renderer
from facegen.talk.request import TalkRequest, TalkResult, request_key
from facegen.talk.speech import Speech, load_speech


class TalkPipeline(Pipeline[TalkRequest, TalkResult]):
    """Makes portraits talk. Models and speakers stay loaded between calls; safe to call from several threads."""

    job = TALK

    def __init__(
        self,
        *,
        models: Models | None = None,
        on_line: Callable[[str], None] = print,
        analyser: FaceAnalyser | None = None,
    ) -> None:
        super().__init__(models=models, on_line=on_line)
        self.analyser = analyser or self.models.get(FaceAnalyser)
        self._renderers = RendererCache(self.analyser)

    def check(self, request: TalkRequest) -> None:
        """Refuse an output that cannot be written, and what the renderer of the request does not do."""
        check_output_file(request, tuple(media.CONTAINERS))
        choose_renderer(request).check(request)
        is_dubbed = bool(request.portrait) and media.is_video(request.portrait)
        picture = request.portrait if is_dubbed else None
        media.check_video_output(request.output, picture_from=picture, sound_from=request.audio, encode=request.options)

    def preview(self, request: TalkRequest, seconds: float) -> np.ndarray:
        """One moment of a talk, as the result will show it before it is marked and encoded.

        Args:
            request: the talk; its output is not used.
            seconds: the moment, from the beginning of the sound; past the end of the talk, its last frame.

        Returns:
            (H, W, 3) uint8 RGB.

        Raises:
            InputError: the request cannot be done; the sentence says why.
        """
        speech = load_speech(request.audio, seconds=seconds, encoder=MotionModel.load(request.options.motion).encoder)
        clip = self._renderers.get(request).prepare(DrivingSignals(request, speech, self.analyser))
        index = max(int(np.searchsorted(clip.info.times, seconds, side="right")) - 1, 0)
        background = clip.info.background
        frame = clip.frame(index, None if background is None else media.read_frame_at(background, index=index))
        return frame.image_rgb

    def warm_up(self, request: TalkRequest) -> None:
        """Load the models by a preview."""
        self.preview(request, 0.0)

    def work(self, request: TalkRequest, run: Run | None, progress: Progress) -> TalkResult:
        """Make a talk, or go on with one that was cut off."""
        assert run is not None
        options, timer = request.options, _StageTimer()
        # sound to features
        progress.enter(0.0, 0.03)
        progress.report(0.0, "Listening")
        speech = load_speech(
            request.audio,
            seconds=options.seconds,
            encoder=MotionModel.load(options.motion).encoder,
            on_progress=lambda seconds: progress.report(0.0, f"Listening, {seconds:.0f} s heard"),
        )
        timer.stop("listen")
        # features to movements of this speaker
        recorder = SegmentRecorder(run.path, request_key(request))
        first = recorder.frame_count
        progress.enter(0.03, 0.15)
        renderer = self._renderers.get(request, progress.report)
        clip = renderer.prepare(DrivingSignals(request, speech, self.analyser, progress.report))
        info, count = clip.info, len(clip.info.times)
        media.check_animation(request.output, float(info.times[-1]))
        timer.stop("prepare")
        # movements to frames, marked and encoded in segments
        progress.enter(0.15, 0.98, first)
        for index in recorder.record(_mark(clip, first, options), info.video, request):
            progress.report_frames("Drawing", index + 1, count)
        timer.stop("draw")
        # segments and sound to the signed file
        progress.enter(0.98, 1.0)
        progress.report(0.0, "Joining picture and sound")
        is_trimmed = options.seconds is not None or info.background is not None
        joined = recorder.join(info.video, request, frame_count=count, is_trimmed=is_trimmed)
        notices = (*_speech_notices(speech), *info.notices, *joined)
        timer.stop("join")
        return TalkResult(
            output=request.output,
            frames=count,
            seconds=round(sum(timer.stages.values()), 3),
            resumed_frames=first,
            stages={name: round(seconds, 3) for name, seconds in timer.stages.items()},
            rate=round((count - first) / max(timer.stages["draw"], 1e-6), 1),
            notices=notices,
        )


class _StageTimer:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._began = time.perf_counter()

    def stop(self, stage: str) -> None:
        """Ends a stage; the next one begins."""
        now = time.perf_counter()
        self.stages[stage], self._began = now - self._began, now


def _speech_notices(speech: Speech) -> tuple[str, ...]:
    if not speech.voiced.any():
        return ("No speech was heard, so the mouth stays closed.",)
    if not speech.is_speech:
        return ("Little speech was heard, mostly music or noise as it seems; the mouth moves with what there is.",)
    return ()


def _mark(clip: TalkClip, first: int, options: TalkOptions) -> Iterator[media.Frame]:
    """Frames of a talk from `first` on, in order, drawn and watermarked by a few threads."""
    info = clip.info
    mark = provenance.Watermark(info.video.size_hw, salt=info.video.salt, label=options.label)

    def draw(indexed: tuple[int, media.Frame | None]) -> media.Frame:
        return mark.mark_frame(clip.frame(*indexed))

    with ThreadPoolExecutor(WORKERS, "talk", initializer=use_one_thread) as pool:
        frames = _backgrounds(clip, first, keeps_alpha=options.transparency)
        yield from ordered_map(draw, frames, pool, ahead=WORKERS + 1)


def _backgrounds(clip: TalkClip, first: int, *, keeps_alpha: bool) -> Iterator[tuple[int, media.Frame | None]]:
    """Numbers of the frames of a talk from `first` on, and what each is drawn onto."""
    path, count = clip.info.background, len(clip.info.times)
    if path is None:
        yield from ((index, None) for index in range(first, count))
    else:
        frames = media.read_frames(path, start_index=first, keeps_alpha=keeps_alpha)
        yield from ((frame.index, frame) for frame in frames if frame.index < count)
