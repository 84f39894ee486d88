"""A swap and an extraction on a cluster of two nodes are what one process makes, also when a worker dies in the middle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from facegen.faces import FaceAnalyser
from facegen.facesets import Faceset
from facegen.facesets.options import ExtractOptions, ExtractRequest
from facegen.facesets.pipeline import ExtractPipeline
from facegen.jobs.cluster import Cluster
from facegen.jobs.pipeline import Models
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest
from facegen.swap.distributed import segment_spans
from facegen.swap.timeline import read_timeline
from tests.factories import moving_portrait, noise_rgb, write_clip
from tests.ray_nodes import busy_workers, two_nodes
from tests.swap.test_resume import assert_same


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """100 frames at 5 frames/s, which makes five segments; no face from frame 15 to frame 30."""
    frames = moving_portrait(100)
    frames[15:31] = [noise_rgb(256, 256, seed) // 4 for seed in range(16)]
    return str(write_clip(tmp_path_factory.mktemp("cluster") / "long.mp4", frames, rate=5, has_sound=True))


def test_spans_are_those_of_the_segments(long_clip: str) -> None:
    timeline = read_timeline(long_clip, SwapOptions(), lambda index: not 15 <= index < 31)
    assert list(segment_spans(timeline, 0, 20)) == [(0, 36), (36, 56), (56, 76), (76, 96), (96, 100)]
    assert list(segment_spans(timeline, 56, 20)) == [(56, 76), (76, 96), (96, 100)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
class TestTwoNodes:
    @pytest.fixture(scope="class")
    def cluster(self) -> Iterator[Cluster]:
        pytest.importorskip("ray")
        with two_nodes() as address, Cluster(address) as made:
            yield made

    @pytest.mark.parametrize("when_no_face", ["keep", "hold", "skip"])
    def test_a_clip_is_that_of_one_process(
        self, cluster: Cluster, source: str, long_clip: str, tmp_path: Path, when_no_face: str, analyser: FaceAnalyser
    ) -> None:
        """Frames, times and sound; the first worker that is seen at a segment is killed."""
        options = SwapOptions(when_no_face=when_no_face)  # type: ignore[arg-type]
        whole, shared = (
            SwapRequest(sources=(source,), target=long_clip, output=str(tmp_path / name), options=options)
            for name in ("whole.mp4", "shared.mp4")
        )
        SwapPipeline(analyser=analyser)(whole)
        killed: list[int] = []

        def kill(fraction: float, text: str) -> None:
            if "Swapping faces" in text and not killed:
                for worker in busy_workers()[:1]:
                    killed.append(worker.pid)
                    worker.kill()

        result = SwapPipeline(analyser=analyser, cluster=cluster)(shared, on_progress=kill)
        assert killed
        assert result.frames == (84 if when_no_face == "skip" else 100)
        assert result.stages["predict"] > 0
        assert_same(tmp_path / "whole.mp4", tmp_path / "shared.mp4")

    def test_a_cluster_goes_on_where_one_process_was_cut_off(
        self, cluster: Cluster, source: str, long_clip: str, tmp_path: Path, analyser: FaceAnalyser
    ) -> None:
        from facegen.errors import Cancelled

        def stop(fraction: float, text: str) -> None:
            if "Swapping faces, frame 50 " in text:
                raise Cancelled("Cancelled.")

        request = SwapRequest(sources=(source,), target=long_clip, output=str(tmp_path / "cut.mp4"))
        with pytest.raises(Cancelled):
            SwapPipeline(analyser=analyser)(request, on_progress=stop)
        assert SwapPipeline(analyser=analyser, cluster=cluster)(request).resumed_frames in (20, 40)

    def test_a_faceset_is_that_of_one_process(
        self,
        cluster: Cluster,
        source: str,
        long_clip: str,
        tmp_path: Path,
        analyser: FaceAnalyser,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A clip in pieces of 30 frames, and a picture."""
        monkeypatch.setattr("facegen.facesets.extraction.PIECE_FRAMES", 30)
        models = Models()
        models.get(lambda: analyser, FaceAnalyser)
        for name, shared in (("whole", None), ("shared", cluster)):
            request = ExtractRequest(
                inputs=(long_clip, source), output=str(tmp_path / name), options=ExtractOptions(every=2)
            )
            result = ExtractPipeline(models=models, cluster=shared)(request)
            assert result.looked_at == 51
        one, other = (Faceset.open(tmp_path / name) for name in ("whole", "shared"))
        assert len(one.records) > 30
        assert [record.to_json() for record in one.records] == [record.to_json() for record in other.records]
        assert {record.track for record in one.records} > {0, 1, 2}
        for record in one.records:
            assert (one.folder / record.file_name).read_bytes() == (other.folder / record.file_name).read_bytes()
