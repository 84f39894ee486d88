"""Faces out of videos, folders and pictures into a faceset; goes on where it was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from facegen import media
from facegen.errors import InputError, NoFaceError
from facegen.faces import FaceAnalyser
from facegen.facesets import distributed
from facegen.facesets.choices import ExtractOptions, ExtractRequest, ExtractResult
from facegen.facesets.extraction import Extraction, find_inputs
from facegen.facesets.faceset import METADATA, OnProgress
from facegen.facesets.jobs import EXTRACT
from facegen.jobs import Progress, Run
from facegen.jobs.cluster import Cluster
from facegen.jobs.pipeline import Pipeline


class ExtractPipeline(Pipeline[ExtractRequest, ExtractResult]):
    """Cuts faces out; see `extract`, whose faceset itself says where to go on."""

    job = EXTRACT

    def warm_up(self, request: ExtractRequest) -> None:
        """Load the models by a look at the first picture."""
        image, analyser = media.read_picture(request.inputs[0]), self.models.get(FaceAnalyser)
        analyser.embed(image, analyser.detect(image, 1))

    def work(self, request: ExtractRequest, run: Run | None, progress: Progress) -> ExtractResult:
        """Cut the faces out."""
        result = extract(
            request.inputs,
            request.output,
            request.options,
            persons=request.persons,
            others=request.others,
            analyser=self.models.get(FaceAnalyser),
            cluster=self.cluster,
            on_progress=progress.report,
        )
        return replace(result, notices=result.skipped)


def extract(
    inputs: Sequence[str | Path],
    output: str | Path,
    options: ExtractOptions | None = None,
    *,
    persons: Sequence[str | Path] = (),
    others: Sequence[str | Path] = (),
    analyser: FaceAnalyser | None = None,
    cluster: Cluster | None = None,
    on_progress: OnProgress | None = None,
) -> ExtractResult:
    """Cuts every wanted face out of the inputs.

    Args:
        inputs: videos, pictures, and folders of both (searched deeply).
        output: the faceset; a new folder, or one with faces of the same type and size, which are added to.
        options: how, and which.
        persons: pictures of the one person whose faces are wanted; none takes everybody.
        others: pictures of people whose faces are not wanted.
        analyser: what finds the faces.
        cluster: machines that share the work, a piece of an input a task.
        on_progress: called after every frame; may raise Cancelled, after which the same call goes on.

    Raises:
        InputError: an input is missing, or the folder holds faces of another type or size.
        NoFaceError: a reference picture shows no face.
    """
    options = options or ExtractOptions()
    analyser = (analyser or FaceAnalyser()).with_detector(options.detector)
    places = find_inputs(inputs)
    unread: list[str] = []
    wanted, unwanted = (_references(paths, analyser, unread) for paths in (persons, others))
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    work = Extraction(folder, options, analyser, wanted, unwanted)
    total = sum(place.length for place in places)
    pieces = list(work.pieces(places))

    def report(done: int, words: str) -> None:
        if on_progress is not None:
            on_progress(min(1.0, done / max(total, 1)), words)

    if cluster is not None:
        distributed.extract(work, pieces, cluster, report)
    else:
        for piece in pieces:
            work.note(work.extract(piece, report), piece)
    if not (folder / METADATA).exists():
        (folder / METADATA).touch()
    return ExtractResult(
        folder=str(folder),
        faces=work.added,
        looked_at=work.looked_at,
        left_out=dict(sorted(work.left_out.items())),
        skipped=(*unread, *work.skipped),
        total=len(work.known),
    )


def _references(paths: Sequence[str | Path], analyser: FaceAnalyser, unread: list[str]) -> list[np.ndarray]:
    """Embeddings of the largest face of each picture; a folder counts as the pictures in it.

    Damaged pictures of a folder are skipped, as long as one of it is left; why is added to `unread`.
    """
    found: list[np.ndarray] = []
    for path in map(Path, paths):
        files = sorted(p for p in path.iterdir() if media.is_picture(p)) if path.is_dir() else [path]
        count = len(found)
        for file in files:
            try:
                image = media.read_picture(file)
            except InputError as error:
                if not path.is_dir():
                    raise
                unread.append(str(error))
                continue
            faces = analyser.embed(image, analyser.detect(image, 1))
            if not faces or faces[0].embedding is None:
                raise NoFaceError(
                    f"Expected a face in the reference {file.name!r}, found none; choose another picture."
                )
            found.append(faces[0].embedding)
        if len(found) == count:
            raise InputError(f"Expected pictures that can be read in {path.name!r}, found none; choose another folder.")
    return found
