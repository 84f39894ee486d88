"""What the Generate tab and its endpoints do, apart from widgets: values in, pictures and files out."""

import functools
import secrets
import shutil
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from facegen import media
from facegen.errors import InputError
from facegen.generate.editing.directions import NAMES as DIRECTIONS
from facegen.generate.jobs import GENERATE
from facegen.generate.request import GenerateOptions, GenerateRequest
from facegen.generate.sliders import NAMES, Sliders
from facegen.jobs.pipeline import Models
from facegen.ui.profile import label_results
from facegen.ui.services import Services, Visitor
from facegen.ui.zero_gpu import face_drawer

if TYPE_CHECKING:
    from facegen.generate.editing.photograph import EncodedPhoto
    from facegen.generate.model.latents import Latents
    from facegen.generate.pipeline import GeneratePipeline

MOST_AT_ONCE = 16
_PHOTO_PX = 640
"""Longest side at which an edited photograph is shown; its file has the photograph's own size."""
_SWEEP_PX = 384
"""Longest side of each picture of a photograph's sweep in the page; its film is larger."""
_SHOWN_PX = 384
_FACES_KEPT = 64
_SQUARE_STEPS = 5
VARIED = ("hair", "background")
"""Sliders whose values vary with the seed until somebody moves them."""
_CHEEKS = (slice(80, 100), slice(40, 88))
"""Rows and columns of a drawing of 128 pixels that show skin."""
_FAIR, _DARK = 150.0, 95.0
"""Luminance of skin on which any hair looks grown, and on which only dark hair does."""
Changes = tuple[int, float, tuple[tuple[str, float], ...]]
"""The face mixed in, how much of it, and the further sliders."""
_UNCHANGED: Changes = (0, 0.0, ())


@dataclass(frozen=True, kw_only=True)
class FaceSpec:
    """One face: its values in the tab or the endpoint."""

    sliders: Sliders = field(default_factory=Sliders)
    options: GenerateOptions = field(default_factory=GenerateOptions)
    more: Mapping[str, float] = field(default_factory=dict)
    other_seed: int = 0
    """The face that is mixed in."""
    mix: float = 0.0
    """How much of it: 0 none, 1 nothing else."""
    photo: str = ""
    """The photograph that is edited."""
    encoded: "EncodedPhoto | None" = None
    """Its face."""
    varied: tuple[str, ...] = ()
    """Sliders that nobody touched: each seed has its own value of them."""

    @property
    def edited_photo(self) -> "EncodedPhoto | None":
        """The photograph that is edited at its own size; None where a face is drawn, as a mixture is."""
        return self.encoded if self.options.retouch and not self.mix else None

    @property
    def is_enlarged(self) -> bool:
        """Whether its files are larger than what the generator draws."""
        return self.options.retouch and self.edited_photo is None

    @property
    def file_stem(self) -> str:
        """What a file of it is called: seed, and the sliders that differ from the usual."""
        who = "photograph" if self.encoded is not None else str(self.options.seed)
        return "-".join(["facegen", who, *(f"{name}-{value:.2f}" for name, value in changed_sliders(self.sliders))])


def changed_sliders(sliders: Sliders) -> list[tuple[str, float]]:
    """Name and value of the sliders that differ from the usual; hair and background are each face's own."""
    usual = Sliders()
    return [
        (name, getattr(sliders, name))
        for name in NAMES
        if name not in VARIED and getattr(sliders, name) != getattr(usual, name)
    ]


@dataclass(frozen=True, eq=False, kw_only=True)
class RetouchComparison:
    """A face before and after the retouch, (384, 384, 3) uint8 each."""

    before: np.ndarray
    after: np.ndarray
    scores: tuple[float, ...]
    """How much either looks like a photograph, 0 to 1."""
    marked: np.ndarray
    """(384, 768, 3) both beside each other, orange where they look generated."""


def parse_face(
    sliders: Sequence[float],
    seed: Any,
    temperature: float,
    retouch: bool,
    best_of: float = 1,
    more: Sequence[float] = (),
    expression: str = "",
    **others: Any,
) -> FaceSpec:
    """What the widgets' values say.

    Raises:
        InputError: a value is missing or out of bounds.
    """
    try:
        numbers = [float(value) for value in sliders]
        options = GenerateOptions(
            seed=int(seed),
            temperature=float(temperature),
            retouch=bool(retouch),
            best_of=int(best_of),
            expression=expression,
        )
    except (TypeError, ValueError):
        raise InputError("Expected numbers for the sliders and the seed, found something else.") from None
    steps = {name: float(step) for name, step in zip(DIRECTIONS, more, strict=False) if step}
    named = dict(zip(NAMES, numbers, strict=True))
    return FaceSpec(sliders=Sliders(**named), options=options, more=steps, **others)


class FaceEditor:
    """Faces by the studio's one generator; it holds nothing of a visitor."""

    def __init__(self, models: Models) -> None:
        self._models = models

    @property
    def pipeline(self) -> "GeneratePipeline":
        """The studio's, made at its first use."""
        return cast("GeneratePipeline", self._models.pipeline(GENERATE))

    @property
    def _cached_latents(self) -> "Callable[[int, float, bool, Changes], Latents]":
        # a slider moves one face many times
        return self._models.get(lambda: functools.lru_cache(_FACES_KEPT)(self._make_latents), "faces")

    def warm_up(self) -> None:
        """Load what the first picture needs, in the background; a page calls this when it is opened."""
        from facegen.generate.weights import generator_available

        if not self._models.is_loaded(GENERATE.name) and generator_available():
            request = GenerateRequest(output="")
            threading.Thread(target=lambda: self.pipeline.warm_up(request), name="studio-faces", daemon=True).start()

    def _make_latents(self, seed: int, temperature: float, retouch: bool, changes: Changes) -> "Latents":
        latents = self._apply(self.pipeline.sample([seed], temperature), temperature, changes)
        return self.pipeline.retouch(latents) if retouch else latents

    def _apply(self, latents: "Latents", temperature: float, changes: Changes) -> "Latents":
        other_seed, mix, more = changes
        if mix:
            other = self._cached_latents(other_seed, temperature, False, _UNCHANGED)
            latents = latents.mix(other.take([0] * len(latents)), mix)
        return self.pipeline.directions.apply(latents, dict(more)) if more else latents

    def own_sliders(self, face: FaceSpec) -> Sliders:
        """The face's sliders, those that nobody touched as its seed has them: hair that suits its skin, some ground."""
        if not face.varied or face.encoded is not None:
            return face.sliders
        seed, temperature = face.options.seed, face.options.temperature
        drawn = self.pipeline.draw(
            self._cached_latents(seed, temperature, False, _UNCHANGED), Sliders(), retouch=False
        )[0]
        skin = float(drawn[_CHEEKS].mean((0, 1)) @ (0.299, 0.587, 0.114))
        lightest = float(np.interp(skin, (_DARK, _FAIR), (0.8, 0.3)))
        hair, background = np.random.default_rng(seed).uniform((lightest, 0.2), (0.95, 0.95))
        own = {"hair": round(float(hair), 2), "background": round(float(background), 2)}
        return replace(face.sliders, **{name: own[name] for name in face.varied})

    def with_seed(self, face: FaceSpec, seed: int) -> FaceSpec:
        """The face of another seed."""
        other = replace(face, options=replace(face.options, seed=seed))
        return replace(other, sliders=self.own_sliders(other))

    def latents(self, face: FaceSpec, count: int = 1) -> "Latents":
        """The face, then those of the seeds after it."""
        options = face.options
        changes = (face.other_seed if face.mix else 0, face.mix, tuple(face.more.items()))
        if face.encoded is not None:
            return self._apply(face.encoded.latents.take([0] * count), options.temperature, changes)
        seeds = range(options.seed, options.seed + count)
        faces = [self._cached_latents(seed, options.temperature, options.retouch, changes) for seed in seeds]
        return type(faces[0]).concat(faces)

    def picture(self, face: FaceSpec, *, fine: bool = False) -> np.ndarray:
        """uint8 RGB of the face, for the eye: (384, 384, 3), or the whole photograph that is edited.

        Args:
            face: what is drawn.
            fine: as files have it, (512, 512, 3), where the face `is_enlarged`; it takes about 250 ms more.
        """
        if face.edited_photo is not None:
            return self.pipeline.edit(face.edited_photo, self.latents(face), face.sliders, max_side=_PHOTO_PX)
        drawn = self.pipeline.draw(self.latents(face), face.sliders, retouch=face.options.retouch)
        if fine and face.is_enlarged:
            return self.pipeline.enlarge(drawn, face.options.size)[0]
        return enlarge(drawn[0])

    def before_and_after(self, face: FaceSpec) -> RetouchComparison:
        """The face as the generator draws it, and retouched."""
        latents, realism = self.latents(face), self.pipeline.realism
        both = [self.pipeline.draw(latents, face.sliders, retouch=retouch)[0] for retouch in (False, True)]
        scores = [float(realism.score(picture[None])[0]) for picture in both]
        marked = np.concatenate([realism.highlight(enlarge(picture)) for picture in both], 1)
        return RetouchComparison(before=enlarge(both[0]), after=enlarge(both[1]), scores=tuple(scores), marked=marked)

    def another_seed(self, face: FaceSpec) -> int:
        """A face at random, the best of as many as the options say."""
        first = replace(face.options, seed=secrets.randbelow(1_000_000), count=1)
        return self.pipeline.select_seeds(first, face.sliders)[0][0] if first.best_of > 1 else first.seed

    def grid(self, face: FaceSpec, count: int) -> tuple[list[tuple[np.ndarray, str]], list[int]]:
        """Faces of the next seeds (the best ones where the options ask for it), with words; and their seeds."""
        if not 1 <= count <= MOST_AT_ONCE:
            raise InputError(f"Expected 1 to {MOST_AT_ONCE} faces at once, found {count}.")
        options = face.options
        seeds, words = list(range(options.seed, options.seed + count)), [""] * count
        if options.best_of > 1 and face.encoded is None:
            seeds, scores = self.pipeline.select_seeds(replace(options, count=count), face.sliders)
            words = [f", realism {score:.2f}" for score in scores]
        faces = [self.with_seed(face, seed) for seed in seeds]
        latents = [self.latents(one) for one in faces]
        sliders = [one.sliders for one in faces]
        drawn = self.pipeline.draw(type(latents[0]).concat(latents), sliders, retouch=options.retouch)
        return [(p, f"Seed {s}{w}") for p, s, w in zip(drawn, seeds, words, strict=True)], seeds

    def sweep(self, face: FaceSpec, across: str, down: str = "") -> np.ndarray:
        """A strip of one slider, or a square of two."""
        names = [name for name in (across, down) if name]
        unknown = [name for name in names if name not in NAMES]
        if unknown or not names or len(set(names)) < len(names):
            raise InputError(
                f"Expected one or two different sliders of {', '.join(NAMES)}, found {', '.join(names) or 'none'}."
            )
        latents, retouch = self.latents(face), face.options.retouch
        rows = [face.sliders]
        if down:
            rows = [replace(face.sliders, **{down: float(v)}) for v in np.linspace(0, 1, _SQUARE_STEPS)]
        steps = _SQUARE_STEPS if down else 7
        strips = [
            self.pipeline.sweep(
                latents, row, across, steps=steps, retouch=retouch, encoded=face.edited_photo, max_side=_SWEEP_PX
            )
            for row in rows
        ]
        return np.concatenate([np.concatenate(list(strip), 1) for strip in strips], 0)

    def encode(self, path: str, expression: str = "") -> "EncodedPhoto":
        """The face of a photograph, perhaps with LivePortrait's sliders (`GenerateOptions.expression`).

        Raises:
            InputError: it is no picture, or shows no face.
        """
        if not path:
            raise InputError("Expected a photograph, found nothing; drop one first.")
        from facegen.reenact.crop import edit_largest

        name = Path(path).name
        return self.pipeline.encode(
            edit_largest(media.read_picture(path), self.pipeline.analyser, expression, name), name
        )

    def write(
        self, services: Services, visitor: Visitor, face: FaceSpec, *, count: int = 1, film: str = ""
    ) -> list[str]:
        """Signed files of what is shown, in the visitor's own folder: pictures, or the film of a sweep.

        Raises:
            InputError: more faces than a shared studio draws at once.
        """
        most = services.settings.max_faces
        if services.settings.shared and count * face.options.best_of > most:
            raise InputError(
                f"Expected at most {most} faces at once in a shared studio (count times best_of), found "
                f"{count * face.options.best_of}; ask for fewer at a time."
            )
        folder = services.visitor_folder(visitor) / "faces" / secrets.token_hex(6)
        if count > 1 and face.varied and not face.mix and face.encoded is None:
            seeds = range(face.options.seed, face.options.seed + count)
            if face.options.best_of > 1:
                chosen = self.pipeline.select_seeds(replace(face.options, count=count), face.sliders)[0]
                seeds = chosen  # type: ignore[assignment]
            return [path for seed in seeds for path in self.write(services, visitor, self.with_seed(face, seed))]
        request = GenerateRequest(
            output=str(folder),
            sliders=face.sliders,
            options=replace(
                face.options,
                count=count,
                best_of=face.options.best_of if count > 1 else 1,
                expression=face.options.expression if face.photo else "",
            ),
            more=dict(face.more),
            sweep=(film,) if film else (),
            film=bool(film),
            edit=face.photo,
        )
        request = label_results(services.settings, request)
        if face.mix:
            seeds = range(face.options.seed, face.options.seed + count)
            latents = self.latents(face, count)
            files = [str(path) for path in self.pipeline.write(latents, request, face.sliders, seeds)]
        else:
            files = list(face_drawer(self._models)(request).files)
        return [_rename(Path(path), face) for path in files] if count == 1 and not film else files

    def write_zip(self, services: Services, visitor: Visitor, face: FaceSpec, count: int) -> str:
        """The next faces as a ZIP of signed PNGs."""
        files = [Path(name) for name in self.write(services, visitor, face, count=count)]
        packed = files[0].parent.with_suffix(".zip")
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                archive.write(file, file.name)
        shutil.rmtree(files[0].parent)
        return str(packed)


def _rename(path: Path, face: FaceSpec) -> str:
    """A picture under the name that tells what it shows."""
    return str(path.rename(path.with_name(f"{face.file_stem}{path.suffix}")))


def enlarge(picture: np.ndarray) -> np.ndarray:
    """(384, 384, 3): a picture at the size at which the tab shows it."""
    return cv2.resize(picture, (_SHOWN_PX, _SHOWN_PX), interpolation=cv2.INTER_CUBIC)
