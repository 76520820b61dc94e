"""The search at Youtube's size, at a small one."""

import re

import numpy as np
import pytest

from automl_cf.benchmarks import youtube_size
from automl_cf.benchmarks.fixtures import class_of
from automl_cf.benchmarks.youtube_size import BIAS, Case, search
from automl_cf.errors import InputError
from automl_cf.spaces import tensor_space

SMALL = Case(shape=(12, 20, 4), nonzeros=480, batch=256, planted_dim=2)


def test_the_size_is_the_papers():
    assert Case.shape == (600, 14340, 5)
    assert Case.nonzeros == 1_076_946


def test_what_a_search_reports():
    found = search(SMALL)
    assert tensor_space().contains(found.found)
    assert found.compositions == 52
    # 40 epochs in all; at 4, 8 and 16 of them the worse half of the lanes is dropped.
    assert found.epochs == 52 * 4 + 26 * 4 + 13 * 8 + 7 * 24
    # In each, S's gradient visits every rating of a validation batch, and T's every training rating.
    assert found.visits >= found.epochs * len(SMALL.split.train)
    assert 0 < found.before <= found.memory
    assert found.seconds > 0


def test_rmse_is_against_the_noise_free_part():
    """The bias model against least squares by hand, on data that are nothing but noise and biases."""
    case = Case(shape=(12, 20, 4), nonzeros=900, operation="plus(1,2,3)", noise=1.0, planted_dim=2)
    split, truth = case.split, case.data.truth
    design = {
        part: np.concatenate([np.eye(n)[ratings.indices[:, mode]] for mode, n in enumerate(case.shape)], axis=1)
        for part, ratings in (("train", split.train), ("test", split.test))
    }
    solution, *_ = np.linalg.lstsq(design["train"], split.train.values, rcond=None)
    by_hand = np.sqrt(np.mean((design["test"] @ solution - truth.noise_free(split.test.indices)) ** 2))
    assert case.rmse(BIAS) == pytest.approx(by_hand, rel=0.1)
    assert by_hand < 0.5  # the noise, of standard deviation 1, is not in it


def test_the_command(tmp_path, capsys):
    file = tmp_path / "new" / "size.md"
    youtube_size.main([
        *("--shape", "12", "20", "4", "--nonzeros", "480", "--operation", "multiply(plus(1,2),3)"),
        *("--batch", "256", "--seed", "3", "--out", str(file)),
    ])  # fmt: skip
    report = file.read_text()
    assert report in capsys.readouterr().out
    assert "`python -m automl_cf.benchmarks.youtube_size --shape 12 20 4 --nonzeros 480" in report
    rows = dict(re.findall(r"^\| (\w[^|]*) \| ([^|]+) \|$", report, re.MULTILINE))
    assert rows["Size"] == "12 x 20 x 4, 480 entries, half of them trained on"
    assert rows["Planted"].startswith("multiply(plus(1,2),3), dimension 4")
    found, verdict = re.fullmatch(r"(\S+), ((?:not )?in) the planted composition's class", rows["Found"]).groups()
    assert (verdict == "in") == (class_of(found) == class_of("multiply(plus(1,2),3)"))
    assert rows["Epochs of supernets"] == "584"
    errors = [float(rows[f"RMSE of the {what}"]) for what in ("found", "planted", "bias model")]
    assert all(0 < error < 2 for error in errors)


def test_a_size_that_cannot_be():
    with pytest.raises(InputError, match="nonzeros is 961, but must be at most 960"):
        youtube_size.main(["--shape", "12", "20", "4", "--nonzeros", "961"])
