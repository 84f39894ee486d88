"""Trained models on disk and in videos."""

import json
import os
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from facegen.cli import build_app
from facegen.errors import InputError
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest
from facegen.swap.autoencoder.export import SETTINGS, find_export, load_model, write_dfm, write_onnx
from facegen.swap.autoencoder.model import SaehdModel
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.swap.engines import make_engine
from facegen.swap.engines.protocol import Engine
from facegen.swap.merge.options import (
    MaskMode,
    MergeMode,
    MergeOptions,
    apply_clip_options,
    parse_merge_options,
    save_merge_options,
)


def test_a_run_holds_what_a_swap_needs(trained: Path) -> None:
    model, options = load_model(trained)
    assert options.resolution == 64
    assert (trained / "exports" / "final" / "model.dfm").is_file()
    assert (trained / "exports" / "step-00000002" / "model_2.dfm").is_file()
    assert not any(name.startswith("critic") for name in model.state_dict())
    assert list((trained / "previews").glob("*.jpg"))
    with pytest.raises(InputError, match="export"):
        load_model(trained / "previews")


def test_settings_of_a_larger_network_than_the_weights_are_refused_before_it_is_built(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_export(trained), folder)
    settings = json.loads((folder / SETTINGS).read_text())
    (folder / SETTINGS).write_text(json.dumps({**settings, "resolution": 640, "ae_dims": 1024, "e_dims": 256}))
    allocated: list[torch.device] = []
    build = SaehdModel.__init__

    def watched(self: SaehdModel, options: SaehdOptions) -> None:
        build(self, options)
        allocated.extend({value.device for value in self.parameters()})

    monkeypatch.setattr(SaehdModel, "__init__", watched)
    with pytest.raises(InputError, match="those of another"):
        load_model(folder)
    assert allocated == [torch.device("meta")]


@pytest.mark.parametrize(("is_half", "most"), [(False, 1e-3), (True, 1e-2)])
@pytest.mark.parametrize("architecture", ["df-udt", "liae-ud", "amp-u"])
def test_dfm_draws_the_same(architecture: str, is_half: bool, most: float, tmp_path: Path) -> None:
    options = SaehdOptions(
        resolution=64, ae_dims=32, e_dims=16, d_dims=16, d_mask_dims=16, architecture=architecture, face_type="head"
    )
    torch.manual_seed(0)
    model = SaehdModel(options).eval()
    write_dfm(model, options, tmp_path / "model.dfm", is_half=is_half)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.dfm"), providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_outputs()] == [
        "out_face_mask:0",
        "out_celeb_face:0",
        "out_celeb_face_mask:0",
    ]
    faces = np.random.default_rng(0).random((3, 64, 64, 3), np.float32)
    feeds = {"in_face:0": faces[..., ::-1].copy()}
    if architecture.startswith("amp"):
        feeds["morph_value:0"] = np.array([0.5], np.float32)
    own_mask, face, mask = session.run(None, feeds)
    with torch.no_grad():
        pictures = torch.from_numpy(faces).permute(0, 3, 1, 2)
        swapped, again = model.swap(pictures, 0.5), model.reconstruct_a(pictures)
    for found, wanted in ((face[..., ::-1], swapped.picture), (mask, swapped.mask), (own_mask, again.mask)):
        assert found.dtype == np.float32
        assert np.abs(found - wanted.permute(0, 2, 3, 1).numpy()).max() < most
    assert make_engine(f"dfm:{tmp_path / 'model.dfm'}")._predictor.face_type == "head"  # type: ignore[attr-defined]


def test_plain_onnx_draws_the_same(tmp_path: Path) -> None:
    options = SaehdOptions(resolution=64, ae_dims=32, e_dims=16, d_dims=16, d_mask_dims=16)
    torch.manual_seed(0)
    model = SaehdModel(options).eval()
    write_onnx(model, options, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    faces = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    found = session.run(["swapped", "mask", "own_mask"], {"face": faces})
    with torch.no_grad():
        swapped, again = model.swap(torch.from_numpy(faces)), model.reconstruct_a(torch.from_numpy(faces))
    for one, wanted in zip(found, (swapped.picture, swapped.mask, again.mask), strict=True):
        assert np.abs(one - wanted.numpy()).max() < 1e-3


def test_a_training_is_exported_as_asked(trained: Path, tmp_path: Path) -> None:
    words = ["train", "export", str(trained), "--output", str(tmp_path / "made"), "--json"]
    words += ["--set", "task.export_onnx=true", "--set", "task.export_dfm=false"]
    said = CliRunner().invoke(build_app(words), words)
    assert said.exit_code == 0, said.output
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert names == {"model.safetensors", "model.json", "model.onnx"}


@pytest.fixture(scope="module")
def pipeline() -> SwapPipeline:
    return SwapPipeline()


def _preview(pipeline: SwapPipeline, engine: str, clip: Path, merge: str) -> tuple[np.ndarray, np.ndarray]:
    options = SwapOptions(engine=engine, merge=merge)
    return pipeline.preview(SwapRequest(target=str(clip), output="x.mp4", options=options), frame_index=2)


@pytest.mark.parametrize(
    "setting", [f"mode={m}" for m in get_args(MergeMode)] + [f"mask={m}" for m in get_args(MaskMode) if m != "own"]
)
def test_modes_and_masks(pipeline: SwapPipeline, trained: Path, clip: Path, setting: str) -> None:
    before, after = _preview(pipeline, f"autoencoder:{trained}", clip, setting)
    assert after.shape == before.shape
    if setting == "mode=original":
        np.testing.assert_array_equal(after, before)
    else:
        assert np.abs(after.astype(int) - before).max() > 20
    if setting not in ("mode=mask", "mode=raw-rgb", "mask=full"):
        # the corner of the picture is no face
        np.testing.assert_array_equal(after[-8:, :8], before[-8:, :8])


def test_a_dfm_merges_like_its_model(pipeline: SwapPipeline, trained: Path, clip: Path) -> None:
    _, by_torch = _preview(pipeline, f"autoencoder:{trained}", clip, "")
    _, by_onnx = _preview(pipeline, f"dfm:{trained / 'exports' / 'final' / 'model.dfm'}", clip, "")
    assert np.abs(by_torch.astype(int) - by_onnx).max() <= 2


def test_a_clip_without_any_source(pipeline: SwapPipeline, trained: Path, clip: Path, tmp_path: Path) -> None:
    options = SwapOptions(engine=f"autoencoder:{trained}", merge="motion_blur=50, sharpen=20, erode=-10, face_scale=5")
    result = pipeline(SwapRequest(target=str(clip), output=str(tmp_path / "out.mp4"), options=options))
    assert (result.frames, result.faces) == (6, 6)
    assert (tmp_path / "out.mp4").is_file()
    with pytest.raises(InputError, match="source"):
        SwapRequest(target=str(clip), output="x.mp4")


def test_engines_keep_the_protocol(trained: Path) -> None:
    assert isinstance(make_engine(f"autoencoder:{trained}"), Engine)
    for name in ("autoencoder:/nowhere", "dfm:/nowhere.dfm"):
        with pytest.raises(InputError, match="nowhere"):
            make_engine(name)


def test_a_training_that_went_on_draws_with_its_new_model(
    pipeline: SwapPipeline, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / "exports" / "final", tmp_path / "run" / "exports" / "final")
    options = SwapOptions(engine=f"autoencoder:{tmp_path / 'run'}")
    first = pipeline.engine(options)
    assert pipeline.engine(options) is first
    settings = tmp_path / "run" / "exports" / "final" / "model.json"
    os.utime(settings, ns=(0, settings.stat().st_mtime_ns + 1_000_000_000))
    assert pipeline.engine(options) is not first


def test_settings_are_kept_beside_the_run(tmp_path: Path) -> None:
    save_merge_options(MergeOptions(mode="seamless", blur=40), tmp_path)
    assert parse_merge_options("erode=9", tmp_path) == MergeOptions(mode="seamless", blur=40, erode=9)
    engine = SwapOptions(engine=f"autoencoder:{tmp_path}", merge="erode=9")
    assert apply_clip_options(engine, "/a/clip.mp4") == engine
    save_merge_options(MergeOptions(mode="mesh-guided", blur=33, erode=1), tmp_path, "/b/clip.mp4")
    kept = parse_merge_options(apply_clip_options(engine, "/a/clip.mp4").merge, tmp_path)
    assert kept == MergeOptions(mode="mesh-guided", blur=33, erode=9)
    assert apply_clip_options(engine, "/a/other.mp4") == engine
    for wrong in ("mode=magic", "blur=900", "speed=3", "blur"):
        with pytest.raises(InputError):
            parse_merge_options(wrong, tmp_path)
