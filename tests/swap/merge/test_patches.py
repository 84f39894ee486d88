"""The new faces by themselves, what a mask of one's own and the restorer do to a merge."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from facegen import media
from facegen.config import to_dict
from facegen.errors import Cancelled, InputError
from facegen.faces.parse import ParserNetConfig
from facegen.faces.parse.network import ParserNet
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest


@pytest.fixture(scope="module")
def pipeline() -> SwapPipeline:
    return SwapPipeline()


def _request(trained: Path, clip: Path, output: Path, merge: str = "", engine: str = "autoencoder") -> SwapRequest:
    options = SwapOptions(engine=f"{engine}:{trained}", merge=merge, temporal_smoothing=0)
    return SwapRequest(target=str(clip), output=str(output), options=options)


def test_patches_laid_by_their_matrices_make_the_swap(
    pipeline: SwapPipeline, trained: Path, clip: Path, tmp_path: Path
) -> None:
    request = replace(_request(trained, clip, tmp_path / "patches", "mask=hull"), patches=True)
    made = pipeline(request)
    assert (made.frames, made.faces) == (6, 6)
    lines = [json.loads(line) for line in (tmp_path / "patches" / "patches.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(6))
    assert {path.name for path in (tmp_path / "patches").iterdir()} == {"patches.jsonl"} | {
        line["file_name"] for line in lines
    }
    line = lines[2]
    file = tmp_path / "patches" / line["file_name"]
    deep = cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    assert deep.dtype == np.uint16
    assert len(np.unique(deep[..., :3])) > 1000
    with Image.open(file) as image:
        assert "facegen" in image.text["comment"]  # type: ignore[attr-defined]
    before, after = pipeline.preview(request, frame_index=2)
    assert before.shape[:2] == (line["frame_height"], line["frame_width"])
    laid = cv2.warpAffine(
        deep.astype(np.float32), np.array(line["matrix"], np.float32), (line["frame_width"], line["frame_height"])
    )
    alpha = laid[..., 3:] / 65535
    whole = before * (1 - alpha) + laid[..., :3] / 257 * alpha
    # the analysis of the whole clip smooths the points, a preview of one frame does not know it
    assert np.abs(whole - after).mean() < 1.5
    assert np.abs(whole - before).max() > 20


@pytest.mark.parametrize(
    ("change", "words"),
    [({"engine": "mesh"}, "trained model"), ({"merge": "mode=mask"}, "mode than mask"), ({"output": "."}, "empty")],
)
def test_what_no_patches_are_made_of(
    pipeline: SwapPipeline, trained: Path, clip: Path, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    (tmp_path / "there.txt").touch()
    options = SwapOptions(
        engine=change.get("engine", f"autoencoder:{trained}"), merge=change.get("merge", ""), when_no_face="keep"
    )
    output = str(tmp_path / change.get("output", "patches"))
    with pytest.raises(InputError, match=words):
        pipeline(SwapRequest(sources=("a.jpg",), target=str(clip), output=output, options=options, patches=True))
    assert [path.name for path in tmp_path.iterdir()] == ["there.txt"]


def test_nothing_is_left_of_patches_that_were_cut_off(
    pipeline: SwapPipeline, trained: Path, clip: Path, tmp_path: Path
) -> None:
    def stop(share: float, text: str) -> None:
        if "frame 3" in text and "patches" in text:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        pipeline(replace(_request(trained, clip, tmp_path / "made" / "patches"), patches=True), on_progress=stop)
    assert not list((tmp_path / "made").iterdir())


def test_a_mask_of_ones_own(pipeline: SwapPipeline, trained: Path, clip: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    config = ParserNetConfig()
    torch.manual_seed(0)
    network = ParserNet(config)
    save_file(network.state_dict(), tmp_path / "mask.safetensors", {"network": json.dumps(to_dict(config))})
    with pytest.raises(InputError, match="own_mask=RUN"):
        pipeline.preview(_request(trained, clip, tmp_path, "mask=own"), frame_index=2)
    with pytest.raises(InputError, match="trained mask"):
        pipeline.preview(_request(trained, clip, tmp_path, "mask=own, own_mask=/nowhere"), frame_index=2)
    chosen = f"mask=own, own_mask={tmp_path}, erode=-400, mode=mask"
    _, after = pipeline.preview(_request(trained, clip, tmp_path, chosen), frame_index=2)
    _, other = pipeline.preview(_request(trained, clip, tmp_path, "mask=hull, erode=-400, mode=mask"), frame_index=2)
    assert np.abs(after.astype(int) - other).max() > 50


def test_the_restorer_changes_the_new_face_alone(pipeline: SwapPipeline, trained: Path, clip: Path) -> None:
    before, plain = pipeline.preview(_request(trained, clip, trained, "mask=hull"), frame_index=2)
    _, half = pipeline.preview(_request(trained, clip, trained, "mask=hull, restore=50"), frame_index=2)
    _, full = pipeline.preview(_request(trained, clip, trained, "mask=hull, restore=100"), frame_index=2)
    np.testing.assert_array_equal(full[:8], before[:8])
    by_half, by_full = (np.abs(made.astype(int) - plain).mean() for made in (half, full))
    assert 0 < by_half < by_full


def test_deep_pictures_keep_all_their_bits(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 65536, (9, 7, 4), np.uint16)
    media.write_deep_picture(tmp_path / "a.png", image, metadata={"comment": "wörds"})
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    np.testing.assert_array_equal(read, image)
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.text["comment"] == "wörds"  # type: ignore[attr-defined]
