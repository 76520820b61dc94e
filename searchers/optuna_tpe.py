"""Optuna's tree-structured Parzen estimator (Bergstra et al. 2011; Watanabe 2023 for Optuna's own)."""

from typing import TYPE_CHECKING

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._optuna import OptunaSearcher, StartupOptions

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@searchers.register("optuna-tpe")
class OptunaTpe(OptunaSearcher):
    """Optuna's `TPESampler`: a tree-structured Parzen estimator, each parameter modelled by itself."""

    Options = StartupOptions

    def sampler(self, seed: int) -> "BaseSampler":
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, n_startup_trials=self.options.startup)
