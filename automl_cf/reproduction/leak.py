"""How optimistic is it to select on test, as the authors' public code does?

Every architecture that a searcher tried is retrained over the l2 grid, from which validation chooses, and tested. One
protocol then takes the architecture with the least validation RMSE, the other that with the least test RMSE; both
report its test RMSE. Their difference is what the leak is worth, with the same trials and trainings. The public code
also picks epochs on test, which adds to it and is not measured here.
"""

import pandas as pd

from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.statistics import t_interval

_KEYS = ["dataset", "dim", "searcher"]


def selections(run: Run) -> pd.DataFrame:
    """Return one row per cell: ``by_validation`` and ``by_test``, test rmse_std of what each protocol selects.

    ``candidates`` is from how many they select.
    """
    good = run.scores.dropna(subset=["rmse_std"])
    rows = []
    for *cell, tried in groups(good, *_KEYS, "seed"):
        chosen = tried.loc[tried["validation"].idxmin()]
        values = {"by_validation": chosen["rmse_std"], "by_test": tried["rmse_std"].min(), "candidates": len(tried)}
        rows.append(dict(zip((*_KEYS, "seed"), cell, strict=True)) | values)
    return pd.DataFrame(rows)


def optimism(run: Run) -> pd.DataFrame:
    """Return `selections` as means over seeds, and their difference with its interval, one row per searcher.

    Searchers of one candidate are left out: there is nothing to select.
    """
    rows = []
    for *key, cells in groups(selections(run), *_KEYS):
        if cells["candidates"].max() < 2:
            continue
        difference, low, high, n = t_interval(cells["by_test"] - cells["by_validation"]).numbers()
        means = {name: float(cells[name].mean()) for name in ("candidates", "by_validation", "by_test")}
        rows.append(dict(zip(_KEYS, key, strict=True)) | means | {"mean": difference, "low": low, "high": high, "n": n})
    return pd.DataFrame(rows)
