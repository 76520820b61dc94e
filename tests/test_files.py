import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_cf.cf.data import load
from automl_cf.cf.data.files import load_file, read_ratings, read_rows
from automl_cf.cf.names import Names
from automl_cf.errors import InputError

RATINGS = [("ann", 10, 4.0), ("bob", 20, 3.5), ("ann", 5, 1.0), ("cat", 10, 2.0), ("bob", 5, 5.0)]


def as_dict(ratings):
    """The ratings by their original names."""
    rows = zip(ratings.indices.tolist(), ratings.values.tolist(), strict=True)
    return {tuple(labels[i] for labels, i in zip(ratings.labels, index, strict=True)): value for index, value in rows}


def expected(rows=RATINGS):
    return {row[:-1]: row[-1] for row in rows}


@pytest.fixture
def write(tmp_path):
    def write(text, name="ratings.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def text_of(separator, header=None, rows=RATINGS):
    lines = [separator.join(str(field) for field in row) for row in rows]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


@pytest.mark.parametrize("separator", ["\t", "::", ",", ";", "|", " "])
@pytest.mark.parametrize("header", [True, False])
def test_separator_and_header_are_detected(write, separator, header):
    path = write(text_of(separator, separator.join(("user", "item", "rating")) if header else None))
    ratings = read_ratings(path)
    assert as_dict(ratings) == expected()
    assert ratings.shape == (3, 3)
    assert [labels.tolist() for labels in ratings.labels] == [["ann", "bob", "cat"], [5, 10, 20]]


def test_separator_and_header_as_given(write):
    path = write(text_of("^", "1^2^3"))  # a header of numbers could not be told
    assert as_dict(read_ratings(path, separator="^", header=True)) == expected()


def test_a_file_that_opens_with_a_text_value_can_be_told_to_have_no_header(write):
    path = write("ann,x,five\n" + text_of(","))
    with pytest.raises(InputError, match="column 2 has 'five' in row 1"):
        read_ratings(path, header=False)


def test_columns_are_found_by_common_names(write):
    rows = [(881250949 + k, value, item, user) for k, (user, item, value) in enumerate(RATINGS)]
    path = write(text_of("\t", "timestamp:float\trating:float\titem_id:token\tuser_id:token", rows))
    assert as_dict(read_ratings(path)) == expected()


def test_columns_by_name_and_by_position(write):
    rows = [(k, value, item, user) for k, (user, item, value) in enumerate(RATINGS)]
    path = write(text_of(",", "when,how much,what,who", rows))
    assert as_dict(read_ratings(path, index_columns=["who", "what"], value_column="how much")) == expected()
    assert as_dict(read_ratings(path, index_columns=[3, 2], value_column=1)) == expected()


def test_further_columns_without_a_header_are_ignored(write):
    path = write(text_of("\t", rows=[(*row, 881250949) for row in RATINGS]))
    assert as_dict(read_ratings(path)) == expected()


def test_the_one_column_left_has_the_ratings(write):
    path = write(text_of(",", "rate,who,what", [(value, user, item) for user, item, value in RATINGS]))
    assert as_dict(read_ratings(path, index_columns=["who", "what"])) == expected()


def test_quotes_blank_lines_and_a_byte_order_mark(write):
    path = write("\ufeff\nuser,item,rating\n" + text_of(",").replace("ann", '"ann"').replace("\n", "\n\n"))
    assert as_dict(read_ratings(path)) == expected()


def test_names_that_pandas_would_take_for_missing(write):
    rows = [
        ("NA", "null", 1.0),
        ("nan", "null", 2.0),
        ("NA", "None", 3.0),
        ("b", "null", 4.0),
        ("b", "None", 5.0),
    ]
    assert as_dict(read_ratings(write(text_of(",", "user,item,rating", rows)))) == expected(rows)


@pytest.mark.parametrize("name", ["ratings.parquet", "ratings.PQ"])
def test_parquet(tmp_path, name):
    pd.DataFrame(RATINGS, columns=["user", "item", "rating"]).to_parquet(tmp_path / name)
    assert as_dict(read_ratings(tmp_path / name)) == expected()


def test_parquet_by_name_and_position(tmp_path):
    rows = [(value, user, k, item) for k, (user, item, value) in enumerate(RATINGS)]
    path = tmp_path / "r.parquet"
    pd.DataFrame(rows, columns=["a", "b", "c", "d"]).astype({"b": "category"}).to_parquet(path)
    assert as_dict(read_ratings(path, index_columns=["b", 3], value_column="a")) == expected()


def test_a_tensor(write):
    rows = [("ann", 1, "mon", 0.5), ("ann", 1, "tue", 1.0), ("bob", 2, "mon", 0.1), ("bob", 1, "mon", 0.2),
            ("cat", 3, "wed", 0.9)]  # fmt: skip
    path = write(text_of("\t", "user\tplace\ttime\tvalue", rows))
    ratings = read_ratings(path, index_columns=["user", "place", "time"])
    assert ratings.shape == (3, 3, 3)
    assert as_dict(ratings) == pytest.approx(expected(rows))


entry = st.tuples(st.integers(0, 40), st.text("abcxyz", min_size=1, max_size=3))


@settings(max_examples=30)
@given(st.dictionaries(entry, st.floats(-100, 100, width=32), min_size=5, max_size=30))
def test_what_is_written_is_read(tmp_path_factory, entries):
    if len(set(entries.values())) == 1:
        return
    path = tmp_path_factory.mktemp("files") / "r.csv"
    frame = pd.DataFrame([(*key, value) for key, value in entries.items()], columns=["user", "item", "value"])
    frame.to_csv(path, index=False)
    assert as_dict(read_ratings(path)) == entries
    frame.sample(frac=1, random_state=0).to_csv(path, index=False)
    assert as_dict(read_ratings(path)) == entries


def test_load_takes_a_path(write, tmp_path):
    import hashlib

    path = write(text_of(",", "who,what,rating"))
    dataset = load(path, index_columns=["who", "what"])
    assert as_dict(dataset.ratings) == expected()
    assert dataset.name == "ratings"
    assert dataset.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert dataset.source == str(path)
    assert dataset.truth is None
    assert as_dict(load(str(path), separator=",").ratings) == expected()


def test_load_refuses_an_unknown_option(write):
    with pytest.raises(InputError, match=r"an option is 'seperator'.*Did you mean 'separator'\?"):
        load(write(text_of(",")), seperator=",")


def test_load_tells_a_missing_file_from_an_unknown_name(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.csv: the file cannot be read \(No such file"):
        load(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match=r"Unknown data set 'ml-100'.*Did you mean 'ml-100k'\?"):
        load("ml-100")


HEADER = "user,item,rating\n"
GOOD = "1,1,1\n1,2,2\n2,1,3\n2,2,4\n3,1,5\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "the file is empty"),
        ("\n\n", {}, "the file is empty"),
        (HEADER, {}, "number of ratings is 0, but must be at least 5"),
        (HEADER + "1,1,1\n", {}, "number of ratings is 1, but must be at least 5"),
        (HEADER + GOOD + "3,2,good\n", {}, "column 'rating' has 'good' in row 6, but must hold finite"),
        (HEADER + GOOD + "3,2,NaN\n", {}, "column 'rating' has 'NaN' in row 6"),
        (HEADER + GOOD + "3,2,\n", {}, "column 'rating' has nothing in row 6"),
        (HEADER + GOOD + "3,2,-inf\n", {}, "column 'rating' has '-inf' in row 6"),
        (HEADER + GOOD + "3,2,1e60\n", {}, "column 'rating' has '1e\\+60' in row 6"),
        (GOOD + "3,2,x\n4,4,nan", {}, "column 2 has 'x' in row 6"),
        (HEADER + GOOD + ",2,4\n", {}, "column 'user' is empty in row 6"),
        (HEADER + GOOD + "2,1,1\n", {}, r"\(2, 1\) is rated more than once"),
        (HEADER + "1,1,3\n1,2,3\n2,1,3\n2,2,3\n3,1,3\n", {}, "all ratings are 3.0"),
        (HEADER + GOOD, {"value_column": "ratings"}, r"no column 'ratings' .*, only user, item, rating\."),
        (HEADER + GOOD, {"index_columns": ["user", "film"]}, r"no column 'film' \(index_columns\)"),
        (HEADER + GOOD, {"index_columns": ["user"]}, "must be a list of two or more columns"),
        (HEADER + GOOD, {"index_columns": "user"}, "must be a list of two or more columns"),
        (HEADER + GOOD, {"index_columns": [0, 3]}, "names column 3, but must lie in 0 to 2"),
        (HEADER + GOOD, {"index_columns": [0, 1], "value_column": 1}, "must all differ"),
        (HEADER + GOOD, {"index_columns": [0, 1, 2]}, "must all differ"),
        (GOOD, {"value_column": "rating"}, "names 'rating', but without a header must be a position"),
        ("who,what,rating,when\n1,1,1,1\n", {}, "index_columns must be given, .* who, what, rating, when"),
        ("user,item,how,when\n1,1,1,1\n", {}, "value_column must be given"),
        ("1,1,1,1\n", {"index_columns": [0, 3]}, "value_column must be given"),
        ("1,1\n1,2\n", {}, "separator None must be one character"),
        (HEADER + GOOD, {"separator": "--"}, "separator '--' must be one character"),
        (HEADER + GOOD + "1,2,3,4\n", {}, "line 7 has 4 columns, but the first one has 3"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(write, text, options, message):
    path = write(text)
    with pytest.raises(InputError, match=message) as caught:
        read_ratings(path, **options)
    assert "\n" not in str(caught.value)


def test_a_folder_and_bytes_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_ratings(tmp_path)
    (tmp_path / "r.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(InputError, match="is neither a text in UTF-8 nor"):
        read_ratings(tmp_path / "r.csv")
    (tmp_path / "late.csv").write_bytes(b"user,item,rating\n" + b"1,1,1\n" * 40_000 + b"\xff,1,1\n")
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_ratings(tmp_path / "late.csv")
    (tmp_path / "r.parquet").write_text("user,item,rating\n")
    with pytest.raises(InputError, match="is neither a text in UTF-8 nor"):
        read_ratings(tmp_path / "r.parquet")
    with pytest.raises(InputError, match=r"gone\.parquet: the file cannot be read"):
        read_ratings(tmp_path / "gone.parquet")


def test_bad_parquet_values_are_refused(tmp_path):
    path = tmp_path / "r.parquet"
    columns = {"user": [1, 1, 2, 2, 3], "item": [1, 2, 1, 2, 1]}
    pq.write_table(pa.table(columns | {"rating": ["1", "2", "x", "4", "5"]}), path)
    with pytest.raises(InputError, match="column 'rating' has 'x' in row 3"):
        read_ratings(path)
    pq.write_table(pa.table(columns | {"rating": [1, None, 3, 4, 5]}), path)
    with pytest.raises(InputError, match="column 'rating' has nothing in row 2"):
        read_ratings(path)
    pq.write_table(pa.table({"user": [1, 1, 2, 2, None], "item": [1, 2, 1, 2, 1], "rating": [1, 2, 3, 4, 5]}), path)
    with pytest.raises(InputError, match="column 'user' is empty in row 5"):
        read_ratings(path)


def test_a_longer_file_has_the_counts_that_pandas_finds(write):
    n = 50_000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": np.arange(n), "item": rng.integers(0, 99, n), "rating": rng.integers(1, 6, n)})
    path = write(frame.to_csv(index=False))
    assert read_ratings(path).counts(1).tolist() == frame.groupby("item").size().tolist()


def test_a_long_row_far_down_is_refused(tmp_path):
    """Beyond the lines that are looked at to find out the form."""
    rows = [f"u{i},i{i % 7},{i % 5}" for i in range(100)] + ["u9,i9,3,4,5"]
    path = tmp_path / "ragged.csv"
    path.write_text("user,item,rating\n" + "\n".join(rows))
    with pytest.raises(InputError, match="Expected 3 fields in line 102, saw 5"):
        read_ratings(path)


# --- rows of names, which have no ratings ---


@pytest.mark.parametrize("separator", ["\t", "::", ",", ";", "|", " "])
def test_rows_stay_the_texts_they_are_whatever_separates_them(write, separator):
    text = separator.join(("user", "item", "x")) + "\n" + separator.join(("007", "3.0", "NA")) + "\n"
    rows = read_rows(write(text), ["item", "user"])
    assert list(rows.columns) == ["user", "item", "x"]
    assert rows.to_numpy().tolist() == [["007", "3.0", "NA"]]


def test_rows_may_have_gaps_lines_within_quotes_and_other_separators_elsewhere(write):
    rows = read_rows(write('\ufeffuser; item;a, b\n1;2;"x\ny, z"\n;4;\n'), ["user", "item"])
    assert list(rows.columns) == ["user", "item", "a, b"]
    assert rows.astype(object).where(rows.notna(), None).to_numpy().tolist() == [
        ["1", "2", "x\ny, z"],
        [None, "4", None],
    ]


def test_rows_of_two_columns_and_of_none_of_those_wanted(write):
    assert read_rows(write("user,item\n1,2\n"), ["user", "item"]).to_numpy().tolist() == [["1", "2"]]
    assert list(read_rows(write("a,b,c\n1,2,3\n"), ["user", "item"]).columns) == ["a", "b", "c"]
    assert len(read_rows(write("user,item\n"), ["user", "item"])) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("user,item\n1,2,3\n", "cannot be read as a table: rows have more fields than the first line"),
        ("user,item\n1,2\n1,2,3\n", "cannot be read as a table: .*Expected 2 fields in line 3, saw 3"),
        ('user,item\n"1,2\n', "cannot be read as a table: .*EOF inside string"),
    ],
)
def test_bad_rows_are_refused(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_rows(write(text), ["user", "item"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("index", [["user"], ["item", "user"], []])
def test_an_index_that_pandas_stored_is_columns_or_nothing(tmp_path, index):
    frame = pd.DataFrame(RATINGS, columns=["user", "item", "rating"])
    (frame.set_index(index) if index else frame.sample(frac=1, random_state=0)).to_parquet(tmp_path / "r.parquet")
    assert as_dict(read_ratings(tmp_path / "r.parquet")) == expected()
    rows = read_rows(tmp_path / "r.parquet", ["user", "item"])
    assert sorted(rows[["user", "item", "rating"]].itertuples(index=False, name=None)) == sorted(RATINGS)


def is_finite(text):
    try:
        return np.isfinite(float(text))
    except ValueError:
        return True  # no number


IDS = st.one_of(
    st.text("0123456789.+-eE", min_size=1, max_size=5).filter(is_finite),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(["007", "7.0", "true", "True", "False", "NA", "a b", "07.50", "é", " 7", "7 "]),
)
COLUMNS = st.sampled_from(
    [
        IDS,
        st.integers(0, 99).map(lambda number: f"{number:03}"),
        st.sampled_from(["true", "FALSE", "True"]),
        st.floats(0, 9, width=16).map(lambda number: f"{number:.3f}"),
        st.integers(0, 10**21).map(str),
    ]
)


@given(COLUMNS.flatmap(lambda ids: st.lists(ids, min_size=5, max_size=8)))
@settings(deadline=None, max_examples=150)
def test_names_of_a_ratings_file_are_found_again_by_its_rows(tmp_path_factory, names):
    """Whatever the ratings' loader makes of them: numbers, truth values or texts."""
    path = tmp_path_factory.mktemp("again") / "r.csv"
    lines = "".join(f"{name},i{k},{k}\n" for k, name in enumerate(names))
    path.write_text("who,what,rating\n" + lines, encoding="utf-8")
    data = load_file(path)
    assert data.columns == ("who", "what")
    known = Names(data.ratings.labels[0], "who")
    assert known.numbers(read_rows(path, data.columns)["who"]).tolist() == data.ratings.indices[:, 0].tolist()


def test_a_name_that_is_an_infinite_number_is_refused(write):
    path = write("user,item,rating\n1,a,3\n1e400,b,4\n2,a,5\n")
    with pytest.raises(InputError, match=r"column 'user' is infinite in row 2, but every name is finite"):
        load_file(path)


def test_a_data_set_has_the_names_of_its_columns(write):
    times = [(*row, 86400 * 40 * k) for k, row in enumerate(RATINGS)]
    timed = write(text_of(",", "who,what,rating,when", times))
    options = {"index_columns": ["who", "what"], "value_column": "rating"}
    assert load(timed, **options).columns == ("who", "what")
    assert load(timed, **options, time_column="when").columns == ("who", "what", "month")  # the names are not times
    assert load(timed, **options, time_column="when", time_bin="day-of-week").columns[2] == "day-of-week"
    assert load(write(text_of(","))).columns == ()  # without a header they have none
