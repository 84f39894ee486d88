"""What the benchmark `digests` feeds in, the same on every day, and the digest of what comes out."""

import datetime
import hashlib
import importlib.util
import json
import math
import re
import struct
import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SIZE = 384
"""A multiple of 128: with other widths two encodings by x264 differ in noise (`facegen.media`, `SegmentWriter`)."""
_RATE = 25
_SOUND_RATE = 16000
_PORTRAITS = {
    "collins": ("skimage", "data/astronaut.png"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}


def write_inputs(folder: Path) -> None:
    """Write two public-domain portraits, clips in which they move (one second, and three for a speaker) and a sound."""
    heads = {name: _head(*where) for name, where in _PORTRAITS.items()}
    for name, image_rgb in heads.items():
        cv2.imwrite(str(folder / f"{name}.png"), image_rgb[..., ::-1])
        _write_clip(folder / f"{name}.mp4", [image_rgb], seconds=1)
    _write_clip(folder / "both.mp4", list(heads.values()), seconds=1)
    _write_clip(folder / "speaker.mp4", [heads["collins"]], seconds=3)
    with wave.open(str(folder / "said.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SOUND_RATE)
        file.writeframes((_voice(0.8) * 8000).astype("<i2").tobytes())


def _head(package: str, inside: str) -> np.ndarray:
    """The upper middle square of a portrait that a package carries, (_SIZE, _SIZE, 3) uint8 RGB."""
    spec = importlib.util.find_spec(package)
    image_rgb = cv2.imread(str(Path((spec.submodule_search_locations or [""])[0]) / inside))[..., ::-1]
    side = min(image_rgb.shape[:2])
    left = (image_rgb.shape[1] - side) // 2
    return cv2.resize(image_rgb[:side, left : left + side], (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)


def _voice(seconds: float) -> np.ndarray:
    """Syllables of a buzzing voice, float in [-1, 1]."""
    moments = np.arange(round(seconds * _SOUND_RATE)) / _SOUND_RATE
    return np.sign(np.sin(2 * np.pi * 130 * moments)) * np.clip(np.sin(2 * np.pi * 3.5 * moments), 0, 1)


def _write_clip(path: Path, heads: list[np.ndarray], seconds: int) -> None:
    """H.264 and AAC, written by one thread each, so that the samples are those of any number of cores."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=_RATE, options={"crf": "14", "preset": "fast", "threads": "1"})
        video.width, video.height, video.pix_fmt = _SIZE * len(heads), _SIZE, "yuv420p"
        audio = container.add_stream("aac", rate=_SOUND_RATE, layout="mono")
        for image_rgb in _animate_heads(heads, seconds * _RATE):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image_rgb, format="rgb24")))
        container.mux(video.encode(None))
        voice = (_voice(seconds) * 0.25).astype(np.float32)
        for start in range(0, len(voice), 1024):
            chunk = av.AudioFrame.from_ndarray(voice[None, start : start + 1024], format="fltp", layout="mono")
            chunk.sample_rate, chunk.pts, chunk.time_base = _SOUND_RATE, start, Fraction(1, _SOUND_RATE)
            container.mux(audio.encode(chunk))
        container.mux(audio.encode(None))


def _animate_heads(heads: list[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The heads side by side, gently turning, drifting and coming nearer."""
    for index in range(count):
        phase = 2 * math.pi * index / 50
        views = []
        for turn, image_rgb in enumerate(heads):
            matrix = cv2.getRotationMatrix2D(
                (_SIZE / 2, _SIZE / 2.6), 4 * math.sin(phase + turn), 1.14 + 0.06 * math.cos(phase + turn)
            )
            matrix[:, 2] += np.array((7 * math.cos(phase + turn), 4 * math.sin(phase)))
            views.append(cv2.warpAffine(image_rgb, matrix, (_SIZE, _SIZE), borderMode=cv2.BORDER_REFLECT_101))
        yield np.concatenate(views, axis=1)


def write_signing_key(home: Path) -> None:
    """Write a signing key that is always the same: the watermark carries an id that is derived from it.

    Nobody should trust what it signs; the file is the one that facegen would make on first use.
    """
    root_key, leaf_key = ec.derive_private_key(2, ec.SECP256R1()), ec.derive_private_key(3, ec.SECP256R1())
    root = _certificate("facegen benchmark root", root_key, root_key)
    leaf = _certificate("facegen benchmark", leaf_key, root_key)
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    path = home / "keys" / "installation.pem"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(private + leaf.public_bytes(pem) + root.public_bytes(pem))


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, root_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    is_root = key is root_key
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    usages = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    usage = x509.KeyUsage(
        digital_signature=not is_root,
        key_cert_sign=is_root,
        crl_sign=is_root,
        decipher_only=False,
        **dict.fromkeys(usages, False),
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("facegen benchmark root"))
        .public_key(key.public_key())
        .serial_number(2 if is_root else 3)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=9000))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
    )
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(root_key, hashes.SHA256(), ecdsa_deterministic=True)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "facegen"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def digest_files(paths: Iterable[Path], folder: Path) -> str:
    """SHA-256 over the decoded content of files and their names relative to `folder`."""
    digest = hashlib.sha256()
    for path in paths:
        # a faceset tells sources of one name apart by six digits that come from where they lie
        digest.update(re.sub(r"-[0-9a-f]{6}_", "_", path.relative_to(folder).as_posix()).encode())
        for piece in _decode_file(path):
            digest.update(piece)
    return digest.hexdigest()


def _decode_file(path: Path) -> Iterator[bytes]:
    if path.suffix in {".mp4", ".mov", ".mkv", ".wav"}:
        yield from _decode_streams(path)
    elif path.suffix in {".png", ".jpg", ".webp"}:
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        yield f"{pixels.shape} {pixels.dtype}".encode()
        yield pixels.tobytes()
    elif path.suffix == ".safetensors":
        yield from _tensors(path.read_bytes())


def _decode_streams(path: Path) -> Iterator[bytes]:
    """Planes and time of every frame, then samples and time of the sound."""
    for kind in ("video", "audio"):
        with av.open(str(path)) as container:
            for stream in [stream for stream in container.streams if stream.type == kind][:1]:
                for frame in container.decode(stream):
                    yield f"{kind} {frame.pts} {frame.time_base} {frame.format.name}".encode()
                    yield np.ascontiguousarray(frame.to_ndarray()).tobytes()


def _tensors(content: bytes) -> Iterator[bytes]:
    """Name, shape and bytes of each tensor of a safetensors file, by name; its metadata is left out."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    for name in sorted(set(header) - {"__metadata__"}):
        begin, end = header[name]["data_offsets"]
        yield f"{name} {header[name]['dtype']} {header[name]['shape']}".encode()
        yield content[8 + length + begin : 8 + length + end]
