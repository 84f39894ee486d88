"""The steps that turn a video into the folder of the DFRF reference: audio, frames, segmentation, tracking, cameras."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from facegen import config, media
from facegen.errors import InputError
from facegen.faces import ClipAnalysis, Face, FaceAnalyser
from facegen.faces.parse.parser import FaceParser
from facegen.jobs import OnProgress
from facegen.talk.clips import analyse_video, track_mouth
from facegen.talk.dfrf.audio import extract_features
from facegen.talk.dfrf.expression import (
    eye_coefficients,
    fit_mesh_basis,
    fit_residual_basis,
    fit_surface_components,
    standardize,
    upper_face_coefficients,
)
from facegen.talk.dfrf.folder import STEPS, PreparationState, PreparedFolder
from facegen.talk.dfrf.geometry import CELL_HW, HeadRelief, HeadTrack, estimate_relief, fit_relief, track_head
from facegen.talk.dfrf.layers import (
    HEAD,
    BackgroundEstimator,
    BodyTracker,
    choose_base_frame,
    compose_head,
    compose_person,
    compose_torso,
    decode_layers,
    encode_layers,
    segment_frames,
)
from facegen.talk.dfrf.tracking import SurfaceTracker, refine_poses
from facegen.talk.rig import load_rig
from facegen.talk.speech import SAMPLE_RATE, load_speech

_BATCH = 8
_BACKGROUND_STRIDE, _RELIEF_STRIDE, _BODY_STRIDE, _DEBUG_STRIDE = 20, 15, 3, 25


class PreparationSteps:
    """Runs single steps of a preparation; each leaves its files complete.

    Args:
        video: the video of one person.
        folder: gets the files.
        state: of the folder.
        analyser: finds the face.
        on_progress: called with (0..1, text).
    """

    def __init__(
        self,
        video: Path,
        folder: PreparedFolder,
        state: PreparationState,
        analyser: FaceAnalyser | None,
        on_progress: OnProgress,
    ) -> None:
        self.video, self.folder, self.state, self.on_progress = video, folder, state, on_progress
        self._start_share = 0.0
        self._analyser = analyser
        self._clip_analysis: ClipAnalysis | None = None

    def run(self, step: str) -> None:
        """Runs one of `STEPS` and records it as done."""
        self._start_share = STEPS.index(step) / len(STEPS)
        steps = {
            "sound": self._extract_audio,
            "frames": self._extract_frames,
            "landmarks": self._write_landmarks,
            "parsing": self._segment_frames,
            "background": self._estimate_background,
            "layers": self._compose_layers,
            "track": self._track_head,
            "surface": self._track_surface,
            "cameras": self._write_cameras,
        }
        steps[step]()
        self.state = replace(self.state, done=(*self.state.done, step))
        config.save(self.folder.state_path, self.state)

    def _extract_audio(self) -> None:
        """`aud.wav` and `aud.npy`."""
        samples = media.read_audio(self.video, SAMPLE_RATE)
        with wave.open(str(self.folder.path / "aud.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        self._report(0.5, "Extracting audio features")
        features = extract_features(load_speech(self.folder.path / "aud.wav"), self._times())
        np.save(self.folder.path / "aud.npy", features)

    def _extract_frames(self) -> None:
        """`ori_imgs/N.jpg`."""
        self._empty("ori_imgs")
        frames = (frame for frame in media.read_frames(self.video) if frame.index < self.state.frame_count)
        self._run_parallel("Extracting frames", frames, self._write_frame)

    def _write_frame(self, frame: media.Frame) -> None:
        image, scale = frame.image_rgb, self.state.scale
        height, width = (round(side * scale) // 2 * 2 for side in image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        self.folder.write_picture("ori_imgs", frame.index, image[:height, :width])

    def _write_landmarks(self) -> None:
        """`ori_imgs/N.lms`: the 68 points of every frame, a line each."""
        for index in range(self.state.frame_count):
            np.savetxt(self.folder.path / "ori_imgs" / f"{index}.lms", self._face(index).points68, "%f")

    def _segment_frames(self) -> None:
        """`parsing/N.png`: head red, neck green, torso blue, background white."""
        self._empty("parsing")
        parser = FaceParser()

        def segment(start: int) -> None:
            indices = range(start, min(start + _BATCH, self.state.frame_count))
            images, faces = [self._frame(index) for index in indices], [self._face(index) for index in indices]
            for index, layers in zip(indices, segment_frames(parser, images, faces), strict=True):
                self.folder.write_picture("parsing", index, encode_layers(layers))

        starts = range(0, self.state.frame_count, _BATCH)
        self._run_parallel("Segmenting head and torso", starts, segment, frames_per_item=_BATCH)

    def _estimate_background(self) -> None:
        """`bc.jpg`."""
        estimator = BackgroundEstimator(self._frame(0).shape[:2])
        for index in range(0, self.state.train_frames, _BACKGROUND_STRIDE):
            estimator.add(self._frame(index), self._layers(index))
        media.write_picture(self.folder.path / "bc.jpg", estimator.estimate())

    def _compose_layers(self) -> None:
        """`head_imgs`, `torso_imgs` and `com_imgs`, each over the background."""
        composers = {"head_imgs": compose_head, "torso_imgs": compose_torso, "com_imgs": compose_person}
        for kind in composers:
            self._empty(kind)
        background = self.folder.read_background()

        def write_layers(index: int) -> None:
            image, layers = self._frame(index), self._layers(index)
            for kind, compose in composers.items():
                self.folder.write_picture(kind, index, compose(image, layers, background))

        self._run_parallel("Composing head and torso", range(self.state.frame_count), write_layers)

    def _track_head(self) -> None:
        """`track_params.npz`: poses, mesh, eyes, mouth, the head's relief, the body's motion; `debug/`."""
        count, train_frames = self.state.frame_count, self.state.train_frames
        faces = [self._face(index) for index in range(count)]
        points = _mesh_points(faces)
        track = track_head(points, self._frame(0).shape[:2])
        heads = [(index, self._head(index)) for index in range(0, train_frames, _RELIEF_STRIDE)]
        base = choose_base_frame(track, train_frames)
        track, on_head = refine_poses(
            track,
            estimate_relief(track, heads),
            base,
            self._head(base),
            self._frame,
            lambda index: self._report(index / count, "Tracking the head"),
        )
        relief = fit_relief(estimate_relief(track, heads), on_head)
        body = BodyTracker(track, base, self._frame(base), self._layers(base))
        for index in range(0, train_frames, _BODY_STRIDE):
            body.add(index, self._frame(index))
        mouth_track, _ = track_mouth(self._analysis(), self._times())
        mouth = load_rig().coefficients(mouth_track.offsets[:count])
        eyes = np.stack([eye_coefficients(face) for face in faces])
        coefficients = np.concatenate([mouth, standardize(eyes, train_frames)], 1)
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
            movement=fit_mesh_basis(points[:train_frames], coefficients[:train_frames]),
            prior_depth=relief.depth,
            prior_inside=relief.inside,
            body_base=np.array(base),
            body_weights=body.fit().weights,
        )
        self._draw_debug(track, faces)

    def _track_surface(self) -> None:
        """`surface.npz`: poses corrected by optical flow, upper face, how the relief moves with mouth and upper face."""
        count, train_frames = self.state.frame_count, self.state.train_frames
        arrays = self.folder.read_arrays("track_params.npz")
        base, relief = int(arrays["body_base"]), HeadRelief(arrays["prior_depth"], arrays["prior_inside"])
        faces = [self._face(index) for index in range(count)]
        blendshapes = np.stack([upper_face_coefficients(face) for face in faces])
        coefficients = np.concatenate([arrays["mouth"], standardize(blendshapes, train_frames)], 1)
        mesh_basis = fit_mesh_basis(_mesh_points(faces[:train_frames]), coefficients[:train_frames])
        tracker = SurfaceTracker(
            HeadTrack.from_arrays(arrays), relief, base, self._frame(base), coefficients, mesh_basis
        )
        moves, confidence = np.zeros((count, *CELL_HW, 2), np.float16), np.zeros((count, *CELL_HW), np.float16)
        for index in range(count):
            self._report(index / count, "Tracking the skin")
            moves[index], confidence[index] = tracker.measure(index, self._frame(index), self._head(index))
        track = tracker.track
        components = fit_surface_components(moves, confidence, tracker.upper_mask, train_frames)
        turns = [cv2.Rodrigues(turn)[0][:, 0] for turn in track.rotation @ track.rotation[base].T]
        upper_face = np.concatenate([blendshapes, turns, components], 1).astype(np.float32)
        coefficients = np.concatenate([arrays["mouth"], standardize(upper_face, train_frames)], 1)
        basis = fit_residual_basis(
            moves[:train_frames], confidence[:train_frames], coefficients[:train_frames], track.rotation[base]
        )
        basis[: len(mesh_basis)] += mesh_basis
        self.folder.write_arrays(
            "surface.npz", rotation=track.rotation, translation=track.translation, eyes=upper_face, movement=basis
        )

    def _write_cameras(self) -> None:
        """`transforms_train.json` and `transforms_val.json`."""
        track = HeadTrack.from_arrays(
            self.folder.read_arrays("track_params.npz") | self.folder.read_arrays("surface.npz")
        )
        rows = [
            {
                "img_id": index,
                "aud_id": index,
                "transform_matrix": track.camera_to_world(index).tolist(),
                "face_rect": _bounding_box(self._face(index).points68, 0.25),
                "lip_rect": _bounding_box(self._face(index).points68[48:], 0.3),
            }
            for index in range(self.state.frame_count)
        ]
        intrinsics = {"focal_len": track.focal, "cx": float(track.centre[0]), "cy": float(track.centre[1])}
        train_frames = self.state.train_frames
        config.write_json(self.folder.path / "transforms_val.json", {**intrinsics, "frames": rows[train_frames:]})
        config.write_json(self.folder.path / "transforms_train.json", {**intrinsics, "frames": rows[:train_frames]})

    def _draw_debug(self, track: HeadTrack, faces: list[Face]) -> None:
        """`debug/debug_render`: the measured mesh green, the mesh at its pose red."""
        (self.folder.path / "debug" / "debug_render").mkdir(parents=True, exist_ok=True)
        for index in range(0, len(faces), _DEBUG_STRIDE):
            image = self._frame(index).copy()
            measured_points, projected = faces[index].points478[:468, :2], track.project(track.shape, index)
            for colour, points in (((0, 200, 0), measured_points), ((255, 40, 40), projected)):
                for x, y in points:
                    cv2.circle(image, (int(x * 4), int(y * 4)), 4, colour, -1, cv2.LINE_AA, 2)
            media.write_picture(self.folder.path / "debug" / "debug_render" / f"{index}.jpg", image)

    def _analysis(self) -> ClipAnalysis:
        if self._clip_analysis is None:
            self._clip_analysis = analyse_video(
                self.video,
                self._analyser,
                lambda share, _text: self._report(share, "Measuring the face"),
                smoothing=1.0,
            )
        return self._clip_analysis

    def _face(self, index: int) -> Face:
        """The person's face in a frame, in pixels of the prepared frame."""
        faces = [face for face in self._analysis().faces(index) if face.person_id == 0]
        if not faces:
            raise InputError(
                f"Expected the face in every frame, found none in frame {index} of {self.video.name!r}; "
                "cut the video to where the person is seen from the front."
            )
        face, scale = faces[0], np.float32(self.state.scale)
        if scale == 1:
            return face
        return face.replace(
            box_xyxy=face.box_xyxy * scale, points5=face.points5 * scale, points478=face.points478 * scale
        )

    def _times(self) -> np.ndarray:
        """(N,) seconds of every frame, from 0."""
        pts, time_base = media.frame_times(self.video)
        times = np.array([float(tick * time_base) for tick in pts[: self.state.frame_count]])
        return times - times[0]

    def _frame(self, index: int) -> np.ndarray:
        return self.folder.read_picture("ori_imgs", index)

    def _layers(self, index: int) -> np.ndarray:
        return decode_layers(self.folder.read_picture("parsing", index))

    def _head(self, index: int) -> np.ndarray:
        return np.asarray(self._layers(index) == HEAD)

    def _empty(self, kind: str) -> None:
        """Makes an empty sub-folder."""
        shutil.rmtree(self.folder.path / kind, ignore_errors=True)
        (self.folder.path / kind).mkdir(parents=True)

    def _run_parallel(
        self, text: str, items: Iterable[object], work: Callable[..., None], *, frames_per_item: int = 1
    ) -> None:
        """Calls `work` on all items in two threads, four items at a time."""
        remaining, done = iter(items), 0
        with ThreadPoolExecutor(2, thread_name_prefix="prepare") as pool:
            while chunk := list(islice(remaining, 4)):
                for future in [pool.submit(work, item) for item in chunk]:
                    future.result()
                done += 4 * frames_per_item
                self._report(min(1.0, done / self.state.frame_count), text)

    def _report(self, share: float, text: str) -> None:
        self.on_progress(self._start_share + share / len(STEPS), text)


def _mesh_points(faces: list[Face]) -> np.ndarray:
    """(N, 468, 3) pixels."""
    return np.stack([face.points478[:468] for face in faces])


def _bounding_box(points: np.ndarray, margin: float) -> list[int]:
    """x, y, width, height around points, with a margin in shares of their size."""
    low, high = points.min(0), points.max(0)
    pad = (high - low) * margin
    x0, y0 = np.floor(low - pad).astype(int).tolist()
    x1, y1 = np.ceil(high + pad).astype(int).tolist()
    return [x0, y0, x1 - x0, y1 - y0]
