"""Names of rows: found again whatever type they come in."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_cf.cf.names import Names, text_of
from automl_cf.errors import InputError

UNKNOWN = 2


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ([7, 8], [8, 7, 9]),
        ([7, 8], [8.0, 7.0, np.nan]),
        ([7, 8], ["8", "7", "x"]),
        (["7", "8"], [8, 7, 9]),
        (["7", "bob"], pd.Series(["bob", 7, None], dtype=object)),
        (["7", "8"], pd.Series([8, 7, None], dtype="Int64")),
        (["NA", "ann"], ["ann", "NA", ""]),
        ([76561198000000001, 76561198000000002], ["76561198000000002", "76561198000000001", "guest"]),
        ([2**70, 2**70 + 1], [2**70 + 1, 2**70, 3]),
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), ["2020-01-02", "2020-01-01", "2021-01-01"]),
        (np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]"), pd.to_datetime(["2020-01-02", "2020-01-01", None])),
        (pd.to_datetime(["2020-01-01 10:00", "2020-01-01 00:00"]), ["2020-01-01", "2020-01-01T10:00:00", "2020"]),
        ([True, False], [False, True, None]),
        ([0.5, 1.5], [1.5, 0.5, 1.0]),
        ([7, 8], ["008", "7.0", "7.5"]),
        ([7.0, -8.0], ["-8", " 07 ", "8"]),
        ([0.5, 1.5], ["1.50", "5e-1", "0.51"]),
        ([2**70, 2**70 + 1], [f"0{2**70 + 1}", f"+{2**70}", f"{2**70 + 2}.0"]),
        ([False, True], ["true", "FALSE", "yes"]),
        (["007", "008"], ["008", "007", "7"]),  # texts, not numbers: only one column of such is the same text
        (["7", "bob"], ["bob", "7", "007"]),
        (["true", "false"], ["false", "true", "True"]),
    ],
)
def test_a_name_is_found_by_its_text(stored, asked):
    assert Names(stored, "user").numbers(asked).tolist() == [1, 0, UNKNOWN]


@given(st.lists(st.one_of(st.integers(), st.text(), st.dates().map(pd.Timestamp)), unique_by=text_of, max_size=20))
def test_every_name_has_its_number_and_is_stored_as_json_has_it(names):
    known = Names(names, "item")
    assert known.numbers(pd.Series(names, dtype=object)).tolist() == list(range(len(names)))
    again = Names(known.labels, "item")
    assert again.labels == known.labels
    assert again.numbers(pd.Series(names, dtype=object)).tolist() == list(range(len(names)))
    assert all(type(label) in (int, str) for label in known.labels)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([1, "1"], "column 'user' has two names that are the same as text, '1'"),
        ([1.0, np.nan], "column 'user' has the name nan"),
        ([1.0, np.inf], "column 'user' has the name inf"),
        (["a", None], "column 'user' has the name (None|nan)"),
    ],
)
def test_names_that_could_not_be_told_apart_are_refused(names, message):
    with pytest.raises(InputError, match=message):
        Names(pd.Series(names, dtype=object), "user")
