"""Training of the generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.generate.dataset.packed import HEAD, PackedFaces
from facegen.generate.model.critic import Critic, critic_hinge_loss, frozen_networks, generator_hinge_loss
from facegen.generate.model.diffusion import ConditionalVae
from facegen.generate.model.prior import LinearPrior, canonical_vectors, fit_linear_prior
from facegen.generate.model.regularization import balance_divergences, recalibrate_batch_norm, sum_spectral_norms
from facegen.restore.losses import feature_distance, texture_distance
from facegen.training.augment import to_float
from facegen.training.task import DISCRIMINATOR, GENERATOR, BatchSpec, SampleNames, Task, TrainingData

PREVIEW_COUNT = 8


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """The generator's architecture."""

    texture_codes: int = field(default=160, metadata={"min": 4, "max": 512})
    """Principal components of the canonical picture."""
    shape_codes: int = field(default=32, metadata={"min": 2, "max": 128})
    """Principal components of the shape."""
    anchors: int = field(default=3200, metadata={"min": 4, "max": 100_000})
    """Training faces whose codes make up the prior."""
    widths: tuple[int, int, int, int] = (40, 72, 112, 128)
    """Channels at 64, 32, 16 and 8 pixels."""
    latents: tuple[int, int, int] = (12, 6, 2)
    """Channels of the latent groups at 8, 16 and 32 pixels."""

    def build(self) -> ConditionalVae:
        """An untrained network."""
        return ConditionalVae(**asdict(self))


class GeneratorData:
    """Batches of pictures of the dataset with their conditions.

    `pictures` (B, 3, 128, 128) in [0, 1], `canonical` (B, 5, 128, 128) in [0, 1], `flows` (B, 2, 64, 64), `sliders` and
    `measured` (B, 5), `vectors` (B, D) the canonical pictures as the linear prior takes them. The first batch of a training from
    scratch holds the fitted prior as well: `prior_*`.
    """

    def __init__(self, pack: PackedFaces, config: VaeConfig, device: torch.device, start: str = "") -> None:
        self.pack, self.config, self.device = pack, config, device
        self.skipped: tuple[str, ...] = ()
        self.is_fresh = not start
        held = pack.is_held_out()
        self.names = SampleNames.split(pack.names, held)
        self.train_indices, self.held_out_indices = np.flatnonzero(~held), np.flatnonzero(held)

    def __len__(self) -> int:
        return len(self.train_indices)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch: a random variant of each face, mirrored at random."""
        faces = self.train_indices[spec.indices.numpy()]
        variants = torch.randint(self.pack.pictures.shape[1], (len(faces),), generator=spec.generator).numpy()
        mirrored = (torch.rand(len(faces), generator=spec.generator) < 0.5).numpy()
        batch = self.take(faces, variants, mirrored)
        if spec.step == 0 and self.is_fresh:
            prior = fit_linear_prior(self.pack, self.config.texture_codes, self.config.shape_codes)
            batch |= {f"prior_{name}": torch.from_numpy(value) for name, value in vars(prior).items()}
        return batch

    def take(self, faces: np.ndarray, variants: np.ndarray, mirrored: np.ndarray) -> dict[str, Tensor]:
        """The batch of some variants of some faces.

        Args:
            faces: (B,) indices of faces.
            variants: (B,) index of a variant of each.
            mirrored: (B,) bool.
        """
        pack = self.pack
        pictures = torch.from_numpy(pack.pictures[faces, variants]).permute(0, 3, 1, 2)
        canonical_rgb = np.where(
            mirrored[:, None, None, None], pack.canonical[faces][:, :, ::-1], pack.canonical[faces]
        )
        canonical = torch.from_numpy(canonical_rgb).permute(0, 3, 1, 2)
        flows = torch.from_numpy(pack.flows[faces, variants].astype(np.float32)).permute(0, 3, 1, 2)
        sliders, measured = (torch.from_numpy(a[faces, variants]) for a in (pack.drawn, pack.measured))
        flip = torch.from_numpy(mirrored)
        pictures, flows = (torch.where(flip[:, None, None, None], t.flip(3), t) for t in (pictures, flows))
        sign = torch.where(flip, -1.0, 1.0)[:, None, None]
        flows = torch.stack([flows[:, 0] * sign, flows[:, 1]], 1)
        for values in (sliders, measured):
            values[flip, HEAD] = 1 - values[flip, HEAD]
        batch = {
            "pictures": to_float(pictures.contiguous()), "canonical": to_float(canonical.contiguous()),
            "flows": flows.contiguous(), "sliders": sliders, "measured": measured, "vectors": torch.from_numpy(canonical_vectors(canonical_rgb)),
        }  # fmt: skip
        return {name: value.to(self.device) for name, value in batch.items()}


class AdversarialPair(nn.Module):
    """The generator and its critic as one module, trained in turn."""

    def __init__(self, vae: ConditionalVae, critic: Critic) -> None:
        super().__init__()
        self.vae, self.critic = vae, critic
        self._last: tuple[Tensor, Tensor] | None = None

    def forward(self, batch: dict[str, Tensor], group: int, samples: int, is_adversarial: bool) -> dict[str, Tensor]:
        """Generator: pictures, KL divergences, critic scores and feature matching; discriminator: critic scores."""
        if group == GENERATOR:
            return self._draw(batch, samples, is_adversarial)
        assert self._last is not None
        fake, real = self._last
        if not is_adversarial:
            return {"idle": torch.stack([p.sum() for p in self.critic.parameters()]).sum() * 0}
        scores, _ = self.critic(torch.cat([real, fake]))
        return {f"score{i}": s for i, s in enumerate(scores)} | {"count": torch.tensor(len(real))}

    def _draw(self, batch: dict[str, Tensor], samples: int, is_adversarial: bool) -> dict[str, Tensor]:
        vae = self.vae
        if float(vae.is_warm) == 0:
            prior = {n.removeprefix("prior_"): v.numpy() for n, v in batch.items() if n.startswith("prior_")}
            vae.set_prior(LinearPrior(**prior))
        codes, flows, sliders = vae.encode_texture(batch["vectors"]), batch["flows"], batch["sliders"]
        count = len(codes)
        codes = codes + 0.15 * torch.randn_like(codes)
        temperature = codes.new_ones(count + samples, 1, 1, 1)
        if samples:
            generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
            sampled, _ = vae.sample_prior(samples, generator, 0.9)
            codes = torch.cat([codes, sampled])
            flows, sliders = (torch.cat([t, t[:samples].flip(0)]) for t in (flows, sliders))
            temperature[count:] = 0.8
        is_set = torch.rand(len(codes), device=codes.device) > 0.1
        pictures, divergences, _ = vae(
            codes, flows, sliders, canonical=batch["canonical"], temperature=temperature, is_set=is_set
        )
        outputs = {"pictures": pictures, "divergences": divergences[:count]}
        self._last = (pictures.detach(), batch["pictures"])
        if is_adversarial:
            scores, features = self.critic(pictures)
            outputs |= {f"score{i}": s for i, s in enumerate(scores)}
            with torch.no_grad():
                _, target = self.critic(batch["pictures"])
            outputs["match"] = feature_distance([f[:count] for f in features], target)
        return outputs


@dataclass(frozen=True, kw_only=True)
class GeneratorTask(Task):
    """Learns to draw faces that do not exist, conditioned on five sliders."""

    network: VaeConfig = field(default_factory=VaeConfig)
    """The generator's architecture."""
    start: str = ""
    """Folder of a trained generator to continue from (weights/generate/vae), whose architecture counts; empty: from scratch."""
    critic_widths: tuple[int, int, int, int] = (32, 64, 128, 192)
    """Channels of the critic at 1/2, 1/4, 1/8 and 1/16 of the side."""
    adversarial_from: float = field(default=0.12, metadata={"min": 0.0, "max": 1.0, "formerly": "rivalry_from"})
    """Fraction of the training after which the adversarial loss starts."""
    samples: int = field(default=3, metadata={"min": 0, "max": 256})
    """Samples of the prior per batch, beside the reconstructions, once the adversarial loss has started."""
    pixel_weight: float = field(default=20.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the mean absolute error of pixels."""
    feature_weight: float = field(default=2.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the distance between the face parser's feature maps."""
    texture_weight: float = field(default=10.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the distance of local gradient energy."""
    adversarial_weight: float = field(default=0.2, metadata={"min": 0.0, "max": 1000.0, "formerly": "rivalry_weight"})
    """Weight of the adversarial loss."""
    match_weight: float = field(default=1.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of feature matching in the critic (arXiv:1512.09300)."""
    divergence_weight: float = field(default=10.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the latents' KL divergence, per pixel value, after its warm-up over the first 30 %."""
    slider_weight: float = field(default=2.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the error between the attribute network's output and the sliders."""
    spectral_weight: float = field(default=1e-4, metadata={"min": 0.0, "max": 1.0})
    """Weight of the spectral regularization (sum of the convolutions' largest singular values)."""

    group_count = 2

    def build_data(self, folder: Path | None, device: torch.device) -> GeneratorData:
        """Opens the prepared dataset."""
        return GeneratorData(PackedFaces.read(folder), self.network, device, self.start)

    def build_model(self) -> nn.Module:
        """A generator, new or trained, with a new critic."""
        vae = _load_trained(self.start) if self.start else self.network.build()
        return AdversarialPair(vae, Critic(tuple(self.critic_widths)))

    def parameter_groups(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """The generator's, then the critic's."""
        assert isinstance(model, AdversarialPair)
        return [list(model.vae.parameters()), list(model.critic.parameters())]

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """See the fields' docstrings."""
        is_adversarial = progress >= self.adversarial_from
        outputs = model(batch, group, self.samples if is_adversarial else 0, is_adversarial)
        scores = [outputs[name] for name in sorted(outputs) if name.startswith("score")]
        if group == DISCRIMINATOR:
            if not is_adversarial:
                return {"critic": outputs["idle"]}
            count = int(outputs["count"])
            return {"critic": critic_hinge_loss([s[:count] for s in scores], [s[count:] for s in scores])}
        pictures, target = outputs["pictures"].float(), batch["pictures"]
        count = len(target)
        frozen = frozen_networks(str(target.device))
        with torch.no_grad():
            reference = frozen(target)
        losses = {
            "pixels": self.pixel_weight * (pictures[:count] - target).abs().mean(),
            "features": self.feature_weight * feature_distance(frozen(pictures[:count]), reference),
            "texture": self.texture_weight * texture_distance(pictures[:count], target),
            "latents": self.divergence_weight
            * balance_divergences(outputs["divergences"], progress)
            / target[0].numel(),
        }
        if self.spectral_weight:
            losses["spectral"] = self.spectral_weight * sum_spectral_norms(_unwrap(model))
        if is_adversarial:
            strength = min(1.0, (progress - self.adversarial_from) / 0.05 + 0.1)
            losses["fooling"] = self.adversarial_weight * strength * generator_hinge_loss(scores)
            losses["matching"] = self.match_weight * strength * outputs["match"].float()
        # samples only: reconstructions are compared with their pictures
        predicted = frozen.sliders(pictures[count:]) if len(pictures) > count else None
        if predicted is not None:
            condition = batch["measured"][: len(predicted)].flip(0)
            condition = torch.where(condition.isfinite(), condition, predicted.detach())
            losses["sliders"] = self.slider_weight * F.smooth_l1_loss(predicted, condition, beta=0.1)
        return losses

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Feature distance and pixel error of held-back reconstructions, and the groups' KL divergences."""
        assert isinstance(data, GeneratorData)
        assert isinstance(model, AdversarialPair)
        faces = data.held_out_indices[:64]
        batch = data.take(faces, np.arange(len(faces)) % data.pack.pictures.shape[1], np.zeros(len(faces), bool))
        drawn, divergences = _reconstruct(model.vae, batch)
        frozen = frozen_networks(str(drawn.device))
        figures = {
            "features": float(feature_distance(frozen(drawn), frozen(batch["pictures"]))),
            "pixels": float((drawn - batch["pictures"]).abs().mean()),
        }
        return figures | {f"nats {8 * 2**i}x{8 * 2**i}": float(s) for i, s in enumerate(divergences.mean(0))}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Held-back pictures, their reconstructions, then two rows of samples."""
        assert isinstance(data, GeneratorData)
        assert isinstance(model, AdversarialPair)
        faces = data.held_out_indices[np.arange(PREVIEW_COUNT) % len(data.held_out_indices)]
        batch = data.take(faces, np.arange(PREVIEW_COUNT) % data.pack.pictures.shape[1], np.zeros(PREVIEW_COUNT, bool))
        vae = model.vae
        rows = [batch["pictures"], _reconstruct(vae, batch)[0]]
        for seed in (0, 1):
            generator = torch.Generator().manual_seed(seed)
            codes, _ = vae.sample_prior(PREVIEW_COUNT, generator, 0.8)
            noises = tuple(torch.randn(PREVIEW_COUNT, *s, generator=generator).to(codes) for s in vae.noise_shapes())
            # the flows of the held-back pictures pose the samples: good enough for a preview
            rows.append(vae(codes, batch["flows"], batch["sliders"], noises=noises, temperature=0.7)[0])
        sheet = torch.stack(rows).float().clamp(0, 1).mul(255).round().byte()
        return sheet.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """The generator as diffusers saves it, in half precision, in files below 10 MB."""
        import copy

        assert isinstance(model, AdversarialPair)
        vae = copy.deepcopy(model.vae)
        recalibrate_batch_norm(vae)
        vae.half().save_pretrained(folder, max_shard_size="7MB")  # type: ignore[no-untyped-call]
        return {file.name: file for file in sorted(folder.iterdir())}


def _load_trained(folder: str) -> ConditionalVae:
    """A trained generator in training mode."""
    try:
        return ConditionalVae.from_pretrained(folder, torch_dtype=torch.float32).train()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"Expected a generator as diffusers saves it in {folder}, found none; {str(error).rstrip('.')}."
        ) from error


def _unwrap(model: nn.Module) -> nn.Module:
    """The generator of a pair that Accelerate may have wrapped."""
    pair = getattr(model, "module", model)
    assert isinstance(pair, AdversarialPair)
    return pair.vae


def _reconstruct(vae: ConditionalVae, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    codes = vae.encode_texture(batch["vectors"])
    noises = tuple(torch.randn(len(codes), *s, generator=generator).to(codes) for s in vae.noise_shapes())
    drawn, divergences, _ = vae(codes, batch["flows"], batch["sliders"], canonical=batch["canonical"], noises=noises)
    return drawn.float().clamp(0, 1), divergences
