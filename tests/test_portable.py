"""A model to take home: what it predicts elsewhere, for whom, and what it refuses to load."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import planted_split, predict, tiny_task

from automl_cf.cf.approximator import approximator, initial_weights
from automl_cf.cf.portable import ARRAYS_NAME, JSON_NAME, PortableModel, _digest, train_on_all
from automl_cf.cf.ratings import RatingTensor
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture

NETWORK = [0.3, -0.4, 0.1, 0.2, 0.5, -0.2, 0.05]
ARCHITECTURES = {
    "identity": Architecture({"operation": "multiply"}),
    "networks": Architecture({"operation": "concat", "p": NETWORK, "q": NETWORK, "activation": "tanh"}),
    "several": Architecture({"operations": ["max", "plus"], "p": NETWORK, "q": NETWORK, "activation": "sigmoid"}),
    "bias": Architecture({"model": "bias-only"}),
    "perceptron": approximator(initial_weights(2, 2, np.random.default_rng(0))),
    "mlp": Architecture({"model": "mlp", "width1": 4, "width2": 0}),
}
USERS, ITEMS = ["ann", "bob", "çem", "dee", "eve"], [30, 10, 20, 40]


def ratings(named=True):
    rng = np.random.default_rng(1)
    cells = np.array([(u, i) for u in range(5) for i in range(4)])[rng.permutation(20)[:16]]
    cells = cells[cells[:, 1] != 3]  # nobody has rated the last item
    labels = (np.array(USERS, dtype=object), np.array(ITEMS)) if named else None
    return RatingTensor(cells, rng.normal(3, 1, len(cells)).astype(np.float32), (5, 4), labels)


def trained(architecture="networks", named=True, engine="fused", **training):
    task = tiny_task(engine=engine, **training)
    return train_on_all(ARCHITECTURES[architecture], ratings(named), task, l2=1e-3, epochs=3)


EVERY_PAIR = pd.DataFrame([(u, i) for u in [*USERS, "fay"] for i in [*ITEMS, 77]], columns=["user", "item"])


@pytest.mark.parametrize("engine", ["fused", "reference", "batched"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_predicts_the_same_bits_after_loading(name, engine, tmp_path):
    model = trained(name, engine=engine)
    model.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [JSON_NAME, ARRAYS_NAME]
    loaded = PortableModel.load(tmp_path / "model")
    expected = model.predict(EVERY_PAIR)
    assert np.isfinite(expected).all()
    assert len(set(expected)) > 5
    assert loaded.predict(EVERY_PAIR).tolist() == expected.tolist()
    assert loaded.architecture == model.architecture
    assert dict(loaded.trained) == dict(model.trained)


def test_it_predicts_the_same_bits_in_another_process(tmp_path):
    trained().save(tmp_path / "model")
    EVERY_PAIR.to_csv(tmp_path / "pairs.csv", index=False)
    expected = trained().predict(EVERY_PAIR)
    program = (
        "import json, sys, pandas as pd; from automl_cf import PortableModel;"
        "model = PortableModel.load(sys.argv[1]);"
        "print(json.dumps(model.predict(pd.read_csv(sys.argv[2])).tolist()))"
    )
    command = [sys.executable, "-c", program, tmp_path / "model", tmp_path / "pairs.csv"]
    other = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ, cwd=tmp_path)
    assert json.loads(other.stdout) == expected.tolist()


def test_predictions_are_those_of_the_formula():
    model = trained("networks", precision="float64")
    arrays, _ = model.model.parts()
    indices = np.array([(u, i) for u in range(6) for i in range(5)])
    scores = predict(
        [arrays["table0"], arrays["table1"]], {"concat": arrays["predictor.concat"]}, (None, None), "tanh", indices
    )
    np.testing.assert_allclose(model.predict(EVERY_PAIR), scores * model.std + model.mean, rtol=1e-12)
    given = ratings().values
    assert model.mean == pytest.approx(given.mean())
    assert model.std == pytest.approx(given.std())


@pytest.mark.parametrize("name", ["identity", "bias", "perceptron"])
def test_unknown_and_unrated_names_count_as_the_mean_row(name):
    model = trained(name, precision="float64")
    arrays, _ = model.model.parts()
    key = "bias1" if name == "bias" else "table1"
    items = arrays[key]
    assert len(items) == 5
    for stand_in in items[3:]:  # the item without ratings, and the one that stands for the unknown
        np.testing.assert_allclose(stand_in, items[:3].mean(0), rtol=1e-9)
    unknown, unrated = pd.DataFrame({"user": USERS, "item": 77}), pd.DataFrame({"user": USERS, "item": 40})
    assert model.predict(unknown).tolist() == model.predict(unrated).tolist()
    nobody = model.predict(pd.DataFrame({"user": ["zoe", None, 3.5], "item": [10, 10, 10]}))
    assert len(set(nobody)) == 1


def test_names_are_found_whatever_their_type():
    model = trained()
    texts = pd.DataFrame({"user": USERS[:4], "item": [str(item) for item in ITEMS]})
    numbers = pd.DataFrame({"user": USERS[:4], "item": ITEMS})
    assert model.predict(texts).tolist() == model.predict(numbers).tolist()
    assert model.predict(numbers.to_numpy()).tolist() == model.predict(numbers).tolist()
    plain = trained(named=False)
    assert plain.predict(np.array([[0, 1], [4, 3]])).tolist() == plain.predict([["0", "1"], ["4", "3"]]).tolist()


@given(st.lists(st.sampled_from([*USERS, "fay"]), max_size=4), st.integers(1, 6), st.booleans())
@settings(deadline=None, max_examples=30)
def test_recommendations_are_the_best_by_sorting_all(users, n, exclude):
    model, known = trained("identity"), ratings()
    seen = pd.DataFrame({"user": known.labels[0][known.indices[:, 0]], "item": known.labels[1][known.indices[:, 1]]})
    found = model.recommend(users, n, seen if exclude else None)
    assert list(found.columns) == ["user", "item", "prediction"]
    expected = []
    rated = set(map(tuple, seen.to_numpy().tolist())) if exclude else set()
    for user in users:
        scored = [(-model.predict([[user, item]])[0], place, item) for place, item in enumerate(ITEMS)]
        expected += [(user, item) for _, _, item in sorted(scored) if (user, item) not in rated][:n]
        scored = [entry for entry in sorted(scored) if (user, entry[2]) not in rated][:n]
    assert list(zip(found["user"], found["item"], strict=True)) == expected


@pytest.mark.parametrize("file", [JSON_NAME, ARRAYS_NAME])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.95])
def test_a_changed_byte_is_refused(file, where, tmp_path):
    trained().save(tmp_path / "model")
    path = tmp_path / "model" / file
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"model/{file}' (was changed since|is not JSON|has the format)"):
        PortableModel.load(tmp_path / "model")


def test_what_is_no_model_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"model.json' cannot be read \(No such file"):
        PortableModel.load(tmp_path)
    model = trained()
    model.save(tmp_path / "model")
    with pytest.raises(InputError, match="is there already; choose a new or an empty folder"):
        model.save(tmp_path / "model")
    (tmp_path / "model" / JSON_NAME).write_text("[1]")
    with pytest.raises(InputError, match="must be one JSON object"):
        PortableModel.load(tmp_path / "model")
    with pytest.raises(InputError, match="column 'item' is missing; the model needs user, item, and there are user"):
        model.predict(pd.DataFrame({"user": USERS}))
    with pytest.raises(InputError, match=r"shape \(2, 3\), but must have 2 columns"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(InputError, match="column 'user' is there twice; the model needs user, item"):
        model.predict(pd.DataFrame([["ann", "bob", 10]], columns=["user", "user", "item"]))
    for n in (0, True, 2.5, "3"):
        with pytest.raises(InputError, match=f"n is {n!r}, but must be an integer of at least 1"):
            model.recommend(["ann"], n)


def rewritten(folder, **changes):
    """Change what model.json says, checksum included: it keeps accidents out, not people."""
    path = folder / JSON_NAME
    record = json.loads(path.read_text()) | changes
    record["digest"] = _digest(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [USERS[:-1], ITEMS]}, "table0 has 6 rows"),
        ({"labels": [[*USERS, "fay"], ITEMS]}, "table0 has 6 rows"),
        ({"labels": [[*USERS[:-1], USERS[0]], ITEMS]}, "two names that are the same"),
        ({"columns": ["user"]}, "cannot|zip|hold"),
        ({"mean": float("nan")}, "its predictions are no numbers"),
        ({"std": 0}, "its columns, std or trained make no sense"),
        ({"columns": ["user", "user"]}, "its columns, std or trained make no sense"),
        ({"trained": None}, "its columns, std or trained make no sense"),
        ({"values": {"operations": ["no-such"]}}, "predictor.no-such|hold"),
        ({"values": {}}, "operations"),
        ({"architecture": {"model": "no-such"}}, "no-such"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changes, message, tmp_path):
    trained().save(tmp_path / "model")
    rewritten(tmp_path / "model", **changes)
    with pytest.raises(InputError, match=message):
        PortableModel.load(tmp_path / "model")


def test_what_cannot_be_stored_leaves_nothing_behind(tmp_path):
    model = replace(trained(), trained={"validation_rmse": float("nan")})
    with pytest.raises(InputError, match="a number of it is not finite"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    trained().save(tmp_path / "model")


def test_what_a_stranger_has_seen_is_not_left_out_for_another():
    model = trained("identity")
    seen = pd.DataFrame({"user": ["zoe", "zoe"], "item": [30, 10]})
    found = model.recommend(["zoe", "yan"], 4, seen)
    assert set(found.loc[found["user"] == "zoe", "item"]) == {20, 40}
    assert set(found.loc[found["user"] == "yan", "item"]) == set(ITEMS)


MONTHS, PLACES = [1, 2, 3], ["home", "work"]


@cache
def tensor_model(order):
    """Of users, items and months, and perhaps of places."""
    rng = np.random.default_rng(0)
    shape = (5, 4, 3, 2)[:order]
    cells = np.argwhere(rng.random(shape) < 0.7)
    labels = tuple(np.array(names, dtype=object) for names in (USERS, ITEMS, MONTHS, PLACES)[:order])
    tensor = RatingTensor(cells, rng.normal(3, 1, len(cells)).astype(np.float32), shape, labels)
    columns = ("user", "item", "month", "place")[:order]
    task = tiny_task(engine="reference", precision="float64", learning_rate=0.3)
    return train_on_all(ARCHITECTURES["identity"], tensor, task, l2=0.0, epochs=3, columns=columns), tensor


def test_a_tensor_model_predicts():
    model, _ = tensor_model(3)
    assert model.columns == ("user", "item", "month")
    pairs = EVERY_PAIR.assign(month=2)
    assert len(set(model.predict(pairs))) > 5
    assert model.predict(pairs).tolist() == model.predict(pairs.to_numpy()).tolist()


@given(st.data(), st.sampled_from([3, 4]), st.integers(1, 6), st.booleans())
@settings(deadline=None, max_examples=60)
def test_recommendations_in_a_context_are_the_best_by_sorting_all(data, order, n, exclude):
    """What is not given is the name of nobody, so that prediction itself is the measure."""
    model, tensor = tensor_model(order)
    names = {"month": [*MONTHS, "2", 9, None], "place": [*PLACES, "moon"]}
    further = model.columns[2:]
    context = data.draw(st.fixed_dictionaries({}, optional={name: st.sampled_from(names[name]) for name in further}))
    users = data.draw(st.lists(st.sampled_from([*USERS, "fay"]), max_size=3))
    rated = pd.DataFrame(
        {"user": np.array(USERS)[tensor.indices[:9, 0]], "item": np.array(ITEMS)[tensor.indices[:9, 1]]}
    )
    found = model.recommend(users, n, rated if exclude else None, context)
    taken = set(map(tuple, rated.to_numpy().tolist())) if exclude else set()
    expected = []
    for user in users:
        rows = [[user, item, *(context.get(name, "nobody") for name in further)] for item in ITEMS]
        scored = sorted(zip(-model.predict(np.array(rows, dtype=object)), range(len(ITEMS)), strict=True))
        expected += [(user, ITEMS[place], -score) for score, place in scored if (user, ITEMS[place]) not in taken][:n]
    assert list(found.columns) == ["user", "item", "prediction"]
    assert list(found.itertuples(index=False, name=None)) == expected


def test_a_context_that_is_not_given_is_the_mean_row():
    """Of the embeddings, computed here by the formula: the ratings are sums of products."""
    model, _ = tensor_model(3)
    arrays, _ = model.model.parts()
    users, items, months = (arrays[f"table{mode}"][:-1] for mode in range(3))
    (weights,) = (array.ravel() for name, array in arrays.items() if not name.startswith("table"))
    scores = (users[1] * items * months.mean(0)) @ weights * model.std + model.mean
    found = model.recommend("bob", 4)
    np.testing.assert_allclose(found["prediction"], np.sort(scores)[::-1], rtol=1e-9)
    assert found["item"].tolist() == [ITEMS[i] for i in np.argsort(-scores)]
    march = (users[1] * items * months[2]) @ weights * model.std + model.mean
    np.testing.assert_allclose(
        model.recommend("bob", 4, context={"month": "3"})["prediction"], np.sort(march)[::-1], rtol=1e-9
    )
    assert not np.allclose(scores, march)


@pytest.mark.parametrize(
    ("order", "context", "message"),
    [
        (3, {"monht": 3}, r"context has 'monht', but must be one of month\. Did you mean 'month'"),
        (3, {"user": "ann"}, "context has 'user', but must be one of month"),
        (4, {"day": 3}, "context has 'day', but must be one of month, place"),
        (3, {"month": [1, 2]}, r"context has \[1, 2\] as 'month', but must have one name"),
        (3, [3], r"context is \[3\], but must map columns to names"),
        (2, {"month": 3}, "context has 'month', but must be absent, since this model has none"),
    ],
)
def test_a_context_that_cannot_be_is_one_sentence(order, context, message):
    model = trained() if order == 2 else tensor_model(order)[0]
    with pytest.raises(InputError, match=message):
        model.recommend(["ann"], context=context)


def test_users_come_as_any_list_or_as_one():
    model = trained("identity")
    expected = model.recommend(["ann"], 2)
    for users in ("ann", np.array(["ann"]), np.array("ann"), pd.Series(["ann"], index=[7]), {"ann"}, iter(["ann"])):
        pd.testing.assert_frame_equal(model.recommend(users, 2), expected, check_dtype=False)
    assert len(model.recommend([], 2)) == 0
    for users in (pd.DataFrame({"user": ["ann"]}), [["ann"]], {"ann": 1}):
        with pytest.raises(InputError, match=r"users is a \w+ of more than names; give a list of names"):
            model.recommend(users, 2)


def test_seen_is_told_apart_whatever_the_type_of_the_names():
    rng = np.random.default_rng(0)
    cells = np.array([(u, i) for u in range(5) for i in range(4)])
    model = train_on_all(
        ARCHITECTURES["identity"],
        RatingTensor(cells, rng.normal(size=20).astype(np.float32), (5, 4)),
        tiny_task(),
        l2=0.0,
        epochs=2,
    )
    for seen in ([(3, 1), (3, 2)], [(3.0, 1.0), (3.0, 2.0)], [("3", "1"), ("003", "2.0")]):
        found = model.recommend(["3"], 4, pd.DataFrame(seen, columns=["user", "item"]))
        assert set(found["item"]) == {0, 3}


def test_training_on_all_lowers_the_error_on_all():
    split = planted_split()
    everything = RatingTensor(
        np.concatenate([split.train.indices, split.valid.indices]),
        np.concatenate([split.train.values, split.valid.values]),
        split.train.shape,
    )
    task = tiny_task(learning_rate=0.2)
    short, long = (
        train_on_all(ARCHITECTURES["identity"], everything, task, l2=0.0, epochs=epochs) for epochs in (1, 40)
    )
    errors = [np.mean((model.predict(everything.indices) - everything.values) ** 2) for model in (short, long)]
    assert errors[1] < 0.7 * errors[0]
