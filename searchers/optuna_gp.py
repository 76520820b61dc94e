"""Optuna's Gaussian process: Matérn 5/2 kernel with a length scale per parameter, log expected improvement
(Ament et al.: "Unexpected Improvements to Expected Improvement for Bayesian Optimization", 2023)."""

from typing import TYPE_CHECKING

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._optuna import OptunaSearcher, StartupOptions

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@searchers.register("optuna-gp")
class OptunaGp(OptunaSearcher):
    """Optuna's `GPSampler`: a Gaussian process and expected improvement, about a second a proposal.

    What does not exist in every architecture so far is drawn uniformly. Since Optuna forgets failed evaluations, the
    process may come back to where they were.
    """

    Options = StartupOptions

    def sampler(self, seed: int) -> "BaseSampler":
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=self.options.startup, warn_independent_sampling=False)
