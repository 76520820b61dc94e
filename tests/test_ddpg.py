from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from automl_cf.searchers._ddpg import Ddpg, DdpgSettings, Network
from automl_cf.searchers._replay import Batch, Episode, Replay

TINY = DdpgSettings(hidden=2, discount=0.7)


def agent_of(observation=3, action=2, settings=TINY, seed=0):
    """Its last layers with larger weights than they begin with, so that they matter, and targets of their own."""
    rng = np.random.default_rng(seed)
    agent = Ddpg(observation, action, settings, rng)
    with torch.no_grad():
        for network in (agent.actor, agent.critic, agent.target_actor, agent.target_critic):
            for weights in network.parameters():
                weights.copy_(torch.from_numpy(rng.normal(size=weights.shape)))
    return agent


def episode_of(steps, rng, observation=3, action=2):
    episode = Episode()
    for _ in range(steps):
        available = np.array([1.0] + [float(rng.random() < 0.5) for _ in range(action - 1)])
        episode.add(rng.normal(size=observation), available, rng.random(action) * available, rng.normal())
    return episode


def batch_of(lengths=(3, 1, 2), seed=1):
    """The episodes, and a batch that has each once."""
    rng = np.random.default_rng(seed)
    episodes, batches = [episode_of(steps, rng) for steps in lengths], []
    for episode in episodes:
        replay = Replay(1, 3)
        replay.add(episode)
        batches.append(replay.sample(1, rng))
    return episodes, Batch(*(torch.cat(column) for column in zip(*batches, strict=True)))


# By hand: the formulas in NumPy, one step of one episode at a time.


def outputs(network, observations, extras=None):
    """The network's outputs after each observation, by the equations of a GRU (in PyTorch's form)."""
    w = {name: weights.detach().numpy() for name, weights in network.named_parameters()}
    state, result = np.zeros(network.memory.hidden_size), []
    for t, observation in enumerate(observations):
        by_input = np.split(w["memory.weight_ih_l0"] @ observation + w["memory.bias_ih_l0"], 3)
        by_state = np.split(w["memory.weight_hh_l0"] @ state + w["memory.bias_hh_l0"], 3)
        reset, update = (1 / (1 + np.exp(-by_input[i] - by_state[i])) for i in (0, 1))
        state = (1 - update) * np.tanh(by_input[2] + reset * by_state[2]) + update * state
        inputs = np.concatenate([state, observation, [] if extras is None else extras[t]])
        hidden = np.maximum(w["layer.weight"] @ inputs + w["layer.bias"], 0)
        result.append(w["out.weight"] @ hidden + w["out.bias"])
    return np.array(result)


def policy(actor, episode):
    return np.array(episode.available) / (1 + np.exp(-outputs(actor, episode.observations)))


def values(critic, episode, actions):
    return outputs(critic, episode.observations, 2 * np.array(actions) - 1)[:, 0]


def hand_targets(agent, episode, discount):
    following = values(agent.target_critic, episode, policy(agent.target_actor, episode))
    last = len(episode.rewards) - 1
    return [r + (discount * following[t + 1] if t < last else 0.0) for t, r in enumerate(episode.rewards)]


def hand_actor_loss(agent, episodes):
    return -np.mean(np.concatenate([values(agent.critic, e, policy(agent.actor, e)) for e in episodes]))


def test_the_critics_target_by_hand():
    agent = agent_of()
    episodes, batch = batch_of()
    got = agent.targets(batch).numpy()
    for row, episode in zip(got, episodes, strict=True):
        assert row[: len(episode.rewards)] == pytest.approx(hand_targets(agent, episode, 0.7), abs=1e-12)


def test_the_critics_loss_by_hand():
    agent = agent_of()
    episodes, batch = batch_of()
    errors = [np.subtract(hand_targets(agent, e, 0.7), values(agent.critic, e, e.actions)) for e in episodes]
    assert agent.critic_loss(batch).item() == pytest.approx(np.mean(np.concatenate(errors) ** 2), rel=1e-12)


def gradient_by_differences(network, loss, h=1e-6):
    result = []
    for weights in network.parameters():
        flat = weights.detach().view(-1)
        for i in range(len(flat)):
            kept, sides = flat[i].item(), []
            for sign in (1, -1):
                flat[i] = kept + sign * h
                sides.append(loss())
            flat[i] = kept
            result.append((sides[0] - sides[1]) / (2 * h))
    return np.array(result)


def gradient_by_torch(network, loss):
    parts = torch.autograd.grad(loss, list(network.parameters()))
    return torch.cat([part.flatten() for part in parts]).numpy()


def test_the_actors_gradient_by_finite_differences():
    agent = agent_of()
    episodes, batch = batch_of()
    expected = gradient_by_differences(agent.actor, lambda: hand_actor_loss(agent, episodes))
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(gradient_by_torch(agent.actor, agent.actor_loss(batch)), expected, atol=1e-8)


def test_the_critics_gradient_holds_its_targets_fixed():
    agent = agent_of()
    episodes, batch = batch_of()
    fixed = [hand_targets(agent, e, 0.7) for e in episodes]

    def loss():
        errors = [y - values(agent.critic, e, e.actions) for y, e in zip(fixed, episodes, strict=True)]
        return np.mean(np.concatenate(errors) ** 2)

    expected = gradient_by_differences(agent.critic, loss)
    np.testing.assert_allclose(gradient_by_torch(agent.critic, agent.critic_loss(batch)), expected, atol=1e-7)


def flat(network):
    return torch.cat([weights.detach().flatten() for weights in network.parameters()]).numpy()


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_the_soft_update(tau):
    agent = agent_of(settings=replace(TINY, tau=tau))
    pairs = [(agent.actor, agent.target_actor), (agent.critic, agent.target_critic)]
    before = [(flat(network), flat(target)) for network, target in pairs]
    for _ in range(3):
        agent.soft_update()
    for (network, target), (theta, old) in zip(pairs, before, strict=True):
        assert flat(network).tolist() == theta.tolist()
        np.testing.assert_allclose(flat(target), theta + (1 - tau) ** 3 * (old - theta), atol=1e-12)


def adam_first_step(theta, gradient, step):
    """Kingma and Ba's first step: both moments, with their bias corrected, are the gradient's."""
    return theta - step * gradient / (np.abs(gradient) + 1e-8)


def test_an_update_is_a_step_of_the_critic_then_of_the_actor_then_of_the_targets():
    settings = replace(TINY, tau=0.25, actor_step=1e-3, critic_step=1e-2)
    agent = agent_of(settings=settings)
    _, batch = batch_of()
    old = deepcopy(agent)
    agent.update(batch)
    by_critic = gradient_by_torch(old.critic, old.critic_loss(batch))
    np.testing.assert_allclose(flat(agent.critic), adam_first_step(flat(old.critic), by_critic, 1e-2), atol=1e-9)
    between = deepcopy(old)
    between.critic.load_state_dict(agent.critic.state_dict())
    by_actor = gradient_by_torch(between.actor, between.actor_loss(batch))
    np.testing.assert_allclose(flat(agent.actor), adam_first_step(flat(old.actor), by_actor, 1e-3), atol=1e-9)
    for name in ("actor", "critic"):
        expected = 0.25 * flat(getattr(agent, name)) + 0.75 * flat(getattr(old, f"target_{name}"))
        np.testing.assert_allclose(flat(getattr(agent, f"target_{name}")), expected, atol=1e-12)


def test_acting_step_by_step_is_the_policy_of_the_history():
    agent = agent_of()
    episode, memory, actions = episode_of(4, np.random.default_rng(2)), None, []
    for observation, available in zip(episode.observations, episode.available, strict=True):
        action, memory = agent.act(observation, available, memory)
        actions.append(action)
    np.testing.assert_allclose(actions, policy(agent.actor, episode), atol=1e-12)


# Its parts.


def test_an_agent_begins_with_targets_equal_to_its_networks_and_small_outputs():
    agent = Ddpg(3, 2, DdpgSettings(), np.random.default_rng(0))
    assert flat(agent.actor).tolist() == flat(agent.target_actor).tolist()
    assert flat(agent.critic).tolist() == flat(agent.target_critic).tolist()
    action, _ = agent.act(np.ones(3), np.array([1.0, 0.0]))
    assert action == pytest.approx([0.5, 0.0], abs=0.05)


def test_weights_come_from_the_given_generator_only():
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    first, again, other = (flat(Network(3, 1, 2, 4, np.random.default_rng(seed))) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert not np.isin(first, other).any()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == numpy_state


def test_the_number_of_threads_is_left_as_it_was():
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            agent = agent_of()
            agent.update(batch_of()[1])
            agent.act(np.ones(3), np.ones(2))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)


def test_the_replay_holds_the_last_episodes_and_draws_them_uniformly():
    rng, capacity = np.random.default_rng(0), 5
    replay, episodes = Replay(capacity, 3), [episode_of(1 + i % 3, rng) for i in range(12)]
    for i, episode in enumerate(episodes):
        replay.add(episode)
        assert len(replay) == min(i + 1, capacity)
    batch = replay.sample(2000, rng)
    counts = np.zeros(12)
    for i in range(2000):
        (which,) = (k for k, e in enumerate(episodes) if batch.rewards[i, 0].item() == e.rewards[0])
        counts[which] += 1
        episode, steps = episodes[which], len(episodes[which].rewards)
        assert batch.real[i].tolist() == [1.0] * steps + [0.0] * (3 - steps)
        assert batch.followed[i].tolist() == [1.0] * (steps - 1) + [0.0] * (4 - steps)
        for name in ("observations", "available", "actions", "rewards"):
            column = getattr(batch, name)[i].numpy()
            np.testing.assert_array_equal(column[:steps], getattr(episode, name))
            assert not column[steps:].any()
    assert not counts[:7].any()
    assert stats.chisquare(counts[7:]).pvalue > 1e-3


def test_noise_is_gaussian_within_the_cube_and_sometimes_a_surprise():
    settings = replace(TINY, noise=0.05, surprise=0.3)
    agent, draws = agent_of(settings=settings), 4000
    action, available = np.array([0.5, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])
    drawn = np.array([agent.explore(action, available) for _ in range(draws)])
    assert drawn.min() == 0.0
    assert drawn.max() <= 1.0
    assert not drawn[:, 2].any()

    def cdf(x):
        return 0.3 * np.clip(x, 0, 1) + 0.7 * stats.norm(0.5, 0.05).cdf(x)

    assert stats.kstest(drawn[:, 0], cdf).pvalue > 1e-3
    assert np.mean(drawn[:, 1] == 0.0) == pytest.approx(0.35, abs=0.03)  # at the wall: half of the Gaussian ones


# What it learns. No setting was chosen for these tasks; they are the defaults, which were chosen for the searcher `rl`.


class DoubleIntegrator:
    """Bring a mass to rest at the origin, by a force in [-3, 3], in `horizon` steps; the optimum is Riccati's."""

    horizon, observation, action, force = 5, 3, 1, 3.0
    A, B = np.array([[1.0, 0.5], [0.0, 1.0]]), np.array([[0.125], [0.5]])
    Q, R = 0.1 * np.eye(2), np.array([[0.02]])  # so that rewards are of about size 1

    def reset(self, rng):
        return rng.uniform(-1.0, 1.0, 2)

    def observe(self, state, t):
        return np.array([*state, t / self.horizon])

    def step(self, state, t, action):
        u = self.force * (2 * action - 1)
        after = self.A @ state + self.B @ u
        cost = state @ self.Q @ state + u @ self.R @ u + (after @ self.Q @ after if t == self.horizon - 1 else 0.0)
        return after, -cost

    def riccati(self):
        """P such that x'Px is the least cost from x, and the gains u = -Kx of each step."""
        P, gains = self.Q, []
        for _ in range(self.horizon):
            K = np.linalg.solve(self.R + self.B.T @ P @ self.B, self.B.T @ P @ self.A)
            P = self.Q + self.A.T @ P @ (self.A - self.B @ K)
            gains.insert(0, K)
        return P, gains


class Lock:
    """Three dials, turned one after the other, and one reward at the end: 1 less 12 times the mean squared distance."""

    horizon, observation, action = 3, 4, 1

    def __init__(self, seed):
        self.combination = np.random.default_rng(seed).uniform(0.1, 0.9, self.horizon)

    def reset(self, rng):
        return ()

    def observe(self, state, t):
        return np.array([*np.eye(self.horizon)[t], state[-1] if state else 0.0])

    def step(self, state, t, action):
        state = (*state, action[0])
        return state, 1 - 12 * np.mean((state - self.combination) ** 2) if len(state) == self.horizon else 0.0


def roll_out(task, state, act):
    """One episode, `act(observation, t, state)` giving its actions."""
    episode = Episode()
    for t in range(task.horizon):
        observation = task.observe(state, t)
        action = act(observation, t, state)
        state, reward = task.step(state, t, action)
        episode.add(observation, np.ones(task.action), action, reward)
    return episode


def by_agent(agent, explore=False):
    memory = None

    def act(observation, t, state):
        nonlocal memory
        action, memory = agent.act(observation, np.ones(len(agent.actor.out.bias)), memory if t else None)
        return agent.explore(action, np.ones_like(action)) if explore else action

    return act


def train(task, seed, episodes, settings=DdpgSettings(), startup=10):  # noqa: B008
    rng = np.random.default_rng(seed)
    agent, replay = Ddpg(task.observation, task.action, settings, rng), Replay(1000, task.horizon)
    for number in range(episodes):
        act = (lambda *_: rng.random(task.action)) if number < startup else by_agent(agent, explore=True)
        replay.add(roll_out(task, task.reset(rng), act))
        for _ in range(task.horizon):  # an update for each step, as in Algorithm 1
            agent.update(replay.sample(32, rng))
    return agent


def mean_return(task, act, states):
    return np.mean([sum(roll_out(task, state, act).rewards) for state in states])


STARTS = [np.array([x, v]) for x in np.linspace(-1, 1, 5) for v in np.linspace(-1, 1, 5)]


def test_riccatis_return_is_the_rollouts_of_its_gains():
    task = DoubleIntegrator()
    P, gains = task.riccati()

    def act(observation, t, state):
        action = (1 - gains[t] @ state / task.force) / 2
        assert ((action >= 0) & (action <= 1)).all()  # the bounds of the force do not bind
        return action

    assert mean_return(task, act, STARTS) == pytest.approx(-np.mean([x @ P @ x for x in STARTS]), rel=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_controls_a_double_integrator_almost_optimally(seed):
    """From the best constant force to the optimum, 9 tenths of the way at least."""
    task = DoubleIntegrator()
    P, _ = task.riccati()
    best = -np.mean([x @ P @ x for x in STARTS])
    constant = max(mean_return(task, lambda *_, a=a: np.array([a]), STARTS) for a in np.linspace(0, 1, 21))
    rng = np.random.default_rng(9)
    random = mean_return(task, lambda *_: rng.random(1), STARTS * 8)
    learned = mean_return(task, by_agent(train(task, seed, 120)), STARTS)
    assert random < constant < learned <= best
    assert best - learned < 0.1 * (best - constant)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_reward_at_the_end_reaches_earlier_steps_through_the_targets(seed):
    """With targets that stay as they began, the last dial is learned, but not those before it."""
    task, rewards = Lock(seed), {}
    for tau in (DdpgSettings().tau, 0.0):
        agent = train(task, seed, 150, replace(DdpgSettings(), tau=tau))
        episode = roll_out(task, (), by_agent(agent))
        rewards[tau] = episode.rewards[-1]
        assert abs(episode.actions[-1][0] - task.combination[-1]) < 0.25
    lagging, frozen = rewards.values()
    constant = 1 - 12 * np.var(task.combination)  # of the best action that all steps have
    assert frozen < constant < lagging
    assert 1 - lagging < 0.5 * (1 - constant)
