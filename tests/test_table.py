"""The exhaustive table as a problem, and races on it."""

import numpy as np
import pandas as pd
import pytest

from automl_cf.benchmarks import race
from automl_cf.benchmarks.table import summary, trainings
from automl_cf.cf.data import plant
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.problem import Problem
from automl_cf.cf.splits import random_split
from automl_cf.cf.table import Row, Table, architectures, bank, interaction_of, table_space
from automl_cf.cf.training import Training
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture, interaction_space
from automl_cf.suite.streams import stream


def made_up(seeds=(1, 2)):
    """A table whose losses are known: 1 for the best operation and networks, more for each that differs."""
    rows = []
    for seed in seeds:
        for a in architectures():
            wrong = (a["operation"] != "max") + (a["users"] != "even") + (a["items"] != "steep")
            curve = (5.0, 3.0 + wrong, 1.0 + wrong + seed / 10)
            rows.append(Row(seed, *a.values(), "ok", curve[-1], 2 * curve[-1], 3, 3, curve, 300, 0.3, 0.03))
    return Table.of(rows)


def test_the_space_is_the_bank_by_the_operations():
    space, everything = table_space(), list(architectures())
    assert len(set(everything)) == len(everything) == 5 * len(bank()) ** 2
    assert all(space.contains(a) for a in everything)
    assert {space.sample(np.random.default_rng(i)) for i in range(200)} <= set(everything)
    paper = interaction_space()
    assert all(paper.contains(interaction_of(a)) for a in everything if "identity" not in (a["users"], a["items"]))


def test_the_functions_are_what_they_are_called():
    def value(name, x):
        vector = np.array(bank()[name])
        w, b, a = np.split(vector[:-1], 3)
        return (a / (1 + np.exp(-(w * x + b)))).sum() + vector[-1]

    for x in (0.3, 1.0):
        assert value("linear", x) == pytest.approx(x, rel=0.2)
        assert value("reversed", x) == pytest.approx(-value("linear", x))
        assert value("even", x) == pytest.approx(value("even", -x))
        assert value("even", x) > value("even", 0.0)
    assert value("steep", 2.0) / value("steep", 0.1) < 0.9 * value("linear", 2.0) / value("linear", 0.1)


def test_a_lookup_is_the_training(tmp_path):
    data = plant(users=40, items=30, density=0.5, dim=2)
    training = Training(max_epochs=4, batch_size=128, engine="reference", patience=2)
    some = [row for _, row in zip(range(3), trainings(data, (3,), training, dim=2), strict=False)]
    table = Table.of(some)
    split = random_split(data.ratings, 3).for_search()
    task = TrainingTask(split, training, 2, stream("init", 3))
    for row in some:
        architecture = Architecture({k: getattr(row, k) for k in ("operation", "users", "items")})
        for epochs in (None, 2):
            meter = NullMeter()
            found = Problem(task, meter).evaluate(interaction_of(architecture), epochs)
            looked_up = table.evaluate(architecture, 3, epochs)
            assert looked_up.with_cost(0, {}) == found
            assert looked_up.visits == meter.visits
            assert 0 < looked_up.seconds["train"] <= row.train


def test_a_training_that_diverged():
    rows = [Row(1, "max", "even", "steep", "diverged", None, None, 2, 1, (1.0, float("nan")), 20, 0.2, 0.0)]
    table, architecture = Table.of(rows), Architecture({"operation": "max", "users": "even", "items": "steep"})
    assert table.evaluate(architecture, 1).status == "diverged"
    assert table.evaluate(architecture, 1).rmse is None
    assert table.evaluate(architecture, 1, epochs=1).rmse == 1.0


def test_it_is_read_back_complete_or_refused(tmp_path):
    table, path = made_up(), tmp_path / "table.parquet"
    table.write(path)
    pd.testing.assert_frame_equal(Table.read(path).rows.drop(columns="curve"), table.rows.drop(columns="curve"))
    Table(table.rows.iloc[1:]).write(path)
    with pytest.raises(InputError, match="every architecture exactly once"):
        Table.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        Table.read(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="no training of"):
        table.evaluate(Architecture({"operation": "max"}), 1)


def test_the_summary_names_the_best():
    text = summary({"toy": made_up()}, "the command")
    assert "| toy | 320 | 1, 2 | max / even / steep | 1.1500 | 2.3000 |" in text


def test_a_race_against_what_is_known(tmp_path):
    """Random's expected regret after n of N distinct draws is a sum over the table's distinct losses."""
    made_up().write(tmp_path / "toy.parquet")
    contest, seeds = race.Race(trials=40, folder=tmp_path), {"random": 60, "bayes": 12}
    results = pd.concat(contest.run(name, "toy", seed) for name, n in seeds.items() for seed in range(1, n + 1))
    n = len(bank())
    p = np.array([1, 4 + 2 * (n - 1), 0, 0]) / (5 * n * n)
    p[3] = 4 * (n - 1) ** 2 / (5 * n * n)
    p[2] = 1 - p.sum()
    at_least = p[::-1].cumsum()[::-1]  # the probability of a regret of at least k
    expected = sum(at_least[k] ** 20 for k in (1, 2, 3))
    by_trial = results.groupby(["trial", "searcher"])["regret"].mean()
    assert by_trial[20, "random"] == pytest.approx(expected, abs=0.25)
    assert by_trial[40, "bayes"] < by_trial[40, "random"]
    assert (results.groupby(["searcher", "seed"])["regret"].diff().dropna() <= 0).all()
    both = results[results["seed"] <= seeds["bayes"]]
    assert race.ranks(both).sum(axis=1).to_numpy() == pytest.approx(3.0)


def test_the_command(tmp_path):
    made_up().write(tmp_path / "toy.parquet")
    arguments = ["random", "--seeds", "3", "--trials", "4", "--tables", str(tmp_path), "--out", str(tmp_path / "out")]
    race.main(arguments)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"race.csv.gz", "race.md", "race.png", "race.svg"}
    assert len(pd.read_csv(tmp_path / "out" / "race.csv.gz")) == 12
