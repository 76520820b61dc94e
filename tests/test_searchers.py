import io
import itertools
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_shot import tensor_problem
from reference import random_data, tiny_task

from automl_cf.cf.elementwise import near_identity
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.problem import Evaluation, Problem
from automl_cf.cf.supernet import ArchitectureGradients
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.searchers import AskTellSearcher, Proposal, SearchTask, build, searchers
from automl_cf.searchers.sif import ArchitectureStep, prox_c1, prox_c2
from automl_cf.spaces import Architecture, Choice, Real, Space, interaction_space
from automl_cf.spaces.tensor import tensor_space
from automl_cf.spaces.views.hyperopt import from_hyperopt, hyperopt_space
from automl_cf.spaces.views.relaxation import relax

ONE_SHOT = ["sif", "sif-no-auto", "sif-robust"]
OPTIONS = {"bayes": {"startup": 2}, "sif-robust": {"rungs": [1, 2]}}
GRID = (0.0, 1e-4, 1e-2)
SMALL = interaction_space(units=1)


def search_task(space=SMALL, seed=0, order=2, l2_grid=GRID):
    return SearchTask(space, order, l2_grid, np.random.SeedSequence(seed))


def searcher_of(name, space=SMALL, seed=0, **options):
    return build(name, search_task(space, seed), OPTIONS.get(name, {}) | options)


def problem_of(**training):
    return Problem(tiny_task(**training), NullMeter())


# Building them. What holds for every searcher is the contract: see test_contract.py.


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_task_makes_equal_searchers(name):
    task, found = search_task(), []
    for _ in range(2):
        searcher = build(name, task, {})
        searcher.start(problem_of())
        found.append(searcher.step())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("siff", {}, r"Unknown searcher 'siff'\. Did you mean 'sif'\?"),
        ("sif", {"epoch": 3}, r"searcher 'sif' has no option 'epoch'; it has epochs, .* mean 'epochs'\?"),
        ("sif", {"epochs": "many"}, "option 'epochs' of searcher 'sif' is 'many': .* integer"),
        ("sif", {"epochs": 0}, "option 'epochs' of searcher 'sif' is 0: .* greater than 0"),
        ("sif", {"step": -0.1}, r"option 'step' of searcher 'sif' is -0\.1"),
        ("sif", {"step": float("inf")}, "option 'step' of searcher 'sif' is inf"),
        ("sif", {"noise": -0.1}, r"option 'noise' of searcher 'sif' is -0\.1"),
        ("sif", {"warmup": -1}, "option 'warmup' of searcher 'sif' is -1"),
        (
            "sif",
            {"optimizer": "adam"},
            "option 'optimizer' of searcher 'sif' is 'adam': .* 'sgd' or 'adagrad'",
        ),
        ("sif-no-auto", {"initial": "identity"}, "option 'initial' of searcher 'sif-no-auto' is 'identity'"),
        ("sif-robust", {"lane": True}, r"has no option 'lane'.* mean 'lanes'\?"),
        ("sif-robust", {"rungs": [1, "x"]}, r"option 'rungs\.1' of searcher 'sif-robust' is 'x'"),
        ("bayes", {"startup": 2.5}, r"option 'startup' of searcher 'bayes' is 2\.5"),
        ("bayes", {"startup": -1}, "option 'startup' of searcher 'bayes' is -1"),
        ("random", {"seed": 3}, "searcher 'random' has no option 'seed'; it has none"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        build(name, search_task(), options)


def test_options_and_their_defaults():
    assert searcher_of("sif").options == searchers.get("sif").Options()
    assert searcher_of("sif", epochs=3).options.epochs == 3
    assert searcher_of("sif-robust", rungs=[2, 3]).options.rungs == (2, 3)


@pytest.mark.parametrize("name", ONE_SHOT)
def test_spaces_that_cannot_be_relaxed_are_refused(name):
    other = Space("odd", (Choice("operation", ("plus", "min")), Real("rate", 0.0, 1.0)), {})
    with pytest.raises(InputError, match=r"Space 'odd' has .* one-shot search needs"):
        build(name, search_task(other), {})


def test_orders_that_cannot_be_searched_are_refused():
    with pytest.raises(InputError, match="searcher 'random' cannot search data with 4 modes"):
        build("random", search_task(order=4), {})


# Ask and tell.


def synthetic(architecture):
    """A loss that knows nothing of ratings, and None for a quarter of the architectures."""
    key = int(architecture.id, 16)
    if key % 4 == 0:
        return None
    p = architecture.get("p", (0.0,))
    return abs(p[0] - 0.5) + (architecture["operation"] != "min") + key % 97 / 1000


def evaluation_of(architecture):
    rmse = synthetic(architecture)
    if rmse is None:
        return Evaluation("diverged", None, 2, 1, (0.9, float("nan")), 100, {"train": 0.1}, None)
    return Evaluation("ok", rmse, 2, 2, (rmse + 1, rmse), 100, {"train": 0.1})


def test_random_is_the_spaces_stream_of_samples():
    rng = np.random.default_rng(np.random.SeedSequence(3))
    proposals = searcher_of("random", seed=3).ask(6)
    assert [proposal.architecture for proposal in proposals] == [SMALL.sample(rng) for _ in range(6)]
    assert [proposal.id for proposal in proposals] == list(range(6))


@pytest.mark.parametrize("startup", [20, 5])
def test_bayes_proposes_what_fmin_does(startup):
    from hyperopt import STATUS_FAIL, STATUS_OK, fmin, tpe

    by_fmin, count = [], 26

    def objective(point):
        architecture = from_hyperopt(SMALL, point)
        by_fmin.append(architecture)
        loss = synthetic(architecture)
        return {"status": STATUS_FAIL} if loss is None else {"status": STATUS_OK, "loss": loss}

    fmin(
        objective,
        hyperopt_space(SMALL),
        algo=partial(tpe.suggest, n_startup_jobs=startup),
        max_evals=count,
        rstate=np.random.default_rng(np.random.SeedSequence(4)),
        show_progressbar=False,
        return_argmin=False,
    )
    searcher = searcher_of("bayes", seed=4, startup=startup)
    for expected in by_fmin:
        (proposal,) = searcher.ask()
        assert proposal.architecture == expected
        searcher.tell(proposal.id, evaluation_of(proposal.architecture))
    assert len(by_fmin) == count
    failed = [architecture for architecture in by_fmin if synthetic(architecture) is None]
    assert 0 < len(failed) < count / 2


def test_bayes_learns():
    searcher, losses = searcher_of("bayes", startup=10), []
    for _ in range(40):
        (proposal,) = searcher.ask()
        searcher.tell(proposal.id, evaluation_of(proposal.architecture))
        losses.append(synthetic(proposal.architecture))
    early, late = ([loss for loss in part if loss is not None] for part in (losses[:10], losses[-15:]))
    assert np.mean(late) < np.mean(early)


def test_single_op():
    proposals = searcher_of("single-op").ask(100)
    assert [dict(proposal.architecture) for proposal in proposals] == [
        {"operation": operation, "l2": l2}
        for l2 in sorted(GRID, reverse=True)
        for operation in ("multiply", "plus", "min", "max", "concat")
    ]
    searcher = searcher_of("single-op", interaction_space(("plus", "min"), k=2))
    assert {proposal.architecture["operation"] for proposal in searcher.ask(100)} == {"plus", "min"}
    assert searcher.ask() == []


def test_bias_only():
    searcher = searcher_of("bias-only")
    assert [dict(proposal.architecture) for proposal in searcher.ask(3)] == [{"model": "bias-only"}]
    assert searcher.ask() == []


def test_a_changed_searcher_is_noticed_in_the_replay():
    searcher = searcher_of("random", seed=0)
    searcher.ask(2)
    with pytest.raises(AutomlCfError, match="proposal 0 came out differently"):
        searcher_of("random", seed=1).load_state_dict(searcher.state_dict())


def test_only_pending_proposals_can_be_told():
    searcher = searcher_of("random")
    (proposal,) = searcher.ask()
    searcher.tell(proposal.id, Evaluation("ok", 1.0))
    for number in (proposal.id, 7):
        with pytest.raises(AutomlCfError, match=f"proposal {number} was told, but it is not pending"):
            searcher.tell(number, Evaluation("ok", 1.0))


class Halving(AskTellSearcher):
    """Proposes the same architecture, three times, with more and more epochs."""

    def propose(self, number):
        architecture = Architecture({"operation": "plus"})
        return Proposal(99, architecture, epochs=2**number) if number < 3 else None


def test_proposals_of_lower_fidelity():
    proposals = Halving(search_task(), None).ask(5)
    assert [(proposal.id, proposal.epochs) for proposal in proposals] == [(0, 1), (1, 2), (2, 4)]


# One-shot: the parts of Algorithm 2.

numbers = st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.3, 1.0, 1.7]), min_size=1, max_size=5)


@settings(deadline=None)
@given(numbers, st.integers(1, 5), st.integers(0, 1000))
def test_prox_c1_is_a_nearest_vector_with_k_entries(z, k, seed):
    z, k = np.array(z), min(k, len(z))
    got = prox_c1(z, k, np.random.default_rng(seed))
    candidates = [
        np.where(np.isin(np.arange(len(z)), support), z, 0.0) for support in itertools.combinations(range(len(z)), k)
    ]
    assert any(got.tolist() == candidate.tolist() for candidate in candidates)
    nearest = min(np.linalg.norm(z - candidate) for candidate in candidates)
    assert np.linalg.norm(z - got) == pytest.approx(nearest)


def test_proposition_2_1():
    rng = np.random.default_rng(0)
    assert prox_c1(np.array([0.2, -0.9, 0.5]), 1, rng).tolist() == [0, -0.9, 0]
    assert prox_c1(np.array([0.2, -0.9, 0.5]), 2, rng).tolist() == [0, -0.9, 0.5]
    assert prox_c2(np.array([-0.2, 0.4, 1.3])).tolist() == [0, 0.4, 1]


@pytest.mark.parametrize("k", [1, 2])
def test_ties_are_broken_at_random(k):
    rng = np.random.default_rng(0)
    draws = sum(prox_c1(np.array([0.1, 1.0, 1.0, -1.0]), k, rng) != 0 for _ in range(600))
    assert draws[0] == 0
    assert draws.sum() == 600 * k
    # Binomial with standard deviation below 12.3.
    assert draws[1:] == pytest.approx(np.full(3, 200 * k), abs=50)


class FakeNet:
    """A supernet of which only its gradients matter: given functions of alpha and of the vectors."""

    def __init__(self, relaxation, gradient_of_alpha, gradient_of_vector):
        self.relaxation = relaxation
        self.gradients = (gradient_of_alpha, gradient_of_vector)
        self.calls = []

    def epoch(self):
        return iter([(f"valid {i}", f"train {i}") for i in range(3)])

    def architecture_gradients(self, alpha, vectors, part, rows):
        self.calls.append((part, rows, alpha.copy(), {name: v.copy() for name, v in vectors.items()}))
        by_alpha, by_vector = self.gradients
        return ArchitectureGradients(by_alpha(alpha), {name: by_vector(v) for name, v in vectors.items()})

    def train_batch(self, alpha, vectors, rows):
        self.calls.append(("T", rows, alpha.copy(), {name: v.copy() for name, v in vectors.items()}))

    def rmse(self, alpha, vectors):
        return 0.5


class FakeProblem:
    def __init__(self, *gradients):
        self.meter = NullMeter()
        self.gradients = gradients

    def supernet(self, relaxation, seed):
        return FakeNet(relaxation, *self.gradients)


def started(name, space=SMALL, *, by_alpha, by_vector=np.zeros_like, **options):
    searcher = searcher_of(name, space, **options)
    searcher.start(FakeProblem(by_alpha, by_vector))
    return searcher


@pytest.mark.parametrize(("name", "part"), [("sif", "valid"), ("sif-no-auto", "train")])
@pytest.mark.parametrize("k", [1, 2])
def test_algorithm_2(name, part, k):
    """Its steps one by one, restated."""
    space, step = interaction_space(units=1, norm_bound=2.0, k=k), 0.3
    searcher = started(
        name,
        space,
        by_alpha=lambda alpha: np.array([1.0, -1.0, 0.5, 0.2, -0.1]) + alpha,
        by_vector=lambda v: np.array([-2.0, 1.0, 0.0, 3.0]) - v,
        step=step,
    )
    alpha = searcher.lane.alpha.copy()
    vectors = {name: v.copy() for name, v in searcher.lane.vectors.items()}

    def largest(alpha):
        kept = np.sort(alpha)[-k]
        return np.where(alpha >= kept, alpha, 0)

    expected = []
    for i in range(3):
        selected = largest(alpha)  # step 3
        expected.append((part, f"{part} {i}", selected, vectors))
        alpha = np.clip(alpha - step * (np.array([1.0, -1.0, 0.5, 0.2, -0.1]) + selected), 0, 1)  # 5
        moved = {n: v - step * (np.array([-2.0, 1.0, 0.0, 3.0]) - v) for n, v in vectors.items()}  # 6
        vectors = {n: v / max(1.0, np.linalg.norm(v) / 2.0) for n, v in moved.items()}
        expected.append(("T", f"train {i}", largest(alpha), vectors))  # steps 8 and 9
    incumbent = searcher.step()
    for got, wanted in zip(searcher.lane.net.calls, expected, strict=True):
        assert got[:2] == wanted[:2]
        assert got[2] == pytest.approx(wanted[2])
        for vector in vectors:
            assert got[3][vector] == pytest.approx(wanted[3][vector])
    chosen = [space.parameters[0].options[i] for i in np.flatnonzero(largest(alpha))]
    found = incumbent.architecture
    assert (found["operation"] if k == 1 else found["operations"]) == (chosen[0] if k == 1 else tuple(chosen))
    assert found["p"] == pytest.approx(vectors["p"])


def test_adagrad_for_the_architecture():
    step, gradients = ArchitectureStep(0.3, "adagrad", 2), np.array([[1.0, -4.0], [2.0, 0.5]])
    value = np.zeros(2)
    for gradient in gradients:
        value = step(value, gradient)
    second = 0.3 * gradients[1] / np.sqrt(gradients[0] ** 2 + gradients[1] ** 2)
    assert value == pytest.approx(-0.3 * np.sign(gradients[0]) - second)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_a_gradient_that_is_not_finite_moves_nothing(optimizer):
    step, value = ArchitectureStep(0.3, optimizer, 2), np.array([0.1, 0.2])
    for poison in (np.nan, np.inf):
        assert step(value, np.array([1.0, poison])) is value
    assert np.isfinite(step(value, np.ones(2))).all()


def test_an_alpha_of_nothing_but_zeros_is_drawn_anew():
    # Every operation does harm, so all of alpha falls to 0 in the first step.
    searcher = started("sif", by_alpha=lambda alpha: np.full(5, 100.0))
    for _ in range(4):
        incumbent = searcher.step()
        assert searcher.lane.alpha.any()
        assert SMALL.contains(incumbent.architecture)
    assert all(np.count_nonzero(alpha) == 1 for _, _, alpha, _ in searcher.lane.net.calls)
    selected = {int(np.flatnonzero(alpha)[0]) for _, _, alpha, _ in searcher.lane.net.calls}
    assert len(selected) > 1


def test_fewer_operations_than_k_are_filled_up():
    # All but multiply do harm; the second operation of the architecture has weight 0.
    space = interaction_space(units=1, k=2)
    searcher = started("sif", space, by_alpha=lambda alpha: np.array([-1.0, 9.0, 9.0, 9.0, 9.0]))
    incumbent = searcher.step()
    assert space.contains(incumbent.architecture)
    assert "multiply" in incumbent.architecture["operations"]


def test_warm_up_trains_every_operation_and_leaves_alpha():
    searcher = started("sif", by_alpha=lambda alpha: np.ones(5), warmup=20)
    alpha = searcher.lane.alpha.copy()
    for _ in range(20):
        searcher.step()
    assert searcher.lane.alpha.tolist() == alpha.tolist()
    calls = searcher.lane.net.calls
    assert all(sorted(call[2]) == [0, 0, 0, 0, 1] for call in calls)
    assert {int(np.argmax(call[2])) for call in calls} == set(range(5))
    pairs = zip(calls[::2], calls[1::2], strict=True)
    assert all(before[2].tolist() == after[2].tolist() for before, after in pairs)
    searcher.step()
    assert searcher.lane.alpha.tolist() != alpha.tolist()


@pytest.mark.parametrize("name", ONE_SHOT)
@pytest.mark.parametrize("initial", ["random", "near-identity"])
def test_initial_networks_lie_inside_the_ball(name, initial):
    norms = []
    for seed in range(20):
        searcher = searcher_of(name, interaction_space(norm_bound=0.5), seed, initial=initial)
        searcher.start(problem_of())
        lanes = searcher.lanes if name == "sif-robust" else [searcher.lane]
        norms += [np.linalg.norm(v) for lane in lanes for v in lane.vectors.values()]
    assert max(norms) <= 0.5 * (1 + 1e-9)
    assert len({round(norm, 6) for norm in norms}) > 1


@pytest.mark.parametrize(
    ("space", "options", "expected"),
    [
        (interaction_space(norm_bound=100.0), {}, 0.1),
        (tensor_space(operations=["min"], norm_bound=100.0), {}, 0.02),
        (interaction_space(norm_bound=100.0), {"noise": 0.5}, 0.5),
        (interaction_space(norm_bound=100.0), {"noise": 0.0}, 0.0),
    ],
)
def test_the_noise_of_a_start_near_the_identity(space, options, expected):
    moved = []
    for seed in range(20):
        searcher = searcher_of("sif-robust", space, seed, **options)
        searcher.start(problem_of() if len(relax(space).vectors) == 2 else tensor_problem())
        vectors = [vector for lane in searcher.lanes for vector in lane.vectors.values()]
        moved += [vector - near_identity((len(vector) - 1) // 3, "sigmoid", 100.0) for vector in vectors]
    spread = np.concatenate(moved)
    assert spread.std() == pytest.approx(expected, rel=0.1)
    assert abs(spread.mean()) <= 0.2 * expected


@pytest.mark.parametrize("name", ONE_SHOT)
def test_the_search_ends_after_its_epochs(name):
    meter = NullMeter()
    task = tiny_task()
    searcher = searcher_of(name, epochs=3)
    searcher.start(Problem(task, meter))
    steps = list(iter(searcher.step, None))
    assert searcher.step() is None
    # The race of five lanes, of which 3 go on after the first epoch and 2 after the second.
    assert len(steps) == (5 + 3 + 2 if name == "sif-robust" else 3)
    train, valid = len(task.data.train), len(task.data.valid)
    per_epoch = {"sif": 5 * valid + train, "sif-no-auto": 6 * train, "sif-robust": valid + train}
    assert meter.visits == len(steps) * per_epoch[name]
    assert all(np.isfinite(step.rmse) for step in steps)


def test_the_race_keeps_the_better_half():
    searcher = searcher_of("sif-robust", epochs=4, rungs=[1, 2, 3])
    searcher.start(problem_of())
    for left in (3, 2, 1):
        alive, count = searcher.alive, len(searcher.alive)
        for _ in range(count):
            incumbent = searcher.step()
        ranked = sorted(alive, key=lambda i: searcher.losses[i])
        assert set(searcher.alive) == set(ranked[:left])
        assert incumbent.rmse == searcher.losses[ranked[0]]
        assert incumbent.architecture["operation"] == SMALL.parameters[0].options[ranked[0]]
    last = searcher.step()
    assert last.architecture["operation"] == incumbent.architecture["operation"]
    assert searcher.step() is None


def test_sif_robust_without_lanes_is_sif_with_other_options():
    robust = searcher_of("sif-robust", lanes=False)
    seed = np.random.SeedSequence(0).spawn(1)[0]
    options = {"optimizer": "adagrad", "initial": "near-identity"}
    plain = build("sif", replace(search_task(), seed=seed), options)
    for searcher in (robust, plain):
        searcher.start(problem_of())
    assert [robust.step() for _ in range(4)] == [plain.step() for _ in range(4)]


@pytest.mark.parametrize(("steps", "k"), [(1, 1), (6, 1), (3, 2)])
@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_one_shot_state_continues_identically(name, steps, k):
    space = interaction_space(units=1, k=k)

    def fresh():
        searcher = searcher_of(name, space, epochs=8, warmup=2)
        searcher.start(problem_of())
        return searcher

    searcher = fresh()
    for _ in range(steps):
        searcher.step()
    arrays, values = searcher.state_dict()
    file = io.BytesIO()
    np.savez(file, **arrays)
    text = json.dumps(values, allow_nan=False)
    expected = [searcher.step() for _ in range(5)]
    again = fresh()
    file.seek(0)
    with np.load(file) as stored:
        again.load_state_dict(dict(stored), json.loads(text))
    assert [again.step() for _ in range(5)] == expected
    for one, other in zip(searcher.state_dict(), again.state_dict(), strict=True):
        assert one.keys() == other.keys()
    for key, array in searcher.state_dict()[0].items():
        assert array.tolist() == again.state_dict()[0][key].tolist()


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_supernet_that_diverges_is_a_result(name):
    searcher = searcher_of(name, epochs=2)
    searcher.start(problem_of(learning_rate=1e30))
    steps = list(iter(searcher.step, None))
    assert steps[-1].rmse is None
    assert all(SMALL.contains(step.architecture) for step in steps)


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_space_without_networks_can_be_searched(name):
    space = interaction_space(units=0)
    searcher = searcher_of(name, space, epochs=2)
    searcher.start(problem_of())
    assert all(space.contains(step.architecture) for step in iter(searcher.step, None))


@pytest.mark.parametrize("name", ONE_SHOT)
def test_one_shot_search_of_a_tensor(name):
    searcher = searcher_of(name, epochs=2)
    searcher.start(Problem(tiny_task(random_data((5, 4, 6), 60, 30)), NullMeter()))
    assert all(SMALL.contains(step.architecture) for step in iter(searcher.step, None))
