"""Encoders from the Hub: loaded from a small Hub on 127.0.0.1, heard through by a motion network that is trained so."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from facegen.errors import InputError, WeightsError
from facegen.hub import Hub
from facegen.talk.encoder import SpeechEncoder, load_encoder
from facegen.talk.motion import MotionModel
from facegen.talk.motion_network import EMBEDDING_SIZE, MotionNetConfig
from facegen.talk.motion_task import MotionTask
from facegen.talk.rig import RIG_SIZE
from facegen.talk.speech import load_speech
from facegen.talk.weights import ENCODERS
from facegen.training.task import BatchSpec
from tests.small_hub import COMMIT, SmallHub, running_hub
from tests.talk.clips import speaking_clip
from tests.talk.sounds import babble, write_wave

KERNELS = (10, 3, 3, 3, 3, 2, 2)


def weights(width: int = 64, depth: int = 2, channels: int = 32, taps: int = 8) -> dict[str, Tensor]:
    """A tiny wav2vec 2.0 under the names of the Hub's files."""
    random = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> Tensor:
        return torch.randn(*size, generator=random) * 0.1

    found = {"masked_spec_embed": drawn(width), "feature_projection.layer_norm.weight": drawn(channels) + 1}
    found["feature_projection.layer_norm.bias"] = drawn(channels)
    for number, kernel in enumerate(KERNELS):
        found[f"feature_extractor.conv_layers.{number}.conv.weight"] = drawn(
            channels, channels if number else 1, kernel
        )
    named = {
        "feature_extractor.conv_layers.0.layer_norm": (channels,),
        "feature_projection.projection": (width, channels),
        "encoder.layer_norm": (width,),
    }
    for layer in range(depth):
        front = f"encoder.layers.{layer}"
        named |= {f"{front}.attention.{part}_proj": (width, width) for part in ("q", "k", "v", "out")}
        named |= {f"{front}.{norm}": (width,) for norm in ("layer_norm", "final_layer_norm")}
        named[f"{front}.feed_forward.intermediate_dense"] = (48, width)
        named[f"{front}.feed_forward.output_dense"] = (width, 48)
    for name, size in named.items():
        found[f"{name}.weight"], found[f"{name}.bias"] = drawn(*size), drawn(size[0])
    found["encoder.pos_conv_embed.conv.weight_v"] = drawn(width, width // 16, taps)
    found["encoder.pos_conv_embed.conv.weight_g"] = drawn(1, 1, taps) + 1
    found["encoder.pos_conv_embed.conv.bias"] = drawn(width)
    return found


@pytest.fixture
def small_hub(monkeypatch: pytest.MonkeyPatch, facegen_home: Path) -> Iterator[SmallHub]:
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def offer(server: SmallHub, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes) -> None:
    """Let the small Hub have the file of an encoder."""
    weight = ENCODERS[name]
    assert isinstance(weight.source, Hub)
    server.files[f"{weight.source.repo_id}/{weight.filename}"] = content
    here = dataclasses.replace(weight, source=Hub(weight.source.repo_id, COMMIT), size=len(content))
    monkeypatch.setitem(ENCODERS, name, here)


def test_both_encoders_come_from_the_hub_once(small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = weights()
    offer(small_hub, monkeypatch, "wav2vec2", save({f"wav2vec2.{name}": value for name, value in plain.items()}))
    pickled = io.BytesIO()
    torch.save(plain, pickled)
    offer(small_hub, monkeypatch, "hubert", pickled.getvalue())
    sound = torch.from_numpy(babble(1))[None]
    embeddings = [load_encoder(name)(sound) for name in ("wav2vec2", "hubert", "wav2vec2")]
    assert embeddings[0].shape == (1, 49, 64)
    assert torch.equal(embeddings[0], embeddings[1])
    assert small_hub.downloads == 2


def test_the_first_layer_is_as_published() -> None:
    """Places are convolved with normalised weights, of which an even number of taps makes one row too many."""
    given = weights()
    encoder = SpeechEncoder(given).eval()
    v, g = given["encoder.pos_conv_embed.conv.weight_v"], given["encoder.pos_conv_embed.conv.weight_g"]
    normed = torch._weight_norm(v, g, 2)
    x = torch.randn(1, 64, 20)
    expected = F.conv1d(x, normed, given["encoder.pos_conv_embed.conv.bias"], padding=4, groups=16)
    assert torch.allclose(encoder.pos_conv(x), expected, atol=1e-5)


@torch.no_grad()
def test_long_sound_is_heard_in_windows_that_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SpeechEncoder(weights()).eval()
    monkeypatch.setattr("facegen.talk.encoder._WINDOW_SECONDS", 2)
    samples = babble(7.3)
    embeddings = encoder.encode(np.array_split(samples, 9))
    again = encoder.encode([samples])
    assert embeddings.shape == (365, 64)
    assert np.array_equal(embeddings, again)


def test_other_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match="wav2vec"):
        SpeechEncoder({"conv.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="wav2vec"):
        SpeechEncoder({name: value for name, value in weights().items() if "final" not in name})


def test_a_motion_network_can_hear_through_one(
    small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(small_hub, monkeypatch, "wav2vec2", save(weights(width=EMBEDDING_SIZE, depth=1)))
    (tmp_path / "clips").mkdir()
    speaking_clip(tmp_path / "clips", frames=52)
    (tmp_path / "clips" / "silent.mp4").unlink()
    task = MotionTask(network=MotionNetConfig(encoder="wav2vec2", width=16, dilations=(1, 2)), piece_rows=40)
    data = task.build_data(tmp_path / "clips", torch.device("cpu"))
    spec = BatchSpec(indices=torch.tensor([0, 0]), generator=torch.Generator().manual_seed(0), step=0, progress=0.0)
    batch = data.batch(spec)
    assert batch["embeddings"].shape == (2, EMBEDDING_SIZE, 40)
    assert batch["embeddings"].abs().sum() > 0
    network = task.build_model()
    sum(task.losses(network, batch, progress=0, group=0).values()).backward()
    data.held_back = data.examples[:1]
    assert "lip_correlation" in task.measure(network, data)
    assert set(task.export(network, _made(tmp_path / "run" / "exports" / "final"))) == {"weights", "settings"}
    model = MotionModel.load(str(tmp_path / "run"))
    assert model.encoder is not None
    sound = write_wave(tmp_path / "said.wav", babble(1.5))
    speech = load_speech(sound, encoder=model.encoder)
    assert model.animate_mouth(speech, np.arange(37) / 25).shape == (37, RIG_SIZE)
    with pytest.raises(InputError, match="encoder"):
        model.predict(load_speech(sound))


def test_a_run_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train it first"):
        MotionModel.load(str(tmp_path))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
