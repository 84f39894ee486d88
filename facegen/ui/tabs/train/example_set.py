"""A small set of pictures, clips or faces to try a training with, made on the spot from the examples."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from facegen.errors import InputError
from facegen.facesets.jobs import EXTRACT
from facegen.facesets.options import ExtractOptions, ExtractRequest
from facegen.generate.jobs import DATASET
from facegen.generate.request import DatasetRequest
from facegen.jobs.process import locked
from facegen.ui.examples import FILES, PORTRAITS, portrait_path

VIEWS = 16
"""Pictures of each portrait."""
SIZE = 256
PICTURES = ("parser", "autoencoder", "restorer", "realism", "harmonization", "delighting")
"""Tasks that learn from pictures as they are."""
DATASETS = ("attributes", "generator", "retoucher")
"""Tasks that learn from what «Prepare a dataset» makes."""
CLIPS = {
    "motion": ("ada.mp4", "bea.mp4", "carl.mp4"),
    "finish": ("ada.mp4", "bea.mp4", "carl.mp4"),
    "dfrf": ("bea.mp4",),
}
"""Task that learns from clips -> stored ones of people who talk."""
FACESETS = {"saehd": {"a": "bea.mp4", "b": "ada.mp4"}, "mask": {"": "carl.mp4"}}
"""Task that learns from facesets -> folder of each and the stored clip that it is cut out of."""
TASKS = (*PICTURES, *DATASETS, *CLIPS, *FACESETS)
"""What such a set suits. It shows that training works; nothing is learnt from four faces that holds for others."""
_FACES_EVERY = 3
_MEN = ("carl", "dan")


def make_example_set(folder: Path, task: str) -> Path:
    """Writes the set: face crops that are turned, moved, mirrored and lit differently, the same ones each time.

    Args:
        folder: made, if it is not there; used as it is, if it is.
        task: one of `TASKS`; for the parser, masks as the bundled parser sees them are added, which stand for drawn ones in the
            set of masks; for realism, half of the people stand for photographs.

    Raises:
        InputError: the set suits no such task.
    """
    if task not in TASKS:
        raise InputError(f"Expected {', '.join(TASKS)} for the example set, found {task}; choose other data.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # two clicks in a row make it once
    with locked(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                _write(partial, task)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def _write(partial: Path, task: str) -> None:
    if task in PICTURES:
        _write_pictures(partial, task)
    elif task in DATASETS:
        _write_dataset(partial)
    elif task in FACESETS:
        _write_facesets(partial, task)
    for name in CLIPS.get(task, ()):
        shutil.copyfile(FILES / name, partial / name)


def _write_facesets(partial: Path, task: str) -> None:
    from facegen.facesets import Faceset
    from facegen.facesets import mask as masking
    from facegen.facesets.record import BRUSH

    for name, clip in FACESETS[task].items():
        options = ExtractOptions(every=_FACES_EVERY, max_faces=1)
        EXTRACT.load_pipeline()()(
            ExtractRequest(inputs=(str(FILES / clip),), output=str(partial / name), options=options)
        )
    if task == "mask":
        faceset = masking.apply(Faceset.open(partial), "parser")
        faceset.write([record.replace(mask_kind=BRUSH) for record in faceset.records])


def _write_dataset(partial: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        views = Path(folder)
        _write_pictures(views, "")
        for path in views.glob("*.png"):
            label = views / ("male" if path.stem.startswith(_MEN) else "female")
            label.mkdir(exist_ok=True)
            path.rename(label / path.name)
        DATASET.load_pipeline()()(DatasetRequest(photographs=folder, output=str(partial), variants=1))


def _write_pictures(partial: Path, task: str) -> None:
    import cv2

    from facegen.faces import FaceAnalyser
    from facegen.faces.align import parse_matrix
    from facegen.media import read_picture, write_picture

    places = {"parser": ("images",), "realism": ("photographs", "generated")}.get(task, ("",))
    for place in places:
        (partial / place).mkdir(exist_ok=True)
    analyser, random = FaceAnalyser(), np.random.default_rng(0)
    made: dict[str, np.ndarray] = {}
    for order, name in enumerate(PORTRAITS):
        images = partial / places[order % len(places)]
        portrait = read_picture(portrait_path(name))
        face = analyser.detect(portrait, max_faces=1)[0]
        for number in range(VIEWS):
            angle_deg, scale = random.uniform(-10, 10), random.uniform(0.9, 1.1)
            move = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), angle_deg, scale).astype(np.float64)
            move[:, 2] += random.uniform(-10, 10, 2)
            matrix = move @ np.vstack([parse_matrix(face), (0, 0, 1)])
            view = cv2.warpAffine(portrait, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT_101)
            view = view[:, ::-1] if number % 2 else view
            lit = (view.astype(np.float32) * random.uniform(0.75, 1.2)).clip(0, 255).astype(np.uint8)
            made[f"{name}-{number:02d}"] = np.ascontiguousarray(lit)
            write_picture(images / f"{name}-{number:02d}.png", lit)
    if task == "parser":
        _write_masks(partial / "masks", made)


def _write_masks(folder: Path, views: dict[str, np.ndarray]) -> None:
    from PIL import Image

    from facegen.faces.parse.parser import FaceParser

    folder.mkdir()
    classes = FaceParser().parse(np.stack(list(views.values()))).argmax(1).astype(np.uint8)
    for name, mask in zip(views, classes, strict=True):
        Image.fromarray(mask).save(folder / f"{name}.png")
