"""Ranking metrics of the paper's Table 3: Hit@K, NDCG@K, and recall@K beside them.

**Positives.** A test rating of at least ``positive`` is one: 5 stars, as in section 4.2.3. All else that is ranked
is a negative.

**Lists.** One list of items is ranked per user: more exactly, per combination of rows of all modes but the items'.
So the definition extends to a tensor as it is: with months as third mode one list is that of a user in a month.

**Candidates**, the items in a list; the paper does not say which they are:

- ``rated`` (default): the list's test ratings. Section 4.2.3 speaks of ratings only, those of five and the others, and
  says nothing of items that nobody judged. With it the models' order is about that of their RMSE, as in Table 3;
  among unseen items it is another one (on ml-100k the inner product then beats a bias model whose RMSE is better).
  Lists are short, so that Hit@K is high even by chance, and recall tells more.
- ``unseen``: all items but those that the list has in the training or the validation part. What is not rated counts
  as negative: the full ranking that is usual for top-N recommendation, without sampled negatives, whose metrics may
  order models wrongly (Krichene and Rendle, KDD 2020).
- ``all``: all items, those of the training part among them, as the authors' public code ranks them.

**Metrics**, means over the lists that have a positive (the others are left out and counted):

- Hit@K: whether a positive is among the first K. NDCG@K: sum of 1 / log2(1 + rank) over the positives among the
  first K, over what the best order has. Recall@K: the share of the list's positives among the first K.
- With one positive a list, as in the leave-one-out protocol of NCF, Hit@K is Recall@K, and NDCG@K is 1/log2(1 + rank).

**Ties.** Equal scores are put into random order, and the metric is its expected value, in closed form. So a constant
model has chance level, and no metric depends on how items are numbered.

Table 3 cannot be reproduced by any of these, nor by the authors' public code, which ranks each positive alone: a hit
at rank 6 to 10 then adds at most 1 / log2(7) = 0.36 to NDCG, but Table 3 has N@10 - N@5 = 0.069 for H@10 - H@5 =
0.110. Compare its rows with each other only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from automl_cf.cf.ratings import IntArray, RatingTensor
from automl_cf.cf.splits import Split
from automl_cf.errors import InputError, suggest

Candidates = Literal["rated", "unseen", "all"]
Predict = Callable[[IntArray], NDArray[np.float64]]
Floats = NDArray[np.float64]

_BLOCK = 1 << 20  # candidates scored at once, to bound memory


@dataclass(frozen=True)
class Ranking:
    """Metrics at each of ``k``: means over ``lists`` lists. ``without_positive`` lists of the test part had none.

    Without any list that has a positive, or if any score is not finite, the metrics are NaN.
    """

    k: tuple[int, ...]
    hit: tuple[float, ...]
    ndcg: tuple[float, ...]
    recall: tuple[float, ...]
    lists: int
    without_positive: int

    def fields(self) -> dict[str, float | int | None]:
        """Return the metrics for JSON, as "hit@5", "ndcg@5", ..., "ranked_lists"; None stands for NaN."""
        named = {
            f"{name}@{k}": value if np.isfinite(value) else None
            for name, values in (("hit", self.hit), ("ndcg", self.ndcg), ("recall", self.recall))
            for k, value in zip(self.k, values, strict=True)
        }
        return {**named, "ranked_lists": self.lists}


def ranking(
    predict: Predict,
    split: Split,
    *,
    k: Sequence[int] = (5, 10),
    positive: float = 5.0,
    candidates: Candidates = "rated",
    item_mode: int = 1,
) -> Ranking:
    """Rank the items of the test part by ``predict``, a function of indices (n, order) to scores (n,).

    Scores may be in any unit in which more is better. ``item_mode`` says which mode the items are. Raises
    ``InputError`` for a split without a test part and for options that make no sense.
    """
    _check(split, k, candidates, item_mode)
    assert split.test is not None
    lists, positives, without = _lists(split.test, positive, item_mode)
    totals, valid = np.zeros((3, len(k))), True
    for block, relevant, indices in _blocks(split, lists, positives, candidates, item_mode):
        scores = np.asarray(predict(indices), dtype=np.float64)
        valid = valid and bool(np.isfinite(scores).all())
        totals += np.stack([metrics.sum(axis=0) for metrics in list_metrics(block, scores, relevant, k)])
    with np.errstate(invalid="ignore"):
        hit, ndcg, recall = (totals / len(lists) if valid else totals * np.nan).tolist()
    return Ranking(tuple(k), tuple(hit), tuple(ndcg), tuple(recall), len(lists), without)


def list_metrics(
    lists: ArrayLike, scores: ArrayLike, relevant: ArrayLike, k: Sequence[int]
) -> tuple[Floats, Floats, Floats]:
    """Return Hit, NDCG and recall at each of ``k``, expected over random orders of ties: each (lists, len(k)).

    The arrays (n,) say of each candidate which list it is in (any integers; each list must have a positive), its
    score and whether it is a positive. Rows of the results are the lists by rising number.
    """
    of, score, positive = np.asarray(lists), np.asarray(scores, np.float64), np.asarray(relevant, np.bool_)
    order = np.lexsort((-score, of))
    of, score, positive = of[order], score[order], positive[order]
    n = len(of)
    new_list = np.ones(n, np.bool_)
    new_list[1:] = of[1:] != of[:-1]
    new_group = new_list.copy()  # a group is a run of ties
    new_group[1:] |= score[1:] != score[:-1]

    list_start, group_start = np.flatnonzero(new_list), np.flatnonzero(new_group)
    group_list = (np.cumsum(new_list) - 1)[group_start]
    size = np.diff(group_start, append=n)
    first = group_start - list_start[group_list]  # rank of a group's first place, from 0
    hits = np.add.reduceat(positive.astype(np.int64), group_start)
    in_list = np.bincount(group_list, hits, minlength=len(list_start))

    discounted = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, max(k) + 2)))])  # of the first 0, 1, ...
    results = np.empty((3, len(list_start), len(k)))
    for column, cut in enumerate(k):
        taken = np.clip(cut - first, 0, size)  # how many places of the group are among the first `cut`
        share = hits / size
        gain = share * (discounted[np.minimum(first + size, cut)] - discounted[np.minimum(first, cut)])
        ideal = discounted[np.minimum(in_list.astype(np.int64), cut)]
        # Only the one group that is cut can be in doubt, and with a hit before it its own chance does not matter.
        chance = _chance_of_a_hit(size, hits, taken)
        results[0, :, column] = np.maximum.reduceat(chance, np.searchsorted(group_list, np.arange(len(list_start))))
        results[1, :, column] = np.bincount(group_list, gain, minlength=len(list_start)) / ideal
        results[2, :, column] = np.bincount(group_list, share * taken, minlength=len(list_start)) / in_list
    return results[0], results[1], results[2]


def _chance_of_a_hit(size: IntArray, hits: IntArray, taken: IntArray) -> Floats:
    """The chance that of ``taken`` ones drawn from ``size``, of which ``hits`` are positive, one or more are.

    1 - C(size - hits, taken) / C(size, taken), the hypergeometric distribution.
    """
    possible = hits + taken <= size  # to draw no positive
    misses = np.where(possible, size - hits, size)
    log_none = gammaln(misses + 1) - gammaln(misses - taken + 1) - gammaln(size + 1) + gammaln(size - taken + 1)
    return np.where(possible, -np.expm1(np.minimum(log_none, 0.0)), 1.0)


def _lists(test: RatingTensor, positive: float, item_mode: int) -> tuple[IntArray, IntArray, int]:
    """Return the keys of the lists with a positive, sorted, the rows of the positives, and how many lists have none."""
    keys = _keys(test.indices, test.shape, item_mode)
    rows = np.flatnonzero(test.values >= positive).astype(np.int64)
    lists = np.unique(keys[rows])
    return lists, rows, len(np.unique(keys)) - len(lists)


def _keys(indices: IntArray, shape: tuple[int, ...], item_mode: int) -> IntArray:
    """Number the combinations of rows of all modes but the items': (n,)."""
    others = [mode for mode in range(len(shape)) if mode != item_mode]
    return np.ravel_multi_index(
        tuple(indices[:, mode] for mode in others), tuple(shape[mode] for mode in others)
    ).astype(np.int64)


def _blocks(
    split: Split, lists: IntArray, positives: IntArray, candidates: Candidates, item_mode: int
) -> Iterator[tuple[IntArray, NDArray[np.bool_], IntArray]]:
    """Yield, some lists at a time, the candidates' lists (n,), whether they are positives (n,), and indices."""
    test = split.test
    assert test is not None
    keys = _keys(test.indices, test.shape, item_mode)
    if candidates == "rated":
        if len(lists):
            rows = np.flatnonzero(np.isin(keys, lists))
            yield keys[rows], np.isin(rows, positives), test.indices[rows]
        return
    items = test.shape[item_mode]
    relevant = _Marks(lists, keys[positives], test.indices[positives, item_mode])
    seen = [
        _Marks(lists, _keys(part.indices, part.shape, item_mode), part.indices[:, item_mode])
        for part in ((split.train, split.valid) if candidates == "unseen" else ())
    ]
    step = max(1, _BLOCK // items)
    for start in range(0, len(lists), step):
        stop = min(start + step, len(lists))
        wanted = np.ones((stop - start, items), np.bool_)
        for marks in seen:
            wanted[marks.between(start, stop)] = False
        is_positive = np.zeros_like(wanted)
        is_positive[relevant.between(start, stop)] = True
        row, item = np.nonzero(wanted)
        key = lists[start:stop][row]
        yield key, is_positive[row, item], _indices(key, item, test.shape, item_mode)


class _Marks:
    """Entries (list, item), sorted by list, so that those of some lists are a slice."""

    def __init__(self, lists: IntArray, keys: IntArray, items: IntArray) -> None:
        row = np.searchsorted(lists, keys)
        known = row < len(lists)
        known[known] = lists[row[known]] == keys[known]
        order = np.argsort(row[known], kind="stable")
        self.row, self.item = row[known][order], items[known][order]

    def between(self, start: int, stop: int) -> tuple[IntArray, IntArray]:
        """Return row, counted from ``start``, and item of the entries of lists number ``start`` to ``stop`` - 1."""
        low, high = np.searchsorted(self.row, [start, stop])
        return self.row[low:high] - start, self.item[low:high]


def _indices(keys: IntArray, items: Any, shape: tuple[int, ...], item_mode: int) -> IntArray:
    """Return the indices (n, order) of the items of the lists ``keys``."""
    others = list(np.unravel_index(keys, [size for mode, size in enumerate(shape) if mode != item_mode]))
    others.insert(item_mode, items)
    return np.stack(others, axis=1).astype(np.int64)


def _check(split: Split, k: Sequence[int], candidates: str, item_mode: int) -> None:
    if split.test is None:
        raise InputError("ranking: the split has no test part, but its ratings are what is ranked.")
    if not k or any(cut != int(cut) or cut < 1 for cut in k):
        raise InputError(f"ranking: k is {tuple(k)}, but must be one or more integers of at least 1.")
    if candidates not in get_args(Candidates):
        known = get_args(Candidates)
        raise InputError(
            f"ranking: candidates is '{candidates}', but must be one of {', '.join(known)}.{suggest(candidates, known)}"
        )
    if not 0 <= item_mode < split.test.order:
        raise InputError(f"ranking: item_mode is {item_mode}, but must lie in 0 to {split.test.order - 1}.")
