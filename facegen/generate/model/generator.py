"""`FaceGenerator`: draws pictures of latents and sliders, samples latents, and encodes canonical pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facegen.device import choose_device, is_bfloat16_fast
from facegen.generate.frame import geometry
from facegen.generate.frame.variants import flow_from_canonical
from facegen.generate.model.latents import Latents
from facegen.generate.model.prior import canonical_vectors
from facegen.generate.model.vae import VaeNetwork, load_vae
from facegen.generate.sliders import DRAWN, NAMES, Sliders

LID_CORRECTION = 0.2
"""Fraction by which lids are opened less on a fully turned head, where they measure wider than they are."""
DEEP_TEMPERATURE = 0.8
"""Factor on the temperature in the latent groups, which draw detail."""


def _has_same_pose(one: Sliders, other: Sliders) -> bool:
    """Whether lids, lips and turn are the same."""
    return (one.eyes, one.mouth, one.head) == (other.eyes, other.mouth, other.head)


class FaceGenerator:
    """A trained generator in evaluation mode.

    Args:
        vae: the network.
        device: as `device.choose_device` takes it.
    """

    def __init__(self, vae: VaeNetwork, device: str = "auto") -> None:
        self.device = choose_device(device)
        self.vae = vae.eval().requires_grad_(False)
        nn.Module.to(vae, device=self.device, dtype=torch.float32)
        nn.Module.to(vae, memory_format=torch.channels_last)
        self.mean_shape = vae.shape_mean.reshape(468, 3).cpu().numpy()
        self._dtype = torch.bfloat16 if is_bfloat16_fast(self.device) else torch.float32

    @classmethod
    def load(cls, folder: Path | None = None, device: str = "auto") -> FaceGenerator:
        """The bundled generator, or one of another folder as diffusers saved it.

        Raises:
            WeightsError: it is missing or was changed.
        """
        from facegen.generate.weights import generator_folder

        return cls(load_vae(Path(folder) if folder is not None else generator_folder()), device)

    def sample(self, seeds: Sequence[int], temperature: float = 0.8) -> Latents:
        """Samples faces from the prior; a seed gives the same face in any batch.

        Args:
            seeds: one per face.
            temperature: 0 gives the mean faces of the prior, 1 the variance of the data.
        """
        textures, shapes, noises = [], [], []
        for seed in seeds:
            generator = torch.Generator().manual_seed(int(seed))
            texture, shape = self.vae.sample_prior(1, generator, temperature)
            textures.append(texture)
            shapes.append(geometry.align_shape(self.vae.decode_shapes(shape)[0].cpu().numpy(), self.mean_shape))
            noises.append([torch.randn(1, *size, generator=generator) for size in self.vae.noise_shapes()])
        factor = DEEP_TEMPERATURE * temperature
        return Latents(
            texture=torch.cat(textures),
            shapes=np.stack(shapes),
            noises=tuple(torch.cat(n).to(self.device) * factor for n in zip(*noises, strict=True)),
            seeds=tuple(int(seed) for seed in seeds),
        )

    def canonical(self, latents: Latents) -> Latents:
        """The same faces with the mean shape and without photographs, to be drawn in the canonical frame."""
        return replace(latents, shapes=np.repeat(self.mean_shape[None], len(latents), 0), photographs=None)

    def draw(self, latents: Latents, sliders: Sliders | Sequence[Sliders]) -> np.ndarray:
        """Draws pictures of faces, without retouch or restoration.

        Args:
            latents: the faces.
            sliders: for all, or one for each.

        Returns:
            (B, 128, 128, 3) uint8 RGB.
        """
        values = [sliders] * len(latents) if isinstance(sliders, Sliders) else list(sliders)
        flows: list[np.ndarray] = []
        for index, (shape, requested) in enumerate(zip(latents.shapes, values, strict=True)):
            # flows take most of the time: faces of one shape and pose share theirs
            is_same_shape = index > 0 and bool((shape == latents.shapes[index - 1]).all())
            is_shared = is_same_shape and _has_same_pose(requested, values[index - 1])
            flows.append(flows[-1] if is_shared else self.flow(shape, requested))
        conditions = torch.tensor([v.controls() for v in values], device=self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, self._dtype, self._dtype != torch.float32):
            drawn, _, _ = self.vae(
                latents.texture,
                torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).to(self.device),
                conditions,
                noises=latents.noises,
            )
        return drawn.float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def flow(self, shape: np.ndarray, sliders: Sliders) -> np.ndarray:
        """(64, 64, 2) float32 flow that poses a shape as the sliders say."""
        return flow_from_canonical(self.pose(shape, sliders), shape, self.mean_shape)

    def pose(self, shape: np.ndarray, sliders: Sliders) -> np.ndarray:
        """(468, 3) float32 the mesh of a shape posed as the sliders say, pixels of the 256-pixel frame."""
        quantities = {name: DRAWN[name].quantity(v) for name, v in zip(NAMES, sliders.controls(), strict=True)}
        # lids measure wider on a turned head: corrected by what was measured
        correction = 1 - LID_CORRECTION * (quantities["head"] / DRAWN["head"].at1) ** 2
        return geometry.pose_shape(shape, quantities["eyes"] * correction, quantities["mouth"], quantities["head"])

    def encode_canonical(self, canonical: np.ndarray, sliders: Sliders) -> Latents:
        """Encodes canonical pictures as latents with the mean shape, at the posterior's mean.

        Args:
            canonical: (B, 128, 128, 5) uint8 pictures as `variants.canonical` returns them.
            sliders: condition of the encoder.
        """
        count = len(canonical)
        with torch.inference_mode():
            texture = self.vae.encode_texture(torch.from_numpy(canonical_vectors(canonical)).to(self.device))
            conditions = torch.tensor([sliders.controls()] * count, device=self.device)
            pictures = torch.from_numpy(canonical).permute(0, 3, 1, 2).float().div(255).to(self.device)
            zeros = tuple(torch.zeros(count, *s, device=self.device) for s in self.vae.noise_shapes())
            base = self.vae.decode_texture(texture)
            condition, features = self.vae.embed_condition(conditions), self.vae.encode(pictures)
            _, _, noises = self.vae.decode_canonical(base, condition, features, zeros)
        shapes = np.repeat(self.mean_shape[None], count, 0)
        return Latents(texture=texture, shapes=shapes, noises=noises, seeds=(0,) * count)
