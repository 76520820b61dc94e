"""The batched engine is the reference engine for many candidates at once: the same numbers from the same streams."""

import csv
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ACTIVATIONS, OPERATIONS, named, planted_split, random_data, random_networks

from automl_cf.benchmarks import gpu
from automl_cf.cf import batched, models
from automl_cf.cf.batched import Candidate, train_batched
from automl_cf.cf.interaction import train_interaction
from automl_cf.cf.meter import BudgetExhausted, NullMeter
from automl_cf.cf.models import TrainingTask, train_all, train_over_grid
from automl_cf.cf.operations import Operation, operations
from automl_cf.cf.training import Progress, Training
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture, interaction_space

DATA = {shape: random_data(shape) for shape in ((6, 5), (4, 3, 5))}
MATRIX = DATA[6, 5]
DIM = 2


def one_at_a_time(candidates, data, training, dim=DIM, meter=None, **options):
    return [
        train_interaction(
            candidate.architecture,
            data,
            training,
            dim=dim,
            l2=candidate.l2,
            rng=np.random.default_rng(candidate.seed),
            meter=meter or NullMeter(),
            **options,
        )
        for candidate in candidates
    ]


def everything(data):
    return np.argwhere(np.ones(data.train.shape))


def assert_same(fits, expected, data, tolerance=1e-9):
    assert len(fits) == len(expected)
    for fit, other in zip(fits, expected, strict=True):
        assert (fit.status, fit.l2, fit.epochs, fit.best_epoch) == (
            other.status,
            other.l2,
            other.epochs,
            other.best_epoch,
        )
        assert fit.curve == pytest.approx(other.curve, abs=tolerance, nan_ok=True)
        assert fit.rmse == pytest.approx(other.rmse, abs=tolerance, nan_ok=True)
        assert (fit.model is None) == (other.model is None)
        if fit.model:
            prediction = other.model.predict(everything(data))
            assert fit.model.predict(everything(data)) == pytest.approx(prediction, abs=tolerance)


def candidate(operation="multiply", l2=0.01, seed=0, **values):
    return Candidate(Architecture({"operation": operation, **values}), l2, np.random.SeedSequence(seed))


@st.composite
def candidates(draw, order):
    selected = draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=3, unique=True))
    activation = draw(st.sampled_from(ACTIVATIONS))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    networks = [
        random_networks(rng, 1, activation, units)[0] if (units := draw(st.integers(0, 3))) else None
        for _ in range(order)
    ]
    values = {"operations": tuple(selected)} if len(selected) > 1 else {"operation": selected[0]}
    return Candidate(
        Architecture(values | named(networks) | {"activation": activation}),
        draw(st.sampled_from([0.0, 1e-3, 0.1])),
        np.random.SeedSequence(draw(st.integers(0, 2))),
    )


@settings(max_examples=40, derandomize=True)
@given(
    st.data(),
    st.sampled_from(sorted(DATA)),
    st.sampled_from([0, 1, 4, 7, 20, 1000]),
    st.sampled_from(["expected", "touched", "unsquared"]),
)
def test_every_candidate_of_a_mixed_batch_is_trained_as_if_alone(drawn, shape, batch_size, kind):
    chosen = drawn.draw(st.lists(candidates(len(shape)), min_size=1, max_size=6))
    training = Training(
        precision="float64", batch_size=batch_size, penalty=kind, max_epochs=4, patience=1, init_scale=0.5
    )
    together, alone = NullMeter(), NullMeter()
    fits = train_batched(chosen, DATA[shape], training, dim=DIM, meter=together)
    assert_same(fits, one_at_a_time(chosen, DATA[shape], training, meter=alone), DATA[shape])
    assert together.visits == alone.visits
    for fit, one in zip(fits, chosen, strict=True):
        selected = one.architecture.get("operations", (one.architecture.get("operation"),))
        widths = {name: (DIM * len(shape) if name == "concat" else DIM,) for name in selected}
        assert {name: tuple(w.shape) for name, w in fit.model.predictors.items()} == widths


PLANTED = planted_split().for_search()
RESTLESS = Training(precision="float64", batch_size=32, learning_rate=0.5, max_epochs=30, patience=3)


def planted_candidates(count=10):
    """Random candidates, every fourth without networks, with two seeds and three values of l2."""
    spaces, rng = (interaction_space(), interaction_space(units=0)), np.random.default_rng(0)
    return [
        Candidate(spaces[i % 4 == 3].sample(rng), (0.0, 1e-4, 1e-2)[i % 3], np.random.SeedSequence(i % 2))
        for i in range(count)
    ]


def test_candidates_stop_when_they_would_alone():
    chosen = planted_candidates()
    fits = train_batched(chosen, PLANTED, RESTLESS, dim=3, meter=NullMeter())
    assert len({fit.epochs for fit in fits}) > 3
    assert any(fit.best_epoch < fit.epochs < 30 for fit in fits)
    assert_same(fits, one_at_a_time(chosen, PLANTED, RESTLESS, dim=3), PLANTED)
    for fit in fits:
        error = fit.model.predict(PLANTED.valid.indices) - PLANTED.valid.values
        assert np.sqrt(np.mean(error**2)) == pytest.approx(fit.rmse) == min(fit.curve)


def test_fewer_epochs_may_be_asked_for():
    chosen = planted_candidates(3)
    fits = train_batched(chosen, PLANTED, RESTLESS, dim=3, meter=NullMeter(), epochs=2)
    assert [fit.epochs for fit in fits] == [2, 2, 2]
    assert_same(fits, one_at_a_time(chosen, PLANTED, RESTLESS, dim=3, epochs=2), PLANTED)


def test_the_order_of_the_candidates_does_not_matter():
    chosen = planted_candidates()
    shuffled = np.random.default_rng(1).permutation(len(chosen))
    fits = train_batched(chosen, PLANTED, RESTLESS, dim=3, meter=NullMeter())
    others = train_batched([chosen[i] for i in shuffled], PLANTED, RESTLESS, dim=3, meter=NullMeter())
    assert_same(others, [fits[i] for i in shuffled], PLANTED, 1e-12)


@pytest.mark.parametrize(
    "wild",
    [
        candidate("multiply", p=[1.0, 0.0, 1e200, 0.0], q=[1.0, 0.0, 1.0, 0.0]),
        candidate("multiply", l2=1.7e308, p=[1.0, 0.0, 1.0, 0.0], q=[1.0, 0.0, 1.0, 0.0]),
    ],
)
def test_one_that_diverges_does_not_disturb_the_others(wild):
    training = Training(precision="float64", batch_size=4, max_epochs=4)
    same = {"p": [1.0, 0.5, 1.0, 0.0], "q": [1.0, 0.0, 2.0, 0.0]}
    tame = candidate("multiply", **same)
    neighbours = [candidate(name, seed=seed, **same) for name in OPERATIONS for seed in (0, 1)]
    fits, quiet = (
        train_batched([neighbours[0], one, *neighbours[1:]], MATRIX, training, dim=DIM, meter=NullMeter())
        for one in (wild, tame)
    )
    diverged = fits.pop(1)
    quiet.pop(1)
    assert (diverged.status, diverged.model, len(diverged.curve)) == ("diverged", None, diverged.epochs)
    assert np.isnan(diverged.rmse)
    assert_same([diverged], one_at_a_time([wild], MATRIX, training), MATRIX)
    assert_same(fits, quiet, MATRIX, 1e-12)
    assert {fit.status for fit in fits} == {"ok"}


def test_all_of_them_may_diverge():
    training = Training(learning_rate=1e30, batch_size=8)
    fits = train_batched([candidate(name) for name in OPERATIONS], MATRIX, training, dim=DIM, meter=NullMeter())
    assert {fit.status for fit in fits} == {"diverged"}


def test_float32_ends_where_the_reference_does():
    chosen = planted_candidates()
    training = Training(batch_size=32, max_epochs=5, learning_rate=0.1)
    fits = train_batched(chosen, PLANTED, training, dim=3, meter=NullMeter())
    for fit, other in zip(fits, one_at_a_time(chosen, PLANTED, training, dim=3), strict=True):
        assert fit.model.transformed[0].dtype == torch.float32
        assert fit.curve == pytest.approx(other.curve, abs=1e-4)


def test_validation_in_pieces(monkeypatch):
    chosen = planted_candidates(4)
    fits = train_batched(chosen, PLANTED, RESTLESS, dim=3, meter=NullMeter(), epochs=3)
    monkeypatch.setattr(batched, "_NUMBERS_AT_ONCE", 100)
    pieces = train_batched(chosen, PLANTED, RESTLESS, dim=3, meter=NullMeter(), epochs=3)
    assert_same(pieces, fits, PLANTED, 1e-12)


def test_an_operation_of_ones_own_sees_rows_only(monkeypatch):
    outer = Operation("outer", lambda parts: torch.einsum("ni,nj->nij", *parts).flatten(1), lambda d, order: d * d)
    monkeypatch.setitem(operations._registered, "outer", outer)
    training = Training(precision="float64", batch_size=7, max_epochs=3)
    chosen = [candidate("outer"), candidate("concat"), candidate("outer", seed=1)]
    fits = train_batched(chosen, MATRIX, training, dim=DIM, meter=NullMeter())
    assert_same(fits, one_at_a_time(chosen, MATRIX, training), MATRIX)


def test_no_candidates():
    assert train_batched([], MATRIX, Training(), dim=DIM, meter=NullMeter()) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"operation": "multiplyy"}, "Did you mean 'multiply'"),
        ({"activation": "sigmoidal"}, "Did you mean 'sigmoid'"),
        ({"q": [1.0, 2.0, 3.0]}, "network q has shape"),
    ],
)
def test_an_architecture_that_makes_no_sense(values, message):
    with pytest.raises(InputError, match=message):
        train_batched([candidate(), candidate(**values)], MATRIX, Training(), dim=DIM, meter=NullMeter())


class LimitedMeter(NullMeter):
    """Notes what is timed, and ends the computation at a check."""

    def __init__(self, checks):
        super().__init__()
        self.checks = checks
        self.kinds = []

    @contextmanager
    def timed(self, kind):
        self.kinds.append(kind)
        yield

    def check(self):
        self.checks -= 1
        if self.checks == 0:
            raise BudgetExhausted


def test_the_budget_ends_it_between_epochs():
    meter = LimitedMeter(checks=2)
    with pytest.raises(BudgetExhausted):
        train_batched(planted_candidates(3), PLANTED, RESTLESS, dim=3, meter=meter)
    assert meter.visits == 2 * 3 * len(PLANTED.train)
    assert meter.kinds == ["train", *["train", "validate"] * 2]


def test_what_has_stopped_by_itself_is_not_called_unfinished():
    chosen = planted_candidates(3)
    together, alone = LimitedMeter(0), [LimitedMeter(0) for _ in chosen]
    fits = train_batched(chosen, PLANTED, RESTLESS, dim=3, meter=together)
    for one, meter in zip(chosen, alone, strict=True):
        one_at_a_time([one], PLANTED, RESTLESS, dim=3, meter=meter)
    checks = [-meter.checks for meter in alone]
    assert checks == [fit.epochs - 1 for fit in fits]  # none of them needed all epochs
    assert -together.checks == max(checks)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_gives_the_same():
    chosen = planted_candidates()
    fits = train_batched(chosen, PLANTED, RESTLESS, dim=3, meter=NullMeter(), device="cuda", epochs=5)
    assert_same(fits, one_at_a_time(chosen, PLANTED, RESTLESS, dim=3, epochs=5), PLANTED, 1e-6)


# When a training stops: a rule of its own.


def progress_of(rmses, patience):
    """How many epochs it asks for, of those that there are, and its fit; a model is the epoch's number."""
    progress = Progress(patience)
    for epoch, rmse in enumerate(rmses, start=1):
        if not progress.goes_on(rmse, lambda epoch=epoch: epoch):
            break
    return epoch, progress.fit(0.5)


@pytest.mark.parametrize(
    ("rmses", "epochs", "best"),
    [
        ([0.9, 0.8, 0.7], 3, 3),  # ended from outside
        ([0.9, 1.0, 1.0, 0.1], 3, 1),
        ([0.9, 1.0, 0.8, 0.9, 0.9, 0.1], 5, 3),
        ([0.9, 0.9, 0.9, 0.1], 3, 1),  # no better is no gain
        ([0.9, 0.899995, 0.899991, 0.1], 3, 3),  # better, but by too little in all
        ([0.9, 0.899995, 0.899989, 0.1], 4, 4),  # slow, but enough in all
    ],
)
def test_it_stops_after_two_epochs_without_a_gain(rmses, epochs, best):
    trained, fit = progress_of(rmses, patience=2)
    assert (trained, fit.epochs, fit.best_epoch, fit.model) == (epochs, epochs, best, best)
    assert (fit.status, fit.l2, fit.rmse, fit.curve) == ("ok", 0.5, rmses[best - 1], tuple(rmses[:epochs]))


@pytest.mark.parametrize("end", [float("nan"), float("inf")])
def test_what_is_not_finite_ends_it(end):
    trained, fit = progress_of([0.9, 0.8, end, 0.7], patience=2)
    assert (trained, fit.status, fit.epochs, fit.best_epoch, fit.model) == (3, "diverged", 3, 2, None)
    assert np.isnan(fit.rmse)


# The measuring script.


def test_the_benchmark_on_the_cpu(tmp_path, capsys):
    out = tmp_path / "new" / "gpu"
    chosen = ["--device", "cpu", "--datasets", "planted", "--candidates", "1", "3", "--dim", "2", "--epochs", "1"]
    assert gpu.main([*chosen, "--out", str(out)]) == 0
    report = (out / "gpu.md").read_text()
    assert report in capsys.readouterr().out
    assert "| planted | reference, one at a time | 3 |" in report
    with (out / "gpu.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["engine"], row["candidates"], row["epochs"]) for row in rows] == [
        ("reference", "3", "3"),
        ("batched", "1", "1"),
        ("batched", "3", "3"),
    ]
    for row in rows:
        assert float(row["candidates_per_second"]) == pytest.approx(
            int(row["candidates"]) / float(row["seconds"]), rel=0.05
        )


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_the_benchmark_refuses_a_device_that_is_not_there(tmp_path, capsys, device):
    assert gpu.main(["--device", device, "--out", str(tmp_path)]) == InputError.exit_status
    assert capsys.readouterr().err.startswith(f"--device is '{device}', but must be one that PyTorch")
    assert not list(tmp_path.iterdir())


def test_train_all_takes_every_engine_and_family():
    split = planted_split().for_search()
    bias, multiply = Architecture({"model": "bias-only"}), Architecture({"operation": "multiply"})
    several = [
        Candidate(a, l2, np.random.SeedSequence(s)) for a in (multiply, bias) for l2 in (0.0, 0.1) for s in (1, 2)
    ]
    fits = {}
    for engine in ("reference", "batched", "fused"):
        training = Training(max_epochs=3, batch_size=64, precision="float64", engine=engine)
        meter = NullMeter()
        fits[engine] = (
            train_all(several, TrainingTask(split, training, 3, np.random.SeedSequence(9)), meter),
            meter.visits,
        )
    for engine in ("batched", "fused"):
        assert fits[engine][1] == fits["reference"][1]
        for fit, other in zip(fits[engine][0], fits["reference"][0], strict=True):
            assert fit.l2 == other.l2
            assert fit.curve == pytest.approx(other.curve, abs=1e-9)
    assert len({fit.rmse for fit in fits["batched"][0]}) == 4 + 2  # the bias model has no seed


def test_the_grid_is_trained_at_once(monkeypatch):
    asked = []
    monkeypatch.setattr(models, "train_batched", lambda c, *a, **k: asked.append(len(c)) or train_batched(c, *a, **k))
    architecture, found = Architecture({"operation": "plus"}), []
    for engine in ("batched", "reference"):
        training = Training(max_epochs=3, batch_size=64, l2_grid=(0.0, 0.01, 0.1), engine=engine)
        task = TrainingTask(planted_split().for_search(), training, 3, np.random.SeedSequence(9))
        found.append(train_over_grid(architecture, task, NullMeter())[0])
    assert asked == [3]
    assert (found[0].l2, found[0].best_epoch) == (found[1].l2, found[1].best_epoch)
