"""`AutoCF`: search for an interaction function and use it, in scikit-learn's conventions."""

from collections.abc import Hashable, Mapping
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from automl_cf.cf.names import Names
from automl_cf.cf.portable import take_home
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import train_and_validation
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import Event
from automl_cf.spaces.architecture import Architecture
from automl_cf.suite.cell import CellJob, run_cell, training_task
from automl_cf.suite.study import Study, make_study

_TIMES = ("timestamp", "time", "datetime", "date")  # what such columns are called in ratings files


class AutoCF(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Searches for the interaction function that predicts ratings best, and trains it.

    A part of the ratings, `validation_fraction`, chooses: the architecture, its l2, the number of epochs. Then it is
    trained on all of them. There is no test part: score it on ratings that you kept.

    Parameters
    ----------
    searcher, options
        A searcher's name (`automl-cf list searchers`) and its options.
    dim
        The embedding dimension.
    seconds, trials, visits
        The budget of the search; it ends with the one that is used up first. `seconds` counts thinking, training and
        validating. With `trials` or `visits` alone a fit is reproducible.
    space, training
        Options of the space and of the training protocol, by name, as in a study.
    validation_fraction
        The share of the ratings that chooses, between 0 and 1.
    rating
        The name of the ratings' column, where `fit` gets a frame and no `y`.
    random_state
        An integer, or what else scikit-learn takes, for the split, the initialisation and the search.

    Attributes
    ----------
    architecture_ : Architecture
        What was found.
    validation_rmse_ : float
        Its validation RMSE, in the ratings' units, before it was trained on all; the search has used it to choose.
    model_ : PortableModel
        The trained model; `model_.save(folder)` takes it home.
    seen_ : pandas.DataFrame
        The rows that were rated.
    events_ : list of dict
        What the search recorded, as in a run's events.
    """

    def __init__(
        self,
        searcher: str = "sif-robust",
        options: Mapping[str, Any] | None = None,
        dim: int = 8,
        seconds: float | None = 20.0,
        trials: int | None = None,
        visits: int | None = None,
        space: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        validation_fraction: float = 0.25,
        rating: str = "rating",
        random_state: Any = None,
    ) -> None:
        self.searcher = searcher
        self.options = options
        self.dim = dim
        self.seconds = seconds
        self.trials = trials
        self.visits = visits
        self.space = space
        self.training = training
        self.validation_fraction = validation_fraction
        self.rating = rating
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike | None = None) -> Self:
        """Search and train on rows of names, (n, order): users, items, and perhaps a context.

        A frame's column `rating` holds the ratings if `y`, (n,), does not; its other columns are the modes, in their
        order. Raises InputError for what cannot be searched, AutomlCfError if the search finds nothing.
        """
        frame, ratings = self._names_and_ratings(X, y)
        columns = [str(name) for name in frame.columns]
        numbers, labels = zip(*(_encoded(frame[name]) for name in frame.columns), strict=True)
        for name, column, different in zip(columns, numbers, labels, strict=True):
            if (column < 0).any():
                raise InputError(f"column '{name}' is empty in row {int(np.argmax(column < 0)) + 1}, but needs a name.")
            Names(different, name)  # refuses, before the search, what could not be told apart after it
        shape = tuple(len(different) for different in labels)
        tensor = RatingTensor(
            np.stack(numbers, axis=1).astype(np.int64),
            ratings,
            shape,
            tuple(np.asarray(different) for different in labels),
        )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        study = self._study(seed)
        study.check(tensor.order)
        tensor.check_usable("ratings", [f"column '{name}'" for name in columns])
        threads = torch.get_num_threads()
        try:
            self._search_and_train(tensor, columns, study, seed)
        finally:
            torch.set_num_threads(threads)  # a cell has as many as its study says
        self.seen_ = frame.set_axis(columns, axis=1)
        return self

    def _search_and_train(self, tensor: RatingTensor, columns: list[str], study: Study, seed: int) -> None:
        data = train_and_validation(tensor, seed, self.validation_fraction).for_search()
        (cell,) = study.cells()
        events: list[Event] = []
        run_cell(CellJob(study, cell, data), lambda event, files=None: events.append(event))
        self.events_ = events
        self.architecture_ = _found(events)
        task = training_task(study, cell, data)
        self.model_ = take_home(self.architecture_, tensor, task, columns=columns, trained={"searcher": self.searcher})
        self.validation_rmse_ = self.model_.trained["validation_rmse"]

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict ratings, (n,), for rows of names; names that are not known count as the mean of the known."""
        check_is_fitted(self, "model_")
        if not isinstance(X, pd.DataFrame):  # a frame's columns go by name, and there may be more
            X = validate_data(self, X, reset=False, dtype=None)
        predicted: NDArray[np.float64] = self.model_.predict(X)
        return predicted

    def recommend(
        self, users: Any, n: int = 10, seen: bool = False, context: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """The `n` best items for each user, or for one; those that the user has rated only with `seen`.

        `context` has names for the columns beyond users and items, such as {"month": 3}; a column that it does not
        have stands for the mean of its known names. See `PortableModel.recommend`.
        """
        check_is_fitted(self, "model_")
        found: pd.DataFrame = self.model_.recommend(users, n, None if seen else self.seen_, context)
        return found

    def _names_and_ratings(self, X: Any, y: ArrayLike | None) -> tuple[pd.DataFrame, NDArray[np.float32]]:
        """A frame of names, a column a mode, and the ratings; records what scikit-learn wants to know of `X`."""
        if not isinstance(self.rating, Hashable):
            raise InputError(f"AutoCF: rating is {self.rating!r}, but must be the name of a column.")
        if isinstance(X, pd.DataFrame) and self.rating in X.columns:  # which is never a mode
            y, X = X[self.rating] if y is None else y, X.drop(columns=self.rating)
        if y is None:
            raise InputError(
                f"This AutoCF estimator requires y to be passed, but the target y is None, and X has no column "
                f"'{self.rating}' (its parameter `rating`)."
            )
        framed = isinstance(X, pd.DataFrame)
        if framed:
            _check_columns(X)
        X = validate_data(self, X, skip_check_array=framed, dtype=None)
        if X.shape[1] < 2:
            raise InputError(f"X has {X.shape[1]} feature(s), but AutoCF needs two or more: users and items.")
        if np.asarray(y).dtype.kind in "mM":
            raise InputError("the ratings are times, but must be numbers.")
        try:
            values = column_or_1d(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"), warn=True)
        except ValueError as error:
            wrong = str(error).strip().splitlines()[0].rstrip(".")
            raise InputError(f"{wrong}{_where_not_finite(y)}; the ratings must be finite numbers.") from error
        check_consistent_length(X, values)
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
        if not np.isfinite(single).all() or (np.ptp(values) > 0 and np.ptp(single) == 0):
            raise InputError(
                f"the ratings run from {values.min():g} to {values.max():g}, which single precision cannot tell apart "
                "or hold; shift or scale them."
            )
        return (X if framed else pd.DataFrame(X)).reset_index(drop=True), single

    def _study(self, seed: int) -> Study:
        for name in ("options", "space", "training"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, Mapping):
                raise InputError(f"AutoCF: {name} is {given!r}, but must map the names of options to values.")
        fraction: Any = self.validation_fraction
        if not isinstance(fraction, Real):
            raise InputError(f"AutoCF: validation_fraction is {fraction!r}, but must be a number between 0 and 1.")
        budget = {"seconds": self.seconds, "trials": self.trials, "visits": self.visits}
        return make_study(
            {
                "datasets": ["frame"],
                "searchers": [{"name": self.searcher, "options": dict(self.options or {})}],
                "dims": [self.dim],
                "seeds": [seed],
                "budget": {key: value for key, value in budget.items() if value is not None},
                "space": {"options": dict(self.space or {})},
                "training": dict(self.training or {}),
                "resources": {"backend": "inline"},
            },
            "AutoCF",
        )


def _check_columns(frame: pd.DataFrame) -> None:
    """Raise InputError for columns that cannot be modes."""
    if isinstance(frame.columns, pd.MultiIndex) or not frame.columns.is_unique:
        raise InputError("X has columns of several levels, or two of one name, but needs one name for each.")
    for name in frame.columns[2:]:
        if str(name).lower() in _TIMES and frame[name].nunique() > len(frame) / 2:
            raise InputError(
                f"column '{name}' is different in most rows, so that nothing can be learnt for its names; leave it "
                "out, or make months, weekdays or the like of it."
            )


def _where_not_finite(ratings: Any) -> str:
    """Which row is the first whose rating is no finite number, as the end of a sentence; empty if that is not it."""
    numbers = pd.to_numeric(pd.Series(np.ravel(np.asarray(ratings, dtype=object))), errors="coerce")
    finite = np.isfinite(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
    return "" if finite.all() else f" in row {int(np.argmin(finite)) + 1}"


def _encoded(column: pd.Series) -> tuple[NDArray[np.int64], Any]:
    """Each name's number in the list of different ones, and that list: sorted, or if it cannot be as they come."""
    for sort in (True, False):
        try:
            return pd.factorize(column, sort=sort)
        except TypeError as error:
            wrong = error
    raise InputError(f"column '{column.name}' has names that cannot be compared: {wrong}.") from wrong


def _found(events: list[Event]) -> Architecture:
    """The last incumbent. Raises AutomlCfError if there is none."""
    last = events[-1]
    if last["kind"] == "cell_failed":
        raise AutomlCfError(f"the search failed: {last['error']}")
    incumbents = [event for event in events if event["kind"] == "incumbent"]
    if not incumbents:
        raise AutomlCfError("the search found nothing within its budget; give it more.")
    return Architecture.from_json(incumbents[-1]["architecture"])
