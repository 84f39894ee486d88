"""Trained models go to a small Hub with a filled-in card, and come back the same."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import facegen
from facegen import hub
from facegen.catalog import find_task
from facegen.cli import build_app
from facegen.config import from_dict, save
from facegen.errors import InputError, WeightsError
from facegen.generate.model.prior import fit_linear_prior
from facegen.training.request import make_request
from tests.generate.faces import small_pack
from tests.small_hub import SmallHub, running_hub

TASKS = ("generator", "saehd", "motion", "dfrf")
QUICK = {
    "generator": ("task.network.texture_codes=6", "task.network.anchors=10", "task.network.widths=[8,8,8,8]"),
    "saehd": ("task.export_dfm=false",),
}
SENTENCE = "An hour of video of one person, who agreed to it."


def write_run(name: str, folder: Path) -> Path:
    """A run as a training leaves it, with random weights."""
    info = find_task(name)
    request = make_request(info, preset="tiny", data="/home/somebody/secret", changes=QUICK.get(name, ()))
    torch.manual_seed(0)
    task = from_dict(info.load(), request.task_settings)
    export = folder / "exports" / "final"
    export.mkdir(parents=True)
    model = task.build_model()
    if name == "generator":  # as its task exports it, without the minute of a busy machine for its batch norms
        sizes = model.vae.config
        model.vae.set_prior(fit_linear_prior(small_pack(24), sizes.texture_codes, sizes.shape_codes))
        model.vae.half().save_pretrained(export)
    else:
        task.export(model, export)
    save(folder / "train.json", request)
    line = {"step": 20, "losses": {"total": 0.125}, "measures": {"psnr_db": 31.5}}
    (folder / "losses.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def state_of(model: Any) -> dict[str, torch.Tensor]:
    network = model[0] if isinstance(model, tuple) else getattr(model, "vae", model)
    return {key: value.float() for key, value in network.state_dict().items()}


@pytest.fixture
def small_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "no-cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def publish(run: Path, *more: str) -> Any:
    words = ["weights", "publish", str(run), "--repo", "me/model", "--licence", "MIT", "--data", SENTENCE, *more]
    result = CliRunner().invoke(build_app(("weights",)), words)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("name", TASKS)
def test_a_training_goes_to_the_hub_and_comes_back(
    name: str, small_hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(name, tmp_path / "run")
    publish(run)
    card = small_hub.files["me/model/README.md"].decode()
    for words in (SENTENCE, "license: mit", "| psnr_db | 31.5 |", "me/model", "## Limits", f"task «{name}»"):
        assert words in card
    assert all(b"secret" not in content for content in small_hub.files.values())
    there = state_of(facegen.from_pretrained("me/model"))
    publish(run, "--folder", str(tmp_path / "copy"))
    here = state_of(facegen.from_pretrained(str(tmp_path / "copy")))
    assert there
    assert all(torch.equal(value, here[key]) for key, value in there.items())
    (usage,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(usage.strip().splitlines()) <= 7
    if name != "generator":  # its usage asks the Hub by diffusers, which reads HF_ENDPOINT at its import
        (tmp_path / "usage.py").write_text(usage)
        runpy.run_path(str(tmp_path / "usage.py"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert state_of(facegen.from_pretrained("me/model")).keys() == there.keys()


def test_other_bytes_than_were_published_are_refused(small_hub: SmallHub, tmp_path: Path) -> None:
    publish(write_run("motion", tmp_path / "run"))
    small_hub.files["me/model/motion.safetensors"] = small_hub.files["me/model/motion.safetensors"][::-1]
    with pytest.raises(WeightsError, match="nothing was kept"):
        facegen.from_pretrained("me/model")


def test_a_repository_cannot_write_elsewhere(small_hub: SmallHub) -> None:
    index = {"task": "motion", "files": [{"name": "../../outside", "sha256": "0" * 64, "size": 1}]}
    small_hub.files["me/model/facegen.json"] = json.dumps(index).encode()
    with pytest.raises(InputError, match="names of files"):
        facegen.from_pretrained("me/model")
    small_hub.files["me/model/facegen.json"] = b'{"task": "motion", "files": [], "settings": {}}'
    hub.weights_home().joinpath("lock.json").unlink()
    with pytest.raises(InputError, match="one file of weights"):
        facegen.from_pretrained("me/model")


def test_what_cannot_be_published_is_one_sentence(
    small_hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run("motion", tmp_path / "run")
    with pytest.raises(InputError, match="say it with --data"):
        publish(run, "--data", " ")
    with pytest.raises(InputError, match="OWNER/NAME"):
        publish(run, "--repo", "a/b/c")
    small_hub.token = "hf_test"
    publish(run)
    monkeypatch.delenv("HF_TOKEN")
    # refused, the library names the repository by the address that it read at its import
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", small_hub.endpoint)
    with pytest.raises(WeightsError, match="status 401; log in with: hf auth login"):
        publish(run)
    save(run / "train.json", make_request(find_task("parser"), preset="tiny"))
    with pytest.raises(InputError, match="serves facegen alone"):
        publish(run)
