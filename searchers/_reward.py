"""The reward of the searchers that learn by reinforcement."""

import numpy as np

from automl_cf.cf.problem import Evaluation

_LEAST_LOSS = 1e-9  # in a reward's denominator


def reward_of(evaluation: Evaluation) -> float:
    """1 / RMSE on the validation part (paper, A.5), and 0 for what failed: less than anything that did not."""
    return 1.0 / max(evaluation.loss, _LEAST_LOSS) if np.isfinite(evaluation.loss) else 0.0
