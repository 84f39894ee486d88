"""`FaceGenerator`: latents and sliders to pictures, and photographs to latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from diffusers.utils.logging import disable_progress_bar
from torch import nn

from facegen.device import choose_device
from facegen.generate import geometry
from facegen.generate.base import to_vector
from facegen.generate.frame import SIZE
from facegen.generate.latents import Latents
from facegen.generate.photograph import Photographs, enlarged
from facegen.generate.skin import Skin, counted, inside
from facegen.generate.sliders import DRAWN, NAMES, Sliders
from facegen.generate.surroundings import Around, Surroundings
from facegen.generate.vae import ConditionalVae
from facegen.generate.variants import (
    CANONICAL_BACKGROUND,
    CANONICAL_HAIR,
    Measured,
    canonical,
    flow_from_canonical,
    warped,
)
from facegen.training.precision import is_bfloat16_quick

if TYPE_CHECKING:
    from facegen.faces import FaceAnalyser
    from facegen.generate.frame import Framed

TURNED_LIDS = 0.2
"""How much less lids are opened on a fully turned head."""
CANONICAL = Sliders(
    eyes=DRAWN["eyes"].value(geometry.NEUTRAL_LID_GAP),
    mouth=0.0,
    hair=DRAWN["hair"].value(CANONICAL_HAIR),
    background=DRAWN["background"].value(CANONICAL_BACKGROUND),
    head=0.5,
)
"""The sliders of canonical pictures."""
DEEP_TEMPERATURE = 0.8
"""What a temperature counts in the deep groups, which draw detail."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoded:
    """A photograph's face as the generator knows it."""

    latents: Latents
    sliders: Sliders
    """What the sliders say of the photograph as it is."""
    framed: Framed


class FaceGenerator:
    """The trained generator, ready to draw.

    Args:
        vae: the network.
        device: as `device.choose_device` takes it.
    """

    def __init__(self, vae: ConditionalVae, device: str = "auto") -> None:
        self.device = choose_device(device)
        self.vae = vae.eval().requires_grad_(False)
        nn.Module.to(vae, device=self.device, dtype=torch.float32)
        nn.Module.to(vae, memory_format=torch.channels_last)
        self.mean_shape = vae.shape_mean.reshape(468, 3).cpu().numpy()
        self._dtype = torch.bfloat16 if is_bfloat16_quick(self.device) else torch.float32

    @classmethod
    def load(cls, folder: Path | None = None, device: str = "auto") -> FaceGenerator:
        """The bundled generator, or one of another folder as diffusers saved it.

        Raises:
            WeightsError: it is missing or was changed.
        """
        from facegen.errors import WeightsError
        from facegen.generate.weights import generator_folder

        place = Path(folder) if folder is not None else generator_folder()
        disable_progress_bar()
        try:
            vae = ConditionalVae.from_pretrained(place, torch_dtype=torch.float32)
        except (OSError, ValueError, RuntimeError) as error:
            raise WeightsError(f"Expected a generator in {place}, found none that can be loaded ({error}).") from error
        return cls(vae, device)

    def sample(self, seeds: Sequence[int], temperature: float = 0.8, *, fine: bool = True) -> Latents:
        """New faces; a seed gives the same face whatever stands beside it.

        Args:
            seeds: one a face.
            temperature: 0 draws the most ordinary faces, 1 as various ones as the data holds.
            fine: with what a retouch adds to them, which takes about as long as to draw them once.
        """
        textures, shapes, noises = [], [], []
        for seed in seeds:
            generator = torch.Generator().manual_seed(int(seed))
            texture, shape = self.vae.sample_codes(1, generator, temperature)
            textures.append(texture)
            shapes.append(self.vae.shapes(shape))
            noises.append([torch.randn(1, *size, generator=generator) for size in self.vae.noise_shapes()])
        factor = DEEP_TEMPERATURE * temperature
        latents = Latents(
            texture=torch.cat(textures),
            shapes=torch.cat(shapes).cpu().numpy(),
            noises=tuple(torch.cat(n).to(self.device) * factor for n in zip(*noises, strict=True)),
        )
        return self._finished(latents) if fine else latents

    def _finished(self, latents: Latents) -> Latents:
        """New faces with what a retouch adds to them."""
        canonical = replace(latents, shapes=np.repeat(self.mean_shape[None], len(latents), 0))
        # one by one: in a batch the last bits of a face depend on how many stand beside it
        drawn = np.concatenate([self.draw(canonical.take([place]), CANONICAL) for place in range(len(latents))])
        with torch.inference_mode():
            hair = self.vae.base(latents.texture)[:, 3].clamp(0, 1).cpu().numpy()
        found = []
        for picture, where, codes in zip(drawn, hair, latents.texture.cpu().numpy(), strict=True):
            large = cv2.resize(where, picture.shape[:2], interpolation=cv2.INTER_LINEAR)
            found.append(self.surroundings.around(picture, large, int(1000 * np.abs(codes).sum())))
        return replace(latents, fine=self.skin.fine_of(drawn, self._face), around=Around.joined(found))

    @cached_property
    def skin(self) -> Skin:
        """The bank of fine parts.

        Raises:
            WeightsError: it is missing or was changed.
        """
        from facegen import hub
        from facegen.generate.weights import SKIN

        return Skin.read(hub.fetch(SKIN))

    @cached_property
    def surroundings(self) -> Surroundings:
        """Strands and bodies.

        Raises:
            WeightsError: they are missing or were changed.
        """
        from facegen import hub
        from facegen.generate.weights import SURROUNDINGS

        return Surroundings.read(hub.fetch(SURROUNDINGS))

    def draw(self, latents: Latents, sliders: Sliders | Sequence[Sliders], *, fine: bool = False) -> np.ndarray:
        """Pictures of faces.

        Args:
            latents: the faces.
            sliders: for all, or one for each.
            fine: whether the fine part counts, where the faces have one.

        Returns:
            (B, 128, 128, 3) uint8 RGB.
        """
        asked = [sliders] * len(latents) if isinstance(sliders, Sliders) else list(sliders)
        flows = np.stack([self.flow(s, values) for s, values in zip(latents.shapes, asked, strict=True)])
        values = torch.tensor([s.drawn() for s in asked], device=self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, self._dtype, self._dtype != torch.float32):
            drawn, _, _ = self.vae(
                latents.texture,
                torch.from_numpy(flows).permute(0, 3, 1, 2).to(self.device),
                values,
                noises=latents.noises,
            )
        pictures = drawn.float().permute(0, 2, 3, 1).cpu().numpy()
        if fine and latents.fine is not None:
            parts = latents.fine * counted(self.mean_shape, asked)
            pictures += np.stack([warped(part, flow) for part, flow in zip(parts, flows, strict=True)])
        return (pictures.clip(0, 1) * 255).round().astype(np.uint8)

    def with_surroundings(
        self, pictures_rgb: np.ndarray, latents: Latents, sliders: Sequence[Sliders], analyser: FaceAnalyser
    ) -> np.ndarray:
        """New faces with strands, a clean outline, neck and shoulders.

        Args:
            pictures_rgb: (B, 256, 256, 3) uint8 as restored.
            latents: the faces.
            sliders: one for each.
            analyser: its parser says what is hair, ground and body.

        Returns:
            The same; what was given where the faces are not new.
        """
        if latents.around is None:
            return pictures_rgb
        made = []
        for place, (picture, asked) in enumerate(zip(pictures_rgb, sliders, strict=True)):
            classes = analyser.parser.parse(picture[None])[0]
            flow = self.flow(latents.shapes[place], asked)
            made.append(self.surroundings.given_to(picture, classes, latents.around.take([place]), flow))
        return np.stack(made)

    def with_photographs(self, pictures_rgb: np.ndarray, latents: Latents, sliders: Sequence[Sliders]) -> np.ndarray:
        """Faces of photographs as the photographs show them, moved like the drawn ones.

        Args:
            pictures_rgb: (B, S, S, 3) uint8 as drawn.
            latents: the faces.
            sliders: one for each.

        Returns:
            (B, 256, 256, 3) uint8 RGB; what was given where there are no photographs.
        """
        known = latents.photographs
        if known is None:
            return pictures_rgb
        in_light = [replace(CANONICAL, hair=asked.hair, background=asked.background) for asked in sliders]
        made = []
        for place, ahead in enumerate(self.draw(known.latents, in_light)):
            points = self.posed(latents.shapes[place], sliders[place])
            flow = flow_from_canonical(points, latents.shapes[place], self.mean_shape)
            drawn = enlarged(pictures_rgb[place])
            made.append(known.moved(place, sliders[place], drawn, enlarged(ahead), points, flow))
        return (np.stack(made).clip(0, 1) * 255).round().astype(np.uint8)

    def flow(self, shape: np.ndarray, sliders: Sliders) -> np.ndarray:
        """(64, 64, 2) float32 flow that poses a shape as the sliders say."""
        return flow_from_canonical(self.posed(shape, sliders), shape, self.mean_shape)

    def posed(self, shape: np.ndarray, sliders: Sliders) -> np.ndarray:
        """(468, 3) float32 the mesh of a shape posed as the sliders say, pixels of the 256-pixel frame."""
        quantities = {name: DRAWN[name].quantity(v) for name, v in zip(NAMES, sliders.drawn(), strict=True)}
        # lids look wider on a turned head: measured, and taken back
        narrower = 1 - TURNED_LIDS * (quantities["head"] / DRAWN["head"].at1) ** 2
        return geometry.posed(shape, quantities["eyes"] * narrower, quantities["mouth"], quantities["head"])

    def encode(self, image_rgb: np.ndarray, analyser: FaceAnalyser, name: str = "the picture") -> Encoded:
        """The largest face of a photograph as latents and sliders.

        Raises:
            NoFaceError: there is no face.
        """
        from facegen.faces.parse import BACKGROUND, HAIR
        from facegen.generate.frame import frame_largest, parse_framed

        framed = frame_largest(image_rgb, analyser, name)
        maps = parse_framed(analyser, [framed.picture_rgb], [framed.face])[0].astype(np.float32)
        measured = Measured.of(framed.picture_rgb, framed.face, maps[..., HAIR], maps[..., BACKGROUND], 128)
        drawn = (canonical(measured, self.mean_shape) * 255).round().astype(np.uint8)
        with torch.inference_mode():
            texture = self.vae.texture_codes_of(torch.from_numpy(to_vector(drawn[None])).to(self.device))
            values = torch.from_numpy(measured.sliders())[None].to(self.device)
            seen = torch.from_numpy(drawn[None]).permute(0, 3, 1, 2).float().div(255).to(self.device)
            nothing = tuple(torch.zeros(1, *s, device=self.device) for s in self.vae.noise_shapes())
            base = self.vae.base(texture)
            _, _, noises = self.vae.draw_canonical(base, self.vae.condition_of(values), self.vae.encode(seen), nothing)
        latents = Latents(texture=texture, shapes=measured.shape[None], noises=noises)
        seen_as = Sliders.of_drawn(values[0].tolist())
        sliders = Sliders(**{name: round(value, 2) for name, value in vars(seen_as).items()})
        large = Measured.of(framed.picture_rgb, framed.face, maps[..., HAIR], maps[..., BACKGROUND], SIZE)
        known = Photographs.of(large, latents, sliders, self.mean_shape)
        return Encoded(latents=replace(latents, photographs=known), sliders=sliders, framed=framed)

    @cached_property
    def _face(self) -> np.ndarray:
        """(128, 128, 1) float32 where the fine part counts in the canonical frame: inside the face."""
        return inside(self.mean_shape)
