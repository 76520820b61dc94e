"""Tensors: files with three index columns or a time, CoSTCo's folders, MovieLens by month, planted ones of any size."""

import datetime
import hashlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from automl_cf.cf import data
from automl_cf.cf.data import facts, load, planted
from automl_cf.cf.data.files import TIME_BINS, read_ratings
from automl_cf.cf.data.sets.ml_100k_month import ml_100k_month
from automl_cf.cf.ratings import content_hash
from automl_cf.errors import InputError


def as_dict(ratings):
    rows = zip(ratings.indices.tolist(), ratings.values.tolist(), strict=True)
    return {tuple(str(names[i]) for names, i in zip(ratings.labels, index, strict=True)): v for index, v in rows}


# --- files with a time ---


def bin_of(moment, time_bin):
    """By the standard library's datetime."""
    year, week, day = moment.isocalendar()
    return {
        "month": f"{moment.year:04}-{moment.month:02}",
        "week": f"{year:04}-W{week:02}",
        "day": moment.date().isoformat(),
        "hour": moment.isoformat()[:13],
        "day-of-week": str(day),
        "hour-of-day": f"{moment.hour:02}",
    }[time_bin]


moments = st.lists(
    st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2037, 12, 31)), min_size=6, max_size=12, unique=True
)


@settings(max_examples=40)
@given(moments, st.sampled_from(sorted(TIME_BINS)), st.sampled_from(["seconds", "iso", "parquet"]))
def test_times_become_a_mode(tmp_path_factory, times, time_bin, form):
    times = [moment.replace(microsecond=0, tzinfo=datetime.UTC) for moment in times]
    bins = [bin_of(moment, time_bin) for moment in times]
    if len(set(bins)) == 1:
        return
    n = len(times)
    frame = pd.DataFrame({"user": np.arange(n) % 3, "item": np.arange(n), "rating": np.arange(n) % 5})
    stamps = {"seconds": [int(m.timestamp()) for m in times], "iso": [m.isoformat() for m in times], "parquet": times}
    frame["when"] = stamps[form]
    path = tmp_path_factory.mktemp("times") / ("r.parquet" if form == "parquet" else "r.csv")
    frame.to_parquet(path) if form == "parquet" else frame.to_csv(path, index=False)
    ratings = read_ratings(path, time_column="when", time_bin=time_bin)
    assert as_dict(ratings) == {(str(k % 3), str(k), bins[k]): float(k % 5) for k in range(n)}
    assert ratings.labels[2].tolist() == sorted(set(bins))


def test_more_index_columns_and_a_time(tmp_path):
    frame = pd.DataFrame({"who": [0, 0, 1, 1, 2], "what": [3, 4, 3, 4, 3], "where": list("abbab")})
    frame["when"], frame["stars"] = [0, 3600, 7200, 90000, 0], [1, 2, 3, 4, 5]
    for name in ("r.csv", "r.parquet"):
        frame.to_csv(tmp_path / name, index=False) if name == "r.csv" else frame.to_parquet(tmp_path / name)
        ratings = load(
            tmp_path / name, index_columns=["who", "what", "where"], time_column="when", time_bin="hour-of-day"
        ).ratings
        assert ratings.shape == (3, 2, 2, 3)
        assert as_dict(ratings) == {
            ("0", "3", "a", "00"): 1,
            ("0", "4", "b", "01"): 2,
            ("1", "3", "b", "02"): 3,
            ("1", "4", "a", "01"): 4,
            ("2", "3", "b", "00"): 5,
        }


GOOD = "1,1,1,0\n1,2,2,90000000\n2,1,3,3\n2,2,4,5\n3,1,5,7\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (GOOD, {"time_column": 3, "time_bin": "year"}, "time_bin is 'year', but must be one of month, week, day"),
        (GOOD, {"time_column": 4}, "time_column names column 4, but must lie in 0 to 3"),
        (GOOD, {"time_column": 1}, "index_columns, value_column and time_column must all differ"),
        (GOOD.replace(",0\n", ",soon\n"), {"time_column": 3}, "column 3 has 'soon' in row 1, but must hold times"),
        (GOOD.replace(",0\n", ",\n"), {"time_column": 3}, "column 3 has nothing in row 1, but must hold times"),
        (GOOD.replace(",90000000\n", ",890000000000\n"), {"time_column": 3}, "has '890000000000' in row 2"),
        (GOOD.replace("9", "0"), {"time_column": 3, "time_bin": "hour-of-day"},
         "column 3 is '00' for all ratings, but an index of a tensor"),
        ("user,item,kind,rating\n1,1,a,1\n1,2,a,2\n2,1,a,3\n2,2,a,4\n3,1,a,5\n", {"index_columns": [0, 1, 2]},
         "column 'kind' is 'a' for all ratings, but an index of a tensor must differ"),
    ],
)  # fmt: skip
def test_bad_times_and_constant_columns_are_refused(tmp_path, text, options, message):
    path = tmp_path / "r.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)


# --- MovieLens by month ---


def test_movielens_by_month_on_a_small_file_of_its_form(tmp_path):
    lines = [
        (1, 10, 3, 875000000),
        (1, 20, 4, 880000000),
        (2, 10, 5, 880000001),
        (2, 30, 1, 893200000),
        (3, 10, 2, 893286638),
    ]
    path = tmp_path / "u.data"
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    assert ml_100k_month.columns == ("user", "item", "month")
    ratings = ml_100k_month.read({"u.data": path})
    months = [datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m") for *_, time in lines]
    assert as_dict(ratings) == {
        (str(user), str(item), month): rating for (user, item, rating, _), month in zip(lines, months, strict=True)
    }


def test_movielens_by_month_has_the_files_of_movielens(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path))
    states = {entry.name: entry.state for entry in data.listing()}
    assert (states["ml-100k"], states["ml-100k-month"]) == ("not fetched", "not fetched")
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "u.data").write_text("1\t2\t3\t4\n")
    states = {entry.name: entry.state for entry in data.listing()}
    assert (states["ml-100k"], states["ml-100k-month"]) == ("corrupt", "corrupt")
    with pytest.raises(InputError, match="ml-100k should have is corrupt"):
        data.verify("ml-100k-month")


@pytest.mark.slow
def test_movielens_by_month():
    dataset = load("ml-100k-month")
    assert dataset.columns == ml_100k_month.columns  # which an exported model's rows have
    tensor, matrix = dataset.ratings, load("ml-100k").ratings
    assert tensor.shape == (943, 1682, 8)
    assert tensor.labels[2].tolist() == [f"1997-{m:02}" for m in range(9, 13)] + [f"1998-{m:02}" for m in range(1, 5)]
    assert tensor.indices[:, :2].tolist() == matrix.indices.tolist()
    assert tensor.values.tolist() == matrix.values.tolist()
    lines = np.loadtxt(data.verify("ml-100k-month")[0], dtype=np.int64)
    months = lines[:, 3].astype("datetime64[s]").astype("datetime64[M]").astype(str)
    assert tensor.labels[2][tensor.indices[:, 2]].tolist() == months.tolist()


# --- CoSTCo's folders ---

SHAPE = (4, 5, 6)


def made_entries():
    rng = np.random.default_rng(4)
    cells = rng.choice(np.prod(SHAPE), size=40, replace=False)
    return np.stack(np.unravel_index(cells, SHAPE), axis=1), rng.integers(1, 11, 40) / 10


def write_part(folder, part, indices, values):
    np.savetxt(folder / f"{part}_indices.txt", indices, fmt="%d")
    np.savetxt(folder / f"{part}_values.txt", values, fmt="%.6f")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "checkins"
    folder.mkdir()
    indices, values = made_entries()
    (folder / "tensor_shape.txt").write_text("4\n5\n6\n")
    write_part(folder, "train", indices[:30], values[:30])
    write_part(folder, "test", indices[30:], values[30:])
    (folder / "LICENSE").write_text("...")
    return folder


def test_all_parts_of_a_folder_make_one_tensor(folder):
    dataset = load("costco", folder=str(folder))
    ratings = dataset.ratings
    indices, values = made_entries()
    expected = sorted((*index, np.float32(value)) for index, value in zip(indices.tolist(), values, strict=True))
    assert [(*i, v) for i, v in zip(ratings.indices.tolist(), ratings.values, strict=True)] == expected
    assert (dataset.name, ratings.shape) == ("checkins", SHAPE)
    by_path = load(folder)
    assert (by_path.name, by_path.sha256, content_hash(by_path.ratings)) == (
        dataset.name,
        dataset.sha256,
        content_hash(ratings),
    )


def test_the_checksum_tells_the_files(folder):
    names = sorted(["tensor_shape.txt", *(f"{p}_{w}.txt" for p in ("train", "test") for w in ("indices", "values"))])
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
    assert load(folder).sha256 == hashlib.sha256("".join(digests).encode()).hexdigest()


def test_how_the_parts_are_cut_makes_no_difference(folder):
    whole = load(folder).ratings
    indices, values = made_entries()
    write_part(folder, "test", indices[:5], values[:5])
    write_part(folder, "train", indices[12:], values[12:])
    write_part(folder, "validation", indices[5:12], values[5:12])
    again = load(folder).ratings
    assert again.indices.tolist() == whole.indices.tolist()
    assert again.values.tolist() == whole.values.tolist()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("tensor_shape.txt", None, r"has neither tensor_shape\.txt"),
        ("train_indices.txt", None, r"has no train_indices\.txt, but must have tensor_shape\.txt, train_indices\.txt"),
        ("test_values.txt", None, r"has test_indices\.txt, but no test_values\.txt"),
        ("tensor_shape.txt", "4\n5\n5\n",
         r"index 3 in line \d+ is 5, but by tensor_shape\.txt must lie between 0 and 4"),
        ("tensor_shape.txt", "4 5 6 7\n", r"has 3 indices a line, but tensor_shape\.txt has the 4 numbers"),
        ("tensor_shape.txt", "4\n", r"has the numbers \(4,\), but must have two or more, each at least 1"),
        ("tensor_shape.txt", "4\n0\n6\n", r"has the numbers \(4, 0, 6\), but must have two or more, each at least 1"),
        ("tensor_shape.txt", "4\nfive\n6\n", "must have lines of equally many integers"),
        ("tensor_shape.txt", "", "must have lines of equally many integers"),
        ("test_indices.txt", "1 2 3\n1 2\n", "must have lines of equally many integers|has 2 lines"),
        ("test_indices.txt", "1 2 3\n1 2.5 3\n", "must have lines of equally many integers"),
        ("test_indices.txt", "1 -2 3\n" * 10, r"index 2 in line 1 is -2, but .* must lie between 0 and 4"),
        ("test_values.txt", "0.5\n0.5\n", r"has 10 lines, but test_values\.txt has 2"),
        ("test_values.txt", "0.5\nhigh\n", "must have lines of equally many numbers"),
        ("test_values.txt", "inf\n" * 10, "but must be finite"),
    ],
)  # fmt: skip
def test_bad_folders_are_refused(folder, file, text, message):
    (folder / file).unlink() if text is None else (folder / file).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_entries_that_come_twice_or_share_an_index_are_refused(folder):
    indices, values = made_entries()
    write_part(folder, "test", indices[:10], values[:10])
    with pytest.raises(InputError, match="is rated more than once"):
        load(folder)
    (folder / "test_indices.txt").unlink()
    constant = np.unique(indices[:, :2], axis=0)
    write_part(folder, "train", np.column_stack([constant, np.full(len(constant), 2)]), np.arange(len(constant)))
    with pytest.raises(InputError, match="index 3 is '2' for all ratings, but an index of a tensor must differ"):
        load(folder)


def test_a_folder_of_no_known_form_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has neither tensor_shape\.txt \('costco'\) nor \*-edges\.csv \('youtube'\)"):
        load(tmp_path)
    for name in ("costco", "youtube"):
        with pytest.raises(InputError, match=f"data set '{name}': the option folder is missing"):
            load(name)
        with pytest.raises(InputError, match=f"data set '{name}': is in a folder of yours, so there is nothing to"):
            data.fetch(name)


# --- planted tensors ---


@pytest.mark.parametrize("nonzeros", [5, 100, 7 * 8 * 9])
def test_a_planted_tensor_has_as_many_entries_as_asked_for(nonzeros):
    ratings = load("planted", users=7, items=8, more=9, nonzeros=nonzeros).ratings
    assert ratings.shape == (7, 8, 9)
    assert len(ratings) == len(np.unique(ratings.indices, axis=0)) == nonzeros


def test_entries_are_drawn_as_with_a_density():
    one, other = (planted.plant(users=30, items=20, **how) for how in ({"density": 0.5}, {"nonzeros": 300}))
    assert one.sha256 == other.sha256


def test_gathering_embeddings_in_parts_changes_nothing(monkeypatch):
    options = {"users": 20, "items": 15, "more": 4, "operation": "max(plus(1,3),2)", "seed": 3}
    whole = planted.plant(**options)
    monkeypatch.setattr(planted, "_CHUNK", 7)
    parts = planted.plant(**options)
    assert parts.ratings.indices.tolist() == whole.ratings.indices.tolist()
    assert parts.ratings.values == pytest.approx(whole.ratings.values, abs=1e-6)


@pytest.mark.parametrize(
    ("nonzeros", "message"),
    [(4, "nonzeros is 4, but must be an integer of at least 5"), (10.5, "nonzeros is 10.5"),
     (601, "nonzeros is 601, but must be at most 600, the entries there are")],
)  # fmt: skip
def test_a_bad_number_of_entries_is_refused(nonzeros, message):
    with pytest.raises(InputError, match=message):
        planted.plant(users=30, items=20, nonzeros=nonzeros)


MEASURE = """
import json, resource
from automl_cf.cf.data import load
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ratings = load("planted", users=600, items=14340, more=5, nonzeros=1076946, dim=8,
               operation="plus(multiply(1,2),3)").ratings
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([ratings.shape, len(ratings), (peak - before) / 2**20]))
"""


@pytest.mark.slow
def test_a_tensor_of_youtube_s_size_is_planted_in_bounded_memory():
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    shape, nonzeros, gigabytes = json.loads(done.stdout)
    assert (shape, nonzeros) == ([600, 14340, 5], 1_076_946)
    assert gigabytes < 0.5


# --- what there is to say about a data set ---


def test_facts_of_a_tensor(folder):
    found = facts(load(folder))
    indices, values = made_entries()
    assert (found.shape, found.ratings) == (SHAPE, 40)
    assert found.density == pytest.approx(40 / 120)
    assert (found.mean, found.std) == pytest.approx((values.mean(), values.std()))
    assert dict(found.values) == pytest.approx(
        dict(zip(*np.unique(np.float32(values), return_counts=True), strict=True))
    )
    for mode, size in enumerate(SHAPE):
        counts = pd.Series(indices[:, mode]).value_counts()
        expected = (size, size - len(counts), counts.min(), counts.median(), counts.max())
        got = found.modes[mode]
        assert (got.rows, got.without, got.least, got.median, got.most) == expected
    assert found.contents == content_hash(load(folder).ratings)
    assert facts(planted.plant(operation="min", users=20, items=20)).planted == "min"


def test_show_prints_them(folder):
    from automl_cf.cli.app import app

    shown = CliRunner().invoke(app, ["data", "show", str(folder)])
    assert shown.exit_code == 0
    lines = dict(line.strip().split(None, 1) for line in shown.stdout.splitlines())
    assert lines["shape"].strip() == "4 x 5 x 6"
    assert lines["ratings"].strip() == "40"
    assert lines["contents"].strip() == facts(load(folder)).contents
    options = ["--data-option", "users=20", "--data-option", "items=9", "--data-option", "more=8"]
    options += ["--data-option", "operation=plus(multiply(1,2),3)", "--data-option", "nonzeros=200"]
    shown = CliRunner().invoke(app, ["data", "show", "planted", *options])
    assert "20 x 9 x 8" in shown.stdout
    assert "plus(multiply(1,2),3)" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ml-10k"], "Unknown data set 'ml-10k'"),
        (["youtube"], "the option folder is missing"),
        (["nothing/here.csv"], "the file cannot be read"),
        (["planted", "--data-option", "nonzeros"], "--data-option is 'nonzeros', but must be key=value"),
    ],
)
def test_show_refuses_in_one_sentence(arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "automl_cf.cli", "data", "show", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
