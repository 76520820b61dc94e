"""The planted tensors; what they share with the planted matrices is tested in test_fixtures.py."""

import csv
import dataclasses

import numpy as np
import pytest

from automl_cf.benchmarks import fixtures, tensor_fixtures
from automl_cf.benchmarks.fixtures import Acceptance, SearchCheck, acceptance_table, class_of, search, search_check
from automl_cf.benchmarks.tensor_fixtures import FIXTURES, TensorFixture
from automl_cf.spaces import tensor_space
from automl_cf.spaces.tensor import compositions

PLANTED = "plus(multiply(1,2),3)"
SAME = "concat(multiply(1,2),3)"
TINY = TensorFixture("tiny", {"operation": PLANTED, "users": 10, "items": 8, "more": (4,), "dim": 1}, dim=8)


def table(**others):
    """A table in which the planted composition's class is by far the best, but for `others`, by name of operation."""
    means = {name: 0.05 if name in (PLANTED, SAME) else 0.5 for name in TINY.operations}
    return Acceptance({name: (mean,) for name, mean in (means | others).items()})


def test_the_shipped_fixtures():
    space = tensor_space()
    assert len(FIXTURES) >= 4
    assert len({fixture.name for fixture in FIXTURES}) == len(FIXTURES)
    assert len({class_of(fixture.planted["operation"]) for fixture in FIXTURES}) == len(FIXTURES)
    for fixture in FIXTURES:
        assert space.contains(fixture.planted)
        assert fixture.space == space
        assert fixture.data.ratings.shape == (40, 35, 30)
        assert 8_000 <= len(fixture.data.ratings) <= 13_000
        assert fixture.data.truth.noise == 0.1


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_the_table_has_the_planted_class_whole_and_each_other_once(fixture):
    planted = class_of(fixture.planted["operation"])
    tabled = [class_of(name) for name in fixture.operations]
    assert {class_of(name) for name in compositions(3)} == set(tabled)
    assert tabled.count(planted) == [class_of(name) for name in compositions(3)].count(planted)
    assert all(tabled.count(other) == 1 for other in tabled if other != planted)


def test_more_dimensions_let_a_rival_express_what_is_planted():
    """What the module says of multiply(plus(2,3),1), by numbers: a dimension whose first mode is constant."""
    rng = np.random.default_rng(0)
    u, v, s = (rng.normal(size=(n, 3)) for n in (5, 6, 7))
    w = rng.normal(size=3)
    planted = np.einsum("id,jd,d->ij", u, v, w)[:, :, None] + s @ w
    wider = np.concatenate([u, np.ones((5, 1))], axis=1), np.concatenate([v, np.zeros((6, 1))], axis=1)
    third = np.concatenate([np.zeros((7, 3)), (s @ w)[:, None]], axis=1)
    rival = np.einsum("ijkd,d->ijk", (wider[1][None, :, None] + third[None, None]) * wider[0][:, None, None], [*w, 1])
    assert rival == pytest.approx(planted)


def test_classes_decide_what_is_acceptable():
    assert table().rejection is None
    assert table().acceptable == (PLANTED, SAME)
    assert table(**{SAME: 0.056}).acceptable == (PLANTED, SAME)  # its class's better one speaks for it
    assert table(**{"min(1,2,3)": 0.056}).rejection == (
        "min(1,2,3) is neither within 5% of the best nor 15% above it (+12.0%)"
    )


def test_a_search_may_return_what_the_table_does_not_have():
    """max(1,2,3) is not trained, since min(1,2,3) is; it is acceptable if that is."""
    assert "max(1,2,3)" not in TINY.operations
    found = ["max(1,2,3)", PLANTED, "concat(max(1,2),3)"]
    for acceptable, hits in (((PLANTED, SAME), 1), ((PLANTED, SAME, "min(1,2,3)"), 2)):
        assert SearchCheck(found, [[0.1]] * 3, [0.1], acceptable).hits == hits


def test_a_whole_check_of_a_tiny_fixture(monkeypatch, tmp_path):
    """All trainings for real, though few and short; the verdict is forced, the fixture being far too small."""
    brief = fixtures.TRAINING.model_copy(update={"max_epochs": 2, "l2_grid": (0.0,)})
    monkeypatch.setattr(fixtures, "TRAINING", brief)
    made = acceptance_table(TINY, initialisations=1)
    assert tuple(made.errors) == TINY.operations
    assert made.errors[PLANTED] == TINY.errors(TINY.planted, 1)
    assert all(map(np.isfinite, made.means.values()))
    found = search_check(TINY, table(), searches=1)
    architecture = search(TINY, 0)
    assert TINY.space.contains(architecture)
    assert found.operations == [architecture["operation"]]
    assert found.errors == [TINY.errors(architecture, 1)]
    assert found.planted == (0.05,)

    monkeypatch.setattr(fixtures, "acceptance_table", lambda fixture: table())
    monkeypatch.setattr(fixtures, "search_check", lambda fixture, table: found)
    monkeypatch.setattr(tensor_fixtures, "FIXTURES", [dataclasses.replace(TINY, name=str(n)) for n in range(3)])
    holds = found.holds
    assert tensor_fixtures.main(["--out", str(tmp_path)]) == (0 if holds else 1)
    report = (tmp_path / "tensor_fixtures.md").read_text()
    assert "`python -m automl_cf.benchmarks.tensor_fixtures search`; `benchmarks/tensor_fixtures.py` says" in report
    assert f"| {PLANTED} | 0.0500* | 0.0500* | 0.0500* |" in report
    assert report.count("| accepted |") == 3
    with (tmp_path / "tensor_fixtures.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["operation"] for row in rows if row["part"] == "accept"} == set(TINY.operations)


@pytest.mark.slow
def test_a_fixture_is_accepted_and_solved():
    fixture = FIXTURES[2]
    accepted = acceptance_table(fixture, initialisations=3)
    assert accepted.rejection is None
    assert fixture.planted["operation"] in accepted.acceptable
    found = search_check(fixture, accepted, searches=3)
    assert found.hits >= 2
    assert found.excess <= fixtures.EXCESS
