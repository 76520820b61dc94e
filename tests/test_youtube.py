"""Youtube's folder format and the paper's rule for its subset, on a small folder made here."""

import collections
import random

import numpy as np
import pytest

from automl_cf.cf.data import load
from automl_cf.errors import InputError

OPTIONS = {"rows": 6, "more_than": 8}


def made_edges(users=25, seed=3):
    """{kind: {(one, other): intensity}}, each unordered pair once, one way round or the other."""
    rng = random.Random(seed)
    ids = rng.sample(range(1, 200), users)
    edges = {}
    for kind in range(1, 6):
        pairs = [(a, b) for k, a in enumerate(ids) for b in ids[k + 1 :] if rng.random() < 0.12]
        edges[kind] = {rng.choice([(a, b), (b, a)]): rng.randint(1, 30) for a, b in pairs}
    edges[2][ids[0], ids[0]] = 7  # with himself
    return edges


def write(folder, edges):
    folder.mkdir(exist_ok=True)
    for kind, pairs in edges.items():
        lines = [f"{a},{b},{intensity}\n" for (a, b), intensity in pairs.items()]
        (folder / f"{kind}-edges.csv").write_text("".join(lines))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "youtube", made_edges())


def both_ways(edges):
    """Every entry of the whole, symmetric tensor."""
    entries = {}
    for kind, pairs in edges.items():
        for (a, b), intensity in pairs.items():
            entries[a, b, kind] = entries[b, a, kind] = float(intensity)
    return entries


def as_dict(ratings):
    rows = zip(ratings.indices.tolist(), ratings.values.tolist(), strict=True)
    return {tuple(int(names[i]) for names, i in zip(ratings.labels, index, strict=True)): v for index, v in rows}


def test_the_subset_is_whole_rows_with_enough_interactions(folder):
    dataset = load("youtube", folder=str(folder), **OPTIONS)
    assert dataset.columns == ("user", "other", "kind")
    ratings = dataset.ratings
    whole = both_ways(made_edges())
    counts = collections.Counter(a for a, _, _ in whole)
    chosen = [int(name) for name in ratings.labels[0]]
    assert len(chosen) == 6
    assert min(counts[user] for user in chosen) > 8
    assert as_dict(ratings) == {entry: value for entry, value in whole.items() if entry[0] in chosen}
    assert ratings.shape == (6, len({b for a, b, _ in whole if a in chosen}), 5)
    assert ratings.labels[2].tolist() == [1, 2, 3, 4, 5]


def test_all_rows_with_enough_interactions(folder):
    whole = both_ways(made_edges())
    counts = collections.Counter(a for a, _, _ in whole)
    for more_than in (0, 8, 12):
        ratings = load("youtube", folder=str(folder), rows=0, more_than=more_than).ratings
        assert ratings.labels[0].tolist() == sorted(user for user in counts if counts[user] > more_than)
    assert as_dict(load("youtube", folder=str(folder), rows=0, more_than=0).ratings) == whole


def test_the_seed_determines_the_sample(folder):
    one, same, other = (load("youtube", folder=str(folder), seed=seed, **OPTIONS) for seed in (1, 1, 2))
    assert one.ratings.labels[0].tolist() == same.ratings.labels[0].tolist()
    assert one.ratings.labels[0].tolist() != other.ratings.labels[0].tolist()
    assert one.sha256 == other.sha256  # of the files


def test_every_row_with_enough_interactions_is_as_likely_as_any_other(folder):
    drawn = collections.Counter()
    for seed in range(60):
        drawn.update(load("youtube", folder=str(folder), seed=seed, **OPTIONS).ratings.labels[0].tolist())
    candidates = len(load("youtube", folder=str(folder), rows=0, more_than=8).ratings.labels[0])
    share = 6 / candidates
    assert len(drawn) == candidates
    spread = 5 * np.sqrt(60 * share * (1 - share))
    assert max(abs(count - 60 * share) for count in drawn.values()) < spread


def test_a_folder_of_that_form_may_be_given_by_its_path(folder):
    by_path, by_name = load(folder, **OPTIONS), load("youtube", folder=folder, **OPTIONS)
    assert as_dict(by_path.ratings) == as_dict(by_name.ratings)
    assert (by_path.name, by_path.source) == ("youtube", str(folder))


def test_a_missing_file_is_named(folder):
    (folder / "3-edges.csv").unlink()
    for give in ({"folder": folder}, {"folder": str(folder)}):
        with pytest.raises(InputError, match=r"youtube has no 3-edges\.csv, but must have 1-edges\.csv, 2-.* and 5-"):
            load("youtube", **give)
    with pytest.raises(InputError, match=r"has no 3-edges\.csv"):
        load(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "option folder is missing; it must be the folder that has 1-edges.csv"),
        ({"folder": "/no/such/folder"}, "folder is '/no/such/folder', but must be a folder"),
        ({"rows": 60}, r"\d+ rows have more than 20 interactions, but there must be 60 or more"),
        ({"rows": -1}, "rows is -1, but must be an integer of at least 0"),
        ({"rows": 2.5}, "rows is 2.5"),
        ({"row": 2}, r"an option is 'row'.* Did you mean 'rows'\?"),
    ],
)
def test_bad_options_are_refused(folder, options, message):
    given = options if not options or "folder" in options else {"folder": folder, **options}
    with pytest.raises(InputError, match=message):
        load("youtube", **given)


@pytest.mark.parametrize(
    "line",
    ["1,2\n", "1,2,x\n", "1,b,3\n", "1,2,3,4\n", "1;2;3\n", "1,2,3\n1,2\n", "1,2,3\n1,2,3,4\n"],
)
def test_lines_of_another_form_are_refused(folder, line):
    (folder / "4-edges.csv").write_text(line * 3)
    with pytest.raises(InputError, match=r"4-edges\.csv: must have lines 'user,user,intensity'") as caught:
        load("youtube", folder=folder, **OPTIONS)
    assert "\n" not in str(caught.value)


def test_a_pair_that_is_there_both_ways_is_refused(folder):
    edges = made_edges()
    (one, other), intensity = next(iter(edges[1].items()))
    edges[1][other, one] = intensity
    write(folder, edges)
    with pytest.raises(InputError, match="is rated more than once"):
        load("youtube", folder=folder, rows=0, more_than=0)


def test_a_single_kind_of_interaction_is_no_tensor(folder):
    for kind in (1, 2, 4, 5):
        (folder / f"{kind}-edges.csv").write_text("")
    with pytest.raises(InputError, match="index 3 is '3' for all ratings"):
        load("youtube", folder=folder, rows=0, more_than=0)
