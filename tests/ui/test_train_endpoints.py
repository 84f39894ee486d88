"""Training through `gradio_client`, over a restart of the studio."""

import time
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from facegen.jobs import Run
from tests.factories import gradient_rgb
from tests.studio_process import StudioProcess, studio_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore")]


def _client(studio: StudioProcess, folder: Path) -> Client:
    return Client(studio.url, verbose=False, download_files=str(folder), analytics_enabled=False)


def _wait(client: Client, name: str, *states: str) -> dict:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        status = client.predict(name=name, api_name="/train_status")[0]
        if status["state"] in states and (status["state"] != "running" or "step" in status["figures"]):
            return status
        time.sleep(0.5)
    raise AssertionError(f"still {status['state']}: {status['log']}")


def test_a_restarted_studio_finds_the_training_still_running(tmp_path: Path) -> None:
    pictures, home = tmp_path / "pictures", tmp_path / "home"
    pictures.mkdir()
    for number in range(6):
        Image.fromarray(gradient_rgb(32, 32, number / 6)).save(pictures / f"{number}.png")
    asked = {"task": "autoencoder", "preset": "tiny", "data": None, "folder": str(pictures)}
    asked["settings"] = {"steps": 1_000_000, "device": "cpu", "save_every": 100_000}
    with studio_process(home) as first, studio_process(home) as second:
        client = _client(first, tmp_path)
        with pytest.raises(AppError, match="consent"):
            client.predict(**asked, consent=False, api_name="/train_start")
        begun = client.predict(**asked, consent=True, api_name="/train_start")
        assert begun["command"].startswith("facegen train autoencoder --preset tiny --data")
        name = begun["run"]
        assert not {"pid", "group"} & _wait(client, name, "running").keys()
        run = Run.open(home / "runs" / name)
        pid = run.status().pid
        first.process.kill()
        first.process.wait()

        client = _client(second, tmp_path)
        _wait(client, name, "running")
        assert run.status().pid == pid
        client.predict(name=name, verb="pause", api_name="/train_ask")
        paused = _wait(client, name, "cancelled")
        assert paused["text"].startswith("Stopped after step")
        assert "--resume" not in paused["text"]
        client.predict(name=name, verb="resume", api_name="/train_ask")
        _wait(client, name, "running")
        assert run.status().pid != pid
        client.predict(name=name, verb="stop", api_name="/train_ask")
        assert _wait(client, name, "done")["figures"]["step"] >= paused["figures"]["step"]
        _, picture, files = client.predict(name=name, api_name="/train_status")
        assert Path(picture).is_file()
        assert sorted(Path(file).name for file in files) == ["autoencoder.json", "autoencoder.safetensors"]
        with pytest.raises(AppError, match="found none"):
            client.predict(name=name, api_name="/train_use")
