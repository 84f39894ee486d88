"""`FaceGenerator`: latents and sliders to pictures, and photographs to latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers.utils.logging import disable_progress_bar
from torch import nn

from facegen.device import choose_device
from facegen.generate.editing.photograph import Photographs, enlarged
from facegen.generate.frame import geometry
from facegen.generate.frame.alignment import SIZE
from facegen.generate.frame.variants import Measured, canonical, flow_from_canonical
from facegen.generate.model.latents import Latents
from facegen.generate.model.prior import to_vector
from facegen.generate.model.vae import ConditionalVae
from facegen.generate.sliders import DRAWN, NAMES, Sliders
from facegen.training.precision import is_bfloat16_quick

if TYPE_CHECKING:
    from facegen.faces import FaceAnalyser
    from facegen.generate.frame.alignment import Framed

TURNED_LIDS = 0.2
"""How much less lids are opened on a fully turned head."""
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

    def sample(self, seeds: Sequence[int], temperature: float = 0.8) -> Latents:
        """New faces; a seed gives the same face whatever stands beside it.

        Args:
            seeds: one a face.
            temperature: 0 draws the most ordinary faces, 1 as various ones as the data holds.
        """
        textures, shapes, noises = [], [], []
        for seed in seeds:
            generator = torch.Generator().manual_seed(int(seed))
            texture, shape = self.vae.sample_codes(1, generator, temperature)
            textures.append(texture)
            shapes.append(geometry.in_frame(self.vae.shapes(shape)[0].cpu().numpy(), self.mean_shape))
            noises.append([torch.randn(1, *size, generator=generator) for size in self.vae.noise_shapes()])
        factor = DEEP_TEMPERATURE * temperature
        return Latents(
            texture=torch.cat(textures),
            shapes=np.stack(shapes),
            noises=tuple(torch.cat(n).to(self.device) * factor for n in zip(*noises, strict=True)),
            seeds=tuple(int(seed) for seed in seeds),
        )

    def ahead(self, latents: Latents) -> Latents:
        """The same faces with the mean shape, as the canonical frame has them."""
        return replace(latents, shapes=np.repeat(self.mean_shape[None], len(latents), 0), photographs=None)

    def draw(self, latents: Latents, sliders: Sliders | Sequence[Sliders]) -> np.ndarray:
        """Pictures of faces as the network draws them.

        Args:
            latents: the faces.
            sliders: for all, or one for each.

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
        return drawn.float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def with_photographs(
        self, drawn_rgb: np.ndarray, restored_rgb: np.ndarray, latents: Latents, sliders: Sequence[Sliders]
    ) -> np.ndarray:
        """Faces as their photographs show them, moved like the drawn ones.

        Args:
            drawn_rgb: (B, 128, 128, 3) uint8 as drawn.
            restored_rgb: (B, 256, 256, 3) uint8 the same with details.
            latents: the faces, with photographs.
            sliders: one for each.

        Returns:
            (B, 256, 256, 3) uint8 RGB.
        """
        known = latents.photographs
        assert known is not None
        own = known.latents
        is_own = torch.equal(latents.texture, own.texture)
        # the same faces with the latents of their photographs
        before = drawn_rgb if is_own else self.draw(replace(latents, texture=own.texture, noises=own.noises), sliders)
        made = []
        for place, asked in enumerate(sliders):
            points = self.posed(latents.shapes[place], asked)
            flow = flow_from_canonical(points, latents.shapes[place], self.mean_shape, SIZE)
            drawn, was, restored = (enlarged(pictures[place]) for pictures in (drawn_rgb, before, restored_rgb))
            made.append(known.moved(place, asked, drawn, was, restored, points, flow))
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
        from facegen.generate.frame.alignment import frame_largest, parse_framed

        framed = frame_largest(image_rgb, analyser, name)
        maps = parse_framed(analyser, [framed.picture_rgb], [framed.face])[0].astype(np.float32)
        measured = Measured.of(framed.picture_rgb, framed.face, maps[..., HAIR], maps[..., BACKGROUND], 128)
        drawn = (canonical(measured, self.mean_shape) * 255).round().astype(np.uint8)
        seen_as = Sliders.of_drawn(measured.sliders().tolist())
        latents = replace(self.encode_canonical(drawn[None], seen_as), shapes=measured.shape[None])
        sliders = Sliders(**{name: round(value, 2) for name, value in vars(seen_as).items()})
        large = Measured.of(framed.picture_rgb, framed.face, maps[..., HAIR], maps[..., BACKGROUND], SIZE)
        known = Photographs.of(large, latents, sliders, self.mean_shape)
        return Encoded(latents=replace(latents, photographs=known), sliders=sliders, framed=framed)

    def encode_canonical(self, canonical: np.ndarray, sliders: Sliders) -> Latents:
        """Faces as latents with the mean shape.

        Args:
            canonical: (B, 128, 128, 5) uint8 pictures as `variants.canonical` makes them.
            sliders: what they are encoded under.
        """
        count = len(canonical)
        with torch.inference_mode():
            texture = self.vae.texture_codes_of(torch.from_numpy(to_vector(canonical)).to(self.device))
            values = torch.tensor([sliders.drawn()] * count, device=self.device)
            seen = torch.from_numpy(canonical).permute(0, 3, 1, 2).float().div(255).to(self.device)
            nothing = tuple(torch.zeros(count, *s, device=self.device) for s in self.vae.noise_shapes())
            base = self.vae.base(texture)
            _, _, noises = self.vae.draw_canonical(base, self.vae.condition_of(values), self.vae.encode(seen), nothing)
        shapes = np.repeat(self.mean_shape[None], count, 0)
        return Latents(texture=texture, shapes=shapes, noises=noises, seeds=(0,) * count)
