"""A fuzzer of the readers: whole files of each kind, changed with their structure in mind, must be read or be one sentence.

`make fuzz MINUTES=10` runs it for that long; what it finds is written into `tests/corpus/KIND/`, whose files are tried
first, and each time the tests run. Nothing but a `FacegenError` may come out of a reader, within seconds.
"""

import hashlib
import io
import json
import random
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegen import config
from facegen.archive import ArchiveLimits, unpack_zip
from facegen.array_file import read_array, read_arrays
from facegen.errors import FacegenError
from facegen.facesets import dfl, faceswap, plain_pickle
from facegen.facesets.faceset import read_records
from facegen.facesets.pack import PackedFaceset
from facegen.facesets.record import FaceRecord
from facegen.facesets.trash import list_trash
from facegen.generate.dataset.preparation import read_labels
from facegen.jobs import Run, list_runs
from facegen.training.checkpoint import list_checkpoints
from facegen.training.logger import read_losses

CORPUS = Path(__file__).with_name("corpus")
SECONDS = 5.0
"""A reader that takes longer is a finding."""

_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**63, 2**200, 1e308, float("nan"), float("inf"), "", "a\0b", "../x", "/etc/passwd", "é😀",
    "\ud800", [], {}, [[]], {"a": {}}, "9" * 5000, [0] * 100,
)  # fmt: skip
_RECORD = FaceRecord(file_name="a.jpg", face_type="full", size=64).to_json()


def _picture(format_name: str) -> bytes:
    held = io.BytesIO()
    Image.new("L", (8, 8)).save(held, format_name)
    return held.getvalue()


_PICTURE = _picture("JPEG")


def _dumped(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def _zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.jpg", bytes(range(256)) * 9)
        archive.writestr("b/2.jpg", b"two", zipfile.ZIP_STORED)
    return held.getvalue()


def _tar() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, data in (
            ("a.jpg", _PICTURE),
            ("a.json", json.dumps(_RECORD).encode()),
            ("a.mask.png", _picture("PNG")),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return held.getvalue()


def _npy() -> bytes:
    held = io.BytesIO()
    np.save(held, np.arange(12, dtype=np.float32).reshape(3, 4))
    return held.getvalue()


def _npz() -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, a=np.arange(12), b=np.zeros((2, 2)))
    return held.getvalue()


_PLAIN = {
    "filename": "a.jpg",
    "landmarks": [(1.0, 2.0)] * 68,
    "image_to_face_mat": np.eye(3, dtype=np.float32),
    "n": None,
}


def _pak() -> bytes:
    configs = plain_pickle.dumps([_PLAIN])
    return struct.pack("<QQ", 1, len(configs)) + configs + struct.pack("<2Q", 0, 0) + _PICTURE


def _fsa() -> bytes:
    face = {"landmarks_xy": [(1.0, 2.0)] * 68, "mask": {}, "x": 1, "y": 1, "w": 9, "h": 9}
    return zlib.compress(plain_pickle.dumps({"__data__": {"1.png": {"faces": [face]}}, "__meta__": {}}))


def _run_with(name: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        root = path.parent / f"{path.name}-runs"
        run = Run.create("swap", {"target": "a.mp4"}, root)
        (run.path / name).write_bytes(path.read_bytes())
        for found in list_runs(root):
            _ = (found.status(), found.kind, found.request, found.owner, found.created, found.can_run, found.stats())
            found.result()
            found.enqueue()
            found.delete(root)
        return None

    return read


def _checkpoint(path: Path) -> object:
    folder = path.parent / f"{path.name}-checkpoints" / "step-00000001"
    folder.mkdir(parents=True)
    (folder / "state.json").write_bytes(path.read_bytes())
    return [(found.step, found.measure) for found in list_checkpoints(folder.parent)]


def _in_folder(name: str, read: Callable[[Path], object]) -> Callable[[Path], object]:
    def reading(path: Path) -> object:
        place = path.parent / f"{path.name}-folder" / name
        place.parent.mkdir(parents=True)
        place.write_bytes(path.read_bytes())
        return read(path.parent / f"{path.name}-folder")

    return reading


def _packed(path: Path) -> None:
    faces = PackedFaceset.open(path)
    try:
        for number in range(len(faces)):
            faces.picture(number)
            faces.mask(number)
    finally:
        faces.close()


_REQUEST = {"format": 2, "kind": "swap", "request": {"target": "a.mp4"}, "owner": "", "created": 1e9}
_STATUS = {
    "state": "running",
    "progress": 0.5,
    "text": "x",
    "pid": 1,
    "process_created": 1e9,
    "group": 5,
    "updated": 1e9,
}
_LOSSES = ({"step": 1, "losses": {"a": 0.5}, "time": 1.0, "rate": 1e-4}, {"step": 2, "measures": {"m": 0.1}})
_TRASHED = {"record": _RECORD, "reason": "blurred", "batch": 1, "place": 0}
_LABELS = b"name,eyes,mouth,hair_color,background,head\na.jpg,0.5,,1,0,0.5\n"

KINDS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "request": (_dumped(_REQUEST), _run_with("request.json")),
    "status": (_dumped(_STATUS), _run_with("status.json")),
    "stats": (_dumped({"time": 1.0, "memory_bytes": 5}, {"time": 2.0, "memory_bytes": 6}), _run_with("stats.jsonl")),
    "result": (_dumped({"output": "a.mp4", "notices": []}), _run_with("result.json")),
    "losses": (_dumped(*_LOSSES), _in_folder("losses.jsonl", read_losses)),
    "checkpoint": (_dumped({"format": 1, "step": 1, "measure": 0.5, "elapsed": 3.0}), _checkpoint),
    "metadata": (_dumped(_RECORD), read_records),
    "trash": (_dumped(_TRASHED), _in_folder(".trash/taken.jsonl", list_trash)),
    "labels": (_LABELS, read_labels),
    "npy": (_npy(), read_array),
    "npz": (_npz(), read_arrays),
    "zip": (
        _zip(),
        lambda path: unpack_zip(path, path.parent / f"{path.name}-out", None, ArchiveLimits(bytes=1 << 26)),
    ),
    "tar": (_tar(), _packed),
    "pickle": (plain_pickle.dumps(_PLAIN), lambda path: plain_pickle.loads(path.read_bytes(), path.name)),
    "pak": (_pak(), lambda path: list(dfl.read_pak(path))),
    "fsa": (_fsa(), faceswap.read_fsa),
}
"""By name: a whole file, and what reads such a file."""
_JSON = {"request", "status", "stats", "result", "losses", "checkpoint", "metadata", "trash"}
_PICKLES = {"pickle", "pak"}
_OPCODES = b"()]}lt0q\x00h\x00RbuseaN.K\x01\x85\x86\x87\x94\x93c"
_SIZES = (b"\xff" * 4, b"\xff" * 8, b"\0" * 4, struct.pack("<Q", 2**62), struct.pack("<I", 2**31))


def mutate(kind: str, whole: bytes, dice: random.Random) -> bytes:
    """The file with a few changes: values of its JSON, sizes and headers, opcodes, or just bytes."""
    if kind in _JSON and dice.random() < 0.7:
        lines = whole.decode().splitlines()
        line = dice.randrange(len(lines))
        lines[line] = json.dumps(_change(json.loads(lines[line]), dice))
        whole = ("\n".join(lines) + "\n").encode()
        if dice.random() < 0.6:
            return whole
    if kind == "fsa" and dice.random() < 0.8:
        return zlib.compress(_change_bytes(zlib.decompress(whole), dice, _OPCODES))
    data = _change_bytes(whole, dice, _OPCODES if kind in _PICKLES else bytes(range(256)))
    return _with_tar_sums(data) if kind == "tar" and dice.random() < 0.9 else data


def _change(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice([*value])
        if dice.random() < 0.15:
            return {name: item for name, item in value.items() if name != key} | {f"{key}x": 1}
        return {**value, key: _change(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.7:
        place = dice.randrange(len(value))
        return [*value[:place], _change(value[place], dice), *value[place + 1 :]]
    odd = dice.choice(_ODD)
    for _ in range(dice.choice((0, 0, 0, 1, 70, 900))):
        odd = [odd]
    return odd


def _change_bytes(whole: bytes, dice: random.Random, alphabet: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        place = dice.randrange(max(1, len(data)))
        match dice.randrange(6):
            case 0:
                data[place : place + 1] = bytes([dice.randrange(256)])
            case 1:
                data[place:place] = bytes(dice.choices(alphabet, k=dice.choice((1, 2, 5))))
            case 2:
                del data[place : place + dice.choice((1, 2, 4, 100))]
            case 3:
                size = dice.choice(_SIZES)
                data[place : place + len(size)] = size
            case 4:
                part = data[place : place + dice.choice((1, 4, 40))]
                data[place:place] = part * dice.choice((1, 2, 50))
            case _:
                data[place : place + 1] = bytes([data[place] ^ (1 << dice.randrange(8))]) if data else b""
    return bytes(data)


def _with_tar_sums(data: bytes) -> bytes:
    """The archive with checksums that fit its changed headers, so that the reader looks further."""
    changed = bytearray(data)
    for start in range(0, len(changed) - 511, 512):
        if changed[start + 257 : start + 262] == b"ustar":
            changed[start + 148 : start + 156] = b" " * 8
            changed[start + 148 : start + 156] = b"%06o\0 " % sum(changed[start : start + 512])
    return bytes(changed)


def try_file(kind: str, content: bytes, folder: Path) -> str:
    """Read a file; a traceback, or a sentence about the time it took, where that is a finding."""
    path = folder / hashlib.sha256(content).hexdigest()[:16]
    path.write_bytes(content)
    begun = time.monotonic()
    try:
        KINDS[kind][1](path)
    except FacegenError as error:
        if len(str(error)) > 2000 or "\n" in str(error):
            return f"not one sentence: {str(error)[:300]!r}"
    except BaseException:
        return traceback.format_exc()
    took = time.monotonic() - begun
    return f"it took {took:.1f} s" if took > SECONDS else ""


def cases(seed: int) -> Iterator[tuple[str, bytes]]:
    """Kinds by turns with a changed file each, without end; the same for the same seed."""
    dice = random.Random(seed)
    while True:
        for kind, (whole, _) in KINDS.items():
            yield kind, mutate(kind, whole, dice)


def main() -> None:
    """Fuzz for as many minutes as the first argument says."""
    minutes, seed = float(sys.argv[1]), int(time.time())
    tried, found, end = 0, 0, time.monotonic() + 60 * minutes
    print(f"Seed {seed}; findings go to {CORPUS}.")
    for kind, content in cases(seed):
        with tempfile.TemporaryDirectory() as folder:
            words = try_file(kind, content, Path(folder))
        tried += 1
        if words:
            found += 1
            place = CORPUS / kind / hashlib.sha256(content).hexdigest()[:16]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            print(f"{place}\n{words}")
        if time.monotonic() > end:
            break
    print(f"{tried} files tried, {found} findings.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    assert config.home()
    main()
