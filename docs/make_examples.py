"""Makes the studio's examples, `facegen/ui/examples/files`: `make examples`. Everybody in them is drawn by facegen.

The voices are flite's (apt-get install flite; CMU's licence permits any use). The faces, the talks, the swap, the faceset
and the training come from facegen alone, and every picture and clip is signed.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np

from facegen.facesets.jobs import EXTRACT
from facegen.facesets.options import ExtractOptions, ExtractRequest
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.request import GenerateOptions, GenerateRequest
from facegen.generate.sliders import Sliders
from facegen.media import read_frame_at, read_picture, side_by_side, write_picture
from facegen.provenance import Claims, mark_picture, sign
from facegen.swap import SwapPipeline
from facegen.swap.jobs import SWAP_TRAIN
from facegen.swap.options import SwapOptions
from facegen.swap.request import SwapRequest, SwapTrainRequest
from facegen.talk import TalkPipeline
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest
from facegen.ui.examples import FILES

CAST = {
    "ada": (101, {"hair": 0.95, "background": 0.6}),
    "bea": (107, {"hair": 0.6, "background": 0.75}),
    "carl": (105, {"hair": 0.62, "background": 0.9}),
    "dan": (114, {"hair": 0.75, "background": 0.35}),
}
"""Name -> seed and sliders, chosen by eye: frontal, of similar age, nothing before the face."""
SPEECH = {
    "ada": ("slt", "My hair and my eyes were chosen by a number."),
    "bea": ("slt", "Nobody ever met me. I was drawn by facegen."),
    "carl": ("rms", "Hello. My face does not exist, but it can talk."),
}
"""Name -> voice of flite and what is said, about three seconds."""
CRF = 26
TRAIN_MINUTES = 4.0


def main() -> None:
    """Makes all of them anew."""
    work = Path(sys.argv[1] if len(sys.argv) > 1 else "/tmp/facegen-examples")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    generate, talk, swap = GeneratePipeline(), TalkPipeline(), SwapPipeline()
    for name, (seed, values) in CAST.items():
        request = GenerateRequest(
            output=str(work / name), sliders=Sliders(**values), options=GenerateOptions(seed=seed)
        )
        write_jpeg(Path(generate(request).files[0]), FILES / f"{name}.jpg", Claims(job="generate", engine="facegen"))
    for name, (voice, text) in SPEECH.items():
        sound = speak(voice, text, work / f"{name}.wav")
        options = TalkOptions(crf=CRF, mouth=1.2)
        talk(
            TalkRequest(portrait=str(FILES / f"{name}.jpg"), audio=str(sound), output=str(clip(name)), options=options)
        )
    shutil.copy(work / "bea.m4a", FILES / "said.m4a")
    side_by_side([clip("bea"), clip("carl")], FILES / "two.mp4")
    sign(FILES / "two.mp4", Claims(job="talk", engine="portrait", parent=clip("bea")))
    request = SwapRequest(
        sources=(str(FILES / "ada.jpg"),),
        target=str(clip("bea")),
        output=str(FILES / "swap.mp4"),
        options=SwapOptions(crf=CRF),
    )
    swap(request)
    make_faceset(work)
    make_training(work)
    make_preview()


def clip(name: str) -> Path:
    """The clip in which somebody talks."""
    return FILES / f"{name}.mp4"


def write_jpeg(origin: Path, path: Path, claims: Claims) -> None:
    """A smaller copy of a picture, signed anew; its watermark survives."""
    write_picture(path, read_picture(origin))
    sign(path, claims)


def speak(voice: str, text: str, path: Path) -> Path:
    """What flite says, as AAC of 40 kbit/s, which a clip takes over as it is."""
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
    small = path.with_suffix(".m4a")
    with av.open(str(path)) as origin, av.open(str(small), "w") as target:
        stream = target.add_stream("aac", rate=16000, layout="mono", bit_rate=40_000)
        for frame in origin.decode(audio=0):
            frame.pts = None
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return small


def make_faceset(work: Path) -> None:
    """Faces of the clip with two people, a small picture each."""
    options = ExtractOptions(size=128, every=24)
    EXTRACT.load_pipeline()()(
        ExtractRequest(inputs=(str(FILES / "two.mp4"),), output=str(work / "faces"), options=options)
    )
    for number, face in enumerate(sorted((work / "faces").glob("*.jpg"))[:8]):
        write_jpeg(face, FILES / f"face-{number}.jpg", Claims(job="generate", engine="facegen"))


def make_training(work: Path) -> None:
    """The curve and the last preview of a short training of a swap."""
    from facegen.jobs import Run

    request = SwapTrainRequest(
        person_a=(str(clip("bea")),), person_b=(str(clip("ada")),), target=str(clip("bea")), minutes=TRAIN_MINUTES
    )
    run = SWAP_TRAIN.create_run(request, path=work / "training")
    SWAP_TRAIN.load_pipeline()()(request, run)
    lines = [json.loads(line) for line in next(Run(run.path).path.rglob("losses.jsonl")).read_text().splitlines()]
    lines = [line for line in lines if "losses" in line]
    every = max(1, len(lines) // 60)
    rows = [[line["step"], name, round(value, 4)] for line in lines[::every] for name, value in line["losses"].items()]
    (FILES / "training.json").write_text(json.dumps({"rows": rows}))
    preview = max(run.path.rglob("previews/[0-9]*.jpg"))
    # three quarters of its size are enough for the eye
    small = cv2.resize(read_picture(preview), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    write_picture(FILES / "training.jpg", mark_picture(small))
    sign(FILES / "training.jpg", Claims(job="swap", engine="saehd"))


def make_preview() -> None:
    """What somebody sees who gets a link to the studio: whose face, into what, and the result, (450, 900) pixels."""
    parts = [
        read_picture(FILES / "ada.jpg"),
        *(read_frame_at(clip(name), index=20).image_rgb for name in ("bea", "swap")),
    ]
    side = 300
    row = np.concatenate([cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC) for part in parts], 1)
    sheet = np.full((450, 3 * side, 3), (250, 249, 246), np.uint8)
    sheet[75:375] = row
    write_picture(FILES / "preview.jpg", mark_picture(sheet))
    sign(FILES / "preview.jpg", Claims(job="swap", engine="mesh"))


if __name__ == "__main__":
    main()
