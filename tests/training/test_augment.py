"""Augmentation: repeatable, exact where nothing is asked, pictures and labels moved alike."""

import colorsys

import pytest
import torch

from facegen.training.augment import (
    AffineRange,
    add_compression,
    add_noise,
    affine_grids,
    draw_warps,
    jitter_colour,
    jitter_hsv,
    lower_resolution,
    sample_labels,
    sample_pictures,
    warp_grids,
)
from facegen.training.loader import BatchLoader, derive_seed, sample_indices
from facegen.training.task import BatchSpec, SampleNames


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def random(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


IDENTITY = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])


def test_identity_leaves_pictures_as_they_are(pictures: torch.Tensor) -> None:
    grids = affine_grids(IDENTITY.repeat(6, 1, 1), 32)
    torch.testing.assert_close(sample_pictures(pictures, grids), pictures)
    still = warp_grids(grids, torch.zeros(6, 2, 9, 9))
    torch.testing.assert_close(sample_pictures(pictures, still), pictures)
    torch.testing.assert_close(jitter_hsv(pictures, random(), 0.0), pictures, atol=2e-5, rtol=0)


def test_ranges_are_kept() -> None:
    matrices = AffineRange().draw(500, random())
    scale = matrices[:, :, 0].norm(dim=1)
    angle = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert 1 / 1.15 - 1e-4 <= float(scale.min()) < 0.9
    assert 1.12 < float(scale.max()) <= 1.15 + 1e-4
    assert float(angle.abs().max()) <= 10.001
    assert float(matrices[:, :, 2].abs().max()) <= 0.1


def test_warps_stay_within_their_cells_and_leave_the_border() -> None:
    fields = draw_warps(200, random())
    assert float(fields.abs().max()) <= 0.24 * 2 / 2 + 1e-6
    assert float(fields.abs().max()) > 0.1
    assert float(fields[..., 0, :].abs().max()) == 0
    assert float(fields[..., :, -1].abs().max()) == 0


def test_labels_move_with_pictures() -> None:
    labels = (torch.rand(4, 16, 16, generator=random()) > 0.5).long()
    labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    grids = affine_grids(AffineRange(rotation_deg=20).draw(4, random(2)), 64)
    moved = sample_pictures(labels[:, None].float(), grids)[:, 0]
    moved_labels = sample_labels(labels, grids)
    assert float(((moved > 0.5).long() == moved_labels).float().mean()) > 0.97


@pytest.mark.parametrize(
    "change",
    [
        lambda p, r: jitter_colour(p, r),
        lambda p, r: lower_resolution(p, r, share=0.5, largest=4.0),
        lambda p, r: add_noise(p, r, share=0.5, largest=0.1),
        lambda p, r: add_compression(p, r, share=0.5),
        lambda p, r: jitter_hsv(p, r, 0.2),
    ],
    ids=["colour", "resolution", "noise", "compression", "hsv"],
)
def test_changes_are_repeatable_and_in_range(change, pictures: torch.Tensor) -> None:  # type: ignore[no-untyped-def]
    before = pictures.clone()
    first, second = change(pictures, random()), change(pictures, random())
    assert torch.equal(first, second)
    assert torch.equal(pictures, before)
    assert first.shape == pictures.shape
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert not torch.equal(first, pictures)


def test_hsv_turns_colours_as_colorsys_does() -> None:
    picture = torch.tensor([0.8, 0.3, 0.5]).view(1, 3, 1, 1)
    drawn_one_by_one = random(5)
    hue, saturation, value = (float(torch.rand(1, generator=drawn_one_by_one)) * 0.4 - 0.2 for _ in range(3))
    h, s, v = colorsys.rgb_to_hsv(0.8, 0.3, 0.5)
    expected = colorsys.hsv_to_rgb((h + hue) % 1, min(1, max(0, s + saturation)), min(1, max(0, v + value)))
    found = jitter_hsv(picture, random(5), 0.2).flatten()
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)


def test_every_sample_once_an_epoch() -> None:
    places = sample_indices(3, 0, 20, 10)
    assert sorted(places[:10].tolist()) == list(range(10))
    assert sorted(places[10:].tolist()) == list(range(10))
    assert torch.equal(sample_indices(3, 7, 6, 10), places[7:13])
    assert not torch.equal(places[:10], places[10:])


class Numbers:
    """Data that answers with what it was asked."""

    skipped: tuple[str, ...] = ()
    names = SampleNames()

    def __len__(self) -> int:
        return 10

    def batch(self, spec: BatchSpec) -> dict[str, torch.Tensor]:
        return {"places": spec.indices, "random": torch.rand(3, generator=spec.generator)}


def test_two_processes_see_what_one_with_two_batches_sees() -> None:
    def batches(local_slots: range) -> list[dict[str, torch.Tensor]]:
        loader = BatchLoader(
            Numbers(), seed=1, batch_size=2, slots=2, local_slots=local_slots, progress=lambda step: 0.0
        )
        made = loader.batches(4)
        loader.close()
        return made

    together = batches(range(2))
    apart = [*batches(range(1)), *batches(range(1, 2))]
    for a, b in zip(together, apart, strict=True):
        assert torch.equal(a["places"], b["places"])
        assert torch.equal(a["random"], b["random"])


def test_seeds_are_spread() -> None:
    seeds = {derive_seed(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
