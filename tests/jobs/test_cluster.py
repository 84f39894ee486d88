"""Work on a cluster comes out as on one machine, in order, whichever worker dies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facegen.errors import InputError, ResourceError
from facegen.jobs import cluster as clusters
from facegen.jobs.batch import BatchRow, run_batch
from facegen.jobs.cache import file_fingerprint
from facegen.jobs.cluster import Cluster, SharedFile
from tests.ray_nodes import two_nodes

pytest.importorskip("ray")


def test_rows_of_a_batch_work_at_the_same_time_and_stand_in_order() -> None:
    """Two rows that wait for each other, and one that fails the first time."""
    import threading

    meeting = threading.Barrier(2, timeout=20)
    tried: list[int] = []

    def work(index: int) -> str:
        tried.append(index)
        if index < 2:
            meeting.wait()
        elif tried.count(2) == 1:
            raise ResourceError("The disk is full.")
        return f"row {index}"

    rows = run_batch([BatchRow(file=name) for name in "abc"], work, at_once=2)
    assert [(row.state, row.text, row.attempts) for row in rows] == [
        ("done", "row 0", 1),
        ("done", "row 1", 1),
        ("done", "row 2", 2),
    ]


def test_a_file_that_is_not_here_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"frames")
    shared = SharedFile(path=str(path), digest=file_fingerprint(path), content="reference")
    assert shared.local() == str(path)
    path.unlink()
    sent: list[Any] = []

    def get(reference: Any) -> bytes:
        sent.append(reference)
        return b"frames"

    monkeypatch.setattr(ray, "get", get)
    copy = shared.local()
    assert (Path(copy).read_bytes(), Path(copy).suffix) == (b"frames", ".mp4")
    assert shared.local() == copy
    assert sent == ["reference"]
    path.write_bytes(b"another film")
    assert shared.local() == copy
    with pytest.raises(InputError, match="let all machines reach it"):
        SharedFile(path=str(tmp_path / "missing.mp4"), digest="").local()


@pytest.fixture(scope="module")
def nodes() -> Iterator[str]:
    with two_nodes() as address:
        yield address


def where(shared: str, item: int) -> tuple[str, int, int]:
    import time

    time.sleep(0.3)
    return shared, item, os.getpid()


def die_once(shared: str, item: int) -> int:
    marker = Path(shared) / str(item)
    if item == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def die(_shared: None, _item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(_shared: None, item: int) -> int:
    if item == 2:
        raise InputError("Expected another item, found 2; choose one.")
    return item


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
class TestRay:
    @pytest.fixture(scope="class")
    def cluster(self, nodes: str) -> Iterator[Cluster]:
        with Cluster(nodes) as made:
            yield made

    def test_both_nodes_work_and_results_are_in_order(self, cluster: Cluster) -> None:
        assert cluster.cores == 2
        results = list(cluster.map(where, "all", range(8)))
        assert [result[:2] for result in results] == [("all", index) for index in range(8)]
        assert len({pid for _, _, pid in results}) == 2

    def test_a_worker_that_dies_is_replaced(self, cluster: Cluster, tmp_path: Path) -> None:
        assert list(cluster.map(die_once, str(tmp_path), range(4))) == [0, 1, 2, 3]
        assert (tmp_path / "1").exists()

    def test_a_task_that_kills_each_worker_is_a_sentence(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clusters, "REPLACEMENTS", 0)
        with pytest.raises(ResourceError, match="Expected workers that live, but 1 died"):
            list(cluster.map(die, None, [0]))

    def test_a_refusal_arrives_as_it_was_said(self, cluster: Cluster) -> None:
        done = []
        with pytest.raises(InputError, match=r"^Expected another item, found 2; choose one\.$"):
            for result in cluster.map(refuse, None, range(4)):
                done.append(result)
        assert done == [0, 1]

    def test_another_version_is_refused(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clusters, "__version__", "9.9")
        with pytest.raises(InputError, match=r"Expected facegen 9\.9 on every machine"):
            list(cluster.map(where, "all", [0]))
