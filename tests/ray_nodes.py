"""A cluster of two nodes on this machine, and its workers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster of two nodes of one core each, which ends with the body."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        made.add_node(num_cpus=1)
        yield made.address
    finally:
        made.shutdown()  # type: ignore[no-untyped-call]


def busy_workers() -> list[psutil.Process]:
    """The processes that work on a task of the cluster that this process began."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] == ["ray::_work"]:
                found.append(process)
        except psutil.Error:
            continue
    return found
