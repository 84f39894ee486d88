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
from facegen.generate.model.critic import Critic, critic_loss, fooling_loss, frozen_features
from facegen.generate.model.prior import Basis, fit_basis, to_vector
from facegen.generate.model.settle import settle_statistics
from facegen.generate.model.spectral import largest_singular_values
from facegen.generate.model.vae import ConditionalVae
from facegen.restore.losses import feature_distance, texture_distance
from facegen.training.augment import to_float
from facegen.training.task import DISCRIMINATOR, GENERATOR, BatchSpec, Task, TrainingData

SHOWN = 8
POSITIONS = (64, 256, 1024)
"""Places of the groups' maps, for balancing their divergences."""


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """The generator's size."""

    texture_codes: int = field(default=160, metadata={"min": 4, "max": 512})
    """Linear codes of the canonical picture."""
    shape_codes: int = field(default=32, metadata={"min": 2, "max": 128})
    """Linear codes of the shape."""
    anchors: int = field(default=3200, metadata={"min": 4, "max": 100_000})
    """Faces of the data whose codes make up the prior."""
    widths: tuple[int, int, int, int] = (40, 72, 112, 128)
    """Channels at 64, 32, 16 and 8 pixels."""
    latents: tuple[int, int, int] = (12, 6, 2)
    """Channels of the latent groups at 8, 16 and 32 pixels."""

    def build(self) -> ConditionalVae:
        """A fresh network."""
        return ConditionalVae(**asdict(self))


class GeneratorData:
    """Batches of variants with everything that the generator is told about them.

    `pictures` (B, 3, 128, 128) in [0, 1], `canonical` (B, 5, 128, 128) in [0, 1], `flows` (B, 2, 64, 64), `sliders` and
    `measured` (B, 5), `vectors` (B, D) the canonical pictures as the linear model takes them. The first batch of a training
    that begins afresh brings that model along: `basis_*`.
    """

    def __init__(self, pack: PackedFaces, config: VaeConfig, device: torch.device, start: str = "") -> None:
        self.pack, self.config, self.device = pack, config, device
        self.skipped: tuple[str, ...] = ()
        self.is_fresh = not start
        held = pack.held_back()
        self.places, self.held_places = np.flatnonzero(~held), np.flatnonzero(held)

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch: of each face a random variant, mirrored at random."""
        faces = self.places[spec.indices.numpy()]
        variants = torch.randint(self.pack.pictures.shape[1], (len(faces),), generator=spec.generator).numpy()
        mirrored = (torch.rand(len(faces), generator=spec.generator) < 0.5).numpy()
        found = self.take(faces, variants, mirrored)
        if spec.step == 0 and self.is_fresh:
            basis = fit_basis(self.pack, self.config.texture_codes, self.config.shape_codes)
            found |= {f"basis_{name}": torch.from_numpy(value) for name, value in vars(basis).items()}
        return found

    def take(self, faces: np.ndarray, variants: np.ndarray, mirrored: np.ndarray) -> dict[str, Tensor]:
        """These variants of these faces."""
        pack = self.pack
        pictures = torch.from_numpy(pack.pictures[faces, variants]).permute(0, 3, 1, 2)
        seen = np.where(mirrored[:, None, None, None], pack.canonical[faces][:, :, ::-1], pack.canonical[faces])
        canonical = torch.from_numpy(seen).permute(0, 3, 1, 2)
        flows = torch.from_numpy(pack.flows[faces, variants].astype(np.float32)).permute(0, 3, 1, 2)
        sliders, measured = (torch.from_numpy(a[faces, variants]) for a in (pack.drawn, pack.measured))
        flip = torch.from_numpy(mirrored)
        pictures, flows = (torch.where(flip[:, None, None, None], t.flip(3), t) for t in (pictures, flows))
        sign = torch.where(flip, -1.0, 1.0)[:, None, None]
        flows = torch.stack([flows[:, 0] * sign, flows[:, 1]], 1)
        for values in (sliders, measured):
            values[flip, HEAD] = 1 - values[flip, HEAD]
        made = {
            "pictures": to_float(pictures.contiguous()), "canonical": to_float(canonical.contiguous()),
            "flows": flows.contiguous(), "sliders": sliders, "measured": measured, "vectors": torch.from_numpy(to_vector(seen)),
        }  # fmt: skip
        return {name: value.to(self.device) for name, value in made.items()}


class AdversarialPair(nn.Module):
    """The generator and its critic, as one model with two parameter groups."""

    def __init__(self, vae: ConditionalVae, critic: Critic) -> None:
        super().__init__()
        self.vae, self.critic = vae, critic
        self._shown: tuple[Tensor, Tensor] | None = None

    def forward(self, batch: dict[str, Tensor], group: int, samples: int, is_adversarial: bool) -> dict[str, Tensor]:
        """What the losses need: pictures, divergences and scores for the generator, scores for the discriminator."""
        if group == GENERATOR:
            return self._draw(batch, samples, is_adversarial)
        assert self._shown is not None
        fake, real = self._shown
        if not is_adversarial:
            return {"idle": torch.stack([p.sum() for p in self.critic.parameters()]).sum() * 0}
        scores, _ = self.critic(torch.cat([real, fake]))
        return {f"score{i}": s for i, s in enumerate(scores)} | {"count": torch.tensor(len(real))}

    def _draw(self, batch: dict[str, Tensor], samples: int, is_adversarial: bool) -> dict[str, Tensor]:
        vae = self.vae
        if float(vae.is_warm) == 0:
            vae.warm_start(Basis(**{n[6:]: v.numpy() for n, v in batch.items() if n.startswith("basis_")}))
        codes, flows, sliders = vae.texture_codes_of(batch["vectors"]), batch["flows"], batch["sliders"]
        count = len(codes)
        codes = codes + 0.15 * torch.randn_like(codes)
        temperature = codes.new_ones(count + samples, 1, 1, 1)
        if samples:
            generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
            drawn, _ = vae.sample_codes(samples, generator, 0.9)
            codes = torch.cat([codes, drawn])
            flows, sliders = (torch.cat([t, t[:samples].flip(0)]) for t in (flows, sliders))
            temperature[count:] = 0.8
        is_set = torch.rand(len(codes), device=codes.device) > 0.1
        pictures, divergences, _ = vae(
            codes, flows, sliders, canonical=batch["canonical"], temperature=temperature, is_set=is_set
        )
        found = {"pictures": pictures, "divergences": divergences[:count]}
        self._shown = (pictures.detach(), batch["pictures"])
        if is_adversarial:
            scores, features = self.critic(pictures)
            found |= {f"score{i}": s for i, s in enumerate(scores)}
            with torch.no_grad():
                _, wanted = self.critic(batch["pictures"])
            found["match"] = feature_distance([f[:count] for f in features], wanted)
        return found


@dataclass(frozen=True, kw_only=True)
class GeneratorTask(Task):
    """Learns to draw faces that do not exist, steered by five sliders."""

    network: VaeConfig = field(default_factory=VaeConfig)
    """The generator's size."""
    start: str = ""
    """Folder of a trained generator (weights/generate/vae) to go on from; empty begins afresh. Its size counts."""
    critic_widths: tuple[int, int, int, int] = (32, 64, 128, 192)
    """Channels of the critic at 1/2, 1/4, 1/8 and 1/16 of the side."""
    adversarial_from: float = field(default=0.12, metadata={"min": 0.0, "max": 1.0, "formerly": "rivalry_from"})
    """Share of the training after which the adversarial loss is used."""
    samples: int = field(default=3, metadata={"min": 0, "max": 256})
    """Faces a batch sampled from the prior, beside the reconstructions, once the adversarial loss is used."""
    pixel_weight: float = field(default=20.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the absolute difference of pixels."""
    feature_weight: float = field(default=2.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the distance in the features of the parser and the attribute network."""
    texture_weight: float = field(default=10.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the distance of local texture strengths."""
    adversarial_weight: float = field(default=0.2, metadata={"min": 0.0, "max": 1000.0, "formerly": "rivalry_weight"})
    """Weight of the adversarial loss."""
    match_weight: float = field(default=1.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the distance in the critic's features (arXiv:1512.09300)."""
    divergence_weight: float = field(default=10.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the latents' divergence, per pixel value, after its warm-up over the first 30 %."""
    slider_weight: float = field(default=2.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of what the attribute network reads against what was asked for."""
    spectral_weight: float = field(default=1e-4, metadata={"min": 0.0, "max": 1.0})
    """Weight of the sum of the convolutions' largest singular values."""

    group_count = 2

    def build_data(self, folder: Path | None, device: torch.device) -> GeneratorData:
        """Opens the prepared dataset and fits the linear top of the hierarchy to it."""
        return GeneratorData(PackedFaces.read(folder), self.network, device, self.start)

    def build_model(self) -> nn.Module:
        """A fresh generator with its critic."""
        vae = _begun(self.start) if self.start else self.network.build()
        return AdversarialPair(vae, Critic(tuple(self.critic_widths)))

    def parameter_groups(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """The generator's, then the critic's."""
        assert isinstance(model, AdversarialPair)
        return [list(model.vae.parameters()), list(model.critic.parameters())]

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """See the fields' docstrings."""
        is_adversarial = progress >= self.adversarial_from
        found = model(batch, group, self.samples if is_adversarial else 0, is_adversarial)
        scores = [found[name] for name in sorted(found) if name.startswith("score")]
        if group == DISCRIMINATOR:
            if not is_adversarial:
                return {"critic": found["idle"]}
            count = int(found["count"])
            return {"critic": critic_loss([s[:count] for s in scores], [s[count:] for s in scores])}
        pictures, wanted = found["pictures"].float(), batch["pictures"]
        count = len(wanted)
        frozen = frozen_features(str(wanted.device))
        with torch.no_grad():
            reference = frozen(wanted)
        losses = {
            "pixels": self.pixel_weight * (pictures[:count] - wanted).abs().mean(),
            "features": self.feature_weight * feature_distance(frozen(pictures[:count]), reference),
            "texture": self.texture_weight * texture_distance(pictures[:count], wanted),
            "latents": self.divergence_weight * balanced_divergence(found["divergences"], progress) / wanted[0].numel(),
        }
        if self.spectral_weight:
            losses["spectral"] = self.spectral_weight * largest_singular_values(_inner(model))
        if is_adversarial:
            strength = min(1.0, (progress - self.adversarial_from) / 0.05 + 0.1)
            losses["fooling"] = self.adversarial_weight * strength * fooling_loss(scores)
            losses["matching"] = self.match_weight * strength * found["match"].float()
        # reconstructions are held to their pictures; samples have nothing else to be held to
        said = frozen.sliders(pictures[count:]) if len(pictures) > count else None
        if said is not None:
            asked = batch["measured"][: len(said)].flip(0)
            asked = torch.where(asked.isfinite(), asked, said.detach())
            losses["sliders"] = self.slider_weight * F.smooth_l1_loss(said, asked, beta=0.1)
        return losses

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Feature distance of held-back faces drawn from their own codes, then pixel error and divergences."""
        assert isinstance(data, GeneratorData)
        assert isinstance(model, AdversarialPair)
        places = data.held_places[:64]
        batch = data.take(places, np.arange(len(places)) % data.pack.pictures.shape[1], np.zeros(len(places), bool))
        drawn, spent = _reconstruct(model.vae, batch)
        frozen = frozen_features(str(drawn.device))
        figures = {
            "features": float(feature_distance(frozen(drawn), frozen(batch["pictures"]))),
            "pixels": float((drawn - batch["pictures"]).abs().mean()),
        }
        return figures | {f"nats {8 * 2**i}x{8 * 2**i}": float(s) for i, s in enumerate(spent.mean(0))}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Held-back pictures, their reconstructions, then two rows from the prior."""
        assert isinstance(data, GeneratorData)
        assert isinstance(model, AdversarialPair)
        places = data.held_places[np.arange(SHOWN) % len(data.held_places)]
        batch = data.take(places, np.arange(SHOWN) % data.pack.pictures.shape[1], np.zeros(SHOWN, bool))
        vae = model.vae
        rows = [batch["pictures"], _reconstruct(vae, batch)[0]]
        for seed in (0, 1):
            generator = torch.Generator().manual_seed(seed)
            codes, _ = vae.sample_codes(SHOWN, generator, 0.8)
            noises = tuple(torch.randn(SHOWN, *s, generator=generator).to(codes) for s in vae.noise_shapes())
            # heads look where those of the held-back pictures look: good enough for a preview
            rows.append(vae(codes, batch["flows"], batch["sliders"], noises=noises, temperature=0.7)[0])
        sheet = torch.stack(rows).float().clamp(0, 1).mul(255).round().byte()
        return sheet.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """The generator as diffusers saves it, in half precision, in files below 10 MB."""
        import copy

        assert isinstance(model, AdversarialPair)
        vae = copy.deepcopy(model.vae)
        settle_statistics(vae)
        vae.half().save_pretrained(folder, max_shard_size="7MB")
        return {file.name: file for file in sorted(folder.iterdir())}


def _begun(folder: str) -> ConditionalVae:
    """A trained generator, ready to be trained on."""
    try:
        return ConditionalVae.from_pretrained(folder, torch_dtype=torch.float32).train()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"Expected a generator as diffusers saves it in {folder}, found none; {str(error).rstrip('.')}."
        ) from error


def _inner(model: nn.Module) -> nn.Module:
    """The generator inside whatever wraps the pair."""
    found = getattr(model, "module", model)
    assert isinstance(found, AdversarialPair)
    return found.vae


def _reconstruct(vae: ConditionalVae, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    codes = vae.texture_codes_of(batch["vectors"])
    noises = tuple(torch.randn(len(codes), *s, generator=generator).to(codes) for s in vae.noise_shapes())
    drawn, spent, _ = vae(codes, batch["flows"], batch["sliders"], canonical=batch["canonical"], noises=noises)
    return drawn.float().clamp(0, 1), spent


def balanced_divergence(divergences: Tensor, progress: float) -> Tensor:
    """NVAE's sum over groups: warmed up over the first 30 %, balanced meanwhile, so that no group falls silent.

    Args:
        divergences: (B, groups) nats.
        progress: share of the training that is done.
    """
    warm = min(1.0, max(1e-4, progress / 0.3))
    means = divergences.mean(0)
    if warm >= 1:
        return means.sum()
    positions = torch.tensor(POSITIONS, device=means.device, dtype=means.dtype)
    factors = means.detach().abs() / positions * means.detach().sum()
    factors = factors / factors.mean().clamp_min(1e-8)
    return warm * (factors * means).sum()
