"""The fused engine is the reference engine, faster: the same numbers from the same streams."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from reference import random_data

from automl_cf.cf import kernels
from automl_cf.cf.data.planted import plant
from automl_cf.cf.fused import FusedTables, program, train_fused
from automl_cf.cf.fused_supernet import FusedSupernet
from automl_cf.cf.interaction import train_interaction
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.operations import operations
from automl_cf.cf.splits import SearchData, random_split
from automl_cf.cf.supernet import Supernet
from automl_cf.cf.training import Fit, Training
from automl_cf.errors import InputError
from automl_cf.searchers.sif import Lane, SifOptions
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.interaction import OPERATIONS, interaction_space
from automl_cf.spaces.views.relaxation import relax


def tiny_data(seed: int = 0) -> SearchData:
    """Sparse enough that some rows are cold."""
    ratings = plant(users=40, items=30, density=0.06, dim=3, seed=seed).ratings
    return random_split(ratings, seed).for_search()


DATA = tiny_data()
ALL = (*OPERATIONS, "minus", "conv", "outer")


def both_fits(
    architecture: Architecture, data: SearchData, training: Training, seed: int, dim: int = 3, l2: float = 1e-4
) -> list[Fit]:
    """The reference engine's, and the fused engine's."""
    return [
        train(architecture, data, training, dim=dim, l2=l2, rng=np.random.default_rng(seed), meter=NullMeter())
        for train in (train_interaction, train_fused)
    ]


def check_same_model(fits: list[Fit], data: SearchData) -> None:
    assert fits[0].curve == pytest.approx(fits[1].curve, abs=1e-9)
    everything = np.argwhere(np.ones(data.train.shape))
    predictions = [fit.model.predict(everything) for fit in fits if fit.model]
    assert len(predictions) == 2
    np.testing.assert_allclose(predictions[0], predictions[1], atol=1e-9)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    operations=st.lists(st.sampled_from(ALL), min_size=1, max_size=3, unique=True),
    activation=st.sampled_from([None, "sigmoid", "tanh", "relu"]),
    units=st.integers(1, 7),
    batch=st.sampled_from([0, 1, 7, 16, 1000]),
    penalty=st.sampled_from(["expected", "touched", "unsquared"]),
    l2=st.sampled_from([0.0, 1e-4, 1e-2]),
    seed=st.integers(0, 100),
)
def test_training_agrees_in_float64(
    operations: list[str], activation: str | None, units: int, batch: int, penalty: str, l2: float, seed: int
) -> None:
    space = interaction_space(
        units=units if activation else 0,
        activation=activation or "sigmoid",
        operations=operations,
        k=len(operations),
    )
    architecture = space.sample(np.random.default_rng(seed))
    training = Training.model_validate(
        {
            "precision": "float64",
            "max_epochs": 3,
            "batch_size": batch,
            "penalty": penalty,
            "learning_rate": 0.1,
        }
    )
    check_same_model(both_fits(architecture, DATA, training, seed, l2=l2), DATA)


# Alone and within, of the kernels that join rows. The last step alone may be outer.
@pytest.mark.parametrize(
    "name",
    [
        *("minus", "conv", "plus(minus(1,3),2)", "minus(multiply(2,3),1)", "concat(conv(3,1),2)"),
        *("conv(conv(2,3),1)", "outer(minus(3,2),1)", "outer(1,conv(2,3))"),
    ],
)
def test_training_on_three_modes_agrees_in_float64(name: str) -> None:
    data = random_data((7, 6, 5), 60, 25)
    training = Training(precision="float64", max_epochs=3, batch_size=16)
    check_same_model(both_fits(Architecture({"operation": name}), data, training, seed=1), data)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 2, 5, 8, 12])
@pytest.mark.parametrize("names", [("minus",), ("conv",), ("outer",), ALL])
def test_training_at_other_dimensions_agrees_in_float64(dim: int, names: tuple[str, ...]) -> None:
    chosen = {"operation": names[0]} if len(names) == 1 else {"operations": names}
    networks = dict.fromkeys(("p", "q"), (1.0, 0.1, 1.5, -0.4))
    training = Training(precision="float64", max_epochs=3, batch_size=16)
    check_same_model(both_fits(Architecture({**chosen, **networks}), DATA, training, seed=1, dim=dim), DATA)


def by_torch(name: str, rows: np.ndarray, w: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, ...]:
    """Scores w . O(u, v), and the gradients of error . scores by the rows, (2, n, dim), and by w."""
    leaves = [torch.tensor(array, requires_grad=True) for array in (rows, w)]
    scores = operations.get(name).combine(list(leaves[0])) @ leaves[1]
    gradients = torch.autograd.grad(scores, leaves, torch.tensor(error))
    return scores.detach().numpy(), *(gradient.numpy() for gradient in gradients)


def joined_by_torch(name: str, rows: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """O(u, v), and the gradient of upstream . O(u, v) by the rows, (2, n, dim)."""
    leaf = torch.tensor(rows, requires_grad=True)
    joined = operations.get(name).combine(list(leaf))
    return joined.detach().numpy(), torch.autograd.grad(joined, leaf, torch.tensor(upstream))[0].numpy()


@njit(error_model="numpy")
def last_step(width, code, w, rows, lu, ri, error, scores, grads, gw):  # type: ignore[no-untyped-def]
    kernels._add_scores(width, code, w, error[0] * 0 + 1, rows, lu, ri, scores)
    kernels._backward(width, code, w, rows, lu, ri, error, error[0] * 0 + 1, grads, gw)


@njit(error_model="numpy")
def inner_step(width, code, rows, lu, ri, results, grads):  # type: ignore[no-untyped-def]
    kernels._join(width, code, rows, lu, ri, results)
    kernels._part_again(width, code, rows, lu, ri, results, grads)


@pytest.mark.parametrize(("dim", "dtype"), [(1, np.float64), (3, np.float32), (5, np.float64), (8, np.float32)])
def test_steps_are_the_operations_and_their_gradients(dim: int, dtype: type) -> None:
    """Against PyTorch's, at dimensions that are no whole number of SIMD lanes, too."""
    rng, n, width = np.random.default_rng(dim), 6, (0,) * dim
    rows = rng.normal(size=(2, n, dim)).astype(dtype)
    lu, ri, results = np.arange(3 * n, dtype=np.uint32).reshape(3, n)
    tolerance = {"atol": 2e-5 if dtype is np.float32 else 1e-12}
    for name in ALL:
        code, length = kernels.CODES[name], operations.get(name).width(dim, 2)
        w, error = rng.normal(size=length).astype(dtype), rng.normal(size=n).astype(dtype)
        wide = np.zeros(max(2 * dim, length), dtype)
        wide[:length] = w
        scores, grads, gw = np.zeros(n, dtype), np.ones_like(rows), np.full_like(wide, 7)
        last_step(width, code, wide, rows.ravel(), lu, ri, error, scores, grads.ravel(), gw)
        expected, by_rows, by_w = by_torch(name, rows, w, error)
        np.testing.assert_allclose(scores, expected, **tolerance)
        np.testing.assert_allclose(grads, 1 + by_rows, **tolerance)  # what is there is added to
        np.testing.assert_allclose(gw[:length], by_w, **tolerance)
        np.testing.assert_array_equal(gw[length : 2 * dim], 0)
        if length == dim and name != "outer":
            upstream = rng.normal(size=(n, dim)).astype(dtype)
            space = np.concatenate([rows, np.zeros((1, n, dim), dtype)])
            grads = np.concatenate([np.ones_like(rows), upstream[None]])
            inner_step(width, code, space.ravel(), lu, ri, results, grads.ravel())
            joined, by_rows = joined_by_torch(name, rows, upstream)
            np.testing.assert_allclose(space[2], joined, **tolerance)
            np.testing.assert_allclose(grads[:2], 1 + by_rows, **tolerance)


@pytest.mark.parametrize("names", [OPERATIONS, ALL], ids=len)
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("part", ["valid", "train"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_the_whole_of_algorithm_2_agrees_in_float64(names: tuple[str, ...], k: int, part: str, activation: str) -> None:
    check_algorithm_2(names, k, part, activation, dim=3)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 5, 8])
def test_algorithm_2_at_other_dimensions_agrees_in_float64(dim: int) -> None:
    check_algorithm_2(ALL, k=2, part="valid", activation="tanh", dim=dim)


def check_algorithm_2(names: tuple[str, ...], k: int, part: str, activation: str, dim: int) -> None:
    relaxation = relax(interaction_space(names, k=k, activation=activation))
    training = Training(precision="float64", batch_size=16)
    lanes = []
    for kind in (Supernet, FusedSupernet):
        task = TrainingTask(DATA, training, dim, np.random.SeedSequence(1))
        seed = np.random.SeedSequence(2)

        class ProblemOf:
            meter = NullMeter()

            def supernet(self, relaxation: object, seed: object, kind: type = kind, task: object = task) -> object:
                return kind(relaxation, task, self.meter, seed)

        lanes.append(Lane(ProblemOf(), relaxation, SifOptions(), seed, part))  # type: ignore[arg-type]
    for _ in range(3):
        a, b = (lane.epoch() for lane in lanes)
        assert a.rmse == pytest.approx(b.rmse, abs=1e-9)
    np.testing.assert_allclose(lanes[0].alpha, lanes[1].alpha, atol=1e-9)
    for name in ("p", "q"):
        np.testing.assert_allclose(lanes[0].vectors[name], lanes[1].vectors[name], atol=1e-9)
    assert lanes[0].problem.meter.visits == lanes[1].problem.meter.visits


@pytest.mark.parametrize("names", [OPERATIONS, ("minus", "conv", "outer")], ids=len)
def test_float32_ends_where_the_reference_does(names: tuple[str, ...]) -> None:
    """Over 10 seeds the mean final validation RMSE differs by less than 2e-4."""
    gaps = []
    for seed in range(10):
        data = tiny_data(seed)
        architecture = interaction_space(names).sample(np.random.default_rng(seed))
        fits = both_fits(architecture, data, Training(batch_size=64), seed)
        gaps.append(fits[0].rmse - fits[1].rmse)
    assert abs(np.mean(gaps)) < 2e-4


def test_what_it_has_no_kernel_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(operations._registered, "mine-for-test", operations.get("plus"))
    with pytest.raises(InputError, match=r"no kernel for operation 'mine-for-test'.*reference"):
        program(["mine-for-test"], 2)
    for name in ("outer", "outer(1,2,3)"):
        with pytest.raises(InputError, match=r"no kernel for operation 'outer' of 3 modes; it needs engine"):
            program([name], 3)
    with pytest.raises(InputError, match=r"has outer within, but its result is not as long as one embedding"):
        program(["plus(outer(1,2),3)"], 3)


def test_the_operations_of_several_modes_are_taken_from_left_to_right() -> None:
    code = kernels.CODES["minus"]
    assert program(["minus", "minus(minus(1,2),3)"], 3).tolist() == 2 * [[[code, 0, 1], [code, 3, 2]]]


def test_predictors_are_as_wide_as_the_widest() -> None:
    def widths(*names: str) -> list[int]:
        tables = FusedTables(names, DATA, Training(), 3, np.random.default_rng(0), 0.0)
        return [tables.state.ws.shape[1], tables.state.wsums.shape[1], len(tables.state.gw)]

    assert widths(*ALL[:-1]) == widths("minus") == [6, 6, 6]
    assert widths(*ALL) == [9, 9, 9]
