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
    text, well = soak(tmp_path, 1500, backend="inline")
    assert "One cell of 1,500 trials" in text
    assert re.search(r"\| driver \| \d+ \| \d+ \| [+-]\d+\.\d% \|", text)
    assert re.search(r"\| process of the cell \| \d+ \|", text)
    log = re.search(r"second half is (\d+\.\d+) times as large as the first", text)
    assert log
    assert float(log[1]) == pytest.approx(1, abs=0.02)  # all trials of the same length, but for their digits
    # How long it takes to resume is not for a test to say, only that the verdict is that of the figures.
    resuming = re.search(r"takes (\S+) times as long as the earlier", text)
    verdict = re.search(r"Flat \(.*?\): (yes|no)\. Linear \(.*?\): (yes|no)\.", text)
    assert resuming
    assert verdict
    assert (verdict[2] == "yes") == (float(resuming[1]) <= 1.5)
    assert well == (verdict.groups() == ("yes", "yes"))
