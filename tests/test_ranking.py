"""Ranking metrics, against a plain implementation that tries every order of ties, and against closed forms."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_cf.cf import data
from automl_cf.cf import ranking as module
from automl_cf.cf.bias import train_bias
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.ranking import Ranking, list_metrics, ranking
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import Split, random_split
from automl_cf.cf.training import Training
from automl_cf.errors import InputError


def split_of(entries, shape):
    """A split of {index: (part, value)}."""

    def part(name):
        chosen = {index: value for index, (where, value) in entries.items() if where == name}
        indices = np.array(list(chosen), dtype=np.int64).reshape(-1, len(shape))
        return RatingTensor(indices, np.array(list(chosen.values()), dtype=np.float32), shape)

    return Split(part("train"), part("valid"), part("test"), 0.0, 1.0, 1.0, 0, "")


def metrics_of_order(order, k):
    """Hit, NDCG and recall of one list whose items stand in this order; each item is whether it is a positive."""
    top = order[:k]
    gain = sum(1 / math.log2(1 + rank) for rank, is_positive in enumerate(top, start=1) if is_positive)
    best = sum(1 / math.log2(1 + rank) for rank in range(1, min(k, sum(order)) + 1))
    return float(any(top)), gain / best, sum(top) / sum(order)


def expected_over_ties(candidates, k):
    """The mean over all orders in which scores do not rise; candidates are (score, is positive)."""
    orders = [
        metrics_of_order([is_positive for _, is_positive in order], k)
        for order in itertools.permutations(candidates)
        if all(one[0] >= other[0] for one, other in itertools.pairwise(order))
    ]
    return np.mean(orders, axis=0)


def plain_ranking(score, entries, shape, k, positive, candidates, item_mode):
    """By loops over all lists and items; score is a function of one index."""
    results, without = [], 0
    other_shape = [range(size) for mode, size in enumerate(shape) if mode != item_mode]
    for rest in itertools.product(*other_shape):
        indices = [(*rest[:item_mode], item, *rest[item_mode:]) for item in range(shape[item_mode])]
        in_test = [index for index in indices if index in entries and entries[index][0] == "test"]
        if not in_test:
            continue
        positives = {index for index in in_test if entries[index][1] >= positive}
        if not positives:
            without += 1
            continue
        chosen = {
            "rated": in_test,
            "unseen": [i for i in indices if i not in entries or entries[i][0] == "test"],
            "all": indices,
        }[candidates]
        scored = [(score(index), index in positives) for index in chosen]
        results.append([expected_over_ties(scored, cut) for cut in k])
    return results, without


@st.composite
def problems(draw):
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    item_mode = draw(st.integers(0, len(shape)))
    shape = (*shape[:item_mode], draw(st.integers(1, 5)), *shape[item_mode:])
    rated = st.tuples(st.sampled_from(["train", "valid", "test", "test"]), st.integers(1, 5))
    entries = {}
    for index in itertools.product(*map(range, shape)):
        if entry := draw(st.none() | rated):
            entries[index] = entry
    table = np.array(draw(st.lists(st.integers(0, 3), min_size=math.prod(shape), max_size=math.prod(shape))))
    return shape, item_mode, entries, table.reshape(shape)


@settings(max_examples=150)
@given(problems(), st.sampled_from(["rated", "unseen", "all"]), st.sampled_from([1, 4, 1 << 20]))
def test_it_agrees_with_every_order_of_ties_tried(problem, candidates, block):
    shape, item_mode, entries, table = problem
    k = (1, 2, 3, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        found = ranking(
            lambda indices: table[tuple(indices.T)].astype(float),
            split_of(entries, shape),
            k=k,
            positive=4,
            candidates=candidates,
            item_mode=item_mode,
        )
    results, without = plain_ranking(lambda i: table[i], entries, shape, k, 4, candidates, item_mode)
    assert (found.k, found.lists, found.without_positive) == (k, len(results), without)
    expected = np.mean(results, axis=0).T if results else np.full((3, len(k)), np.nan)
    np.testing.assert_allclose([found.hit, found.ndcg, found.recall], expected, atol=1e-9)


@settings(max_examples=60)
@given(st.integers(1, 200), st.data())
def test_a_constant_model_has_chance_level(n, drawn):
    positives, k = drawn.draw(st.integers(1, n)), drawn.draw(st.integers(1, 250))
    relevant = np.random.default_rng(0).permutation(n) < positives
    hit, ndcg, recall = (m.item() for m in list_metrics(np.zeros(n), np.full(n, 3.25), relevant, [k]))
    places = min(k, n)
    assert hit == pytest.approx(1 - math.comb(n - positives, places) / math.comb(n, places), abs=1e-9)
    assert recall == pytest.approx(places / n)
    gain, ideal = (sum(1 / math.log2(1 + rank) for rank in range(1, m + 1)) for m in (places, min(k, positives)))
    assert ndcg == pytest.approx(positives / n * gain / ideal)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=30), st.integers(1, 40))
def test_ndcg_agrees_with_scikit_learn(candidates, k):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    relevant, scores = np.array(candidates).T
    if not relevant.any() or len(relevant) < 2:
        return
    _, ndcg, _ = list_metrics(np.zeros(len(scores)), scores, relevant, [k])
    assert ndcg.item() == pytest.approx(sklearn_metrics.ndcg_score([relevant], [scores], k=k))


ENTRIES = {
    (0, 0): ("test", 5),
    (0, 1): ("test", 3),
    (0, 2): ("test", 5),
    (0, 3): ("train", 5),
    (1, 0): ("test", 4),
    (1, 1): ("valid", 5),
    (2, 3): ("test", 5),
    (2, 0): ("train", 1),
}


def ranked(predict, **options):
    return ranking(predict, split_of(ENTRIES, (3, 6)), **options)


@pytest.mark.parametrize("candidates", ["rated", "unseen"])
def test_a_perfect_model_hits_first(candidates):
    found = ranked(lambda i: np.array([ENTRIES.get(tuple(x), ("", 0))[1] for x in i]), k=[1, 2], candidates=candidates)
    assert found == Ranking((1, 2), (1.0, 1.0), (1.0, 1.0), (0.75, 1.0), lists=2, without_positive=1)


def test_what_was_trained_on_is_no_candidate_unless_asked_for():
    # Item 3 has the best score everywhere. User 0 has it in the training part, user 2 in the test part.
    def predict(indices):
        return (indices[:, 1] == 3) * 1.0 - indices[:, 1] * 0.01

    assert ranked(predict, k=[1], candidates="unseen").hit == (1.0,)
    assert ranked(predict, k=[1], candidates="all").hit == (0.5,)


def test_any_unit_of_the_scores_gives_the_same():
    def predict(indices):
        return np.sin(indices[:, 0] * 7.0 + indices[:, 1])

    assert ranked(predict, candidates="unseen") == ranked(lambda i: predict(i) * 1.1 + 3.5, candidates="unseen")


def test_without_positives_or_with_scores_that_are_no_numbers_there_is_no_metric():
    none = ranked(lambda i: np.zeros(len(i)), positive=6.0)
    assert (none.lists, none.without_positive) == (0, 3)
    broken = ranked(lambda i: np.full(len(i), np.nan))
    assert broken.lists == 2
    for found in (none, broken):
        assert np.isnan([found.hit, found.ndcg, found.recall]).all()
        assert found.fields() == {
            **dict.fromkeys(["hit@5", "hit@10", "ndcg@5", "ndcg@10", "recall@5", "recall@10"]),
            "ranked_lists": found.lists,
        }


def test_fields_name_each_metric():
    fields = ranked(lambda i: -i[:, 1].astype(float), k=[1]).fields()
    assert fields == {"hit@1": 1.0, "ndcg@1": 1.0, "recall@1": 0.75, "ranked_lists": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": []}, r"k is \(\), but must be one or more integers of at least 1"),
        ({"k": [5, 0]}, r"k is \(5, 0\), but must be"),
        ({"candidates": "rate"}, r"candidates is 'rate', but must be one of rated, .* Did you mean 'rated'\?"),
        ({"item_mode": 2}, "item_mode is 2, but must lie in 0 to 1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ranked(lambda i: np.zeros(len(i)), **options)


def test_a_split_without_a_test_part_is_refused():
    split = split_of(ENTRIES, (3, 6))
    hidden = Split(split.train, split.valid, None, 0.0, 1.0, 1.0, 0, "")
    with pytest.raises(InputError, match="no test part"):
        ranking(lambda i: np.zeros(len(i)), hidden)


@pytest.mark.slow
def test_the_bias_model_on_movielens_100k():
    split = random_split(data.load("ml-100k").ratings, 1)
    model = train_bias(split.for_search(), Training(), l2=1e-4, meter=NullMeter()).model
    found = {candidates: ranking(model.predict, split, candidates=candidates) for candidates in ("rated", "unseen")}

    frame = pd.DataFrame(split.test.indices, columns=["user", "item"])
    frame["score"], frame["positive"] = model.predict(split.test.indices), split.test.values == 5
    hits, recalls = [], []
    for _, group in frame.sort_values("score", ascending=False, kind="stable").groupby("user"):
        if group.positive.any():
            hits.append(group.positive[:10].any())
            recalls.append(group.positive[:10].sum() / group.positive.sum())
    assert found["rated"].hit[1] == pytest.approx(np.mean(hits), abs=2e-3)  # few scores are tied
    assert found["rated"].recall[1] == pytest.approx(np.mean(recalls), abs=2e-3)
    assert found["rated"].lists == found["unseen"].lists == len(hits)
    chance = ranking(lambda i: np.zeros(len(i)), split, candidates="unseen")
    assert found["unseen"].hit[1] > 3 * chance.hit[1]
