"""Faces from and for DeepFaceLab and faceswap; files that would run code."""

import base64
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.facesets import Faceset, dfl, exchange, faceswap, mask, plain_pickle

HOSTILE = {
    "GLOBAL and REDUCE": b"cos\nsystem\n(S'touch OWNED'\ntR.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x031+1\x85R.",
    "INST": b"(S'touch OWNED'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch OWNED'\no.",
    "NEWOBJ": b"\x80\x02csubprocess\nPopen\n)\x81.",
    "a name of numpy that is not an array's": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\ntR.",
    "numpy objects": b"cnumpy\ndtype\n(S'O8'\ntR.",
    "extension registry": b"\x82\x01.",
    "persistent id": b"P1\n.",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickles_are_refused_and_named(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"evil\.pak"):
        plain_pickle.loads(HOSTILE[what], "evil.pak")
    path = tmp_path / "evil.pak"
    path.write_bytes(struct.pack("<QQ", 1, len(HOSTILE[what])) + HOSTILE[what])
    with pytest.raises(InputError, match=r"evil\.pak"):
        exchange.import_faces(path, tmp_path / "faces")
    compressed = tmp_path / "evil.fsa"
    compressed.write_bytes(zlib.compress(HOSTILE[what]))
    with pytest.raises(InputError, match=r"evil\.fsa"):
        exchange.import_faces(compressed, tmp_path / "faces", frames=tmp_path)
    assert not (tmp_path / "OWNED").exists()
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize("data", [b"", b"\x80\x04", b"}(K\x01", b"]e.", b"h\x05.", b"\xff\xff", b"0."])
def test_damaged_pickles_are_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        plain_pickle.loads(data, "cut.pak")


def test_a_value_that_doubles_and_doubles_stays_small() -> None:
    bomb = b"]q\x000]q\x01" + b"".join(b"(h%ch%ce]q%c" % (n, n, n + 1) for n in range(1, 60)) + b"."
    plain_pickle.loads(bomb, "bomb.pak")


BIT = b"K\x01"
NESTED = b"(" + BIT + BIT + b"lq\x00" + b"".join(b"0(h%ch%clq%c" % (n, n, n + 1) for n in range(60))
KEYS = b"(" + BIT + BIT + b"tq\x00" + b"".join(b"0(h%ch%ctq%c" % (n, n, n + 1) for n in range(60))
COPIES = (
    b"(B" + (1 << 20).to_bytes(4, "little") + bytes(1 << 20) + b"tq\x000" + b"c__builtin__\nbytearray\nh\x00R0" * 9000
)
DEEP = b"(" * 1 + b"l" + b"".join(b"q\x00(h\x00l" for _ in range(900))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "bomb", [NESTED, b"}(" + KEYS + b"K\x01u", COPIES + b"N", DEEP], ids=["value", "key", "copies", "deep"]
)
def test_a_value_that_would_grow_without_end_is_refused(bomb: bytes) -> None:
    with pytest.raises(InputError, match="was refused"):
        plain_pickle.loads(bomb + b".", "bomb.pak")


def test_plain_data_comes_back() -> None:
    value = {
        "a": [1, -5, 2**40, 1.5, None, True, False],
        "b": {"text": "café", "bytes": b"\x00\xff", "pair": (1, 2, 3, 4)},
        "c": np.arange(6, dtype=np.float32).reshape(2, 3),
        "d": np.arange(5, dtype=np.uint8),
    }
    found = plain_pickle.loads(plain_pickle.dumps(value), "here")
    np.testing.assert_array_equal(found.pop("c"), value.pop("c"))
    np.testing.assert_array_equal(found.pop("d"), value.pop("d"))
    assert found == value


# what Python itself writes for {"m": np.array([[1, 2], [3, 4]], ">f8"), "n": np.float32(7), "t": ("x", b"\x80"), "s": {1}}
WRITTEN_BY_PYTHON = {
    0: (
        "KGRwMApWbQpwMQpjbnVtcHkuX2NvcmUubXVsdGlhcnJheQpfcmVjb25zdHJ1Y3QKcDIKKGNudW1weQpuZGFycmF5CnAzCihJMAp0"
        "cDQKY19jb2RlY3MKZW5jb2RlCnA1CihWYgpwNgpWbGF0aW4xCnA3CnRwOApScDkKdHAxMApScDExCihJMQooSTIKSTIKdHAxMgpj"
        "bnVtcHkKZHR5cGUKcDEzCihWZjgKcDE0CkkwMApJMDEKdHAxNQpScDE2CihJMwpWPgpwMTcKTk5OSS0xCkktMQpJMAp0cDE4CmJJ"
        "MDAKZzUKKFY/8Fx1MDAwMFx1MDAwMFx1MDAwMFx1MDAwMFx1MDAwMFx1MDAwMEBcdTAwMDBcdTAwMDBcdTAwMDBcdTAwMDBcdTAw"
        "MDBcdTAwMDBcdTAwMDBACFx1MDAwMFx1MDAwMFx1MDAwMFx1MDAwMFx1MDAwMFx1MDAwMEAQXHUwMDAwXHUwMDAwXHUwMDAwXHUw"
        "MDAwXHUwMDAwXHUwMDAwCnAxOQpnNwp0cDIwClJwMjEKdHAyMgpic1ZuCnAyMwpjbnVtcHkuX2NvcmUubXVsdGlhcnJheQpzY2Fs"
        "YXIKcDI0CihnMTMKKFZmNApwMjUKSTAwCkkwMQp0cDI2ClJwMjcKKEkzClY8CnAyOApOTk5JLTEKSS0xCkkwCnRwMjkKYmc1CihW"
        "XHUwMDAwXHUwMDAw4EAKcDMwCmc3CnRwMzEKUnAzMgp0cDMzClJwMzQKc1Z0CnAzNQooVngKcDM2Cmc1CihWgApwMzcKZzcKdHAz"
        "OApScDM5CnRwNDAKc1ZzCnA0MQpjX19idWlsdGluX18Kc2V0CnA0MgooKGxwNDMKSTEKYXRwNDQKUnA0NQpzLg=="
    ),
    2: (
        "gAJ9cQAoWAEAAABtcQFjbnVtcHkuX2NvcmUubXVsdGlhcnJheQpfcmVjb25zdHJ1Y3QKcQJjbnVtcHkKbmRhcnJheQpxA0sAhXEE"
        "Y19jb2RlY3MKZW5jb2RlCnEFWAEAAABicQZYBgAAAGxhdGluMXEHhnEIUnEJh3EKUnELKEsBSwJLAoZxDGNudW1weQpkdHlwZQpx"
        "DVgCAAAAZjhxDomIh3EPUnEQKEsDWAEAAAA+cRFOTk5K/////0r/////SwB0cRJiiWgFWCEAAAA/w7AAAAAAAABAAAAAAAAAAEAI"
        "AAAAAAAAQBAAAAAAAABxE2gHhnEUUnEVdHEWYlgBAAAAbnEXY251bXB5Ll9jb3JlLm11bHRpYXJyYXkKc2NhbGFyCnEYaA1YAgAA"
        "AGY0cRmJiIdxGlJxGyhLA1gBAAAAPHEcTk5OSv////9K/////0sAdHEdYmgFWAUAAAAAAMOgQHEeaAeGcR9ScSCGcSFScSJYAQAA"
        "AHRxI1gBAAAAeHEkaAVYAgAAAMKAcSVoB4ZxJlJxJ4ZxKFgBAAAAc3EpY19fYnVpbHRpbl9fCnNldApxKl1xK0sBYYVxLFJxLXUu"
    ),
    4: (
        "gASVDQEAAAAAAAB9lCiMAW2UjBZudW1weS5fY29yZS5tdWx0aWFycmF5lIwMX3JlY29uc3RydWN0lJOUjAVudW1weZSMB25kYXJy"
        "YXmUk5RLAIWUQwFilIeUUpQoSwFLAksChpRoBYwFZHR5cGWUk5SMAmY4lImIh5RSlChLA4wBPpROTk5K/////0r/////SwB0lGKJ"
        "QyA/8AAAAAAAAEAAAAAAAAAAQAgAAAAAAABAEAAAAAAAAJR0lGKMAW6UaAKMBnNjYWxhcpSTlGgOjAJmNJSJiIeUUpQoSwOMATyU"
        "Tk5OSv////9K/////0sAdJRiQwQAAOBAlIaUUpSMAXSUjAF4lEMBgJSGlIwBc5SPlChLAZB1Lg=="
    ),
    5: (
        "gAWVDwEAAAAAAAB9lCiMAW2UjBNudW1weS5fY29yZS5udW1lcmljlIwLX2Zyb21idWZmZXKUk5QoliAAAAAAAAAAP/AAAAAAAABA"
        "AAAAAAAAAEAIAAAAAAAAQBAAAAAAAACUjAVudW1weZSMBWR0eXBllJOUjAJmOJSJiIeUUpQoSwOMAT6UTk5OSv////9K/////0sA"
        "dJRiSwJLAoaUjAFDlHSUUpSMAW6UjBZudW1weS5fY29yZS5tdWx0aWFycmF5lIwGc2NhbGFylJOUaAiMAmY0lImIh5RSlChLA4wB"
        "PJROTk5K/////0r/////SwB0lGJDBAAA4ECUhpRSlIwBdJSMAXiUQwGAlIaUjAFzlI+UKEsBkHUu"
    ),
}


@pytest.mark.parametrize("protocol", WRITTEN_BY_PYTHON)
def test_arrays_as_python_writes_them(protocol: int) -> None:
    found = plain_pickle.loads(base64.b64decode(WRITTEN_BY_PYTHON[protocol]), "here")
    np.testing.assert_array_equal(found["m"], np.array([[1, 2], [3, 4]]))
    assert (found["n"], found["t"], found["s"]) == (7.0, ("x", b"\x80"), [1])


@pytest.mark.parametrize("kind", exchange.EXPORTS)
def test_there_and_back(
    faceset: Faceset, kind: exchange.ExportKind, tmp_path: Path, portrait_clip: Path, analyser: FaceAnalyser
) -> None:
    few = Faceset(faceset.folder, faceset.records[:3])
    few = mask.apply(few, "hull")
    place = tmp_path / {"dfl-pak": "faceset.pak", "faceswap-fsa": "portrait.fsa"}.get(kind, kind)
    assert exchange.export_faces(few, place, kind) == 3
    made = exchange.import_faces(place, tmp_path / "back", frames=portrait_clip, size=96, analyser=analyser)
    assert (made.kind, made.faces, made.refused) == (kind, 3, ())
    back = Faceset.open(tmp_path / "back")
    for before, after in zip(few.records, back.records, strict=True):
        assert np.abs(before.points68 - after.points68).mean() < 1.5
        assert after.embedding is not None
        if kind != "faceswap-png":
            found = back.mask(after)
            assert found is not None
            assert (np.abs(few.mask(before).astype(int) - found) > 127).mean() < 0.03  # type: ignore[union-attr]
        if kind.startswith("dfl"):
            np.testing.assert_array_equal(back.picture(after), few.picture(before))
            assert b"\xff\xef" not in back.path(after).read_bytes()[:40]


def test_deepfacelab_reads_what_it_expects(faceset: Faceset) -> None:
    raw, _ = dfl.encode_jpeg(faceset, faceset.records[0])
    face = dfl.read_jpeg(raw, "a.jpg", "a.jpg")
    assert face.data["face_type"] == "whole_face"
    assert np.asarray(face.data["landmarks"]).shape == (68, 2)
    assert np.asarray(face.data["source_landmarks"]).shape == (68, 2)
    assert np.asarray(face.data["image_to_face_mat"]).shape == (2, 3)


def test_one_hostile_file_among_good_ones_refuses_the_import(faceset: Faceset, tmp_path: Path) -> None:
    exchange.export_faces(Faceset(faceset.folder, faceset.records[:2]), tmp_path / "dfl", "dfl-jpeg")
    plain, _ = dfl.split_jpeg(faceset.path(faceset.records[0]).read_bytes(), "a")
    evil = HOSTILE["GLOBAL and REDUCE"]
    (tmp_path / "dfl" / "zz_evil.jpg").write_bytes(
        plain[:2] + b"\xff\xef" + struct.pack(">H", len(evil) + 2) + evil + plain[2:]
    )
    with pytest.raises(InputError, match=r"zz_evil\.jpg.*os\.system"):
        exchange.import_faces(tmp_path / "dfl", tmp_path / "made")
    assert not (tmp_path / "made").exists()


FACE = {"landmarks_xy": [[1.0, 2.0]] * 68}
ODD = {
    "no dictionary of frames": {"__data__": {"a.png": 3}},
    "frames of two kinds": {"__data__": {"a.png": {"faces": []}, 3: {"faces": []}}},
    "faces that are none": {"__data__": {"a.png": {"faces": [7]}}},
    "points of text": {"__data__": {"a.png": {"faces": [{"landmarks_xy": ["x"] * 68}]}}},
    "a mask of text": {"__data__": {"a.png": {"faces": [{**FACE, "mask": {"custom": "x"}}]}}},
    "a mask without size": {"__data__": {"a.png": {"faces": [{**FACE, "mask": {"custom": {}}}]}}},
    "a mask of damaged data": {
        "__data__": {
            "a.png": {
                "faces": [
                    {
                        **FACE,
                        "mask": {"custom": {"stored_size": 8, "mask": b"no zlib", "affine_matrix": [[1.0, 0, 0]] * 2}},
                    }
                ]
            }
        }
    },
}


@pytest.mark.parametrize("what", ODD)
def test_alignments_of_other_values_are_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.fsa"
    path.write_bytes(zlib.compress(plain_pickle.dumps(ODD[what])))
    with pytest.raises(InputError, match=r"odd\.fsa"):
        exchange.import_faces(path, tmp_path / "faces", frames=tmp_path)
    assert not (tmp_path / "faces").exists()


def test_a_mask_that_grows_without_end_is_left_out(tmp_path: Path) -> None:
    stored = {"stored_size": 8, "mask": zlib.compress(bytes(50_000_000)), "affine_matrix": [[1.0, 0, 0]] * 2}
    content = {"__data__": {"a.png": {"faces": [{**FACE, "mask": {"custom": stored}}]}}}
    path = tmp_path / "bomb.fsa"
    path.write_bytes(zlib.compress(plain_pickle.dumps(content)))
    assert faceswap.read_fsa(path)[0].mask is None


@pytest.mark.parametrize(
    "change",
    [
        {"landmarks": "text"},
        {"landmarks": [[1, "x"]] * 68},
        {"source_rect": [1, 2]},
        {"seg_ie_polys": {"polys": [{"pts": "x"}]}},
        {"image_to_face_mat": "x"},
        {"face_type": "nose"},
        {"xseg_mask": ["x"]},
    ],
)
def test_faces_of_other_values_are_left_out(
    change: dict[str, object], faceset: Faceset, tmp_path: Path, analyser: FaceAnalyser
) -> None:
    raw, data = dfl.encode_jpeg(faceset, faceset.records[0])
    picture, _ = dfl.split_jpeg(raw, "a.jpg")
    segment = plain_pickle.dumps({**data, **change})
    (tmp_path / "dfl").mkdir()
    marked = picture[:2] + b"\xff\xef" + struct.pack(">H", len(segment) + 2) + segment + picture[2:]
    (tmp_path / "dfl" / "odd.jpg").write_bytes(marked)
    made = exchange.import_faces(tmp_path / "dfl", tmp_path / "made", analyser=analyser)
    assert made.faces == 0
    assert len(made.refused) == 1
    assert "odd.jpg" in made.refused[0]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["metadata.jsonl"]
