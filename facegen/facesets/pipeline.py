"""`ExtractPipeline`: faces of videos, folders and pictures into a faceset; an interrupted extraction resumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from facegen import media
from facegen.errors import InputError, NoFaceError
from facegen.faces import FaceAnalyser
from facegen.facesets import distributed
from facegen.facesets.extraction import Extraction, find_inputs
from facegen.facesets.faceset import METADATA, OnProgress
from facegen.facesets.jobs import EXTRACT
from facegen.facesets.options import ExtractOptions, ExtractRequest, ExtractResult
from facegen.jobs import Progress, Run
from facegen.jobs.cluster import Cluster
from facegen.jobs.pipeline import Pipeline


class ExtractPipeline(Pipeline[ExtractRequest, ExtractResult]):
    """Extracts faces; see `extract`. The faceset's folder holds the progress."""

    job = EXTRACT

    def warm_up(self, request: ExtractRequest) -> None:
        """Load the models by analysing the first picture."""
        image, analyser = media.read_picture(request.inputs[0]), self.models.get(FaceAnalyser)
        analyser.embed(image, analyser.detect(image, 1))

    def work(self, request: ExtractRequest, run: Run | None, progress: Progress) -> ExtractResult:
        """Extract the faces."""
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
    """Extracts every wanted face from the inputs.

    Args:
        inputs: videos, pictures, and folders of both (searched deeply).
        output: the faceset; a new folder, or one with faces of the same type and size, which are added to.
        options: crop, size and selection of faces.
        persons: pictures of the one person whose faces are wanted; none takes everybody.
        others: pictures of people whose faces are not wanted.
        analyser: what finds the faces.
        cluster: machines that share the work, a piece of an input a task.
        on_progress: called after every frame; may raise Cancelled, after which the same call resumes.

    Raises:
        InputError: an input is missing, or the folder holds faces of another type or size.
        NoFaceError: a reference picture shows no face.
    """
    options = options or ExtractOptions()
    analyser = (analyser or FaceAnalyser()).with_detector(options.detector)
    entries = find_inputs(inputs)
    unread: list[str] = []
    wanted_embeddings, unwanted_embeddings = (_references(paths, analyser, unread) for paths in (persons, others))
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    work = Extraction(folder, options, analyser, wanted_embeddings, unwanted_embeddings)
    total = sum(entry.length for entry in entries)
    pieces = list(work.pieces(entries))

    def report(done: int, text: str) -> None:
        if on_progress is not None:
            on_progress(min(1.0, done / max(total, 1)), text)

    if cluster is not None:
        distributed.extract(work, pieces, cluster, report)
    else:
        for piece in pieces:
            work.record_progress(work.extract(piece, report), piece)
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

    Damaged pictures of a folder are skipped if at least one can be read; the reasons are added to `unread`.
    """
    embeddings: list[np.ndarray] = []
    for path in map(Path, paths):
        files = sorted(p for p in path.iterdir() if media.is_picture(p)) if path.is_dir() else [path]
        count = len(embeddings)
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
            embeddings.append(faces[0].embedding)
        if len(embeddings) == count:
            raise InputError(f"Expected pictures that can be read in {path.name!r}, found none; choose another folder.")
    return embeddings
