"""The strict readers: JSON, ZIP archives and numpy's files, as crashes and strangers leave them."""

import json
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from facegen.archive import ArchiveLimits, unpack_zip
from facegen.array_file import read_array, read_arrays
from facegen.errors import FacegenError, InputError
from facegen.json_file import read_json_lines, read_object


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b"[]", b"7", b"[" * 100_000, b'{"a":' * 100 + b"1" + b"}" * 100,
        b'{"a": 1' + b"0" * 5000 + b"}", b'{"a": 1' + b"0" * 200 + b"}", b'{"a": "\\ud83d"}', b'{"a\\u0000": 1}',
    ],
)  # fmt: skip
def test_json_that_is_none_of_ours_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="restore or delete the file") as caught:
        read_object(path)
    assert len(str(caught.value)) < 500


def test_json_as_we_write_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    value = {"state": 2**127, "name": "é😀", "deep": [[[[{"a": None}]]]], "rate": 1e-4}
    path.write_text(json.dumps(value))
    assert read_object(path) == value
    assert read_object(tmp_path / "none.json", is_optional=True) == {}
    with pytest.raises(InputError, match="it is no file"):
        read_object(tmp_path)


def test_a_log_without_end_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": 2}\r\n{"a": 3')
    found = read_json_lines(path)
    assert ([row["a"] for row in found.rows], found.damaged) == ([1, 2], 0)
    assert read_json_lines(tmp_path / "none.jsonl").rows == []


def _zip(path: Path, names: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # a name that comes twice
        for name, data in names.items():
            archive.writestr(zipfile.ZipInfo(name.removesuffix("#2")), data, method)
    return path


def _encrypted(path: Path) -> Path:
    return _patched(path, {b"PK\1\2": (8, b"\1\0"), b"PK\3\4": (6, b"\1\0")})


def _unknown_method(path: Path) -> Path:
    return _patched(path, {b"PK\1\2": (10, b"\x63\0"), b"PK\3\4": (8, b"\x63\0")})


def _damaged(path: Path) -> Path:
    return _patched(path, {b"PK\3\4": (60, b"\xff\xff\xff\xff\xff\xff")})


def _lying(path: Path) -> Path:
    return _patched(path, {b"PK\1\2": (24, struct.pack("<I", 5)), b"PK\3\4": (22, struct.pack("<I", 5))})


def _patched(path: Path, changes: dict[bytes, tuple[int, bytes]]) -> Path:
    _zip(path, {"a.jpg": bytes(range(256)) * 40, "b.jpg": b"whole"})
    data = bytearray(path.read_bytes())
    for magic, (offset, content) in changes.items():
        place = data.find(magic) + offset
        data[place : place + len(content)] = content
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("harm", [_encrypted, _unknown_method, _damaged, _lying])
def test_harmed_archives_leave_nothing(tmp_path: Path, harm) -> None:
    path = harm(tmp_path / "faces.zip")
    with pytest.raises(InputError, match=r"pack it again"):
        unpack_zip(path, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.jpg"))


@pytest.mark.parametrize(
    "names",
    [
        {"../a.jpg": b"1"}, {"/a.jpg": b"1"}, {"x/../../a.jpg": b"1"}, {"..\\a.jpg": b"1"}, {"C:\\a.jpg": b"1"},
        {"a" * 300 + ".jpg": b"1"}, {"a/" * 40 + "b.jpg": b"1"}, {"a\n.jpg": b"1"}, {"a.jpg": b"1", "a.jpg#2": b"2"},
        {"a.jpg": b"1", "a.jpg/b.jpg": b"2"}, {"big.jpg": bytes(9 << 20)}, {f"{n}.jpg": b"" for n in range(99)},
        {f"{n}.jpg": bytes(3 << 20) for n in range(40)},
    ],
)  # fmt: skip
def test_archives_are_checked_before_anything_is_unpacked(tmp_path: Path, names: dict[str, bytes]) -> None:
    path = _zip(tmp_path / "faces.zip", names)
    with pytest.raises(FacegenError):
        unpack_zip(path, tmp_path / "out", limits=ArchiveLimits(entries=50, bytes=100 << 20))
    assert not list((tmp_path / "out").rglob("*.jpg"))
    assert not list(tmp_path.glob("*.jpg"))


def test_links_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        entry = zipfile.ZipInfo("a.jpg")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match="a link"):
        unpack_zip(tmp_path / "link.zip", tmp_path / "out")


def test_whole_archives_come_out_as_they_are(tmp_path: Path) -> None:
    names = {"people/a/1.jpg": b"one", "people/b/2.PNG": b"two", "notes.txt": b"no", "gray.jpg": bytes(1 << 20)}
    path = _zip(tmp_path / "faces.zip", names)
    made = unpack_zip(path, tmp_path / "out", (".jpg", ".png"))
    assert {file.relative_to(tmp_path / "out").as_posix(): file.read_bytes() for file in made} == {
        name: data for name, data in names.items() if name != "notes.txt"
    }


def test_arrays_of_strangers(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6))
    whole = path.read_bytes()
    objects = whole.replace(b"'<i8'", b"'|O' ")
    for content in (
        b"",
        whole[:20],
        whole[:-4],
        b"\x80\x04]q\x00.",
        objects,
        whole.replace(b"(6,)", b"(-1)"),
    ):
        path.write_bytes(content)
        for is_mapped in (True, False):
            with pytest.raises(InputError, match="make that file again"):
                read_array(path, is_mapped=is_mapped)
    np.savez(tmp_path / "b.npz", a=np.arange(6))
    assert read_arrays(tmp_path / "b.npz")["a"].sum() == 15
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:-30])
    with pytest.raises(InputError):
        read_arrays(tmp_path / "b.npz")
