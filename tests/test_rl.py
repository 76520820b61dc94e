import math
from itertools import combinations

import numpy as np
import pytest
from ask_tell import (
    FAILURES,
    check_replay,
    check_survives_failures,
    evaluation_of,
    hashed,
    in_another_process,
    minimise,
    searcher_of,
)
from example_spaces import SPACES, mixed_space
from scipy import stats

from automl_cf.cf.problem import Evaluation
from automl_cf.errors import InputError
from automl_cf.searchers._reward import reward_of
from automl_cf.spaces import Choice, Int, Real, Space, Subset, Vector, interaction_space

QUICK = {"startup": 4, "updates": 2, "batch": 8}


def episode_of(searcher, number):
    """What the controller saw and did for a pending proposal, as arrays."""
    episode = searcher._episodes[number]
    return (np.array(column) for column in (episode.observations, episode.available, episode.actions))


# The decision process.


def decoded(space, episode):
    """The architecture, from the raw actions: the highest score's class, and the numbers themselves."""
    numbers = {}
    for observation, action in zip(episode.observations, episode.actions, strict=True):
        parameter = space.searched[int(np.flatnonzero(observation[: len(space.searched)])[0])]
        for coordinate in parameter.coordinates():
            if size := getattr(coordinate, "n", 0):
                numbers[coordinate.name], action = int(np.argmax(action[:size])), action[size:]
            else:
                numbers[coordinate.name], action = float(action[0]), action[1:]
    return space.from_coordinates(numbers)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_an_episode_chooses_each_parameter_that_exists_in_turn(space):
    searcher = searcher_of("rl", space, options=QUICK)
    names = [parameter.name for parameter in space.searched]
    for _ in range(30):
        (proposal,) = searcher.ask()
        episode = searcher._episodes[proposal.id]
        assert decoded(space, episode) == proposal.architecture
        turns = [names[int(np.argmax(o[: len(names)]))] for o in episode.observations]
        assert turns == [name for name in names if name in proposal.architecture]
        for action, available in zip(episode.actions, episode.available, strict=True):
            assert ((action >= 0) & (action <= available)).all()
        searcher.tell(proposal.id, evaluation_of(hashed(proposal.architecture)))


@pytest.mark.parametrize("startup", [9, 0])
def test_the_controller_sees_what_was_chosen_for_the_parameter_before(startup):
    space = Space("seen", (Choice("a", ("x", "y", "z")), Vector("v", 2, 1.0), Int("n", 1, 9), Real("unread", 0.0, 1.0)))
    searcher = searcher_of("rl", space, options={"startup": startup})
    for proposal in searcher.ask(9):
        observations, available, actions = episode_of(searcher, proposal.id)
        assert observations.shape == (4, 4 + 3)
        assert observations[:, :4].tolist() == np.eye(4).tolist()
        assert available.sum(1).tolist() == [3, 2, 1, 1]
        one_hot = [float(proposal.architecture["a"] == option) for option in ("x", "y", "z")]
        expected = [[0, 0, 0], one_hot, [*(2 * actions[1, :2] - 1), 0], [2 * actions[2, 0] - 1, 0, 0]]
        assert observations[:, 4:] == pytest.approx(np.array(expected))


def test_rewards():
    assert reward_of(Evaluation("ok", 0.8)) == 1.25
    assert [reward_of(failure) for failure in FAILURES] == [0.0, 0.0, 0.0]
    assert math.isfinite(reward_of(Evaluation("ok", 0.0)))


def test_the_agent_learns_from_standardised_rewards_at_the_end_of_episodes():
    space = mixed_space()
    searcher, batches = searcher_of("rl", space, options={"startup": 50, "capacity": 20, "batch": 200}), []
    update = searcher._agent.update
    searcher._agent.update = lambda batch: (batches.append(batch), update(batch))
    rmse = np.random.default_rng(1).uniform(0.85, 1.05, 30)
    rmse[7], rmse[25] = np.nan, np.nan
    for value in rmse:
        (proposal,) = searcher.ask()
        searcher.tell(proposal.id, Evaluation("ok", float(value)))
    good = 1 / rmse[10:][np.isfinite(rmse[10:])]  # those that the replay buffer still has
    expected = sorted([*(good - good.mean()) / good.std(), -3.0])
    batch = batches[-1]
    ends = batch.rewards[(batch.real == 1) & (batch.followed == 0)]
    assert len(ends) == 200
    assert np.unique(ends.numpy()) == pytest.approx(expected, abs=1e-5)
    assert (batch.rewards != 0).sum() == 200


def test_the_first_proposals_are_uniform():
    space = Space("uniform", (Subset("s", (1, 2, 3), 2), Real("x", 0.0, 1.0)))
    proposed = [p.architecture for p in searcher_of("rl", space, options={"startup": 900}).ask(900)]
    counts = [sum(a["s"] == pair for a in proposed) for pair in combinations((1, 2, 3), 2)]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest([a["x"] for a in proposed], "uniform").pvalue > 1e-3


# Learning: planted optima.


def planted(space, seed):
    """A loss with its least value, 0.9, at a random architecture of the space of interaction functions."""
    best = space.sample(np.random.default_rng([seed, 1]))
    (name,) = {"operation", "operations"} & set(best)
    bound = sum(max(np.linalg.norm(v) for v in (best[key], (3.0,))) for key in "pq")

    def loss(architecture):
        distances = [np.linalg.norm(np.subtract(architecture[key], best[key])) for key in "pq"]
        wrong = {*np.atleast_1d(best[name])} - {*np.atleast_1d(architecture[name])}
        return 0.9 + 0.1 * sum(distances) / bound + 0.05 * len(wrong)

    return loss


def mean_of_random_points(space, loss, count=2000):
    rng = np.random.default_rng(5)
    return np.mean([loss(space.sample(rng)) for _ in range(count)])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("k", [1, 2])
def test_its_mean_proposal_becomes_better_than_random_points(k, seed):
    space = interaction_space(units=1, k=k)
    loss = planted(space, seed)
    _, losses = minimise(searcher_of("rl", space, seed), loss, 100)
    mean = mean_of_random_points(space, loss)
    assert min(losses) < np.mean(losses) < mean
    assert np.mean(losses[-30:]) - 0.9 < 0.75 * (mean - 0.9)


def test_it_learns_with_several_pending_to_avoid_what_fails():
    """One operation of five never succeeds."""
    space = interaction_space(units=1)
    loss, waiting, failed, losses = planted(space, 3), [], [], []
    searcher = searcher_of("rl", space, 3)
    for number in range(120):
        waiting += searcher.ask(4 - len(waiting))
        proposal = waiting.pop(number % 4)
        failed.append(proposal.architecture["operation"] == "plus")
        losses.append(loss(proposal.architecture))
        searcher.tell(proposal.id, FAILURES[number % 3] if failed[-1] else evaluation_of(losses[-1]))
    mean = mean_of_random_points(space, loss)
    assert np.mean(failed[-60:]) < 0.1
    assert np.mean(losses[-30:]) - 0.9 < 0.85 * (mean - 0.9)


# What holds for every ask/tell searcher.


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_failures_are_survived(space):
    check_survives_failures(searcher_of("rl", space, options=QUICK), 30)


@pytest.mark.parametrize("rmse", [0.0, 1e-300, 1e300, 1.0])
def test_any_rmse_is_survived(rmse):
    space = mixed_space()
    proposed, _ = minimise(searcher_of("rl", space, options=QUICK), lambda architecture: rmse, 12)
    assert all(map(space.contains, proposed))


@pytest.mark.parametrize("pending", [1, 3])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_replayed_log_continues_identically(space, pending):
    check_replay(lambda: searcher_of("rl", space, 5, QUICK), pending, before=12, after=6)


def trajectory(seed=0):
    proposed, _ = minimise(searcher_of("rl", mixed_space(), seed, QUICK), hashed, 15)
    return [architecture.to_json() for architecture in proposed]


def test_the_seed_determines_all_in_another_process():
    assert in_another_process("test_rl.trajectory()") == trajectory()


def test_another_seed_is_another_search():
    first, second = trajectory(0), trajectory(1)
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_proposals_may_be_told_in_any_order():
    """Each with its own episode, as the rewards in the replay show."""
    searcher, waiting, order = searcher_of("rl", mixed_space(), options=QUICK), [], np.random.default_rng(0)
    for _ in range(25):
        waiting += searcher.ask(5 - len(waiting))
        proposal = waiting.pop(order.integers(5))
        episode = searcher._episodes[proposal.id]
        searcher.tell(proposal.id, Evaluation("ok", 1.0 + proposal.id))
        assert decoded(searcher.space, episode) == proposal.architecture
        assert episode.rewards == [0.0] * (len(episode.rewards) - 1) + [1 / (1 + proposal.id)]
        assert set(searcher._episodes) == {waiting_on.id for waiting_on in waiting}


@pytest.mark.parametrize("parameters", [(), (Choice("operation", ("plus",)), Subset("both", (1, 2), 2))])
def test_a_space_of_one_architecture(parameters):
    space = Space("one", parameters, {"activation": "tanh"})
    proposed, _ = minimise(searcher_of("rl", space, options=QUICK), lambda architecture: 1.0, 8)
    assert len(set(proposed)) == 1
    assert space.contains(proposed[0])


@pytest.mark.parametrize(
    "option",
    [
        {"hidden": 0},
        {"actor_step": 0.0},
        {"critic_step": math.inf},
        {"discount": 1.1},
        {"tau": -0.1},
        {"noise": -1.0},
        {"surprise": 2.0},
        {"startup": -1},
        {"updates": 0},
        {"batch": 0},
        {"capacity": 0},
    ],
)
def test_bad_options_are_refused(option):
    (name,) = option
    with pytest.raises(InputError, match=f"option '{name}' of searcher 'rl'"):
        searcher_of("rl", mixed_space(), 0, option)
