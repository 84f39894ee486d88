"""The Talk tab in a real browser: from a portrait and a recording to a video with sound."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from facegen import media
from facegen.jobs import list_runs
from facegen.talk.dfrf.pipeline import TalkTrainPipeline
from facegen.talk.jobs import TALK_TRAIN
from facegen.talk.request import TalkTrainRequest
from tests.studio_process import StudioProcess
from tests.talk.clips import speaking_clip
from tests.talk.sounds import babble, write_wave

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore::ResourceWarning")]
WAIT_MS = 120_000


def test_a_portrait_talks_from_click_to_download(chromium: Browser, studio: StudioProcess, tmp_path: Path) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(studio.url)
    page.get_by_role("tab", name="Talk", exact=True).first.click()
    page.locator("#talk-examples [data-example=ada]").click()
    expect(page.locator("#talk-ready")).to_contain_text("All is there", timeout=WAIT_MS)
    # the example brings a sentence along
    expect(page.locator("#talk-audio input[type=file]")).to_have_count(0, timeout=WAIT_MS)
    page.locator("#talk-try").click()
    expect(page.locator("#talk-status [role=alert]")).to_contain_text("consent", timeout=WAIT_MS)
    page.locator("#consent input").check()
    expect(page.locator("#talk-status [data-state=done]")).to_be_visible(timeout=WAIT_MS)
    with page.expect_download() as downloading:
        page.locator("#talk-download").click()
    made = media.probe(downloading.value.path())
    assert (made.width, made.height, made.frame_count, len(made.audio)) == (512, 512, 50, 1)
    (run,) = (run for run in list_runs(studio.home / "runs") if run.kind == "talk")
    assert run.status().state == "done"
    page.close()


@pytest.mark.slow
def test_a_trained_person_talks(chromium: Browser, studio: StudioProcess, tmp_path: Path) -> None:
    asked = TalkTrainRequest(video=str(speaking_clip(tmp_path)), preset="tiny", minutes=0, changes=("steps=2",))
    TalkTrainPipeline()(asked, TALK_TRAIN.create_run(asked, path=studio.home / "runs" / "person"))
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(studio.url)
    page.get_by_role("tab", name="Talk", exact=True).first.click()
    page.locator("#talk-audio input[type=file]").set_input_files(write_wave(tmp_path / "said.wav", babble(3)))
    page.locator("#talk-engine input").click()
    page.get_by_role("option", name="Trained person: person").click()
    page.locator("#consent input").check()
    page.locator("#talk-try").click()
    expect(page.locator("#talk-status [data-state=done]")).to_be_visible(timeout=WAIT_MS)
    with page.expect_download() as downloading:
        page.locator("#talk-download").click()
    made = media.probe(downloading.value.path())
    assert (made.width, made.frame_count, len(made.audio)) == (192, 50, 1)
    page.close()
