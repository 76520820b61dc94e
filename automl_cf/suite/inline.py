"""The inline backend: the same jobs in this process, one after the other. For debugging, tests, one core."""

from collections.abc import Sequence

from automl_cf.suite.cell import CellJob, run_cell
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
    """Runs jobs here and now."""

    def run(self, jobs: Sequence[Job], emit: Emit) -> None:
        """Run every job to its end."""
        for job in jobs:
            run_job(job, emit)

    def close(self) -> None:
        """Nothing to release."""
