"""The speed benchmark: what it compares does the same work, and its report computes what it says."""

import ctypes
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
import torch

from automl_cf.benchmarks.speed import records
from automl_cf.benchmarks.speed.c_loop import CLoop, NoCompiler
from automl_cf.benchmarks.speed.cases import NORM_BOUND, UNITS
from automl_cf.benchmarks.speed.clock import BlockClock
from automl_cf.benchmarks.speed.interleave import interleave
from automl_cf.benchmarks.speed.records import Record
from automl_cf.benchmarks.speed.report import report
from automl_cf.benchmarks.speed.results import Results, Spread, number
from automl_cf.benchmarks.speed.subjects import C_LOOP, FUSED
from automl_cf.benchmarks.speed.targets import TARGETS
from automl_cf.benchmarks.speed.textbook import FEEDS, columns, model_of, train_batch, train_textbook
from automl_cf.benchmarks.speed.textbook_sif import TextbookSif
from automl_cf.cf.interaction import train_interaction
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.training import Training
from automl_cf.spaces.architecture import Architecture

DIM = 3
DATA = reference.planted_split(density=0.7).for_search()


def architecture(operation, networks, units=UNITS):
    rng = np.random.default_rng(0)
    vectors = reference.named(reference.random_networks(rng, 2, "sigmoid" if networks else None, units))
    return Architecture({"operation": operation, "activation": "sigmoid", **vectors})


def predictions(architecture, tables, w, indices):
    """By the formulas in plain NumPy."""
    networks = [np.array(architecture[name]) if name in architecture else None for name in ("p", "q")]
    return reference.predict(tables, {architecture["operation"]: w}, networks, "sigmoid", indices)


@pytest.fixture(scope="module")
def loop():
    try:
        return CLoop.build(DIM, UNITS)
    except NoCompiler as reason:
        pytest.skip(str(reason))


def test_no_row_is_cold():
    """Neither the C loop nor the textbook replaces them."""
    assert all(DATA.train.counts(mode).all() for mode in range(2))


@pytest.mark.parametrize("batch", [0, 16, 1000])
@pytest.mark.parametrize("networks", [True, False])
@pytest.mark.parametrize("operation", reference.OPERATIONS)
def test_the_c_loop_is_the_reference_engine(loop, operation, networks, batch):
    chosen = architecture(operation, networks)
    training = Training(batch_size=batch, max_epochs=2, learning_rate=0.1)
    fit = train_interaction(chosen, DATA, training, dim=DIM, l2=1e-2, rng=np.random.default_rng(1), meter=NullMeter())

    rng = np.random.default_rng(1)
    model = loop.start(chosen, DATA, training, 1e-2, rng)
    curve, by_epoch = [], []
    for _ in range(fit.epochs):
        loop.epoch(model, shuffled(len(DATA.train), rng))
        by_epoch.append(predictions(chosen, model.tables, model.w, DATA.valid.indices))
        curve.append(np.sqrt(np.mean((by_epoch[-1] - DATA.valid.values) ** 2)))

    np.testing.assert_allclose(curve, fit.curve, rtol=1e-4)
    best = by_epoch[fit.best_epoch - 1]
    np.testing.assert_allclose(best, fit.model.predict(DATA.valid.indices), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("units", "penalty"), [(UNITS, "touched"), (UNITS + 1, "expected")])
def test_the_c_loop_refuses_what_it_was_not_built_for(loop, units, penalty):
    chosen = architecture("plus", True, units)
    with pytest.raises(ValueError, match="5 units and the penalty"):
        loop.start(chosen, DATA, Training(penalty=penalty), 0.0, np.random.default_rng(0))


def test_the_c_loop_counts_its_phases():
    try:
        loop = CLoop.build(DIM, UNITS, phases=True)
    except NoCompiler as reason:
        pytest.skip(str(reason))
    rng = np.random.default_rng(0)
    model = loop.start(architecture("plus", True), DATA, Training(batch_size=16), 0.0, rng)
    for _ in range(200):  # a phase of so small an epoch may take less than the clock can tell
        loop.epoch(model, shuffled(len(DATA.train), rng))
    assert min(model.phases.values()) > 0


def test_the_c_loop_draws_orders(loop):
    state, orders = ctypes.c_uint64(3), np.empty((1000, 4), np.uint32)
    for order in orders:
        loop.shuffle(order, state)
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    seen = {tuple(order) for order in orders.tolist()}
    assert seen == set(itertools.permutations(range(4)))
    np.testing.assert_allclose(orders.mean(0), 1.5, atol=0.2)


@pytest.mark.parametrize("networks", [True, False])
@pytest.mark.parametrize("operation", reference.OPERATIONS)
def test_the_textbook_predicts_by_the_formulas(operation, networks):
    chosen = architecture(operation, networks)
    model = model_of(chosen, DATA.train.shape, DIM, 0.5)
    users, items, _ = columns(DATA.valid)
    with torch.no_grad():
        mine = model(users, items, torch.ones(1))[0].numpy()
        tables, w = [model.users.weight.numpy(), model.items.weight.numpy()], model.predictors[0].weight[0].numpy()
    np.testing.assert_allclose(mine, predictions(chosen, tables, w, DATA.valid.indices), atol=1e-5)


@pytest.mark.parametrize("networks", [True, False])
def test_a_step_of_the_textbook_is_one_of_the_reference_engine(networks):
    """With the penalty of the authors' code, from the same start, on the full batch."""
    chosen = architecture("concat", networks)
    training = Training(batch_size=0, max_epochs=1, penalty="unsquared")
    fit = train_interaction(chosen, DATA, training, dim=DIM, l2=0.05, rng=np.random.default_rng(1), meter=NullMeter())

    rng = np.random.default_rng(1)
    model = model_of(chosen, DATA.train.shape, DIM, training.init_scale)
    with torch.no_grad():
        for table in (model.users.weight, model.items.weight):
            table.copy_(torch.tensor(rng.normal(0, training.init_scale, table.shape)))
        w = rng.normal(size=2 * DIM)
        model.predictors[0].weight.copy_(torch.tensor(w / np.linalg.norm(w)))
    optimizer = torch.optim.Adagrad(model.trained(), lr=training.learning_rate)
    train_batch(model, optimizer, columns(DATA.train), torch.ones(1), 0.05)
    users, items, _ = columns(DATA.valid)
    with torch.no_grad():
        mine = model(users, items, torch.ones(1))[0].numpy()
    np.testing.assert_allclose(mine, fit.model.predict(DATA.valid.indices), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("feed", FEEDS)
def test_the_textbook_learns(feed):
    training = Training(batch_size=32, max_epochs=5, patience=5)
    fit = train_textbook(
        architecture("multiply", False),
        DATA,
        training,
        dim=DIM,
        l2=1e-5,
        seed=0,
        feed=FEEDS[feed],
        meter=NullMeter(),
    )
    assert fit.rmse < fit.curve[0]
    error = fit.model.predict(DATA.valid.indices) - DATA.valid.values
    assert np.sqrt(np.mean(error**2)) == pytest.approx(fit.rmse, rel=1e-5)


@pytest.mark.parametrize("feed", FEEDS)
def test_batches_hold_every_rating_once(feed):
    batches = FEEDS[feed](DATA.train, 50)
    for _ in range(2):
        pairs = torch.cat([torch.stack(list(batch[:2]), dim=1) for batch in batches])
        assert sorted(pairs.tolist()) == sorted(DATA.train.indices.tolist())


def test_the_textbooks_search_learns_and_stays_in_the_space():
    search = TextbookSif(DATA, Training(batch_size=16), DIM, seed=0, feed=FEEDS["textbook, slices"])
    before = [network.vector() for network in search.networks]
    for _ in range(3):
        search.epoch()
    found = search.architecture()
    assert found["operation"] in reference.OPERATIONS
    assert ((search.alpha >= 0) & (search.alpha <= 1)).all()
    for name, old in zip(("p", "q"), before, strict=True):
        assert np.linalg.norm(found[name]) <= NORM_BOUND * (1 + 1e-5)
        assert not np.allclose(found[name], old)


def test_a_clock_tells_blocks_apart():
    clock = BlockClock()
    clock.seconds["train"] = [9.0, 1.0, 3.0]
    assert clock.last("train", 2) == 2
    with clock.timed("validate"):
        pass
    assert len(clock.seconds["validate"]) == 1


def test_rounds_begin_with_another_subject_each_time():
    told = []

    def subject(name):
        return lambda seed: told.append((name, seed)) or {"seconds": float(seed)}

    rows = list(interleave("m", "s", {name: subject(name) for name in "abc"}, rounds=3))
    assert "".join(name for name, _ in told) == "cab" + "abc" + "bca" + "cab"
    assert {row.round for row in rows} == {0, 1, 2}
    assert [row.value for row in rows if row.subject == "a"] == [1, 2, 3]


def some_records():
    """The fused engine takes 2, 4 and 6 times as long as the C loop, at one setting of two."""
    at = [records.setting(batch=batch, networks=True) for batch in (512, 2048)]
    rows = [Record("epoch", C_LOOP, at[0], number, "seconds", seconds) for number, seconds in enumerate((1, 10, 100))]
    rows += [Record("epoch", FUSED, at[0], number, "seconds", seconds) for number, seconds in enumerate((2, 40, 600))]
    rows += [Record("epoch", FUSED, at[1], 0, "seconds", 0.00123456)]
    return records.to_frame(rows)


def test_ratios_are_taken_within_rounds(tmp_path: Path):
    records.write(tmp_path / "m.csv", some_records())
    results = Results(records.read(tmp_path / "m.csv"))
    at = {"batch": 512, "networks": "yes"}
    assert results.settings("epoch", "batch", "networks") == [at, {"batch": 2048, "networks": "yes"}]
    ratio = results.ratio("epoch", FUSED, C_LOOP, at)
    assert ratio.tolist() == [2, 4, 6]
    assert Spread.of(ratio) == pytest.approx((4, 2.4, 5.6))
    assert Spread.of(ratio).text() == "4 [2.4, 5.6]"
    assert results.ratio("epoch", FUSED, C_LOOP, {"batch": 2048}).empty
    assert Spread.of(results.rounds("epoch", FUSED, {"batch": 2048})).text(1e3) == "1.23"
    assert Spread.of(results.rounds("epoch", "nobody")).text() == "–"


def test_targets_are_judged_by_the_median():
    checks = {target.text: target.check(Results(some_records())) for target in TARGETS}
    value, verdict = checks["fused engine's speed in an epoch, of the C loop's; batch 512, with networks"]
    assert (value.median, verdict) == (25, "not reached")
    assert sum(verdict != "not measured" for _, verdict in checks.values()) == 1


def test_the_report_shows_what_was_measured_and_what_was_left_out():
    entry = {
        "date": "2026-01-01",
        "command": "c",
        "quick": False,
        "skipped": ["C loop: no compiler"],
        "machine": {"processor": "abacus", "cores": 2, "platform": "wood"},
        "versions": {"python": "3"},
    }
    text = report(Results(some_records()), {"epoch": entry})
    assert "| 512 | yes | fused engine | 40000 [9600, 488000] | 4 [2.4, 5.6] | 1 |" in text
    assert "* C loop: no compiler" in text
    assert "abacus with 2 cores" in text
    assert "## By dimension" not in text


@pytest.mark.parametrize(("value", "text"), [(0.0123456, "0.0123"), (2, "2"), (1234.5, "1230"), (59.96, "60")])
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


@pytest.mark.slow
def test_the_command_measures_and_writes_everything(tmp_path: Path):
    command = [sys.executable, "-m", "automl_cf.benchmarks.speed", "--out", str(tmp_path)]
    done = subprocess.run([*command, "--quick"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = {f"{name}.{form}" for name in ("epoch", "ratings", "dims") for form in ("png", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == figures | {"speed.md", "measurements.csv", "about.json"}
    first = (tmp_path / "speed.md").read_text(encoding="utf-8")
    (tmp_path / "speed.md").unlink()
    subprocess.run([*command, "--report-only"], check=True, capture_output=True)
    assert (tmp_path / "speed.md").read_text(encoding="utf-8") == first
