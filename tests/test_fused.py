"""The fused engine is the reference engine, faster: the same numbers from the same streams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_cf.cf.data.planted import plant
from automl_cf.cf.fused import train_fused
from automl_cf.cf.fused_supernet import FusedSupernet
from automl_cf.cf.interaction import train_interaction
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.operations import operations
from automl_cf.cf.splits import SearchData, random_split
from automl_cf.cf.supernet import Supernet
from automl_cf.cf.training import Training
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


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    operations=st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=3, unique=True),
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
    fits = [
        train(architecture, DATA, training, dim=3, l2=l2, rng=np.random.default_rng(seed), meter=NullMeter())
        for train in (train_interaction, train_fused)
    ]
    assert fits[0].curve == pytest.approx(fits[1].curve, abs=1e-9)
    everything = np.argwhere(np.ones(DATA.train.shape))
    predictions = [fit.model.predict(everything) for fit in fits if fit.model]
    assert len(predictions) == 2
    np.testing.assert_allclose(predictions[0], predictions[1], atol=1e-9)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("part", ["valid", "train"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_the_whole_of_algorithm_2_agrees_in_float64(k: int, part: str, activation: str) -> None:
    relaxation = relax(interaction_space(k=k, activation=activation))
    training = Training(precision="float64", batch_size=16)
    lanes = []
    for kind in (Supernet, FusedSupernet):
        task = TrainingTask(DATA, training, 3, np.random.SeedSequence(1))
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


def test_float32_ends_where_the_reference_does() -> None:
    """Over 10 seeds the mean final validation RMSE differs by less than 2e-4."""
    gaps = []
    for seed in range(10):
        data = tiny_data(seed)
        architecture = interaction_space().sample(np.random.default_rng(seed))
        fits = [
            train(
                architecture,
                data,
                Training(batch_size=64),
                dim=3,
                l2=1e-4,
                rng=np.random.default_rng(seed),
                meter=NullMeter(),
            )
            for train in (train_interaction, train_fused)
        ]
        gaps.append(fits[0].rmse - fits[1].rmse)
    assert abs(np.mean(gaps)) < 2e-4


def test_what_it_has_no_kernel_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(operations._registered, "outer-for-test", operations.get("plus"))
    with pytest.raises(InputError, match=r"no kernel for operation 'outer-for-test'.*reference"):
        train_fused(
            Architecture({"operation": "outer-for-test"}),
            DATA,
            Training(),
            dim=3,
            l2=0.0,
            rng=np.random.default_rng(0),
            meter=NullMeter(),
        )
