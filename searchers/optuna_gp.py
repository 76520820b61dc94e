"""Optuna's Gaussian process: Matérn 5/2 kernel with a length scale per parameter, log expected improvement
(Ament et al.: "Unexpected Improvements to Expected Improvement for Bayesian Optimization", 2023)."""

from typing import TYPE_CHECKING

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._optuna import OptunaSearcher, StartupOptions

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@searchers.register("optuna-gp")
class OptunaGp(OptunaSearcher):
    """`optuna.samplers.GPSampler`; what does not exist in every architecture so far is drawn uniformly."""

    Options = StartupOptions

    def sampler(self, seed: int) -> "BaseSampler":
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=self.options.startup, warn_independent_sampling=False)
