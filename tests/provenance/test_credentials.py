"""Signing, and what is left of a signature when somebody touches the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import c2pa
import numpy as np
import pytest
from PIL import Image

from facegen.errors import InputError
from facegen.media import read_picture, write_picture
from facegen.provenance import Claims, get_installation_key, read_credentials, sign, write_signed
from facegen.provenance.credentials import EMBEDDING, JOBS, MARK_ALGORITHM, side_car_path

VIDEOS = (".mp4", ".mov", ".m4v")
PICTURES = tuple(suffix for suffix, kind in EMBEDDING.items() if kind.startswith("image/"))
SWAP = Claims(job="swap", engine="mesh")


def packets(path: Path) -> list[tuple[int, int | None, int | None, bool, bytes]]:
    with av.open(str(path)) as container:
        return [(p.stream_index, p.pts, p.dts, p.is_keyframe, bytes(p)) for p in container.demux() if p.size]


def flip(path: Path, position: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * position)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", VIDEOS)
def test_a_signed_video_keeps_its_packets(clip: Callable[[str], Path], suffix: str) -> None:
    path = clip(f"clip{suffix}")
    before = packets(path)
    assert sign(path, SWAP) == path
    assert packets(path) == before
    found = read_credentials(path)
    assert found is not None
    assert (found.is_intact, found.problem, found.signer) == (True, "", "this installation")


@pytest.mark.parametrize("suffix", PICTURES)
def test_a_signed_picture_keeps_its_pixels(tmp_path: Path, frames: list[np.ndarray], suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write_picture(path, frames[0])
    before = read_picture(path)
    sign(path, Claims(job="generate", engine="nvae"))
    assert np.array_equal(read_picture(path), before)
    found = read_credentials(path)
    assert found is not None
    assert (found.is_intact, found.signer) == (True, "this installation")
    assert (found.job, found.engine, found.source_type) == ("generate", "nvae", "trainedAlgorithmicMedia")


@pytest.mark.parametrize("job", JOBS)
def test_the_claim_says_what_was_done(tmp_path: Path, frames: list[np.ndarray], job: str) -> None:
    path = tmp_path / "picture.png"
    write_picture(path, frames[0])
    sign(path, Claims(job=job, engine="x"))
    found = read_credentials(path)
    assert found is not None
    assert (found.job, found.source_type) == (job, JOBS[job])
    assert found.made_with.startswith("facegen ")
    assert found.signed_at.endswith("Z")


def test_an_unknown_job_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected a job of"):
        Claims(job="cook", engine="x")


def test_what_takes_no_manifest_gets_a_side_car(clip: Callable[[str], Path]) -> None:
    path = clip("clip.mkv")
    before = path.read_bytes()
    assert sign(path, SWAP) == side_car_path(path)
    assert path.read_bytes() == before
    found = read_credentials(path)
    assert found is not None
    assert (found.is_intact, found.is_side_car, found.signer) == (True, True, "this installation")
    flip(path, 0.5)
    assert read_credentials(path) != found


@pytest.mark.parametrize("position", [0.3, 0.6, 0.9])
def test_a_changed_video_is_noticed(clip: Callable[[str], Path], position: float) -> None:
    path = clip("clip.mp4")
    sign(path, SWAP)
    flip(path, position)
    found = read_credentials(path)
    assert found is not None
    assert not found.is_intact
    assert "changed after it was signed" in found.problem


def test_a_changed_claim_is_noticed(clip: Callable[[str], Path]) -> None:
    path = clip("clip.mp4")
    sign(path, SWAP)
    path.write_bytes(path.read_bytes().replace(b"mesh", b"mash"))
    found = read_credentials(path)
    assert found is not None
    assert (found.engine, found.is_intact) == ("mash", False)


def test_an_unsigned_file_has_none(clip: Callable[[str], Path]) -> None:
    assert read_credentials(clip("clip.mp4")) is None


def test_another_installation_is_told_apart(clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip("clip.mp4")
    sign(path, SWAP)
    monkeypatch.setenv("FACEGEN_HOME", str(path.parent / "elsewhere"))
    first = read_credentials(path)
    sign(path.parent / clip("other.mp4"), SWAP)
    second = read_credentials(path)
    assert first == second
    assert first is not None
    assert (first.is_intact, first.signer) == (True, "another facegen")


def test_the_parent_is_named_by_its_hash_and_not_by_its_name(clip: Callable[[str], Path], tmp_path: Path) -> None:
    parent, source, path = clip("holiday-of-anna.mp4"), tmp_path / "portrait-of-bert.jpg", clip("result.mp4")
    write_picture(source, np.zeros((64, 64, 3), np.uint8))
    sign(parent, SWAP)
    sign(path, Claims(job="swap", engine="mesh", parent=parent, sources=(source,)))
    content = path.read_bytes()
    assert b"holiday-of-anna" not in content.replace(b"holiday-of-anna.mp4", b"", 1)
    assert b"portrait-of-bert" not in content
    assert b"c2pa.opened" in content
    assert b"c2pa.edited" in content
    found = read_credentials(path)
    assert found is not None
    assert (found.is_intact, found.signer) == (True, "this installation")


def manifests_of(path: Path) -> tuple[dict[str, Any], int]:
    """The active manifest as any other reader sees it, and how many there are."""
    with c2pa.Reader(str(path)) as reader:
        store = json.loads(reader.json())
    return store["manifests"][store["active_manifest"]], len(store["manifests"])


def test_the_manifest_names_the_mark_that_the_picture_carries(tmp_path: Path, frames: list[np.ndarray]) -> None:
    path = tmp_path / "picture.png"
    write_picture(path, frames[0])
    sign(path, SWAP)
    manifest, _ = manifests_of(path)
    data = {assertion["label"]: assertion["data"] for assertion in manifest["assertions"]}
    assert data["c2pa.soft-binding"]["alg"] == MARK_ALGORITHM
    assert data["c2pa.soft-binding"]["blocks"][0]["value"] == f"{get_installation_key().installation_id:06x}"
    assert "c2pa.watermarked.bound" in [action["action"] for action in data["c2pa.actions.v2"]["actions"]]


def test_credentials_of_target_and_sources_are_kept(tmp_path: Path, frames: list[np.ndarray]) -> None:
    target, source, plain, made = (tmp_path / f"{name}.png" for name in ("target", "source", "plain", "made"))
    for path in (target, source, plain, made):
        write_picture(path, frames[0])
    for path in (target, source):
        sign(path, Claims(job="generate", engine="nvae"))
    sign(made, Claims(job="swap", engine="mesh", parent=target, sources=(source, plain)))
    manifest, count = manifests_of(made)
    assert [(one["title"], one["relationship"]) for one in manifest["ingredients"]] == [
        ("target", "parentOf"),
        ("source", "componentOf"),
    ]
    assert count == 3
    credentials = read_credentials(made)
    assert credentials is not None
    assert credentials.is_intact


def test_signing_twice_leaves_one_valid_signature(clip: Callable[[str], Path]) -> None:
    path = clip("clip.mp4")
    sign(path, SWAP)
    sign(path, Claims(job="restore", engine="restorer"))
    found = read_credentials(path)
    assert found is not None
    assert (found.is_intact, found.job) == (True, "restore")


def test_signing_keeps_the_permissions_and_leaves_nothing_beside(clip: Callable[[str], Path]) -> None:
    path = clip("clip.mp4")
    path.chmod(0o640)
    beside = {other.name for other in path.parent.iterdir()}
    sign(path, SWAP)
    assert path.stat().st_mode & 0o777 == 0o640
    assert {other.name for other in path.parent.iterdir()} == beside | {"facegen-home"}


def test_what_cannot_be_signed_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video at all")
    with pytest.raises(InputError, match="Expected a whole picture or video"):
        sign(path, SWAP)
    assert path.read_text() == "no video at all"
    assert {other.name for other in tmp_path.iterdir()} == {"facegen-home", "text.mp4"}


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.webp", "a.tiff", "a.gif", "a.heic", "a.avif", "a.bmp", "clip.mkv", "text.md"]
)
def test_a_parent_is_taken_for_what_it_is_and_never_in_the_way(
    name: str, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    path, parent = clip("result.mp4"), tmp_path / "named-otherwise.png"
    if name == "text.md":
        parent.write_text("no picture")
    elif name == "clip.mkv":
        clip(name).replace(parent)
    else:
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / name)
        (tmp_path / name).replace(parent)
    sign(path, Claims(job="swap", engine="mesh", parent=parent))
    found = read_credentials(path)
    assert found is not None
    assert (found.is_intact, found.signer) == (True, "this installation")
    assert (b"c2pa.edited" in path.read_bytes()) == (name not in ("a.bmp", "clip.mkv", "text.md"))


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_an_output_appears_signed_or_not_at_all(suffix: str, tmp_path: Path) -> None:
    output = tmp_path / f"result{suffix}"

    def write(path: Path) -> list[str]:
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
        return ["a notice"]

    def break_off(path: Path) -> None:
        path.write_text("half")
        raise InputError("Expected an end.")

    with pytest.raises(InputError):
        write_signed(output, SWAP, break_off)
    assert {other.name for other in tmp_path.iterdir()} <= {"facegen-home"}
    if suffix == ".png":  # c2pa reads what it signs into
        with pytest.raises(InputError):
            write_signed(output, SWAP, lambda path: path.write_text("no picture") and None)
        assert {other.name for other in tmp_path.iterdir()} <= {"facegen-home"}
    notices = write_signed(output, SWAP, write)
    assert notices[0] == "a notice"
    assert len(notices) == (1 if suffix == ".png" else 2)
    found = read_credentials(output)
    assert found is not None
    assert (found.is_intact, found.is_side_car) == (True, suffix == ".gif")
