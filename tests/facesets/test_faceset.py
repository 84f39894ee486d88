"""The folder format: orders, trash, masks, sizes, shards, metadata kept aside."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.people import bcubed_by_face, f1, named_faces, person_of
from facegen.errors import InputError
from facegen.facesets import Faceset, cluster, info, mask, metadata, trash
from facegen.facesets.clean import propose
from facegen.facesets.options import PERSON_DISTANCE_LIMIT, SORT_KEYS, CleanOptions
from facegen.facesets.pack import PackedFaceset, pack, unpack
from facegen.facesets.record import FaceRecord
from facegen.facesets.resize import resize
from facegen.facesets.sort import KEYS, sort
from facegen.media import write_picture


def names(faceset: Faceset) -> list[str]:
    return [record.file_name for record in faceset.records]


def test_metadata_is_plain_json_with_a_file_name_a_line(faceset: Faceset) -> None:
    lines = [json.loads(line) for line in (faceset.folder / "metadata.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    assert all((faceset.folder / line["file_name"]).is_file() for line in lines)
    assert {len(line["points478"]) for line in lines} == {478}
    assert {tuple(line) for line in lines} == {tuple(lines[0])}


def test_every_key_of_the_command_line_sorts() -> None:
    assert tuple(KEYS) == SORT_KEYS


@pytest.mark.parametrize("key", SORT_KEYS)
def test_sorts(faceset: Faceset, key: str) -> None:
    order = sort(faceset, key, count=5)
    everything = [*order.records, *order.dropped]
    assert sorted(r.stem for r in everything) == sorted(r.stem for r in faceset.records)
    assert len(order.records) == (5 if key == "final" else 12)
    if key in ("blur", "size", "brightness", "hist-dissim"):
        assert list(order.values) == sorted(order.values, reverse=True)


def test_order_stands_in_the_names_and_can_be_taken_back(faceset: Faceset) -> None:
    before = [record.stem for record in faceset.records]
    sorted_set = faceset.rename_in_order(sort(faceset, "brightness").records)
    again = Faceset.open(faceset.folder)
    assert names(again) == names(sorted_set)
    assert [name[:6] for name in names(again)] == [f"{place:05d}_" for place in range(12)]
    assert all(again.path(record).is_file() for record in again.records)
    assert [record.stem for record in sort(again, "name").records] == before


def test_a_renaming_that_was_cut_off_is_finished(faceset: Faceset) -> None:
    order = sort(faceset, "blur").records
    whole = shutil.copytree(faceset.folder, faceset.folder.with_name("whole"))
    wanted = names(Faceset.open(whole).rename_in_order(order))
    state = faceset.folder / ".faceset"
    shutil.copyfile(whole / "metadata.jsonl", state / "pending.jsonl")
    (faceset.folder / order[3].file_name).rename(faceset.folder / wanted[3])
    again = Faceset.open(faceset.folder)
    assert names(again) == wanted
    assert all(again.path(record).is_file() for record in again.records)
    assert not (state / "pending.jsonl").exists()


def test_trash_and_back(faceset: Faceset) -> None:
    before = (faceset.folder / "metadata.jsonl").read_bytes()
    masked = mask.apply(faceset, "hull")
    left = trash.move(masked, masked.records[2:5], ["blurred"] * 3)
    left = trash.move(left, left.records[:1], ["by hand"])
    assert len(Faceset.open(faceset.folder)) == 8
    assert not masked.path(masked.records[3]).exists()
    assert [item.reason for item in trash.list_trash(faceset.folder)] == ["blurred"] * 3 + ["by hand"]
    left, count = trash.restore(left)
    assert (count, len(left)) == (1, 9)
    left, count = trash.restore(left, [masked.records[3].file_name])
    assert (count, len(left)) == (1, 10)
    left, count = trash.restore(left)
    assert names(left) == names(faceset)
    assert all(left.mask(record) is not None for record in left.records)
    left, _ = mask.remove(left)
    assert (faceset.folder / "metadata.jsonl").read_bytes() == before
    with pytest.raises(InputError, match="trash"):
        trash.restore(left, ["nobody.jpg"])


def test_pictures_deleted_by_hand_are_forgotten(faceset: Faceset) -> None:
    faceset.path(faceset.records[4]).unlink()
    left, count = trash.forget_missing(faceset)
    assert (count, len(left)) == (1, 11)


def test_proposals(faceset: Faceset) -> None:
    twin, soft = faceset.records[0], faceset.records[5]
    shutil.copyfile(faceset.path(twin), faceset.folder / "twin_0.jpg")
    stranger = faceset.records[7].replace(embedding=faceset.records[7].embedding + 0.2)
    changed = [
        *(
            stranger if r is faceset.records[7] else r.replace(sharpness=1.0) if r is soft else r
            for r in faceset.records
        ),
        twin.replace(file_name="twin_0.jpg"),
    ]
    found = propose(faceset.write(changed), CleanOptions(duplicate_bits=0))
    reasons = {reject.record.stem: reject.reason for reject in found}
    assert reasons[stranger.stem] == "other-person"
    assert reasons[soft.stem] == "blurred"
    assert {reasons.get("twin_0"), reasons.get(twin.stem)} >= {"duplicate"}
    assert len(Faceset.open(faceset.folder)) == 13


def test_masks(faceset: Faceset, tmp_path: Path) -> None:
    for kind in ("hull", "parser"):
        masked = mask.apply(faceset, kind)
        inside = masked.mask(masked.records[0])
        assert inside is not None
        assert inside.shape == (96, 96)
        assert 0.1 < (inside > 127).mean() < 0.5
        assert inside[0, 0] == 0
    assert mask.fetch(masked, tmp_path / "fetched") == 12
    assert mask.remove(masked)[1] == 12
    with pytest.raises(InputError, match="masks"):
        mask.fetch(Faceset.open(faceset.folder), tmp_path / "fetched")


@pytest.mark.parametrize(("size", "face_type"), [(48, None), (160, None), (64, "full")])
def test_sizes_keep_masks_and_points(faceset: Faceset, tmp_path: Path, size: int, face_type: str | None) -> None:
    masked = mask.apply(faceset, "hull")
    resize(masked, tmp_path / "other", size=size, face_type=face_type)
    other = Faceset.open(tmp_path / "other")
    for before, after in zip(masked.records, other.records, strict=True):
        drawn, found = mask.hull_mask(after, size), other.mask(after)
        assert found is not None
        assert (np.abs(drawn.astype(int) - found) > 127).mean() < 0.02
        assert after.crop_matrix is not None
        assert before.crop_matrix is not None
        # the same place of the source is the same point of the face
        assert np.linalg.norm(_in_source(before) - _in_source(after), axis=1).max() < 0.6


def _in_source(record) -> np.ndarray:  # type: ignore[no-untyped-def]
    from facegen.faces import align

    return align.apply(align.invert(record.crop_matrix), record.points68)


def test_a_larger_type_cannot_be_made(faceset: Faceset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains"):
        resize(faceset, tmp_path / "head", size=64, face_type="head")


def test_shards(faceset: Faceset, tmp_path: Path) -> None:
    masked = mask.apply(faceset, "hull")
    shards = pack(masked, tmp_path / "packed", shard_bytes=30_000)
    assert len(shards) > 1
    with tarfile.open(shards[0]) as archive:
        kinds = {name.partition(".")[2] for name in archive.getnames()}
    assert kinds == {"jpg", "json", "mask.png"}
    faces = PackedFaceset.open(tmp_path / "packed")
    for number in (7, 0, 11):
        np.testing.assert_array_equal(faces.picture(number), masked.picture(masked.records[number]))
        np.testing.assert_array_equal(faces.mask(number), masked.mask(masked.records[number]))
    faces.close()
    again = unpack(tmp_path / "packed", tmp_path / "unpacked")
    assert (again.folder / "metadata.jsonl").read_bytes() == (masked.folder / "metadata.jsonl").read_bytes()
    assert again.path(again.records[3]).read_bytes() == masked.path(masked.records[3]).read_bytes()


def test_metadata_finds_its_pictures_again(faceset: Faceset, tmp_path: Path) -> None:
    metadata.save(faceset, tmp_path / "kept.jsonl")
    elsewhere = tmp_path / "edited"
    elsewhere.mkdir()
    for place, record in enumerate(faceset.records[:4]):
        larger = np.kron(faceset.picture(record), np.ones((2, 2, 1), np.uint8))
        write_picture(elsewhere / f"{place:05d}_{record.stem}.png", larger)
    found, unknown = metadata.restore(elsewhere, tmp_path / "kept.jsonl")
    assert (len(found), unknown) == (4, [])
    assert found.records[0].size == 192
    np.testing.assert_allclose(found.records[0].points68, faceset.records[0].points68 * 2 + 0.5, atol=0.02)


def test_details_are_restored(faceset: Faceset, tmp_path: Path) -> None:
    from facegen.facesets.enhance import enhance
    from facegen.hub import is_present
    from facegen.restore.weights import RESTORER

    if not is_present(RESTORER):
        pytest.skip("the restorer's weights are not here")
    few = Faceset(faceset.folder, mask.apply(faceset, "hull").records[:2])
    made = enhance(few, tmp_path / "restored")
    again = Faceset.open(tmp_path / "restored")
    for before, after in zip(few.records, again.records, strict=True):
        gap = np.abs(few.picture(before).astype(int) - again.picture(after))
        assert 0.2 < gap.mean() < 20
        assert again.mask(after) is not None
    assert len(made) == 2
    with pytest.raises(InputError, match="strength"):
        enhance(few, tmp_path / "other", strength=0)


def test_info(faceset: Faceset) -> None:
    found = info.describe(faceset)
    assert (found.faces, found.size, found.people) == (12, 96, (12,))
    assert sum(map(sum, found.spread)) == 12
    assert info.draw(faceset).shape == (760, 1200, 3)
    assert info.sheet(faceset, 8, 32, 4).shape == (64, 128, 3)


@pytest.mark.parametrize(
    "name", ["../other.jpg", "/etc/other.jpg", "a/../../other.jpg", "..\\other.jpg", "C:/other.jpg", ""]
)
@pytest.mark.parametrize("field", ["file_name", "mask_file_name"])
def test_names_that_lead_out_are_refused(faceset: Faceset, field: str, name: str) -> None:
    plain = faceset.records[0].to_json() | {field: name}
    with pytest.raises(InputError, match="inside the faceset"):
        FaceRecord.from_json(plain)


def test_people_are_told_apart() -> None:
    random = np.random.default_rng(1)
    centres = random.normal(size=(5, 128)) * 0.07
    owners = random.integers(0, 5, 200)
    vectors = (centres[owners] + random.normal(size=(200, 128)) * 0.02).astype(np.float32)
    labels = cluster.cluster_embeddings(vectors)
    assert f1(bcubed_by_face(labels, owners.astype(str).tolist())) > 0.98
    assert np.bincount(labels).argmax() == 0


def test_people_who_look_alike_stay_apart() -> None:
    # pictures 0.33 from each other: more alike than a person's usually are; 0.53 from those of the other group
    axes = np.eye(128) * 0.33 / np.sqrt(2)
    first, second = axes[:15], axes[15:30] + np.eye(128)[41] * 0.41
    gaps = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert 0.5 < gaps.mean() < PERSON_DISTANCE_LIMIT - 0.01
    assert cluster.cluster_embeddings(np.vstack([first, second])).tolist() == [0] * 15 + [1] * 15
    # single pictures that far from each other are one person
    assert set(cluster.cluster_embeddings(np.vstack([first[:1], second[:1]]))) == {0}


def test_frames_of_two_shots_of_one_person_are_joined() -> None:
    random = np.random.default_rng(2)
    shots = np.eye(128)[:2] * 0.44 / np.sqrt(2)
    frames = np.repeat(shots, 100, 0) + random.normal(size=(200, 128)) * 0.01
    assert set(cluster.cluster_embeddings(frames)) == {0}


def test_order_and_size_change_no_groups() -> None:
    random = np.random.default_rng(3)
    centres = random.normal(size=(30, 128)) * 0.055
    vectors = np.repeat(centres, 6, 0) + random.normal(size=(180, 128)) * 0.022
    order = random.permutation(len(vectors))
    labels, shuffled = cluster.cluster_embeddings(vectors), cluster.cluster_embeddings(vectors[order])
    together = labels[:, None] == labels[None]
    assert np.array_equal(together[np.ix_(order, order)], shuffled[:, None] == shuffled[None])


@pytest.mark.data
@pytest.mark.slow
def test_people_of_the_photographs(shared_data: Path, tmp_path: Path) -> None:
    for folder in sorted((shared_data / "identities").iterdir())[:12]:
        shutil.copytree(folder, tmp_path / "identities" / folder.name)
    records = named_faces(tmp_path, tmp_path / "faces")
    labels = cluster.cluster_embeddings(cluster.stack_embeddings(records))
    assert f1(bcubed_by_face(labels, [person_of(record) for record in records])) >= 0.95


@pytest.mark.parametrize(
    "change", [{"yaw_deg": "x"}, {"source": 3}, {"embedding": ["x"] * 128}, {"points478": 1}, {"mask_file_name": [1]}]
)
def test_metadata_of_other_values_is_refused(change: dict[str, object], faceset: Faceset, tmp_path: Path) -> None:
    line = json.loads((faceset.folder / "metadata.jsonl").read_text().splitlines()[0])
    (tmp_path / "metadata.jsonl").write_text(json.dumps(line | change))
    with pytest.raises(InputError):
        Faceset.open(tmp_path)
    (tmp_path / "metadata.jsonl").write_text(json.dumps(line | {"yaw_deg": None}))
    assert Faceset.open(tmp_path).records[0].yaw_deg == 0
