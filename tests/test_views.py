import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from typing import Any

import hyperopt
import numpy as np
import optuna
import pytest
from example_spaces import SPACES, mixed_space, nas_space
from ray.tune.search.hyperopt import HyperOptSearch
from ray.tune.search.optuna import OptunaSearch
from scipy import stats

from automl_cf.errors import InputError
from automl_cf.spaces import (
    Architecture,
    Category,
    Choice,
    Int,
    Real,
    Space,
    Subset,
    Vector,
    interaction_space,
)
from automl_cf.spaces.views.hyperopt import from_hyperopt, hyperopt_space
from automl_cf.spaces.views.optuna import distributions, suggest
from automl_cf.spaces.views.relaxation import relax
from automl_cf.spaces.views.tune import from_tune, tune_space

DRAWS = 300

every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@pytest.fixture(autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def by_sample(space: Space, n: int) -> list[Architecture]:
    rng = np.random.default_rng(1)
    return [space.sample(rng) for _ in range(n)]


def by_hyperopt(space: Space, n: int) -> list[Architecture]:
    """Hyperopt's random search, each trial read as an ask/tell searcher reads it."""
    trials = hyperopt.Trials()
    domain = hyperopt.base.Domain(None, hyperopt_space(space), pass_expr_memo_ctrl=False)
    documents = hyperopt.rand.suggest(trials.new_trial_ids(n), domain, trials, 1)
    return [from_hyperopt(space, hyperopt.base.spec_from_misc(document["misc"])) for document in documents]


def by_optuna(space: Space, n: int) -> list[Architecture]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [suggest(space, study.ask()) for _ in range(n)]


def by_tune(space: Space, n: int) -> list[Architecture]:
    rng = np.random.default_rng(1)
    domains = tune_space(space)
    configs = [{name: domain.sample(random_state=rng) for name, domain in domains.items()} for _ in range(n)]
    return [from_tune(space, {**config, "dataset": "ml-100k"}) for config in configs]


@every_space
@pytest.mark.parametrize("draw", [by_sample, by_hyperopt, by_optuna, by_tune])
def test_uniforms_have_the_distribution_of_sample(
    draw: Callable[[Space, int], list[Architecture]], space: Space
) -> None:
    """Each parameter's law where it exists in closed form; a vector's direction against independent draws."""
    drawn = draw(space, DRAWS)
    assert all(map(space.contains, drawn))
    cube = np.random.default_rng(2)
    for parameter in space.searched:
        values: list[Any] = [architecture[parameter.name] for architecture in drawn if parameter.name in architecture]
        match parameter:
            case Choice():
                assert uniform_on(parameter.options, values)
            case Subset():
                assert uniform_on(combinations(parameter.options, parameter.size), values)
            case Int():
                assert uniform_on(range(parameter.low, parameter.high + 1), values)
            case Real():
                scale = np.log if parameter.log else np.asarray
                low, high = scale([parameter.low, parameter.high])
                assert stats.kstest(scale(values), stats.uniform(low, high - low).cdf).pvalue > 1e-3
            case Vector():
                # The norm over the bound, max|z| / 3, is below r with probability r^size.
                v = np.array(values)
                radii = np.linalg.norm(v, axis=1) / parameter.bound
                assert stats.kstest(radii**parameter.size, "uniform").pvalue > 1e-3
                z = cube.uniform(-3, 3, (20 * DRAWS, parameter.size))
                directions = z / np.linalg.norm(z, axis=1, keepdims=True)
                for got, wanted in zip(v.T / np.linalg.norm(v, axis=1), directions.T, strict=True):
                    assert stats.ks_2samp(got, wanted).pvalue > 1e-3
            case _:
                raise AssertionError(parameter)


def uniform_on(support: Any, values: list[Any]) -> bool:
    counts = [values.count(value) for value in support]
    assert sum(counts) == len(values)
    return len(counts) == 1 or stats.chisquare(counts).pvalue > 1e-3


@every_space
def test_optuna_is_asked_only_for_what_exists(space: Space) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        trial = study.ask()
        architecture = suggest(space, trial)
        asked = [c.name for p in space.searched if p.name in architecture for c in p.coordinates()]
        assert list(trial.params) == asked
        assert trial.distributions == {name: distributions(space)[name] for name in asked}
        assert space.from_coordinates(trial.params) == architecture


@every_space
def test_optuna_may_be_given_all_distributions_in_advance(space: Space) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        trial = study.ask(distributions(space))
        assert list(trial.params) == [coordinate.name for coordinate in space.coordinates]
        assert suggest(space, trial) == space.from_coordinates(trial.params)
        assert space.contains(suggest(space, trial))


def loss(architecture: Architecture) -> float:
    """Some function for samplers to learn from."""
    return int(architecture.id, 16) / 16**10 + len(architecture)


@every_space
def test_learning_samplers_stay_in_the_space(space: Space) -> None:
    seen = []

    def objective(point: Any) -> float:
        seen.append(from_hyperopt(space, point))
        return loss(seen[-1])

    hyperopt.fmin(
        objective,
        hyperopt_space(space),
        algo=hyperopt.tpe.suggest,
        max_evals=25,
        rstate=np.random.default_rng(0),
        show_progressbar=False,
    )
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=10))
    for _ in range(25):
        trial = study.ask()
        seen.append(suggest(space, trial))
        study.tell(trial, loss(seen[-1]))
    for search in (
        HyperOptSearch(tune_space(space), metric="loss", mode="min", random_state_seed=0, n_initial_points=10),
        OptunaSearch(tune_space(space), metric="loss", mode="min", seed=0),
    ):
        for number in range(15):
            seen.append(from_tune(space, search.suggest(str(number))))
            search.on_trial_complete(str(number), {"loss": loss(seen[-1])})
    assert len(seen) == 80
    assert all(map(space.contains, seen))


def test_a_single_option_is_no_special_case() -> None:
    space = interaction_space(("plus",), units=0)
    for draw in (by_hyperopt, by_optuna, by_tune):
        assert draw(space, 3) == [Architecture({"operation": "plus"})] * 3


class TestRelaxation:
    def test_shows_operations_and_vectors(self) -> None:
        relaxation = relax(interaction_space(norm_bound=1.0))
        assert relaxation.operations == ("multiply", "plus", "min", "max", "concat")
        assert relaxation.k == 1
        assert relaxation.vectors == (("p", 16, 1.0), ("q", 16, 1.0))
        assert relax(interaction_space(k=3)).k == 3
        assert relax(interaction_space(units=0)).vectors == ()

    @pytest.mark.parametrize("k", [1, 2, 5])
    def test_gives_back_every_architecture(self, k: int) -> None:
        space = interaction_space(units=2, k=k)
        relaxation = relax(space)
        rng = np.random.default_rng(0)
        for _ in range(50):
            architecture = space.sample(rng)
            operations: Any = architecture["operation"] if k == 1 else architecture["operations"]
            shuffled = [str(operation) for operation in rng.permutation(np.atleast_1d(operations))]
            vectors: Any = {name: np.array(architecture[name]) for name in ("p", "q")}
            assert relaxation.architecture(shuffled, vectors) == architecture

    @pytest.mark.parametrize("bound", [0.1, 1.0, 3.0])
    def test_takes_vectors_projected_in_single_precision(self, bound: float) -> None:
        space = interaction_space(norm_bound=bound)
        rng = np.random.default_rng(0)
        outside = 0
        for _ in range(200):
            v = rng.normal(size=16).astype(np.float32)
            v *= np.float32(bound) / np.linalg.norm(v)
            outside += np.linalg.norm(v.astype(float)) > bound * (1 + 1e-9)
            architecture = relax(space).architecture(["plus"], {"p": v, "q": 0 * v})
            assert space.contains(architecture)
            assert architecture["p"] == pytest.approx(v, rel=1e-6)
        assert outside > 20

    @pytest.mark.parametrize(
        ("operations", "changes", "message"),
        [
            ([], {}, "must be 1 different of multiply"),
            (["plus", "max"], {}, "must be 1 different of multiply"),
            (["divide"], {}, r"chosen are \['divide'\]"),
            (["plus"], {"p": [0.0] * 3}, r"'p' has shape \(3,\)"),
            (["plus"], {"p": [1.0] * 4}, "norm 2, but must be 4 numbers whose norm is at most 1"),
            (["plus"], {"p": [np.nan] * 4}, "norm nan"),
            (["plus"], {"p": [[0.0] * 4]}, r"shape \(1, 4\)"),
            (["plus"], {"r": [0.0] * 4}, r"must be \['p', 'q'\]"),
        ],
    )
    def test_refuses_what_is_not_in_the_space(
        self, operations: list[str], changes: dict[str, Any], message: str
    ) -> None:
        relaxation = relax(interaction_space(units=1, norm_bound=1.0))
        with pytest.raises(InputError, match=message):
            relaxation.architecture(operations, {"p": [0.0] * 4, "q": [0.0] * 4, **changes})

    def test_refuses_repeated_operations(self) -> None:
        with pytest.raises(InputError, match="2 different"):
            relax(interaction_space(units=0, k=2)).architecture(["plus", "plus"], {})

    @pytest.mark.parametrize(
        "space",
        [
            mixed_space(),
            nas_space(),
            Space("s", (Vector("p", 3, 1.0),)),
            Space("s", (Choice("operation", ("plus",)), Int("dimension", 2, 4))),
            Space("s", (Choice("operation", ("plus",)), Vector("p", 3, 1.0, when=("operation", ("plus",))))),
        ],
        ids=["mixed", "nas", "no-choice", "int", "condition"],
    )
    def test_refuses_spaces_of_another_kind(self, space: Space) -> None:
        with pytest.raises(InputError, match="one-shot search needs one choice of operations"):
            relax(space)

    def test_trained_parameters_do_not_matter(self) -> None:
        space = Space("s", (Choice("operation", ("plus", "max")), Vector("w", 9, 1.0, role="trained")))
        assert relax(space).architecture(["max"], {}) == Architecture({"operation": "max"})


def test_a_configuration_space_can_be_made_of_the_coordinates() -> None:
    """What a ConfigSpace view needs: each condition as classes of the coordinate that it depends on."""
    parents = {parameter.name: parameter for parameter in nas_space().searched}
    for index in range(2, 6):
        parameter = parents[f"width_{index}"]
        assert parameter.unless is not None
        name, values = parameter.unless
        (coordinate,) = parents[name].coordinates()
        assert isinstance(coordinate, Category)
        classes = [i for i in range(coordinate.n) if parents[name].decode([i]) in values]
        assert classes == [0]


def test_views_import_no_backend() -> None:
    program = (
        "import sys\n"
        "from automl_cf.spaces.views import hyperopt, optuna, relaxation, tune\n"
        "print(sorted({'hyperopt', 'optuna', 'ray', 'torch', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
