from collections import Counter
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from ask_tell import (
    FAILURES,
    advance,
    check_replay,
    check_survives_failures,
    evaluation_of,
    hashed,
    in_another_process,
    minimise,
    searcher_of,
)
from example_spaces import SPACES
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import numeric_gradient
from scipy import stats
from small_runs import counted_events, small_study

from automl_cf.cf.problem import Evaluation
from automl_cf.errors import InputError
from automl_cf.searchers import searchers
from automl_cf.searchers._reinforce import MovingBaseline, Reinforce, SoftmaxPolicy, policy_gradient
from automl_cf.searchers._reward import reward_of
from automl_cf.spaces import Architecture, Space, interaction_space, nas_space
from automl_cf.suite import run

WIDTHS = (0, 2, 4, 8, 16)
ANY = interaction_space(units=1)
every = pytest.mark.parametrize("name", ["nas-random", "nas-reinforce"])


def widths(architecture):
    return tuple(architecture[f"width{i}"] for i in range(1, len(architecture)))


# The space.


def every_mlp(layers=5):
    """All tuples of widths that end with the first 0, or with the last layer."""
    return {
        (*some, *end)
        for depth in range(layers + 1)
        for some in product(WIDTHS[1:], repeat=depth)
        for end in ([(0,)] if depth < layers else [()])
    }


def test_the_space_is_all_mlps():
    space = nas_space()
    cells = np.array(list(product(range(5), repeat=5))) / 5 + 0.1
    found = {space.decode(cell) for cell in cells}
    assert {widths(architecture) for architecture in found} == every_mlp()
    assert len(found) == 1 + 4 + 16 + 64 + 256 + 1024 == 1365
    assert all(architecture["model"] == "mlp" and space.contains(architecture) for architecture in found)
    assert Space.from_json(space.to_json()) == space
    for wrong in ({"width1": 0, "width2": 2}, {"width1": 3, "width2": 0}, {"width1": 2}, {}):
        assert not space.contains(Architecture({"model": "mlp", **wrong}))


# Random search.


def test_nas_random_draws_each_width_uniformly():
    architectures = [p.architecture for p in searcher_of("nas-random", ANY).ask(4000)]
    layers = Counter((i, width) for a in architectures for i, width in enumerate(widths(a)))
    for i in range(5):
        observed = [layers[i, width] for width in WIDTHS]
        expected = 4000 * 0.8**i  # the layers before it are not 0
        assert sum(observed) == pytest.approx(expected, abs=4 * np.sqrt(4000 * 0.8**i * (1 - 0.8**i)) + 1e-9)
        assert stats.chisquare(observed).pvalue > 1e-3
    rng = np.random.default_rng(np.random.SeedSequence(0))
    assert architectures == [nas_space().sample(rng) for _ in range(4000)]


# The policy gradient.

LOGITS, ARMS = np.array([0.4, -0.7]), np.array([1.3, 0.2])


def bandit(logits=LOGITS):
    policy = SoftmaxPolicy({"arm": len(logits)})
    policy.logits["arm"] = np.array(logits, dtype=float)
    return policy


def analytic(logits=LOGITS, arms=ARMS):
    """J = p r_0 + (1 - p) r_1 with p the sigmoid of the logits' difference."""
    p = 1 / (1 + np.exp(logits[1] - logits[0]))
    return p, p * (1 - p) * (arms[0] - arms[1]) * np.array([1.0, -1.0])


@pytest.mark.parametrize("baseline", [0.0, 0.8, -5.0, 1e3])
@pytest.mark.parametrize("logits", [LOGITS, np.zeros(2), np.array([-3.0, 2.0])])
def test_the_gradient_on_a_two_armed_bandit_is_the_analytic_one(logits, baseline):
    """In expectation, summed over the arms; a baseline leaves it as it is."""
    policy, (p, gradient) = bandit(logits), analytic(logits)
    expectation = sum(
        probability * policy_gradient(policy.score({"arm": arm}), ARMS[arm], baseline)["arm"]
        for arm, probability in enumerate([p, 1 - p])
    )
    assert expectation == pytest.approx(gradient, abs=1e-12 * max(1, abs(baseline)))


def test_the_mean_of_samples_is_the_gradient():
    """Of noisy rewards, within four standard errors, which are smaller with the baseline that is best here.

    With (1 - p) r_0 + p r_1 every estimate is the gradient itself, but for the noise.
    """
    policy, (p, gradient), rng, n = bandit(), analytic(), np.random.default_rng(0), 20_000
    best = (1 - p) * ARMS[0] + p * ARMS[1]
    for arm in (0, 1):
        assert policy_gradient(policy.score({"arm": arm}), ARMS[arm], best)["arm"] == pytest.approx(gradient)
    drawn = [policy.draw("arm", rng) for _ in range(n)]
    assert np.mean(drawn) == pytest.approx(1 - p, abs=4 * np.sqrt(p * (1 - p) / n))
    errors = []
    for baseline in (0.0, best):
        samples = np.array(
            [
                policy_gradient(policy.score({"arm": arm}), ARMS[arm] + rng.normal(0, 0.3), baseline)["arm"]
                for arm in drawn
            ]
        )
        error = samples.std(axis=0) / np.sqrt(n)
        assert np.abs(samples.mean(axis=0) - gradient).max() < 4 * error.max()
        errors.append(error.max())
    assert errors[1] < 0.7 * errors[0]


def test_the_gradient_of_choices_that_depend_on_others():
    """The second is made only after a first other than 0: by finite differences of the expected reward."""
    rng = np.random.default_rng(1)
    policy = SoftmaxPolicy({"first": 3, "second": 4})
    policy.logits = {name: rng.normal(size=len(part)) for name, part in policy.logits.items()}
    made = [{"first": 0}] + [{"first": i, "second": j} for i in (1, 2) for j in range(4)]
    rewards = rng.normal(size=len(made))

    def probability(choices):
        powers = {name: np.exp(part) for name, part in policy.logits.items()}
        return np.prod([powers[name][chosen] / powers[name].sum() for name, chosen in choices.items()])

    names = list(policy.logits)
    expected = numeric_gradient(
        lambda: sum(probability(choices) * reward for choices, reward in zip(made, rewards, strict=True)),
        [policy.logits[name] for name in names],
    )
    for baseline in (0.0, 2.5):
        total = {name: np.zeros_like(part) for name, part in policy.logits.items()}
        for choices, reward in zip(made, rewards, strict=True):
            score = policy.score(choices)
            assert set(score) == set(choices)
            for name, part in policy_gradient(score, reward, baseline).items():
                total[name] += probability(choices) * part
        for name, gradient in zip(names, expected, strict=True):
            assert total[name] == pytest.approx(gradient, abs=1e-9)


def test_rewards():
    assert reward_of(Evaluation("ok", 0.8)) == pytest.approx(1.25)
    assert reward_of(Evaluation("ok", 2.0)) > max(map(reward_of, FAILURES)) == min(map(reward_of, FAILURES)) == 0.0
    assert np.isfinite(reward_of(Evaluation("ok", 0.0)))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_the_baseline_is_the_weighted_mean_of_earlier_rewards(decay):
    class Unbounded(MovingBaseline):
        LIMIT = np.inf

    baseline, rewards = Unbounded(decay), [1.0, 1.2, 0.9, 1.1, 1.1, 7.0, 1.0]
    assert baseline.deviation == 0
    for n, reward in enumerate(rewards, start=1):
        baseline.update(reward)
        weights = float(decay) ** np.arange(n)[::-1]
        mean = np.average(rewards[:n], weights=weights)
        variance = np.average((rewards[:n] - mean) ** 2, weights=weights)
        assert baseline.mean == pytest.approx(mean)
        assert baseline.deviation == pytest.approx(np.sqrt(variance), abs=1e-12)


def test_a_step_is_that_of_the_formula():
    """With the two rewards before it as baseline and scale; none before there is a scale."""
    policy = bandit()
    reinforce = Reinforce(policy, step=0.2, decay=0.5)
    for reward in (1.0, 1.3):
        reinforce.learn(policy.score({"arm": 0}), reward)
        assert policy.logits["arm"].tolist() == LOGITS.tolist()
    mean = (0.5 * 1.0 + 1.3) / 1.5
    deviation = np.sqrt((0.5 * (1.0 - mean) ** 2 + (1.3 - mean) ** 2) / 1.5)
    p, _ = analytic()
    reinforce.learn(policy.score({"arm": 1}), 1.1)
    advantage = (1.1 - mean) / deviation
    assert policy.logits["arm"] == pytest.approx(LOGITS + 0.2 * advantage * np.array([-p, p]))
    before, score = policy.logits["arm"], policy.score({"arm": 0})
    reinforce.learn(score, -1e6)
    assert policy.logits["arm"] == pytest.approx(before - 3 * 0.2 * score["arm"])  # at most 3 deviations count


@settings(deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-10, 10), st.integers(0, 1000))
def test_learning_does_not_depend_on_the_rewards_unit(scale, shift, seed):
    found = []
    for unit, zero in ((1.0, 0.0), (scale, shift)):
        rng, policy = np.random.default_rng(seed), bandit()
        reinforce = Reinforce(policy, step=0.2, decay=0.9)
        for _ in range(20):
            arm = policy.draw("arm", rng)
            reinforce.learn(policy.score({"arm": arm}), zero + unit * (ARMS[arm] + rng.normal(0, 0.1)))
        found.append(policy.logits["arm"])
    assert found[0] == pytest.approx(found[1], abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_policy_learns_a_planted_bandit(seed):
    """Ten arms, one of them better by no more than the noise."""
    policy, rng = SoftmaxPolicy({"arm": 10}), np.random.default_rng(seed)
    reinforce = Reinforce(policy, step=0.1, decay=0.9)
    late = []
    for pull in range(3000):
        arm = policy.draw("arm", rng)
        reinforce.learn(policy.score({"arm": arm}), 1.0 + 0.01 * (arm == 7) + rng.normal(0, 0.01))
        late += [arm] if pull >= 2500 else []
    assert np.mean(np.array(late) == 7) > 0.9


# The searcher.


def eights(architecture):
    """The loss of a planted optimum: five layers, each of 8 units."""
    return 1.0 - 0.02 * sum(width == 8 for width in widths(architecture))


def test_nas_reinforce_learns_one_max():
    """A layer of 8 comes by chance with probability 0.2 and 0.8 of those before; E = 0.2 sum 0.8^i, 0.67 of 5."""
    counts = []
    for seed in range(10):
        proposed, _ = minimise(searcher_of("nas-reinforce", ANY, seed), eights, 300)
        counts.append([sum(width == 8 for width in widths(a)) for a in proposed])
    early, late = np.mean(counts, axis=0)[:10].mean(), np.mean(counts, axis=0)[-30:].mean()
    assert early == pytest.approx(0.2 * sum(0.8**i for i in range(5)), abs=0.6)
    assert late > 3.5


def test_it_draws_uniformly_until_there_is_something_to_learn():
    searcher = searcher_of("nas-reinforce", ANY)
    for evaluation in (*FAILURES, *FAILURES):
        (proposal,) = searcher.ask()
        searcher.tell(proposal.id, evaluation)
    assert all(logits.tolist() == [0.0] * 5 for logits in searcher.policy.logits.values())
    first = Counter(widths(p.architecture)[0] for p in searcher.ask(2000))
    assert stats.chisquare([first[width] for width in WIDTHS]).pvalue > 1e-3


def test_what_fails_is_avoided():
    def loss(architecture):
        return None if widths(architecture)[0] == 16 else 0.9 + (hashed(architecture) or 0.7) / 50

    searcher = searcher_of("nas-reinforce", ANY)
    minimise(searcher, loss, 150)
    logits = searcher.policy.logits["width1"]
    assert np.argmin(logits) == WIDTHS.index(16)
    assert np.exp(logits[-1]) / np.exp(logits).sum() < 0.05


def test_a_proposal_moves_the_policy_by_the_score_that_it_was_drawn_with():
    searcher = searcher_of("nas-reinforce", ANY, options={"step": 0.5})
    first, second, third = searcher.ask(3)
    searcher.tell(second.id, evaluation_of(1.0))
    searcher.tell(third.id, evaluation_of(1.25))
    assert {p.id for p in searcher.ask(2)} == {3, 4}
    searcher.tell(first.id, evaluation_of(0.8))
    advantage = min(3.0, (1.25 - (0.9 * 1.0 + 0.8) / 1.9) / (0.2 * np.sqrt(0.9) / 1.9))
    for i in range(1, 6):
        expected = np.zeros(5)
        if f"width{i}" in first.architecture:
            expected = 0.5 * advantage * (np.array(WIDTHS) == first.architecture[f"width{i}"]) - 0.1 * advantage
        assert searcher.policy.logits[f"width{i}"] == pytest.approx(expected)


@every
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_proposals_are_of_its_own_space_whatever_the_studys(name, space):
    searcher = searcher_of(name, space)
    assert searcher.space == nas_space()
    proposed, _ = minimise(searcher, hashed, 40)
    assert all(map(nas_space().contains, proposed))
    assert len(set(proposed)) > 10
    kind = searchers.get(name).capabilities
    assert kind.parallel
    assert not any((kind.one_shot, kind.fixed_proposals, kind.relaxable_space_only))


@every
def test_failures_are_survived(name):
    check_survives_failures(searcher_of(name, ANY), 60)


@every
@pytest.mark.parametrize("pending", [1, 4])
def test_a_replayed_log_continues_identically(name, pending):
    check_replay(lambda: searcher_of(name, ANY), pending, before=14, after=12)


def trajectories():
    return {
        name: [p.architecture.to_json() for p in advance(searcher_of(name, ANY, 5), [], 3, 60, hashed)]
        for name in ("nas-random", "nas-reinforce")
    }


def test_the_seed_determines_all_in_another_process():
    here = trajectories()
    assert in_another_process("test_nas.trajectories()") == here
    assert here["nas-random"] != here["nas-reinforce"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nas-random", {"layers": 3}, "searcher 'nas-random' has no option 'layers'; it has none"),
        ("nas-reinforce", {"steps": 3}, r"has no option 'steps'; it has step, decay\. Did you mean 'step'"),
        ("nas-reinforce", {"step": 0}, "option 'step' of searcher 'nas-reinforce' is 0: .* greater than 0"),
        ("nas-reinforce", {"step": float("inf")}, "option 'step' of searcher 'nas-reinforce' is inf"),
        ("nas-reinforce", {"decay": 1.0}, r"option 'decay' of searcher 'nas-reinforce' is 1\.0: .* less than 1"),
        ("nas-reinforce", {"decay": -0.1}, r"option 'decay' of searcher 'nas-reinforce' is -0\.1"),
        ("nas-reinforce", {"decay": "much"}, "option 'decay' of searcher 'nas-reinforce' is 'much'"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        searcher_of(name, ANY, options=options)


def test_in_a_study_of_interaction_functions(tmp_path):
    """Their MLPs are trained, retrained and scored."""
    names, training = ["nas-random", "nas-reinforce"], {"max_epochs": 8, "l2_grid": [0.0, 1e-4], "engine": "reference"}
    run.start(small_study(searchers=names, budget={"trials": 4}, training=training), tmp_path / "run")
    events = [SimpleNamespace(**event) for event in counted_events(tmp_path / "run")]
    trials = [event for event in events if event.kind == "trial"]
    assert [event.status for event in trials] == ["ok"] * 8
    assert len([event for event in events if event.kind == "cell_scored"]) == 2
    assert not [event for event in events if event.kind == "cell_failed"]
