"""The contract of searchers, which `automl-cf check` tries, too."""

from pathlib import Path

from automl_cf import plugins
from automl_cf.testing import assert_searcher

plugins.load([Path(__file__).with_name("my_thing.py")])


def test_my_thing_keeps_the_contract() -> None:
    assert_searcher("my-thing")
