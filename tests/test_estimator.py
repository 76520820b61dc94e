"""AutoCF: scikit-learn's conventions, and that it predicts ratings that it has not seen."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from automl_cf import AutoCF, PortableModel
from automl_cf.cf.data import load
from automl_cf.errors import AutomlCfError, InputError

QUICK = {"searcher": "random", "seconds": None, "trials": 3, "dim": 2, "random_state": 0}


def frame(seed=0, users=60, items=40):
    ratings = load("planted", users=users, items=items, density=0.5, noise=0.2, seed=seed).ratings
    names = {"user": [f"u{u}" for u in ratings.indices[:, 0]], "item": ratings.indices[:, 1] + 100}
    return pd.DataFrame({**names, "rating": ratings.values})


def test_it_predicts_what_it_has_not_seen_better_than_the_mean():
    ratings = frame()
    kept = np.random.default_rng(0).random(len(ratings)) < 0.25
    model = AutoCF("single-op", seconds=30, dim=8, random_state=1).fit(ratings[~kept])
    test = ratings[kept]
    assert model.score(test[["user", "item"]], test["rating"]) > 0.5  # R squared: 0 is the mean
    assert model.predict(test).tolist() == model.predict(test[["item", "user"]]).tolist()  # columns go by name
    assert model.events_[0]["kind"] == "cell_started"
    assert model.architecture_.to_json() in [event.get("architecture") for event in model.events_]
    assert 0.2 < model.validation_rmse_ < test["rating"].std()


def test_the_same_seed_gives_the_same_predictions_and_another_one_another_search():
    ratings = frame()
    first, again, other = (AutoCF(**QUICK | {"random_state": seed}).fit(ratings) for seed in (3, 3, 4))
    assert first.predict(ratings).tolist() == again.predict(ratings).tolist()
    assert first.architecture_ != other.architecture_


def test_a_frame_and_arrays_mean_the_same():
    ratings = frame()
    of_frame = AutoCF(**QUICK).fit(ratings)
    of_arrays = AutoCF(**QUICK).fit(ratings[["user", "item"]].to_numpy(), ratings["rating"].to_numpy())
    assert of_frame.predict(ratings).tolist() == of_arrays.predict(ratings[["user", "item"]].to_numpy()).tolist()
    assert list(of_frame.feature_names_in_) == ["user", "item"]
    assert not hasattr(of_arrays, "feature_names_in_")


def test_arrays_and_numbered_columns_can_be_recommended_from_and_predicted():
    ratings = frame()
    names = ratings[["user", "item"]].to_numpy()
    of_arrays = AutoCF(**QUICK).fit(names, ratings["rating"])
    found = of_arrays.recommend(["u1"], 3)
    assert len(found) == 3
    assert not set(found["1"]) & set(ratings.loc[ratings["user"] == "u1", "item"])
    numbered = pd.DataFrame(names)
    assert (
        AutoCF(**QUICK).fit(numbered, ratings["rating"]).predict(numbered).tolist() == of_arrays.predict(names).tolist()
    )


def test_the_ratings_are_never_a_mode():
    ratings = frame()
    with_them = AutoCF(**QUICK).fit(ratings, ratings["rating"])
    assert with_them.model_.columns == ("user", "item")
    assert with_them.predict(ratings).tolist() == AutoCF(**QUICK).fit(ratings).predict(ratings).tolist()


def test_days_are_names_like_others():
    ratings = frame()[["user", "rating"]].assign(
        day=pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(1200), "D")
    )
    ratings = ratings.assign(day=ratings["day"].sample(frac=1, random_state=0).to_numpy())
    model = AutoCF(**QUICK).fit(ratings[["user", "day", "rating"]])
    texts = ratings.assign(day=ratings["day"].dt.strftime("%Y-%m-%d"))
    assert model.predict(texts).tolist() == model.predict(ratings).tolist()
    assert len(set(model.predict(ratings))) > 100


def test_torchs_threads_are_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        AutoCF(**QUICK).fit(frame())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_parameters_and_clones():
    model = AutoCF(**QUICK, options={}, training={"max_epochs": 3})
    assert clone(model).get_params() == model.get_params()
    assert clone(model.set_params(dim=5)).dim == 5
    search = GridSearchCV(AutoCF(**QUICK), {"dim": [1, 2]}, cv=2).fit(frame()[["user", "item"]], frame()["rating"])
    assert search.best_params_["dim"] in (1, 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_recommend_leaves_out_what_was_rated_unless_asked():
    ratings = frame()
    model = AutoCF(**QUICK).fit(ratings)
    best = model.recommend(["u1", "nobody"], 5)
    assert best["user"].tolist() == ["u1"] * 5 + ["nobody"] * 5
    rated = set(ratings.loc[ratings["user"] == "u1", "item"])
    assert not rated & set(best.loc[best["user"] == "u1", "item"])
    everything = model.recommend("u1", 40, seen=True)
    assert rated < set(everything["item"])
    assert everything["prediction"].is_monotonic_decreasing


def test_it_can_be_taken_home(tmp_path):
    ratings = frame()
    model = AutoCF(**QUICK).fit(ratings)
    model.model_.save(tmp_path / "model")
    assert PortableModel.load(tmp_path / "model").predict(ratings).tolist() == model.predict(ratings).tolist()


def test_a_third_mode_is_a_context():
    ratings = frame().assign(month=np.arange(1200) % 3)[["user", "item", "month", "rating"]]
    model = AutoCF(**QUICK, training={"max_epochs": 2}).fit(ratings)
    assert model.model_.columns == ("user", "item", "month")
    assert np.isfinite(model.predict(ratings)).all()
    rated = set(ratings.loc[ratings["user"] == "u1", "item"])
    for context, name in (({"month": 2}, 2), (None, "no such month")):
        found = model.recommend("u1", 40, context=context)
        assert set(found["item"]) == set(ratings["item"]) - rated  # whatever month they were rated in
        assert found["prediction"].tolist() == model.predict(found.assign(month=name)).tolist()
        assert len(model.recommend("u1", 40, seen=True, context=context)) == ratings["item"].nunique()
    with pytest.raises(InputError, match=r"context has 'monht', but must be one of month\. Did you mean 'month'"):
        model.recommend("u1", context={"monht": 2})


@pytest.mark.parametrize("framed", [True, False])
def test_a_column_that_is_constant_is_refused_by_its_name(framed):
    ratings = frame().assign(month=3)
    columns = ratings[["user", "item", "month"]]
    X, name = (columns, "month") if framed else (columns.to_numpy(), "2")
    with pytest.raises(InputError, match=f"column '{name}' is '3' for all ratings, .* must differ; leave it out"):
        AutoCF(**QUICK).fit(X, ratings["rating"])


def test_few_users_with_texts_as_names():
    """As somebody tries it out: ten users, some ratings, and names that it has not seen."""
    rng = np.random.default_rng(0)
    pairs = pd.MultiIndex.from_product([[f"u{k}" for k in range(10)], list("abcdefgh")]).to_frame(index=False)
    ratings = pairs.set_axis(["user", "item"], axis=1).assign(rating=rng.integers(1, 6, 80)).sample(60, random_state=0)
    model = AutoCF(**QUICK).fit(ratings)
    strangers = pd.DataFrame({"user": ["zoe", None, "yan"], "item": ["a", "a", "z"]})
    predicted = model.predict(strangers)
    assert np.isfinite(predicted).all()
    assert predicted[0] == predicted[1]
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(_dumped(model)), clone(model).fit(ratings)):
        assert again.predict(strangers).tolist() == predicted.tolist()
        pd.testing.assert_frame_equal(again.recommend(["u1", "zoe"], 3), model.recommend(["u1", "zoe"], 3))


def _dumped(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"searcher": "sift"}, r"Unknown searcher 'sift'\. Did you mean 'sif'\?"),
        ({"options": {"speed": 3}}, "searcher 'random' has no option 'speed'"),
        ({"dim": 0}, r"AutoCF: dims is \(?\[?0.*at least 1"),
        ({"trials": None}, "needs at least one of trials, seconds, visits"),
        ({"validation_fraction": 1.0}, r"validation_fraction: 1\.0 must lie between 0 and 1"),
        ({"rating": "stars"}, "target y is None, and X has no column 'stars'"),
        ({"space": {"units": -1}}, "units -1"),
        ({"training": {"speed": 1}}, "unknown key 'training.speed'"),
        ({"options": "fast"}, "options is 'fast', but must map the names of options to values"),
        ({"space": "nas"}, "space is 'nas', but must map"),
        ({"training": [1]}, r"training is \[1\], but must map"),
        ({"validation_fraction": "a"}, "validation_fraction is 'a', but must be a number between 0 and 1"),
        ({"rating": ["rating"]}, r"rating is \['rating'\], but must be the name of a column"),
    ],
)
def test_bad_parameters_are_refused_when_it_is_fitted(changes, message):
    with pytest.raises(InputError, match=message):
        AutoCF(**QUICK | changes).fit(frame())


def test_bad_data_are_refused():
    ratings = frame()
    with pytest.raises(InputError, match=r"column 'user' is empty in row 2"):
        AutoCF(**QUICK).fit(ratings.assign(user=ratings["user"].where(ratings.index != 1)))
    for bad, message in ((None, "contains NaN in row 2; .* finite"), ("good", "float: 'good' in row 2; .* finite")):
        with pytest.raises(InputError, match=message):
            AutoCF(**QUICK).fit(ratings.assign(rating=ratings["rating"].astype(object).where(ratings.index != 1, bad)))
    with pytest.raises(InputError, match="is rated more than once"):
        AutoCF(**QUICK).fit(pd.concat([ratings, ratings.head(1)]))
    mixed = pd.Series([int(user[1:]) if number % 2 else user[1:] for number, user in enumerate(ratings["user"])])
    with pytest.raises(InputError, match="column 'user' has two names that are the same as text"):
        AutoCF(**QUICK).fit(ratings.assign(user=mixed))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        AutoCF(**QUICK).fit(ratings[["user", "item"]], [1, 2, 3])
    with pytest.raises(InputError, match="needs two or more: users and items"):
        AutoCF(**QUICK).fit(ratings[["user"]], ratings["rating"])
    with pytest.raises(AutomlCfError, match="found nothing within its budget"):
        AutoCF(**QUICK | {"trials": None, "visits": 1}).fit(ratings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(timestamp=np.arange(len(f))), "column 'timestamp' is different in most rows.*leave it out"),
        (
            lambda f: f.assign(rating=f["rating"].astype(float) * 1e100),
            "the ratings run from .* single",
        ),
        (
            lambda f: f.assign(rating=f["rating"].astype(float) + 1e12),
            "the ratings run from .* single",
        ),
        (lambda f: f.assign(rating=pd.Timestamp("2020-01-01")), "the ratings are times, but must be numbers"),
        (lambda f: f.assign(user=[[1]] * len(f)), "column 'user' has names that cannot be compared"),
        (lambda f: pd.concat([f, f[["user"]]], axis=1), "two of one name"),
    ],
)
def test_odd_frames_are_refused_in_a_sentence(change, message):
    with pytest.raises(InputError, match=message):
        AutoCF(**QUICK).fit(change(frame()))


NOT_OURS = dict.fromkeys(
    [
        "check_n_features_in_after_fitting",
        "check_positive_only_tag_during_fit",
        "check_estimators_dtypes",
        "check_dtype_object",
        "check_regressors_train",
        "check_regressor_data_not_an_array",
        "check_regressors_no_decision_function",
        "check_regressors_int",
        "check_fit2d_1sample",
    ],
    "it fits on four or more columns, and a model has two or three modes",
)


@pytest.mark.slow
def test_scikit_learns_checks_pass_as_far_as_they_apply():
    checks = check_estimator(AutoCF(**QUICK), expected_failed_checks=NOT_OURS, on_fail=None, on_skip=None)
    failed = {check["check_name"]: check["exception"] for check in checks if check["status"] == "failed"}
    assert failed == {}
    left_out = {check["check_name"]: str(check["exception"]) for check in checks if check["status"] == "xfail"}
    assert left_out.keys() == NOT_OURS.keys()
    assert all("modes" in message or "InputError" in message for message in left_out.values())
    assert sum(check["status"] == "passed" for check in checks) >= 40
