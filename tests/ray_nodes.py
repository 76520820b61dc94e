"""Ray clusters of several nodes on one machine, apart from all others that run there."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def ray_cluster(nodes: int, **head: Any) -> Iterator[Any]:
    """A head and so many other nodes, with a CPU each."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="acf", dir="/tmp", ignore_cleanup_errors=True) as folder:
        arguments = {"num_cpus": 1, "gcs_server_port": free_port(), "temp_dir": folder, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args={**arguments, **head})
        try:
            for _ in range(nodes):
                cluster.add_node(num_cpus=1)
            yield cluster
        finally:
            cluster.shutdown()


def runs_a_cell(node: Any) -> bool:
    """Whether one of the node's workers is a Tune trial's."""
    (raylet,) = node.all_processes["raylet"]
    try:
        workers = psutil.Process(raylet.process.pid).children()
        return any("ImplicitFunc" in " ".join(worker.cmdline()) for worker in workers)
    except psutil.Error:
        return False
