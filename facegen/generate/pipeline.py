"""`GeneratePipeline`: draws, sweeps and edits faces, for the command line and the browser."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facegen import media, provenance
from facegen.config import to_dict
from facegen.device import in_batches, one_torch_thread
from facegen.errors import ResourceError
from facegen.generate.jobs import GENERATE
from facegen.generate.request import GenerateOptions, GenerateRequest, GenerateResult
from facegen.generate.sliders import NAMES, Sliders
from facegen.hub.fetch import require
from facegen.jobs import OnProgress, Progress, Run
from facegen.jobs.pipeline import Models, Pipeline
from facegen.reenact.weights import WEIGHTS as LIVE_PORTRAIT

if TYPE_CHECKING:
    from facegen.faces import FaceAnalyser
    from facegen.generate.editing.directions import Directions
    from facegen.generate.editing.photograph import EncodedPhoto
    from facegen.generate.model.generator import FaceGenerator
    from facegen.generate.model.latents import Latents
    from facegen.generate.realism import RealismClassifier
    from facegen.generate.retouch.retoucher import Retoucher
    from facegen.restore import Restorer

SWEEP_STEPS = 9
SWEEP_SIDE, SQUARE_SIDE = 1024, 512
"""Longest side of each picture of a photograph in a strip or film, and in a square, pixels."""
FILM_FRAMES, FILM_RATE = 48, 24
_BATCH_SIZE = 16


class GeneratePipeline(Pipeline[GenerateRequest, GenerateResult]):
    """Draws, sweeps and edits faces; its models load at their first use.

    Args:
        folder: a generator as diffusers saved it; None loads the bundled one.
        device: as `device.choose_device` takes it.
        models: where models come from and stay.
        on_line: gets what the job prints.
    """

    job = GENERATE

    def __init__(
        self,
        folder: Path | None = None,
        device: str = "auto",
        *,
        models: Models | None = None,
        on_line: Callable[[str], None] = print,
    ) -> None:
        super().__init__(models=models, on_line=on_line)
        self._folder, self._device = folder, device
        self._lock = threading.Lock()

    @cached_property
    def generator(self) -> FaceGenerator:
        """The generator."""
        from facegen.generate.model.generator import FaceGenerator

        return FaceGenerator.load(self._folder, self._device)

    @cached_property
    def restorer(self) -> Restorer:
        """The restorer."""
        from facegen.restore import Restorer

        return Restorer(self._device)

    @cached_property
    def retoucher(self) -> Retoucher:
        """The retoucher."""
        from facegen.generate.retouch.retoucher import Retoucher

        return Retoucher(self._device)

    @cached_property
    def realism(self) -> RealismClassifier:
        """The classifier of photographs versus generated faces."""
        from facegen.generate.realism import RealismClassifier

        return RealismClassifier(self._device)

    @cached_property
    def analyser(self) -> FaceAnalyser:
        """Detects and parses the face of a photograph."""
        from facegen.faces import FaceAnalyser

        return FaceAnalyser()

    @cached_property
    def directions(self) -> Directions:
        """The further sliders, as directions in latent space."""
        from facegen.generate.editing.directions import Directions

        return Directions.load()

    def warm_up(self, request: GenerateRequest) -> None:
        """Load the models by drawing the first picture."""
        self.draw(self.sample([request.options.seed]), request.sliders)

    def sample(self, seeds: Sequence[int], temperature: float = 0.8) -> Latents:
        """Samples new faces (`FaceGenerator.sample`)."""
        with self._lock, one_torch_thread():
            return self.generator.sample(seeds, temperature)

    def retouch(self, latents: Latents) -> Latents:
        """Adds retouched pictures in the canonical frame to new faces; drawing them is then as fast as editing a photograph."""
        from facegen.generate.editing.photograph import from_retouch
        from facegen.generate.frame.alignment import SIZE
        from facegen.generate.frame.variants import CANONICAL
        from facegen.generate.model.latents import CanonicalPhotos

        if latents.photographs is not None:
            return latents
        photographs: list[CanonicalPhotos] = []
        with self._lock, one_torch_thread():
            # one by one, as in `Retoucher.retouch`
            for index, seed in enumerate(latents.seeds):
                is_same_seed = photographs and seed == latents.seeds[index - 1]
                if is_same_seed and bool((latents.texture[index] == latents.texture[index - 1]).all()):
                    photographs.append(photographs[-1])  # a sweep repeats one face
                    continue
                face = self.generator.canonical(latents.take([index]))
                picture = self.retoucher.retouch(self.generator.draw(face, CANONICAL), face.seeds)
                restored = picture if picture.shape[1] == SIZE else self.restorer.restore(picture)
                photographs.append(from_retouch(restored, self.analyser.parser.parse(restored), face))
        return replace(latents, photographs=CanonicalPhotos.concat(photographs))

    def encode(self, image_rgb: np.ndarray, name: str = "the picture") -> EncodedPhoto:
        """Encodes the largest face of a photograph, (H, W, 3) uint8 RGB.

        Raises:
            NoFaceError: there is none.
        """
        from facegen.generate.editing.photograph import encode_photograph

        with self._lock:
            return encode_photograph(self.generator, image_rgb, self.analyser, name)

    def edit(self, encoded: EncodedPhoto, latents: Latents, sliders: Sliders, *, max_side: int = 0) -> np.ndarray:
        """(H, W, 3) uint8 RGB: an edited photograph at its own size; what the sliders leave as it was is the photograph, to the bit.

        Args:
            encoded: the photograph.
            latents: its face, perhaps changed.
            sliders: of the edit.
            max_side: the longest side of the result, for a quick look; 0 for the photograph's own.
        """
        from facegen.generate.editing.photograph import render_full_size

        encoded = encoded.shrink(max_side) if max_side else encoded
        with self._lock, one_torch_thread():
            return render_full_size(self.generator, self.restorer.restore, encoded, latents, sliders)

    def draw(self, latents: Latents, sliders: Sliders | Sequence[Sliders], *, retouch: bool = True) -> np.ndarray:
        """Draws pictures of faces, (B, 256, 256, 3) uint8 RGB; without retouch the generator's output, (B, 128, 128, 3).

        With retouch, new faces are retouched first, and photographs are edited instead of drawn.
        """
        from facegen.generate.editing.photograph import keep_tints

        requested = [sliders] * len(latents) if isinstance(sliders, Sliders) else list(sliders)
        latents = self.retouch(latents) if retouch else latents

        def draw_batch(indices: range) -> np.ndarray:
            part, values = latents.take(indices), [requested[index] for index in indices]
            with self._lock, one_torch_thread():
                drawn = self.generator.draw(part, values)
            drawn = self._render_photographs(drawn, part, values) if retouch else drawn
            if part.photographs is not None and not part.photographs.is_retouch:
                drawn = keep_tints(drawn, part.photographs)
            return drawn

        return np.concatenate(in_batches(draw_batch, len(latents), _BATCH_SIZE))

    def enlarge(self, pictures_rgb: np.ndarray, size: int) -> np.ndarray:
        """(B, size, size, 3) uint8: pictures of `draw`, whose details the restorer redraws at 512 pixels."""
        from facegen.restore.restorer import LARGE

        if size != LARGE:
            return pictures_rgb
        with self._lock, one_torch_thread():
            return self.restorer.restore(pictures_rgb, size=LARGE)

    def _render_photographs(self, drawn_rgb: np.ndarray, latents: Latents, sliders: Sequence[Sliders]) -> np.ndarray:
        """(B, 256, 256, 3) uint8: the faces' photographs posed and recoloured, with restored drawings where they show nothing."""
        from facegen.generate.editing.photograph import render_photographs

        assert latents.photographs is not None
        is_mixed = latents.photographs.share < 1
        # the other part of a mixture is a new face, retouched like any other
        restored = self.draw(replace(latents, photographs=None), sliders) if is_mixed else None
        with self._lock, one_torch_thread():
            if restored is None:
                restored = self.restorer.restore(drawn_rgb)
            return render_photographs(self.generator, drawn_rgb, restored, latents, sliders)

    def select_seeds(self, options: GenerateOptions, sliders: Sliders) -> tuple[list[int], list[float]]:
        """For each face the seed with the highest realism score among `options.best_of`, and that score 0..1.

        The first face is chosen among the first `best_of` seeds from `options.seed` on, the second among the next.
        """
        tries = options.best_of
        seeds, scores = [], []
        for first in range(options.seed, options.seed + options.count * tries, tries):
            candidates = self.sample(range(first, first + tries), options.temperature)
            drawn = self.draw(candidates, sliders, retouch=options.retouch)
            realism = self.realism.score(drawn)
            seeds.append(first + int(realism.argmax()))
            scores.append(float(realism.max()))
        return seeds, scores

    def sweep(
        self,
        latents: Latents,
        sliders: Sliders,
        name: str,
        *,
        steps: int = SWEEP_STEPS,
        retouch: bool = True,
        encoded: EncodedPhoto | None = None,
        max_side: int = SWEEP_SIDE,
    ) -> np.ndarray:
        """(steps, H, W, 3) uint8: one face with one slider going from 0 to 1.

        Args:
            latents: the face.
            sliders: the other sliders.
            name: of the slider.
            steps: pictures.
            retouch: without, as the generator draws.
            encoded: a photograph whose face it is, shown whole, at its own size.
            max_side: the longest side of each picture of a photograph, pixels.
        """
        values = [replace(sliders, **{name: float(v)}) for v in np.linspace(0, 1, steps)]
        if encoded is not None and retouch:
            small = encoded.shrink(max_side)
            return np.stack([self.edit(small, latents, one) for one in values])
        return self.draw(latents.take([0] * steps), values, retouch=retouch)

    def check(self, request: GenerateRequest) -> None:
        """Refuse a film whose encoder does not fit its kind of file, and models that are not on this machine."""
        if request.options.expression:
            require(LIVE_PORTRAIT, "an expression", "the sliders of the generator")
        media.find_encoder(request.encode, f"film.{request.encode.file_type}")

    def work(self, request: GenerateRequest, run: Run | None, progress: Progress) -> GenerateResult:
        """Writes the pictures of a request.

        Raises:
            InputError: the request is inconsistent, or the photograph shows no face.
            WeightsError: the generator is missing.
            ResourceError: the folder cannot be written.
        """
        started = time.perf_counter()
        folder = Path(request.output)
        options, sliders, notices = request.options, request.sliders, []
        encoded: EncodedPhoto | None = None
        seeds = list(range(options.seed, options.seed + options.count))
        scores: list[float] = []
        if request.edit:
            still = media.read_still(request.edit)
            from facegen.reenact.crop import edit_largest

            photograph = edit_largest(still.image_rgb, self.analyser, options.expression, Path(request.edit).name)
            encoded = self.encode(photograph, Path(request.edit).name)
            sliders = replace(encoded.sliders, **{name: getattr(request.sliders, name) for name in request.given})
            latents = encoded.latents
            if options.count > 1 or options.best_of > 1:
                notices.append("A photograph has one face: one picture was made.")
            notices.extend(encoded.describe_limits(sliders))
            if still.alpha is not None:
                notices.append("The photograph's transparency is laid on white.")
        else:
            if options.best_of > 1:
                seeds, scores = self.select_seeds(options, sliders)
            latents = self.sample(seeds, options.temperature)
        if request.more:
            latents = self.directions.apply(latents, request.more)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"Expected a folder that can be made at {folder}, but {error}.") from error
        if options.retouch:
            latents = self.retouch(latents)
        files = self.write(latents, request, sliders, seeds, progress.report, encoded)
        return GenerateResult(
            files=tuple(str(file) for file in files),
            seconds=time.perf_counter() - started,
            scores=tuple(scores),
            notices=tuple(notices),
        )

    def write(
        self,
        latents: Latents,
        request: GenerateRequest,
        sliders: Sliders,
        seeds: Sequence[int],
        on_progress: OnProgress | None = None,
        encoded: EncodedPhoto | None = None,
    ) -> list[Path]:
        """Writes faces into the request's folder as numbered pictures, watermarked and signed; `seeds` goes into their metadata.

        A photograph, where its encoding is given, is written at its own size; in sweeps at most as large as `SWEEP_SIDE` says.
        """
        folder, files = Path(request.output), []
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in zip(range(len(latents)), seeds, strict=False):
            one = latents.take([number])
            if encoded is not None and request.options.retouch and not request.sweep:
                picture = self.edit(encoded, one, sliders)
            else:
                picture = self._picture(one, sliders, request, encoded)
            files.append(self._write(folder / f"{number:04d}.png", picture, request, sliders, seed))
            if request.film:
                files.append(
                    self._film(folder / f"{number:04d}.{request.encode.file_type}", one, sliders, request, encoded)
                )
            if on_progress:
                on_progress((number + 1) / len(latents), f"{number + 1} of {len(latents)} faces")
        return files

    def _picture(
        self, latents: Latents, sliders: Sliders, request: GenerateRequest, encoded: EncodedPhoto | None
    ) -> np.ndarray:
        retouch = request.options.retouch
        if not request.sweep:
            picture = self.draw(latents, sliders, retouch=retouch)
            return self.enlarge(picture, request.options.size)[0] if retouch else picture[0]
        rows = [sliders]
        if len(request.sweep) == 2:
            rows = [replace(sliders, **{request.sweep[1]: float(v)}) for v in np.linspace(0, 1, SWEEP_STEPS)]
        side = SWEEP_SIDE if len(rows) == 1 else SQUARE_SIDE
        strips = [
            self.sweep(latents, row, request.sweep[0], retouch=retouch, encoded=encoded, max_side=side) for row in rows
        ]
        return np.concatenate([np.concatenate(list(strip), 1) for strip in strips], 0)

    def _write(self, path: Path, picture: np.ndarray, request: GenerateRequest, sliders: Sliders, seed: int) -> Path:
        described = to_dict(replace(request, sliders=sliders, given=NAMES, output=""))
        described["options"] |= {"seed": seed, "count": 1, "best_of": 1}
        described["edit"] = Path(request.edit).name
        del described["encode"]  # of the film, not of the picture
        metadata = {"comment": provenance.NOTICE, "facegen": json.dumps(described)}
        marked = provenance.mark_picture(picture, label=request.options.label)
        provenance.write_signed(
            path, _claims(request), lambda temporary: media.write_picture(temporary, marked, metadata=metadata)
        )
        return path

    def _film(
        self, path: Path, latents: Latents, sliders: Sliders, request: GenerateRequest, encoded: EncodedPhoto | None
    ) -> Path:
        from fractions import Fraction

        from facegen.media.stills import make_video_info

        retouch, steps = request.options.retouch, FILM_FRAMES // 2
        pictures = self.sweep(latents, sliders, request.sweep[0], steps=steps, retouch=retouch, encoded=encoded)
        if retouch and encoded is None:
            pictures = self.enlarge(pictures, request.options.size)
        there_and_back = [*pictures, *pictures[::-1]]
        height, width = pictures.shape[1:3]
        base = Fraction(1, FILM_RATE)
        info = make_video_info(width, height, Fraction(FILM_RATE), base)
        mark = provenance.Watermark((height, width), salt=pictures[0].tobytes(), label=request.options.label)
        frames = (
            mark.mark_frame(media.Frame.from_picture(picture, index=i, pts=i, time_base=base))
            for i, picture in enumerate(there_and_back)
        )
        provenance.write_signed(
            path,
            _claims(request),
            lambda temporary: media.write_video(
                temporary, frames, info, encode=request.encode, metadata={"comment": provenance.NOTICE}
            ),
        )
        return path


def _claims(request: GenerateRequest) -> provenance.Claims:
    return provenance.Claims(
        job="generate",
        engine="generator",
        parent=request.edit or None,
        sources=(request.edit,) if request.edit else (),
    )
