"""Ray clusters: starting or joining one, and what it must have before cells are given to it."""

import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from automl_cf.errors import InputError
from automl_cf.suite.shipping import Software, look, stage

if TYPE_CHECKING:
    from automl_cf.suite.study import Resources

_LOOK_SECONDS = 120.0  # for a node to start a process and say what it runs
_LOST_SECONDS = 10.0  # for a node that was lost to be known as such

# Ray's name for a resource -> the field that asks for it, its unit, what else can be asked for
_WORDS = {
    "CPU": ("resources.cpus_per_cell", "CPUs", ""),
    "GPU": ("resources.gpus_per_cell", "GPUs", ", or 0 for the CPU"),
    "memory": ("resources.memory_gb_per_cell", "GB of Ray's memory", ", or 0 to ask for none"),
}


def start_or_join(resources: "Resources", workers: int, environment: dict[str, str]) -> None:
    """Join the cluster at `resources.address`, or start one on this machine with room for `workers` cells.

    On a machine of our own, custom resources are taken as given. Raises InputError if the cluster is not there.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if resources.address is None:
        custom = {name: amount * workers for name, amount in resources.custom_per_cell.items()}
        cpus = workers * resources.cpus_per_cell
        ray.init("local", num_cpus=cpus, resources=custom or None, include_dashboard=False, **quiet)
        return
    with tempfile.TemporaryDirectory(prefix="automl-cf-ship-") as folder:
        runtime: dict[str, Any] = {"env_vars": environment}
        if resources.ship:
            runtime["py_modules"] = [str(path) for path in stage(Path(folder))]
        try:
            ray.init(resources.address, runtime_env=runtime, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"resources.address is '{resources.address}', but Ray cannot join it: {reason.rstrip('.')}; a cluster "
                "with a token needs RAY_AUTH_MODE=token here, too."
            ) from error


def request(resources: "Resources") -> dict[str, float]:
    """What one cell asks Ray for."""
    asked = {"CPU": resources.cpus_per_cell, "GPU": resources.gpus_per_cell, **resources.custom_per_cell}
    asked["memory"] = resources.memory_gb_per_cell * 2**30
    return {name: amount for name, amount in asked.items() if amount}


def check_requests(resources: "Resources") -> None:
    """Wait for a node that can run a cell, no longer than `wait_for_nodes_s`. Raises InputError if there is none."""
    end = time.monotonic() + (resources.wait_for_nodes_s if resources.address else 0)
    while True:
        nodes = [node["Resources"] for node in _alive()]
        problem = unmet(resources, nodes)
        if problem is None:
            return
        if time.monotonic() >= end:
            raise InputError(problem)
        time.sleep(0.5)


def unmet(resources: "Resources", nodes: list[dict[str, float]]) -> str | None:
    """Why no node, of those with so much in all, can ever run a cell; None if one can."""
    asked = request(resources)
    if any(all(node.get(name, 0) >= amount for name, amount in asked.items()) for node in nodes):
        return None
    where, has = "this machine", "has"
    if resources.address:
        where, has = "no node of the cluster", "has more than"
    for name, amount in asked.items():
        field, unit, otherwise = _WORDS.get(name, (f"resources.custom_per_cell.{name}", f"of {name}", ""))
        size = 2**30 if name == "memory" else 1
        most = max((node.get(name, 0) for node in nodes), default=0)
        if most < amount:
            return (
                f"{field} is {amount / size:g}, but {where} {has} {most / size:g} {unit}; ask for no more than "
                f"that{otherwise}."
            )
    together = ", ".join(f"{name} {amount:g}" for name, amount in asked.items())
    return f"resources: {where} has all at once that a cell asks for ({together}); ask for less of one of them."


def check_software(wanted: Software) -> None:
    """Raise InputError if a node runs other code than the driver, or other versions that results depend on."""
    looking = ray.remote(num_cpus=0, max_retries=0)(look)
    asked = {}
    for node in _alive():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[node["NodeID"]] = looking.options(scheduling_strategy=there).remote()
    for node_id, answer in asked.items():
        try:
            found = ray.get(answer, timeout=_LOOK_SECONDS)
        except ray.exceptions.RuntimeEnvSetupError as error:
            raise InputError(
                f"a node cannot set up what is shipped to it: {' '.join(str(error).split())[:500]}"
            ) from error
        except (ray.exceptions.RayError, TimeoutError) as error:
            if _gone(node_id):
                continue
            raise InputError(f"node {node_id[:12]} of the cluster runs nothing: {type(error).__name__}.") from error
        if problem := wanted.differs(found):
            raise InputError(problem)


def _alive() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _gone(node_id: str) -> bool:
    """Whether a node that does not answer is known to be lost, now or soon."""
    end = time.monotonic() + _LOST_SECONDS
    while time.monotonic() < end:
        if node_id not in {node["NodeID"] for node in _alive()}:
            return True
        time.sleep(0.5)
    return False
