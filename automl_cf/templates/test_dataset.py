"""my-thing as a data set: usable, and the same each time."""

from pathlib import Path

from automl_cf import plugins
from automl_cf.cf.data import load
from automl_cf.cf.splits import random_split

plugins.load([Path(__file__).with_name("my_thing.py")])


def test_my_thing_is_the_same_each_time_and_can_be_split() -> None:
    first, second = load("my-thing"), load("my-thing")
    assert first.sha256 == second.sha256
    first.ratings.check_usable("my-thing")
    split = random_split(first.ratings, 1)
    assert min(len(split.train), len(split.valid)) > 0
