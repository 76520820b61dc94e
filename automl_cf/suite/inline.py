"""The inline backend: the same jobs one after the other, in this process. For debugging, tests, one core.

Without isolation it does not survive what a process cannot: a candidate that crashes, hangs or allocates without end.
"""

from collections.abc import Sequence

from automl_cf.suite.cell import CellJob, run_cell
from automl_cf.suite.isolation import Supervisor, orders
from automl_cf.suite.scoring import ScoreJob, run_scoring
from automl_cf.suite.store import Emit

Job = CellJob | ScoreJob


def run_job(job: Job, emit: Emit, setup: float = 0.0) -> None:
    """Run one job, whichever kind it is; `setup` seconds were spent on getting here, by imports."""
    if isinstance(job, CellJob):
        run_cell(job, emit, setup)
    else:
        run_scoring(job, emit)


class Inline:
    """Runs jobs here and now; if they are to be isolated, each in a child process."""

    def __init__(self, isolated: bool = False) -> None:
        self._supervisor = Supervisor() if isolated else None

    def run(self, jobs: Sequence[Job], emit: Emit) -> None:
        """Run every job to its end."""
        if self._supervisor is None:
            for job in jobs:
                run_job(job, emit)
        else:
            for order in orders(jobs):
                self._supervisor.run(order, emit)

    def close(self) -> None:
        """End the child process."""
        if self._supervisor is not None:
            self._supervisor.close()
