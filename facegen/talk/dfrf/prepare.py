"""From a video to the folder of the reference, step by step; every finished step is kept and not done again."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np

from facegen import config, media
from facegen.errors import InputError
from facegen.faces import ClipAnalysis, Face, FaceAnalyser
from facegen.faces.parse.parser import FaceParser
from facegen.media.source import check_readable
from facegen.talk.clips import analyse_video, track_mouth
from facegen.talk.dfrf.body import base_frame, measure_body
from facegen.talk.dfrf.camera import HeadTrack, track_head
from facegen.talk.dfrf.expression import eyes_of, upper_face_of
from facegen.talk.dfrf.folder import PreparedFolder, Steps
from facegen.talk.dfrf.head_prior import HeadPrior, find_prior, fitted_prior
from facegen.talk.dfrf.layers import (
    HEAD,
    BackgroundFinder,
    head_picture,
    painted,
    parse_frames,
    torso_picture,
    unpainted,
    whole_picture,
)
from facegen.talk.dfrf.listening import frame_sounds
from facegen.talk.dfrf.movement import movement_basis, standard_eyes
from facegen.talk.dfrf.points import refine_track
from facegen.talk.dfrf.surface import SurfaceTracker, follow_surface, moved_by, surface_numbers
from facegen.talk.rig import load_rig
from facegen.talk.speech import SAMPLE_RATE, load_speech

STEPS = ("sound", "frames", "landmarks", "parsing", "background", "layers", "track", "surface", "cameras")
"""In this order, numbered from 0 as in the reference's `process_data.py --step`."""
FEWEST_FRAMES = 50
LONGEST_SIDE = 1024
"""Larger frames are made smaller to this many pixels."""

_AT_ONCE = 8
_BACKGROUND_EVERY = 20
_PRIOR_EVERY = 15
_DEBUG_EVERY = 25

Say = Callable[[float, str], None]


def prepare(
    video: Path,
    folder: Path,
    *,
    train_share: float = 0.6,
    seconds: float | None = None,
    analyser: FaceAnalyser | None = None,
    on_progress: Say = lambda _share, _text: None,
) -> PreparedFolder:
    """Does the steps that are missing.

    Args:
        video: somebody who speaks, alone, from the front, before a camera that stands still.
        folder: where the steps' files go.
        train_share: share of the frames, the first ones, that is trained on; the others are held back.
        seconds: no more of the video than this.
        analyser: finds the face.
        on_progress: told (0..1, text); may raise Cancelled, after which the same call goes on.

    Raises:
        InputError: the video cannot be read, has no sound, shows no face in some frames, or is too short; or the
            folder holds another video.
    """
    made = PreparedFolder(folder)
    work = _Preparation(video, made, _begun(video, made, train_share, seconds), analyser, on_progress)
    work.forget_what_follows_gaps()
    for number, step in enumerate(STEPS):
        if step not in work.steps.done:
            work.share = number / len(STEPS)
            getattr(work, f"do_{step}")()
            work.finish(step)
    return made


def _begun(video: Path, folder: PreparedFolder, train_share: float, seconds: float | None) -> Steps:
    size = check_readable(video).stat().st_size
    if folder.steps_path.exists():
        steps = folder.steps
        if (steps.video, steps.size_bytes) != (video.name, size):
            raise InputError(
                f"Expected the folder of {video.name!r}, found that of {steps.video!r} in {folder.path}; "
                "choose another folder."
            )
        return steps
    info = media.probe(video)
    pts, time_base = media.frame_times(video)
    times = np.array([float(tick * time_base) for tick in pts])
    count = int((times - times[0] < (seconds or np.inf)).sum())
    if count < FEWEST_FRAMES:
        raise InputError(
            f"Expected a video of at least {FEWEST_FRAMES} frames, found {count} in {video.name!r}; "
            "give a longer one, a quarter of a minute or more."
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    steps = Steps(
        video=video.name,
        size_bytes=size,
        frame_count=count,
        frame_rate=float(info.frame_rate),
        train_frames=max(FEWEST_FRAMES // 2, round(count * train_share)),
        scale=min(1.0, LONGEST_SIDE / max(info.width, info.height)),
    )
    config.save(folder.steps_path, steps)
    return steps


class _Preparation:
    """The steps, each a method that leaves its files complete."""

    def __init__(
        self, video: Path, folder: PreparedFolder, steps: Steps, analyser: FaceAnalyser | None, on_progress: Say
    ) -> None:
        self.video, self.folder, self.steps, self.on_progress = video, folder, steps, on_progress
        self.share = 0.0
        self._given_analyser = analyser
        self._analysis: ClipAnalysis | None = None

    def finish(self, step: str) -> None:
        """Notes that a step is done."""
        self.steps = replace(self.steps, done=(*self.steps.done, step))
        config.save(self.folder.steps_path, self.steps)

    def forget_what_follows_gaps(self) -> None:
        """A step that is missing, as in a folder made before there was such a step, is followed by all after it."""
        done = tuple(
            step for step, _ in takewhile(lambda pair: pair[0] == pair[1], zip(STEPS, self.steps.done, strict=False))
        )
        self.steps = replace(self.steps, done=done)

    def do_sound(self) -> None:
        """`aud.wav` and `aud.npy`."""
        samples = media.read_audio(self.video, SAMPLE_RATE)
        with wave.open(str(self.folder.path / "aud.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        self._say(0.5, "Listening")
        rows = frame_sounds(load_speech(self.folder.path / "aud.wav"), self._times())
        np.save(self.folder.path / "aud.npy", rows)

    def do_frames(self) -> None:
        """`ori_imgs/N.jpg`."""
        self._fresh("ori_imgs")
        frames = (frame for frame in media.read_frames(self.video) if frame.index < self.steps.frame_count)
        self._each("Taking frames", frames, self._take_frame)

    def _take_frame(self, frame: media.Frame) -> None:
        image, scale = frame.image_rgb, self.steps.scale
        height, width = (round(side * scale) // 2 * 2 for side in image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        self._write("ori_imgs", frame.index, image[:height, :width])

    def do_landmarks(self) -> None:
        """`ori_imgs/N.lms`: the 68 points of every frame, a line each."""
        for index in range(self.steps.frame_count):
            np.savetxt(self.folder.path / "ori_imgs" / f"{index}.lms", self._face(index).points68, "%f")

    def do_parsing(self) -> None:
        """`parsing/N.png`: head red, neck green, torso blue, background white."""
        self._fresh("parsing")
        parser = FaceParser()

        def parse(start: int) -> None:
            indices = range(start, min(start + _AT_ONCE, self.steps.frame_count))
            images = [self._frame(index) for index in indices]
            for index, layers in zip(
                indices, parse_frames(parser, images, [self._face(index) for index in indices]), strict=True
            ):
                self._write("parsing", index, painted(layers))

        self._each("Telling head from torso", range(0, self.steps.frame_count, _AT_ONCE), parse, stride=_AT_ONCE)

    def do_background(self) -> None:
        """`bc.jpg`."""
        finder = BackgroundFinder(self._frame(0).shape[:2])
        for index in range(0, self.steps.train_frames, _BACKGROUND_EVERY):
            finder.add(self._frame(index), self._layers(index))
        media.write_picture(self.folder.path / "bc.jpg", finder.picture())

    def do_layers(self) -> None:
        """`head_imgs`, `torso_imgs` and `com_imgs`, each over the background."""
        for kind in ("head_imgs", "torso_imgs", "com_imgs"):
            self._fresh(kind)
        background = self.folder.background()

        def take_apart(index: int) -> None:
            image, layers = self._frame(index), self._layers(index)
            self._write("head_imgs", index, head_picture(image, layers, background))
            self._write("torso_imgs", index, torso_picture(image, layers, background))
            self._write("com_imgs", index, whole_picture(image, layers, background))

        self._each("Taking frames apart", range(self.steps.frame_count), take_apart)

    def do_track(self) -> None:
        """`track_params.npz`: poses, mesh, eyes, mouth, the head's relief, how the body follows; `debug/`."""
        count, trained = self.steps.frame_count, self.steps.train_frames
        faces = [self._face(index) for index in range(count)]
        track = track_head(np.stack([face.points478[:468] for face in faces]), self._frame(0).shape[:2])
        heads = [(index, self._layers(index) == HEAD) for index in range(0, trained, _PRIOR_EVERY)]
        base = base_frame(track, trained)
        track, points = refine_track(
            track,
            find_prior(track, heads),
            base,
            self._layers(base) == HEAD,
            self._frame,
            lambda index: self._say(index / count, "Following the head"),
        )
        prior = fitted_prior(find_prior(track, heads), points)
        meter = measure_body(track, base, self._frame(base), self._layers(base))
        for index in range(0, trained, 3):
            meter.add(index, self._frame(index))
        moved, _ = track_mouth(self._measured(), self._times())
        mouth, eyes = load_rig().coefficients(moved.offsets[:count]), np.stack([eyes_of(face) for face in faces])
        points478 = np.stack([face.points478[:468] for face in faces])
        numbers = np.concatenate([mouth, standard_eyes(eyes, trained)], 1)
        self.folder.write_arrays(
            "track_params.npz",
            focal=np.array(track.focal),
            centre=track.centre,
            rotation=track.rotation,
            translation=track.translation,
            shape=track.shape,
            error_px=track.error_px,
            eyes=eyes,
            mouth=mouth,
            movement=movement_basis(points478[:trained], numbers[:trained]),
            prior_depth=prior.depth,
            prior_inside=prior.inside,
            body_base=np.array(base),
            body_weights=meter.motion().weights,
        )
        self._draw_debug(track, faces)

    def do_surface(self) -> None:
        """`surface.npz`: poses corrected by optical flow, what is told of the upper face, how the relief moves with it."""
        count, trained, arrays = self.steps.frame_count, self.steps.train_frames, self.folder.arrays("track_params.npz")
        base, prior = int(arrays["body_base"]), HeadPrior(arrays["prior_depth"], arrays["prior_inside"])
        faces = [self._face(index) for index in range(count)]
        upper, points478 = np.stack([upper_face_of(face) for face in faces]), [face.points478[:468] for face in faces]
        numbers = np.concatenate([arrays["mouth"], standard_eyes(upper, trained)], 1)
        known = movement_basis(np.stack(points478[:trained]), numbers[:trained])
        tracker = SurfaceTracker(track_of(arrays), prior, base, self._frame(base), numbers, known)
        moves, beliefs = follow_surface(
            tracker,
            count,
            self._frame,
            lambda index: self._layers(index) == HEAD,
            lambda index: self._say(index / count, "Following the skin"),
        )
        track = tracker.track
        told = surface_numbers(moves, beliefs, tracker.told, trained)
        turned = [cv2.Rodrigues(turn)[0][:, 0] for turn in track.rotation @ track.rotation[base].T]
        eyes = np.concatenate([upper, turned, told], 1).astype(np.float32)
        numbers = np.concatenate([arrays["mouth"], standard_eyes(eyes, trained)], 1)
        movement = moved_by(moves[:trained], beliefs[:trained], numbers[:trained], track.rotation[base])
        movement[: len(known)] += known
        self.folder.write_arrays(
            "surface.npz", rotation=track.rotation, translation=track.translation, eyes=eyes, movement=movement
        )

    def do_cameras(self) -> None:
        """`transforms_train.json` and `transforms_val.json`."""
        track = track_of(self.folder.arrays("track_params.npz") | self.folder.arrays("surface.npz"))
        rows = [
            {
                "img_id": index,
                "aud_id": index,
                "transform_matrix": track.camera_to_world(index).tolist(),
                "face_rect": _rect(self._face(index).points68, 0.25),
                "lip_rect": _rect(self._face(index).points68[48:], 0.3),
            }
            for index in range(self.steps.frame_count)
        ]
        about = {"focal_len": track.focal, "cx": float(track.centre[0]), "cy": float(track.centre[1])}
        trained = self.steps.train_frames
        config.write_json(self.folder.path / "transforms_val.json", {**about, "frames": rows[trained:]})
        config.write_json(self.folder.path / "transforms_train.json", {**about, "frames": rows[:trained]})

    def _draw_debug(self, track: HeadTrack, faces: list[Face]) -> None:
        (self.folder.path / "debug" / "debug_render").mkdir(parents=True, exist_ok=True)
        for index in range(0, len(faces), _DEBUG_EVERY):
            image = self._frame(index).copy()
            for colour, points in (((0, 200, 0), faces[index].points478[:468, :2]), ((255, 40, 40), None)):
                shown = track.project(track.shape, index) if points is None else points
                for x, y in shown:
                    cv2.circle(image, (int(x * 4), int(y * 4)), 4, colour, -1, cv2.LINE_AA, 2)
            media.write_picture(self.folder.path / "debug" / "debug_render" / f"{index}.jpg", image)

    def _measured(self) -> ClipAnalysis:
        if self._analysis is None:
            self._analysis = analyse_video(
                self.video,
                self._given_analyser,
                lambda share, _text: self._say(share, "Measuring the face"),
                smoothing=1.0,
            )
        return self._analysis

    def _face(self, index: int) -> Face:
        faces = [face for face in self._measured().faces(index) if face.person_id == 0]
        if not faces:
            raise InputError(
                f"Expected the face in every frame, found none in frame {index} of {self.video.name!r}; "
                "cut the video to where the person is seen from the front."
            )
        face, scale = faces[0], np.float32(self.steps.scale)
        if scale == 1:
            return face
        return face.replace(
            box_xyxy=face.box_xyxy * scale, points5=face.points5 * scale, points478=face.points478 * scale
        )

    def _times(self) -> np.ndarray:
        pts, time_base = media.frame_times(self.video)
        times = np.array([float(tick * time_base) for tick in pts[: self.steps.frame_count]])
        return times - times[0]

    def _frame(self, index: int) -> np.ndarray:
        return self.folder.picture("ori_imgs", index)

    def _layers(self, index: int) -> np.ndarray:
        return unpainted(self.folder.picture("parsing", index))

    def _fresh(self, kind: str) -> None:
        shutil.rmtree(self.folder.path / kind, ignore_errors=True)
        (self.folder.path / kind).mkdir(parents=True)

    def _write(self, kind: str, index: int, image_rgb: np.ndarray) -> None:
        self.folder.write_picture(kind, index, image_rgb)

    def _each(self, text: str, items: Iterable[object], work: Callable[..., None], *, stride: int = 1) -> None:
        """Works on items by two threads, a few ahead."""
        with ThreadPoolExecutor(2, thread_name_prefix="prepare") as pool:
            for number, some in enumerate(_chunks(items, 4)):
                for future in [pool.submit(work, item) for item in some]:
                    future.result()
                self._say(min(1.0, 4 * stride * (number + 1) / self.steps.frame_count), text)

    def _say(self, share: float, text: str) -> None:
        self.on_progress(self.share + share / len(STEPS), text)


def _chunks(items: Iterable[object], size: int) -> Iterator[list[object]]:
    held: list[object] = []
    for item in items:
        held.append(item)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def track_of(arrays: dict[str, np.ndarray]) -> HeadTrack:
    """The track in `track_params.npz`."""
    names = ("centre", "rotation", "translation", "shape", "error_px")
    return HeadTrack(focal=float(arrays["focal"]), **{name: arrays[name] for name in names})


def _rect(points: np.ndarray, margin: float) -> list[int]:
    """x, y, width, height round points, with a margin in shares of their size."""
    low, high = points.min(0), points.max(0)
    pad = (high - low) * margin
    x0, y0 = np.floor(low - pad).astype(int).tolist()
    x1, y1 = np.ceil(high + pad).astype(int).tolist()
    return [x0, y0, x1 - x0, y1 - y0]
