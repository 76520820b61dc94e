"""The best model of a stored run, trained on all ratings that are no test ratings."""

from pathlib import Path

import numpy as np

from automl_cf.analysis.run import Run
from automl_cf.cf.data import load
from automl_cf.cf.portable import PortableModel, take_home
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import Split, random_split
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture
from automl_cf.suite.cell import training_task
from automl_cf.suite.run import stored_study
from automl_cf.suite.study import Cell


def export_run(
    folder: Path | str,
    *,
    dataset: str | None = None,
    searcher: str | None = None,
    dim: int | None = None,
    seed: int | None = None,
) -> PortableModel:
    """Retrain what a run found on the training and validation ratings of its seed.

    Of the cells that fit `dataset`, `searcher`, `dim` and `seed`, the searcher and dimension with the best mean
    validation RMSE over seeds (those with the most seeds scored) are taken (test ratings choose nothing), and of
    those the seed with the best. `l2` and the number of epochs are chosen by that seed's validation part again.
    Raises InputError if no cell fits, if several data sets do, or if the data are no longer those of the run.
    """
    run, study = Run.load(folder), stored_study(Path(folder))
    study.load_plugins()
    scores = run.scores[run.scores["final"] & run.scores["validation"].notna()]
    for column, wanted in (("dataset", dataset), ("searcher", searcher), ("dim", dim), ("seed", seed)):
        if wanted is not None:
            there = ", ".join(map(str, sorted(scores[column].unique()))) or "none"
            scores = scores[scores[column] == wanted]
            if scores.empty:
                raise InputError(f"{column} is {wanted!r}, but the scored cells of '{folder}' that fit have {there}.")
    if scores.empty:
        raise InputError(f"'{folder}' has no scored architecture; let the run end first (automl-cf resume).")
    named = sorted(scores["dataset"].unique())
    if len(named) > 1:
        raise InputError(f"'{folder}' is of several data sets, {', '.join(named)}; name one as dataset.")
    by = scores.groupby(["searcher", "dim"])["validation"].agg(["size", "mean"])
    complete = by.loc[by["size"] == by["size"].max(), "mean"]  # with fewer seeds a mean is of other splits
    searcher, dim = complete.idxmin()
    own = scores[(scores["searcher"] == searcher) & (scores["dim"] == dim)]
    best = own.sort_values("validation").iloc[0]
    cell = Cell(best["dataset"], int(best["dim"]), best["searcher"], int(best["seed"]))
    (entry,) = (entry for entry in study.datasets if entry.title == cell.dataset)
    data = load(entry.name, **entry.options)
    ratings = data.ratings
    split = random_split(ratings, cell.seed, study.fractions, "split" in study.vary)
    (hash_then,) = run.cells.loc[run.cells["cell"] == cell.id, "split_hash"]
    if split.hash != hash_then:
        raise InputError(f"the data set '{cell.dataset}' is no longer the one that '{folder}' was run on.")
    task = training_task(study, cell, split.for_search())
    architecture = Architecture.from_json(best["architecture"])
    facts = {"run": Path(folder).name, "cell": cell.id}
    return take_home(architecture, _all_but_test(ratings, split), task, columns=data.columns, trained=facts)


def _all_but_test(ratings: RatingTensor, split: Split) -> RatingTensor:
    indices = np.concatenate([split.train.indices, split.valid.indices])
    return RatingTensor(
        indices, np.concatenate([split.train.values, split.valid.values]), ratings.shape, ratings.labels
    )
