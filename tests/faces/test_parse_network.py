"""The parser's network, its data and what is drawn before faces."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegen.device import onnx_session
from facegen.errors import InputError
from facegen.faces.parse import (
    BACKGROUND,
    CLASSES,
    FLIPPED,
    HAIR,
    LEFT_BROW,
    LEFT_EYE,
    NOSE,
    RIGHT_BROW,
    RIGHT_EYE,
    SKIN,
    ParserNetConfig,
)
from facegen.faces.parse.data import ParserData, correct_sides, mix_backgrounds, read_labelled, split
from facegen.faces.parse.network import ParserNet, fuse_batch_norms, to_input, upsample
from facegen.faces.parse.occluders import add_occluders
from facegen.faces.parse.parser import parser_graph
from facegen.faces.parse.task import ParserTask, dice_loss, intersection_over_union
from facegen.training.task import BatchSpec

SIDE = 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures with masks: ground, hair above skin, two eyes and brows; one in ten mirrored without its sides."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    random = np.random.default_rng(0)
    for number in range(10):
        label = np.zeros((SIDE, SIDE), np.uint8)
        label[10:60, 16:48] = SKIN
        label[10:24, 16:48] = HAIR
        label[30:34, 20:28], label[30:34, 36:44] = RIGHT_EYE, LEFT_EYE
        label[26:28, 20:28], label[26:28, 36:44] = RIGHT_BROW, LEFT_BROW
        label[36:44, 30:34] = NOSE
        picture = random.integers(0, 255, (len(CLASSES), 3), dtype=np.uint8)[label]
        label = label[:, ::-1] if number == 0 else label
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.ascontiguousarray(label)).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def test_the_default_network_is_compact_and_keeps_shapes() -> None:
    network = ParserNet(ParserNetConfig()).eval()
    assert sum(value.numel() for value in network.parameters()) < 2_000_000
    with torch.inference_mode():
        logits = network(torch.zeros(2, 3, 64, 96))
    assert logits.shape == (2, 19, 32, 48)
    assert upsample(logits).shape == (2, 19, 64, 96)


def test_folding_the_norms_changes_nothing() -> None:
    torch.manual_seed(0)
    network = ParserNet(ParserNetConfig.tiny())
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    network(pictures)  # gives the norms statistics of their own
    network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(fuse_batch_norms(network)(pictures), network(pictures), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fuse_batch_norms(network).modules())


def test_pictures_and_masks_are_read_and_damaged_ones_named(folder: Path) -> None:
    (folder / "images" / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (8, 8)).save(folder / "images" / "maskless.png")
    Image.new("RGB", (8, 8)).save(folder / "images" / "strange.png")
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(folder / "masks" / "strange.png")
    data, skipped = read_labelled(folder, 32)
    assert data.pictures.shape == (10, 3, 32, 32)
    assert data.labels.shape == (10, 32, 32)
    assert skipped == ("broken.png", "maskless.png", "strange.png")
    training, held_back = split(data)
    assert (len(training), len(held_back)) == (9, 1)
    assert not set(training.names) & set(held_back.names)
    with pytest.raises(InputError, match="found none"):
        read_labelled(folder / "masks")


def test_masks_of_mirrored_pictures_get_their_sides_back(folder: Path) -> None:
    label = read_labelled(folder, SIDE)[0].labels.numpy()
    for each in label:
        left, right = (np.nonzero(np.isin(each, side))[1].mean() for side in ((LEFT_EYE,), (RIGHT_EYE,)))
        assert left > right
    mirrored = np.asarray(FLIPPED)[label[1][:, ::-1]]
    assert np.array_equal(correct_sides(mirrored), mirrored)
    profile = np.where(label[1] == RIGHT_EYE, SKIN, label[1])
    profile[profile == RIGHT_BROW] = SKIN
    assert correct_sides(profile[:, ::-1]) is not None


@pytest.mark.parametrize(("progress", "size", "label_size"), [(0.0, 32, 16), (0.9, 64, 64)])
def test_batches_follow_from_the_draw_alone(folder: Path, progress: float, size: int, label_size: int) -> None:
    data, skipped = read_labelled(folder, SIDE)
    task = ParserTask(early_size=32, final_size=64, final_share=0.3)
    made = task.build_data(folder, torch.device("cpu"))
    assert isinstance(made, ParserData)
    assert skipped == made.skipped == ()
    draw = [
        BatchSpec(indices=torch.arange(4), generator=torch.Generator().manual_seed(seed), step=0, progress=progress)
        for seed in (1, 1, 2)
    ]
    first, again, other = (made.batch(each) for each in draw)
    assert first["pictures"].shape == (4, 3, size, size)
    assert first["labels"].shape == (4, label_size, label_size)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["pictures"], other["pictures"])
    assert len(data) == 10


def test_things_held_before_faces_become_background() -> None:
    pictures, labels = torch.full((64, 3, 64, 64), 0.5), torch.full((64, 32, 32), SKIN)
    drawn, marked = add_occluders(pictures, labels, torch.Generator().manual_seed(0))
    covered = marked == BACKGROUND
    assert 0.3 < float(covered.flatten(1).any(1).float().mean()) < 0.7
    untouched = ~covered.flatten(1).any(1)
    changed = (drawn - pictures).abs().amax(1) > 0.02
    inside = torch.nn.functional.interpolate(covered[:, None].float(), size=64)[:, 0] > 0
    assert float(changed[inside].float().mean()) > 0.85
    assert float(changed[~inside].float().mean()) < 0.05
    assert bool((marked[untouched] == SKIN).all())
    assert bool((pictures == 0.5).all())


def test_grounds_are_exchanged_and_people_stay() -> None:
    random = torch.Generator().manual_seed(0)
    pictures = torch.arange(16.0).view(16, 1, 1, 1).expand(16, 3, 32, 32) / 16
    labels = torch.zeros(16, 16, 16, dtype=torch.long)
    labels[:, 6:12, 6:12] = SKIN
    mixed = mix_backgrounds(pictures, labels, random, share=0.5)
    assert torch.equal(mixed[:, :, 14:22, 14:22], pictures[:, :, 14:22, 14:22])
    has_changed = (mixed[:, 0, 0, 0] != pictures[:, 0, 0, 0]).float().mean()
    assert 0.2 < float(has_changed) < 0.8
    changed = mixed[:, 0, 0, 0] != pictures[:, 0, 0, 0]
    torch.testing.assert_close(mixed[changed, 0, 0, 0], pictures.roll(1, 0)[changed, 0, 0, 0])


def test_dice_and_overlap_of_a_perfect_answer(folder: Path) -> None:
    labels = torch.randint(0, 19, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    perfect = torch.nn.functional.one_hot(labels, 19).permute(0, 3, 1, 2).float()
    assert float(dice_loss(perfect, labels)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(torch.full_like(perfect, 1 / 19), labels)) > 0.8

    class Constant(torch.nn.Module):
        """Says skin everywhere."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(pictures), 19, pictures.shape[2] // 2, pictures.shape[3] // 2)
            logits[:, SKIN] = 1
            return logits

    data = read_labelled(folder, SIDE)[0]
    found = intersection_over_union(Constant(), data)
    assert found["skin"] == pytest.approx(float((data.labels == SKIN).float().mean()))
    assert found["hair"] == 0
    assert "necklace" not in found


@pytest.mark.parametrize("config", [ParserNetConfig(), ParserNetConfig.tiny()], ids=["default", "tiny"])
def test_the_graph_gives_what_the_network_gives(config: ParserNetConfig) -> None:
    torch.manual_seed(5)
    network = ParserNet(config).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    session = onnx_session(parser_graph(weights, config), 1)
    crops = np.random.default_rng(5).integers(0, 256, (2, 64, 96, 3), np.uint8)
    with torch.inference_mode():
        wanted = network(to_input(torch.from_numpy(crops).permute(0, 3, 1, 2) / 255)).softmax(1).numpy()
    np.testing.assert_allclose(session.run(None, {"crops": crops})[0], wanted, atol=1e-5)


def test_a_graph_is_not_made_of_other_weights() -> None:
    config = ParserNetConfig.tiny()
    weights = {name: value.numpy() for name, value in ParserNet(config).state_dict().items()}
    with pytest.raises(ValueError, match="no layer takes: more"):
        parser_graph({**weights, "more": np.zeros(1)}, config)
    with pytest.raises(ValueError, match=r"no weight 'stem.0.weight' of shape \(24"):
        parser_graph(weights, ParserNetConfig())
