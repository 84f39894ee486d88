"""`TalkPipeline`: the one door of the room."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from facegen import media, provenance
from facegen.device import use_one_thread
from facegen.errors import InputError, NoFaceError
from facegen.faces import ClipAnalysis, Face, FaceAnalyser
from facegen.runs import Run
from facegen.runs.carry_out import carry_out
from facegen.runs.progress import OnProgress, Progress
from facegen.talk.clips import analyse_video
from facegen.talk.dfrf.speaker import FieldSpeaker
from facegen.talk.driving import follow_video
from facegen.talk.engines import FIELD, EngineName, find_training
from facegen.talk.liveliness import enliven
from facegen.talk.motion import Motion, MotionModel
from facegen.talk.portrait.renderer import Moment, Renderer
from facegen.talk.request import TalkRequest, TalkResult, request_key
from facegen.talk.respeak import Speaker, chosen_frames
from facegen.talk.rig import load_rig
from facegen.talk.seat import is_respoken, seated, touches
from facegen.talk.shoot import WORKERS, Reel, check_paths, in_order
from facegen.talk.speech import Speech, load_speech

if TYPE_CHECKING:
    from facegen.talk.dfrf.paint import Painter

T = TypeVar("T")

FRAME_RATE = 25
TICKS = 512


class TalkPipeline:
    """Makes portraits talk. Models stay loaded between calls; safe to call from several threads."""

    def __init__(self, *, analyser: FaceAnalyser | None = None) -> None:
        self.analyser = analyser or FaceAnalyser()

    def __call__(
        self, request: TalkRequest, run: Run | None = None, on_progress: OnProgress | None = None
    ) -> TalkResult:
        """Make a talk, or go on with one that was cut off.

        Args:
            request: what to do.
            run: the run folder to work in; one named after the request is used, and removed at the end, where there is
                none. The same request finds it again after a crash.
            on_progress: told of every frame.

        Raises:
            InputError: the request cannot be done; the sentence says why.
            ResourceError: a place cannot be written, or the disk is full.
            Cancelled: somebody stopped the work; what was finished is kept in the run folder.
        """
        check_paths(request)
        return carry_out(
            request,
            lambda folder, progress: self._talk(request, folder, progress),
            kind="talk",
            key=request_key,
            run=run,
            on_progress=on_progress,
        )

    def preview(self, request: TalkRequest, seconds: float) -> np.ndarray:
        """(H, W, 3) uint8 RGB: what is seen at one moment of a talk, without the rest; past its end, its last moment."""
        options = request.options
        speech = load_speech(request.audio, seconds=seconds, encoder=MotionModel.load(options.motion).encoder)
        if is_respoken(request):
            return self._respoken(request, speech, seconds)
        moments = np.arange(max(2, int(speech.seconds * FRAME_RATE))) / FRAME_RATE
        index = min(int(seconds * FRAME_RATE), len(moments) - 1)
        if EngineName.parse(options.engine).kind == FIELD:
            return FieldSpeaker(_painter(request), speech, moments, options).draw(index)
        sitter = seated(request, self.analyser)
        motion, _ = self._motion(request, speech, moments)
        return Renderer(sitter, touches(sitter, options)).draw(_moment(motion, index))

    def _respoken(self, request: TalkRequest, speech: Speech, seconds: float) -> np.ndarray:
        frame = media.read_frame_at(request.portrait, seconds=seconds)
        analysis, person, speaker = self._speaker(request, lambda _share, _text: None)
        face = _face_of(analysis, frame.index, person)
        mouth = MotionModel.load(request.options.motion).animate_mouth(
            speech, np.array([seconds]), request.options.mouth
        )[0]
        patch = None if face is None else speaker.patch(frame.image_rgb, face, mouth)
        return frame.image_rgb if patch is None else frame.paste([patch]).image_rgb

    def _talk(self, request: TalkRequest, run: Run, progress: Progress) -> TalkResult:
        started = time.perf_counter()
        progress.enter(0.0, 0.03)
        progress.say(0.0, "Listening")
        speech = load_speech(
            request.audio,
            seconds=request.options.seconds,
            encoder=MotionModel.load(request.options.motion).encoder,
            on_heard=lambda seconds: progress.say(0.0, f"Listening, {seconds:.0f} s heard"),
        )
        notices: tuple[str, ...] = ()
        if not speech.voiced.any():
            notices = ("No speech was heard, so the mouth stays closed.",)
        elif not speech.is_speech:
            notices = (
                "Little speech was heard, mostly music or noise as it seems; the mouth moves with what there is.",
            )
        reel = Reel(run.path, request_key(request))
        first = reel.done
        heard = time.perf_counter()
        progress.enter(0.03, 0.15)
        if EngineName.parse(request.options.engine).kind == FIELD:
            frames, like, count, said = _field(request, speech, first, progress)
        elif is_respoken(request):
            frames, like, count, said = self._video(request, speech, first, progress)
        else:
            frames, like, count, said = self._portrait(request, speech, first, progress)
        prepared = time.perf_counter()
        progress.enter(0.15, 0.98, first)
        for index in reel.record(frames, like, request):
            progress.frames("Drawing", index + 1, count)
        drawn = time.perf_counter()
        progress.enter(0.98, 1.0)
        progress.say(0.0, "Joining picture and sound")
        is_cut = request.options.seconds is not None or is_respoken(request)
        notices += said + reel.join(like, request, is_cut=is_cut)
        ended = time.perf_counter()
        stages = {
            "listen": heard - started,
            "prepare": prepared - heard,
            "draw": drawn - prepared,
            "join": ended - drawn,
        }
        return TalkResult(
            output=request.output,
            frames=count,
            seconds=round(ended - started, 3),
            resumed_frames=first,
            stages={name: round(seconds, 3) for name, seconds in stages.items()},
            rate=round((count - first) / max(drawn - prepared, 1e-6), 1),
            notices=notices,
        )

    def _portrait(
        self, request: TalkRequest, speech: Speech, first: int, progress: Progress
    ) -> tuple[Iterator[media.Frame], media.VideoInfo, int, tuple[str, ...]]:
        options = request.options
        progress.say(0.0, "Looking at the portrait")
        sitter = seated(request, self.analyser)
        length = min(speech.seconds, options.seconds or speech.seconds)
        count = max(1, round(length * FRAME_RATE))
        seconds = np.arange(count) / FRAME_RATE
        motion, notices = self._motion(request, speech, seconds, progress.say)
        height, width = sitter.image_rgb.shape[:2]
        time_base = Fraction(1, FRAME_RATE * TICKS)
        like = media.made_video(width, height, Fraction(FRAME_RATE), time_base)
        renderer, mark = Renderer(sitter, touches(sitter, options)), provenance.Watermark((height, width))

        def draw(index: int) -> media.Frame:
            image = renderer.draw(_moment(motion, index))
            frame = media.Frame.of_picture(image, index=index, pts=index * TICKS, time_base=time_base, duration=TICKS)
            return frame.add_luma(mark.luma_delta)

        return _pooled(draw, range(first, count)), like, count, notices

    def _video(
        self, request: TalkRequest, speech: Speech, first: int, progress: Progress
    ) -> tuple[Iterator[media.Frame], media.VideoInfo, int, tuple[str, ...]]:
        options, path = request.options, request.portrait
        like = media.probe(path)
        analysis, person, speaker = self._speaker(request, progress.say)
        pts, time_base = media.frame_times(path)
        times = np.array([float(tick * time_base) for tick in pts])
        end = options.seconds if options.seconds is not None else float(times[-1]) + 1
        times = times[times - times[0] < end]
        count = len(times)
        mouth = MotionModel.load(options.motion).animate_mouth(speech, times - times[0], options.mouth)
        notices: tuple[str, ...] = ()
        if speech.seconds > float(times[-1] - times[0]) + 0.25 and options.seconds is None:
            notices = (f"The sound is longer than the video and ends with it, after {times[-1] - times[0]:.1f} s.",)
        mark = provenance.Watermark((like.height, like.width))

        def speak(frame: media.Frame) -> media.Frame:
            face = _face_of(analysis, frame.index, person)
            patch = speaker.patch(frame.image_rgb, face, mouth[frame.index]) if face is not None else None
            return (frame.paste([patch]) if patch is not None else frame).add_luma(mark.luma_delta)

        frames = (frame for frame in media.read_frames(path, start_index=first) if frame.index < count)
        return _pooled(speak, frames), like, count, notices

    def _motion(
        self, request: TalkRequest, speech: Speech, seconds: np.ndarray, on_progress: OnProgress = lambda *_: None
    ) -> tuple[Motion, tuple[str, ...]]:
        """What a portrait does at (N,) moments, and what the user should know."""
        options = request.options
        motion = Motion.still(MotionModel.load(options.motion).animate_mouth(speech, seconds, options.mouth))
        if request.driving is not None:
            head = 0.0 if options.still else 1.0
            return follow_video(
                motion, request.driving, seconds, head=head, analyser=self.analyser, on_progress=on_progress
            )
        lively = enliven(
            motion,
            speech,
            seconds,
            head=options.head,
            eyes=options.eyes,
            seed=options.seed,
            is_still=options.still,
            is_blinking=options.blink,
        )
        return lively, ()

    def _speaker(self, request: TalkRequest, on_progress: OnProgress) -> tuple[ClipAnalysis, int, Speaker]:
        """Who is seen in a video that gets other words, and the number of the one who says them."""
        path = request.portrait
        if request.driving is not None:
            raise InputError(
                "Expected a picture as portrait with a driving video, found a video; choose a second of it (frame), or "
                "leave the driving video out."
            )
        analysis = analyse_video(Path(path), self.analyser, on_progress, smoothing=1.0)
        person = _person(analysis, request.options.face, path)
        looks = [
            (media.read_frame_at(path, index=index).image_rgb, _face_of(analysis, index, person))
            for index in chosen_frames(analysis, person)
        ]
        seen = [(image, face) for image, face in looks if face is not None]
        return analysis, person, Speaker.of(seen, load_rig())


def _field(
    request: TalkRequest, speech: Speech, first: int, progress: Progress
) -> tuple[Iterator[media.Frame], media.VideoInfo, int, tuple[str, ...]]:
    """Frames of a person's own field."""
    options = request.options
    progress.say(0.0, "Opening the radiance field")
    if request.driving is not None:
        raise InputError("Expected no driving video with a field, which moves as its own video did; leave it out.")
    painter = _painter(request)
    count = max(1, round(min(speech.seconds, options.seconds or speech.seconds) * FRAME_RATE))
    speaker = FieldSpeaker(painter, speech, np.arange(count) / FRAME_RATE, options)
    height, width = painter.scene.frame_hw
    time_base = Fraction(1, FRAME_RATE * TICKS)
    like = media.made_video(width, height, Fraction(FRAME_RATE), time_base)
    mark = provenance.Watermark((height, width))

    def draw(index: int) -> media.Frame:
        image = speaker.draw(index)
        frame = media.Frame.of_picture(image, index=index, pts=index * TICKS, time_base=time_base, duration=TICKS)
        return frame.add_luma(mark.luma_delta)

    notices = ("The person's field brings its own head; the portrait was not used.",) if request.portrait else ()
    return _pooled(draw, range(first, count)), like, count, notices


def _painter(request: TalkRequest) -> Painter:
    from facegen.device import choose_device
    from facegen.talk.dfrf.paint import Painter

    return Painter.of_run(find_training(EngineName.parse(request.options.engine).run), choose_device())


def _moment(motion: Motion, index: int) -> Moment:
    return Moment(
        mouth=motion.mouth[index],
        turn_deg=motion.turn_deg[index],
        shift_cm=motion.shift_cm[index],
        lids=motion.lids[index],
        brows=float(motion.brows[index]),
        gaze=motion.gaze[index],
    )


def _pooled(work: Callable[[T], media.Frame], items: Iterable[T]) -> Iterator[media.Frame]:
    """Frames in order, drawn by a few threads that end with the stream."""
    with ThreadPoolExecutor(WORKERS, "talk", initializer=use_one_thread) as pool:
        yield from in_order(work, items, pool)


def _person(analysis: ClipAnalysis, wanted: int | None, path: str) -> int:
    if not analysis.people:
        raise NoFaceError(f"Expected a face in the video {Path(path).name!r}, but found none; choose another video.")
    person = wanted or 0
    if person >= len(analysis.people):
        raise InputError(f"Expected a person up to {len(analysis.people) - 1}, found {person}; choose another number.")
    return person


def _face_of(analysis: ClipAnalysis, index: int, person: int) -> Face | None:
    return next((face for face in analysis.faces(index) if face.person_id == person), None)
