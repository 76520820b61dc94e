"""The soak's arithmetic, and a short one."""

import re
from pathlib import Path

import pytest

from automl_cf.benchmarks.soak import _growth, soak


def test_growth_is_between_the_first_tenth_and_the_end() -> None:
    readings = [(count, {"driver": 100 + count}) for count in range(1, 1001)]
    first, last = _growth(readings, "driver", 1000)
    assert 200 <= first <= 250
    assert 1050 <= last <= 1100


@pytest.mark.slow
def test_a_short_soak_tells_what_it_saw(tmp_path: Path) -> None:
    text, _ = soak(tmp_path, 4000, backend="inline")
    assert "One cell of 4,000 trials" in text
    assert re.search(r"\| driver \| \d+ \| \d+ \| [+-]\d+\.\d% \|", text)
    assert re.search(r"\| process of the cell \| \d+ \|", text)
    assert "Linear (a ratio of at most 1.5): yes" in text
