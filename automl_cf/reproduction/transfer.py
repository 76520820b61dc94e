"""Does a function that was found on one data set, or at one dimension, serve another?

What `sif` found in each seed of a source is trained over the l2 grid and tested on every seed of a target, beside what
it found there itself. A source's error on a target's seed is the mean over what it found in its own seeds, so that one
lucky search does not decide; differences are then paired by the target's seeds.
"""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from automl_cf.analysis.run import Run
from automl_cf.analysis.tables import cell_table
from automl_cf.suite.study import Study, make_study

SEARCHER = "sif"
HERE = "here"
"""The source that is the target itself."""
ELSEWHERE = "on "
"""What the names of sources begin with that are other data sets."""

_SOURCES = {"methods": "ml-100k", "methods-ml-1m": "ml-1m"}
TARGETS: Mapping[str, str] = MappingProxyType({"transfer-ml-100k": "methods", "transfer-ml-1m": "methods-ml-1m"})
"""The transfer's studies by name, and the study whose data set is their target."""

_AT = 8  # dimension at which data sets exchange what they found


def transfer_study(name: str, runs: Mapping[str, Run]) -> Study:
    """Make the study of a target of what was found in ``runs``; those of `TARGETS` must be there."""
    target = runs[TARGETS[name]].study
    searchers = [
        {"name": "given", "label": f"{dataset} d{dim} s{seed}", "options": {"architectures": [architecture]}}
        for source, dataset in _SOURCES.items()
        for dim, seed, architecture in _found(runs[source])
        if source == TARGETS[name] or dim == _AT
    ]
    kept = {key: target[key] for key in ("datasets", "dims", "seeds", "vary", "fractions", "training", "analysis")}
    return make_study(
        {"name": name, **kept, "searchers": searchers, "budget": {"trials": 1}, "scoring": {"points": 1}}, name
    )


def by_source(run: Run) -> pd.DataFrame:
    """Return a target's errors as cells, whose searchers are the sources: `HERE`, "at dimension 2", "on ml-1m".

    One row per (dataset, dim, source, seed) with ``rmse_std``, the mean over the source's seeds, and ``split_hash``.
    Other data sets are sources at the dimension alone at which they were searched.
    """
    cells = cell_table(run)
    parts = cells["searcher"].str.extract(r"^(?P<data>.*) d(?P<at>\d+) s\d+$").astype({"at": "int64"})
    home, same = parts["data"] == cells["dataset"], parts["at"] == cells["dim"]
    source = (ELSEWHERE + parts["data"]).mask(home, "at dimension " + parts["at"].astype("str")).mask(home & same, HERE)
    kept = cells.assign(searcher=source)[home | same]
    keys = ["dataset", "dim", "searcher", "seed"]
    means = kept.groupby(keys, as_index=False).agg(rmse_std=("rmse_std", "mean"), split_hash=("split_hash", "first"))
    return means.sort_values(keys, ignore_index=True)


def _found(run: Run) -> list[tuple[int, int, object]]:
    """What `SEARCHER` found: dimension, seed and architecture of each of its cells that gave a result."""
    cells = cell_table(run)
    good = cells[(cells["searcher"] == SEARCHER) & cells["problem"].isna()]
    return list(zip(good["dim"].tolist(), good["seed"].tolist(), good["architecture"], strict=True))
