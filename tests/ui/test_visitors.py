"""The studio as programs see it: two visitors at once, through `gradio_client`, in one shared studio."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from facegen import media
from facegen.ui.examples import Examples
from tests.studio_process import StudioProcess

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    return Examples(tmp_path_factory.mktemp("examples")).files("ada_to_bea")


def _visitor(studio: StudioProcess, folder: Path) -> Client:
    return Client(studio.url, verbose=False, download_files=str(folder), analytics_enabled=False)


def _ask(files: tuple[list[str], str], **more: object) -> dict[str, object]:
    sources, target = files
    return {"sources": [handle_file(path) for path in sources], "target": handle_file(target), "people": None, **more}


def test_two_visitors_swap_at_once_and_never_see_each_other(
    shared_studio: StudioProcess, files: tuple[list[str], str], tmp_path: Path
) -> None:
    first, second = (_visitor(shared_studio, tmp_path / name) for name in ("first", "second"))
    ends = {"first": 0.2, "second": 0.4}

    def swap(client: Client, end: float) -> tuple[dict, str]:
        options = {"end_seconds": end, "preset": "ultrafast"}
        return client.predict(**_ask(files, options=options, consent=True), api_name="/swap")

    with ThreadPoolExecutor() as pool:
        done = list(pool.map(swap, (first, second), ends.values()))
    for (status, path), seconds in zip(done, ends.values(), strict=True):
        assert status["state"] == "done"
        assert media.probe(path).frame_count == round(seconds * 25)
    names = [status["run"] for status, _ in done]
    for client, own, foreign in ((first, *names), (second, *reversed(names))):
        assert [run["run"] for run in client.predict(api_name="/runs")] == [own]
        for endpoint in ("/run_status", "/run_result", "/run_cancel", "/run_resume"):
            with pytest.raises(AppError, match="one of your runs"):
                client.predict(name=foreign, api_name=endpoint)
    assert first.predict(name=names[0], api_name="/run_status")["size_bytes"] > 0
    with pytest.raises(AppError, match="confirm=True"):
        first.predict(name=names[0], confirm=False, api_name="/run_delete")
    assert first.predict(name=names[0], confirm=True, api_name="/run_delete") == []
    assert not (shared_studio.home / "runs" / names[0]).exists()


def test_a_preview_and_the_people_of_a_clip(
    shared_studio: StudioProcess, files: tuple[list[str], str], tmp_path: Path
) -> None:
    client = _visitor(shared_studio, tmp_path)
    before, after = client.predict(**_ask(files, options={}, frame=12, consent=True), api_name="/swap_preview")
    shown, made = media.read_picture(before), media.read_picture(after)
    assert shown.shape == made.shape == (512, 512, 3)
    assert (shown != made).any()
    # below the chin, in the example that fills its frame
    assert (shown[-20:] == made[-20:]).all()
    pictures, people = client.predict(target=handle_file(files[1]), consent=True, api_name="/find_people")
    assert [person["share"] for person in people] == [1.0]
    assert len(pictures) == 1


@pytest.mark.parametrize("endpoint", ["/swap", "/swap_start"])
def test_nothing_is_made_without_consent(
    endpoint: str, shared_studio: StudioProcess, files: tuple[list[str], str], tmp_path: Path
) -> None:
    client = _visitor(shared_studio, tmp_path)
    with pytest.raises(AppError, match="consent"):
        client.predict(**_ask(files, options={}, consent=False), api_name=endpoint)
    assert client.predict(api_name="/runs") == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"colour": 7}, "between 0.0 and 1.0"),
        ({"nonsense": 1}, "nonsense"),
        ({"engine": "other"}, "engine"),
        ({"engine": "autoencoder:/home/anna/runs/anna"}, "name of a run"),
        ({"engine": "dfm:/home/anna/anna.dfm"}, "name of a run"),
        ({"merge": "mask=own, own_mask=/home/anna/runs/mask"}, "name of a run"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: dict, sentence: str, shared_studio: StudioProcess, files: tuple[list[str], str], tmp_path: Path
) -> None:
    with pytest.raises(AppError, match=sentence):
        _visitor(shared_studio, tmp_path).predict(**_ask(files, options=options, consent=True), api_name="/swap_start")


def test_files_of_the_machine_cannot_be_read(shared_studio: StudioProcess, tmp_path: Path) -> None:
    client = _visitor(shared_studio, tmp_path)
    foreign = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}, "orig_name": "clip.mp4"}
    with pytest.raises(AppError):
        client.predict(target=foreign, consent=True, api_name="/find_people")
