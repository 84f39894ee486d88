"""Frames a second of the Live tab with a camera of 640x480: its own steps alone, and as they arrive in a browser."""

import io
import os
import statistics
import tempfile
import time
from itertools import cycle
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from benchmarks.report import repeated, report
from facegen.ui.examples import FILES
from facegen.ui.handlers import Shell
from facegen.ui.missing import HubOptions
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs import live
from tests.browser.camera import camera_flags, camera_frames
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.studio_process import studio_process

MEASURES = ("facegen/faces", "facegen/media", "facegen/provenance", "facegen/swap", "facegen/ui/tabs/live.py")
_ASKED = 10.0
_REPEATS = 5
_FRAMES = 100
_FIRST = 20
"""Frames before the clock starts: the first look at a face takes longer."""
_LOADING_SECONDS = 0.1
_BROWSER_SECONDS = 20.0
_COUNT = """() => {
  const result = document.querySelector('#live-result');
  let last = '';
  window.fgFrames = [];
  new MutationObserver(() => {
    const shown = result.querySelector('img')?.src ?? last;
    if (shown !== last) window.fgFrames.push(performance.now());
    last = shown;
  }).observe(result, {subtree: true, attributes: true, attributeFilter: ['src'], childList: true});
}"""
"""A frame is one more picture that is shown, however many changes of the page that takes."""


def main(arguments: list[str]) -> None:
    """Measure five times, in turn; with --quick once."""
    repeats = 1 if "--quick" in arguments else _REPEATS
    rows = []
    for _ in range(repeats):
        rows.append({"what": "the tab's steps alone", **_measure_steps()})
        if CHROMIUM:
            rows.append({"what": "in a browser", **_measure_browser()})
    kinds = dict.fromkeys(str(row["what"]) for row in rows)
    report(
        "live_speed",
        rows,
        figures={
            f"{what}, {name}": repeated([float(str(row[name])) for row in rows if row["what"] == what])
            for what in kinds
            for name in ("frames/s", "ms a frame")
        }
        | {"asked (frames/s)": _ASKED},
        notes=(
            "A film of 640x480 pixels, the embedded engine, every frame marked.",
            "Alone: what the tab does with JPEG as a browser sends it, one frame after another, in one process.",
            f"In a browser: pictures that change on the page in {_BROWSER_SECONDS:g} s, Chromium and studio on this machine; "
            "the page sends 12.5 frames/s at most. ms a frame: as the page says.",
            f"Medians of {repeats} rounds.",
        ),
        measures=MEASURES,
    )


def _measure_steps() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        services, visitor, source = Services(), Visitor(), str(FILES / "ada.jpg")
        with gr.Blocks() as page:
            live.build(services, Shell(visitor=gr.State(visitor), consent=gr.Checkbox(), hub_options=HubOptions()))
        (handle,) = (each for each in page.fns.values() if each.fn and each.fn.__name__ == "swap_frame")
        result = next(block for block in page.blocks.values() if getattr(block, "elem_id", "") == "live-result")
        sent, seen, durations = [_jpeg(frame) for frame in camera_frames()], live.Seen(), []
        for frame in cycle(sent):
            began = time.perf_counter()
            _, made, seen = handle.fn(visitor, True, source, frame, seen)
            if not seen.count:
                time.sleep(_LOADING_SECONDS)
                continue
            result.postprocess(made)
            durations.append(time.perf_counter() - began)
            if len(durations) == _FIRST + _FRAMES:
                break
        services.close()
    measured = durations[_FIRST:]
    return {
        "frames/s": round(len(measured) / sum(measured), 1),
        "ms a frame": round(1000 * statistics.median(measured), 1),
    }


def _measure_browser() -> dict[str, float]:
    from playwright.sync_api import expect, sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        flags = camera_flags(Path(folder))
        with studio_process(Path(folder) / "home") as studio:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
            page = browser.new_page(viewport={"width": 1440, "height": 900}, permissions=["camera"])
            page.goto(studio.url)
            page.locator("#consent input").check(timeout=120_000)
            page.get_by_role("tab", name="Live", exact=True).first.click()
            page.locator("#live-camera button:visible").first.click()
            page.locator("#live-camera button.capture-button").click()
            words = page.locator("#live-status")
            expect(words).to_contain_text("frames/s", timeout=120_000)
            page.evaluate(_COUNT)
            page.wait_for_timeout(1000 * _BROWSER_SECONDS)
            times: list[float] = page.evaluate("window.fgFrames")
            said = words.inner_text()
            browser.close()
    return {
        "frames/s": round(1000 * (len(times) - 1) / (times[-1] - times[0]), 1),
        "ms a frame": float(said.split("takes ")[1].split(" ms")[0]),
    }


def _jpeg(frame_rgb: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(frame_rgb).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()
