import csv
import math

import numpy as np
import pytest

from automl_cf.benchmarks import fixtures
from automl_cf.benchmarks.fixtures import FIXTURES, Acceptance, Fixture, SearchCheck, class_of, search_check
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import train_over_grid
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture, interaction_space
from automl_cf.spaces.interaction import OPERATIONS
from automl_cf.suite.streams import stream

TINY = {"users": 20, "items": 15, "density": 0.6}
GOOD = {"multiply": 0.06, "plus": 0.5, "min": 0.3, "max": 0.4, "concat": 0.6}


def table(**means):
    """A table with these mean errors, from two initialisations."""
    return Acceptance({operation: (0.9 * mean, 1.1 * mean) for operation, mean in (GOOD | means).items()})


def check(hits, excess, searches=10):
    operations = ["multiply"] * hits + ["plus"] * (searches - hits)
    errors = [[0.05 * excess, 0.15 * excess]] * searches
    return SearchCheck(operations, errors, [0.12, 0.08], ["multiply"])


def test_a_table_that_separates():
    assert table().rejection is None
    assert table().acceptable == ("multiply",)
    assert table().means == pytest.approx(GOOD)
    assert table().ratios == pytest.approx({"multiply": 1, "plus": 50 / 6, "min": 5, "max": 5, "concat": 50 / 6})


@pytest.mark.parametrize(
    ("means", "acceptable", "reason"),
    [
        ({"plus": 0.0629}, ("multiply", "plus", "concat"), None),  # within 5%, and concat with it
        ({"plus": 0.0691}, ("multiply",), None),  # 15% above
        ({"plus": 0.0631}, ("multiply",), "plus is neither within 5% of the best nor 15% above it (+5.2%)"),
        ({"max": 0.0689}, ("multiply",), "min is neither within 5% of the best nor 15% above it (+14.8%)"),
        ({"min": math.inf, "max": math.inf}, ("multiply",), None),  # diverged
    ],
)
def test_acceptable_and_not(means, acceptable, reason):
    assert table(**means).acceptable == acceptable
    assert table(**means).rejection == reason


def test_tables_that_separate_nothing():
    assert table(plus=0.061, min=0.062).rejection == "every operation is acceptable"
    assert table(**dict.fromkeys(GOOD, math.inf)).rejection == "no operation could be trained"


def test_min_and_max_are_one_class():
    """The better one speaks for both: neither is unacceptable, or in between, because the other trains better."""
    for worse in (0.021, 0.0224, 0.03, 0.5):
        for means in ({"min": 0.02, "max": worse}, {"min": worse, "max": 0.02}):
            assert table(**means).acceptable == ("min", "max")
            assert table(**means).rejection is None


def test_the_classes_of_a_matrix():
    classes = {class_of(operation): [o for o in OPERATIONS if class_of(o) == class_of(operation)] for operation in GOOD}
    assert sorted(classes.values()) == [["min", "max"], ["multiply"], ["plus", "concat"]]


@pytest.mark.parametrize(
    ("hits", "excess", "holds"),
    [(10, 1.0, True), (9, 1.099, True), (8, 1.0, False), (10, 1.101, False), (9, 0.5, True)],
)
def test_what_a_search_must_reach(hits, excess, holds):
    found = check(hits, excess)
    assert found.hits == hits
    assert found.excess == pytest.approx(excess)
    assert found.holds == holds


def test_errors_are_against_the_noise_free_part():
    """Without noise the test part's own values are the targets; with it the data differ by the noise alone."""
    clean = Fixture("tiny", {**TINY, "operation": "multiply", "noise": 0.0}, dim=2)
    plus = Architecture({"operation": "plus"})
    errors = clean.errors(plus, 2)
    split = clean.split
    for number, error in enumerate(errors):
        fit, _ = train_over_grid(plus, clean.task(stream("init", number)), NullMeter())
        prediction = fit.model.predict(split.test.indices) * split.std + split.mean
        assert error == pytest.approx(np.sqrt(np.mean((prediction - split.test.values) ** 2)), rel=1e-5)
    assert errors[0] != errors[1]


def test_the_shipped_fixtures():
    planted = [fixture.planted for fixture in FIXTURES]
    assert all(fixture.space == interaction_space() for fixture in FIXTURES)
    assert all(map(interaction_space().contains, planted))
    operations = {architecture["operation"] for architecture in planted}
    assert "multiply" in operations
    assert operations & {"min", "max"}
    assert len({fixture.name for fixture in FIXTURES}) == len(FIXTURES) >= 3
    assert {fixture.data.truth.noise for fixture in FIXTURES} == {0.1}


def test_a_rejected_fixture_is_not_searched():
    with pytest.raises(InputError, match=r"Fixture 'min' is rejected: plus is neither within 5%"):
        search_check(FIXTURES[1], table(plus=0.065))


@pytest.mark.parametrize(
    ("part", "rejected", "excess", "status"),
    [
        ("search", (), 1.0, 0),
        ("search", ("plus",), 1.0, 0),
        ("search", ("plus", "max"), 1.0, 1),  # too few are left
        ("search", (), 1.2, 1),
        ("accept", (), 1.2, 0),
    ],
)
def test_the_command(monkeypatch, tmp_path, capsys, part, rejected, excess, status):
    monkeypatch.setattr(
        fixtures, "acceptance_table", lambda fixture: table(plus=0.065 if fixture.name in rejected else 0.5)
    )
    monkeypatch.setattr(fixtures, "search_check", lambda fixture, table: check(9, excess))
    assert fixtures.main([part, "--out", str(tmp_path / "new" / "folder")]) == status
    report = (tmp_path / "new" / "folder" / "fixtures.md").read_text()
    assert report in capsys.readouterr().out
    assert f"`python -m automl_cf.benchmarks.fixtures {part}`" in report
    assert report.count("rejected: plus is neither") == len(rejected)
    assert report.count("| accepted |") == len(FIXTURES) - len(rejected)
    assert report.count("| multiply (9), plus (1)") == (0 if part == "accept" else len(FIXTURES) - len(rejected))
    with (tmp_path / "new" / "folder" / "fixtures.csv").open() as file:
        rows = list(csv.DictReader(file))
    searched = {row["fixture"] for row in rows if row["part"] == "search"}
    assert {row["fixture"] for row in rows if row["part"] == "accept"} == {fixture.name for fixture in FIXTURES}
    assert searched == (set() if part == "accept" else {f.name for f in FIXTURES} - set(rejected))
    first = next(row for row in rows if row["part"] == "accept" and row["initialisation"] == "1")
    assert float(first["rmse"]) == pytest.approx(1.1 * GOOD["multiply"])


def test_a_whole_check_of_a_tiny_fixture():
    fixture = Fixture("tiny", {**TINY, "operation": "multiply", "seed": 1}, dim=2)
    made = fixtures.acceptance_table(fixture, initialisations=1)
    assert list(made.means) == list(OPERATIONS)
    assert made.errors["multiply"] == fixture.errors(fixture.planted, 1)
    forced = Acceptance(made.errors | {"multiply": [1e-3]})
    found = search_check(fixture, forced, searches=2)
    assert found.planted == [1e-3]
    assert found.acceptable == ("multiply",)
    architectures = [fixtures.search(fixture, seed) for seed in range(2)]
    assert found.operations == [architecture["operation"] for architecture in architectures]
    assert found.errors == [fixture.errors(architecture, 1) for architecture in architectures]
    assert all(map(fixture.space.contains, architectures))


@pytest.mark.slow
@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_fixtures_are_accepted_and_solved(fixture):
    accepted = fixtures.acceptance_table(fixture)
    assert accepted.rejection is None
    assert fixture.planted["operation"] in accepted.acceptable
    found = search_check(fixture, accepted, searches=3)
    assert found.hits >= 2
    assert found.excess <= fixtures.EXCESS
