"""A generator goes to a Hub and comes back, as diffusers does it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.small_hub import running_hub

THERE_AND_BACK = """
import numpy as np
import torch
from facegen.generate.model.prior import fit_linear_prior
from facegen.generate.model.diffusion import ConditionalVae, FacePipeline
from tests.generate.faces import small_pack

torch.manual_seed(0)
vae = ConditionalVae(texture_codes=6, shape_codes=3, anchors=10, widths=(8, 8, 8, 8), latents=(2, 2, 2))
vae.set_prior(fit_linear_prior(small_pack(), 6, 3))
vae.push_to_hub("me/vae", token="hf_test")
FacePipeline(vae=vae.eval()).push_to_hub("me/faces", token="hf_test")
drawn = [np.asarray(FacePipeline(vae=vae)(seed=5).images[0])]
again = FacePipeline(vae=ConditionalVae.from_pretrained("me/vae"))
drawn.append(np.asarray(again(seed=5).images[0]))
drawn.append(np.asarray(FacePipeline.from_pretrained("me/faces")(seed=5).images[0]))
assert np.array_equal(drawn[0], drawn[1])
assert np.array_equal(drawn[0], drawn[2])
"""


def test_a_generator_goes_to_a_hub_and_comes_back(tmp_path: Path) -> None:
    with running_hub() as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", THERE_AND_BACK], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        kept = set(hub.files)
    assert {"me/vae/config.json", "me/vae/diffusion_pytorch_model.safetensors", "me/faces/model_index.json"} <= kept
