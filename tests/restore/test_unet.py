"""The UNet against diffusers' own."""

import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel

from facegen.restore.unet import UNet


def pair(
    attention: tuple[int, ...] = (), widths: tuple[int, ...] = (32, 32, 64), layers: int = 1
) -> tuple[UNet, UNet2DModel]:
    """Both networks, each built from the same seed."""
    down, up = (
        tuple(f"Attn{kind}" if scale in attention else kind for scale in scales)
        for kind, scales in (("DownBlock2D", range(len(widths))), ("UpBlock2D", reversed(range(len(widths)))))
    )
    torch.manual_seed(0)
    reference = UNet2DModel(
        in_channels=8,
        out_channels=6,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=down,
        up_block_types=up,
        norm_num_groups=8,
        attention_head_dim=32,
        add_attention=bool(attention),
    )
    torch.manual_seed(0)
    return UNet(8, 6, widths, layers, attention), reference


@pytest.mark.parametrize(
    "options", [{}, {"layers": 2}, {"attention": (1,)}, {"attention": (0, 1), "layers": 2}], ids=str
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_it_computes_what_diffusers_computes(options: dict[str, tuple[int, ...]], layout: torch.memory_format) -> None:
    network, reference = pair(**options)
    assert list(network.state_dict()) == list(reference.state_dict())
    for (name, own), other in zip(network.named_parameters(), reference.parameters(), strict=True):
        assert torch.equal(own, other), name
    network, reference = (n.eval().to(memory_format=layout) for n in (network, reference))
    pictures, times = torch.rand(3, 8, 32, 16).contiguous(memory_format=layout), torch.tensor([0.0, 250.5, 999.0])
    for time in (times, 0):
        with torch.no_grad():
            assert torch.equal(network(pictures, time), reference(pictures, time).sample)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(pictures, time), reference(pictures, time).sample)
