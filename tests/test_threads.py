"""No worker uses more threads than the cores it was given, whichever library it asks."""

import json
from pathlib import Path

import pytest
from small_runs import counted_events, small_study

from automl_cf.suite import run

# A searcher that says how many threads there are, by its error: the way out of a worker that every cell has.
PLUGIN = """
import json
from automl_cf.searchers import AskTellSearcher, searchers

@searchers.register("threads")
class Threads(AskTellSearcher):
    def propose(self, number):
        import numba, threadpoolctl, torch
        import numpy, scipy.linalg
        numpy.ones((8, 8)) @ numpy.ones((8, 8))
        pools = {pool["internal_api"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
        raise RuntimeError(json.dumps({**pools, "torch": torch.get_num_threads(), "numba": numba.get_num_threads()}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["process", "none"])
@pytest.mark.parametrize("cpus", [1, 2])
def test_threads_of_a_worker(tmp_path: Path, cpus: int, isolation: str) -> None:
    plugin = tmp_path / "threads_plugin.py"
    plugin.write_text(PLUGIN)
    study = small_study(
        searchers=["threads"],
        plugins=[str(plugin)],
        limits={"isolation": isolation},
        resources={"backend": "ray", "workers": 1, "cpus_per_cell": cpus},
    )
    run.start(study, tmp_path / "run")
    (failed,) = (event for event in counted_events(tmp_path / "run") if event["kind"] == "cell_failed")
    error = failed["error"]
    threads = json.loads(error[error.index("{") : error.rindex("}") + 1])
    assert {"torch", "numba", "openblas"} <= threads.keys()
    assert set(threads.values()) == {cpus}
