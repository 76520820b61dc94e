import math
from itertools import groupby, pairwise

import numpy as np
import pytest
from ask_tell import FAILURES, check_replay, evaluation_of, searcher_of
from example_spaces import SPACES, mixed_space
from hypothesis import given
from hypothesis import strategies as st
from reference import tiny_task

from automl_cf.cf.meter import NullMeter
from automl_cf.cf.problem import Evaluation, Problem
from automl_cf.errors import InputError
from automl_cf.searchers._halving import rung_epochs
from automl_cf.spaces import Real, Space, interaction_space

NAMES = ("successive-halving", "hyperband", "asha")
LINE = Space("line", (Real("x", 0.0, 1.0),))

every_kind = pytest.mark.parametrize("name", NAMES)


def halving(name, max_epochs, seed=0, space=LINE, **options):
    return searcher_of(name, space, seed, options, max_epochs=max_epochs)


def loss_of(proposal):
    """Distinct, and ordered by x on every rung."""
    return proposal.architecture["x"] + 1 / proposal.epochs


def run(searcher, trials, loss=loss_of):
    """The proposals, asked and told one at a time."""
    made = []
    for _ in range(trials):
        (proposal,) = searcher.ask()
        searcher.tell(proposal.id, evaluation_of(loss(proposal)))
        made.append(proposal)
    return made


def told(searcher):
    """What the inner searcher was told: by its numbers, the loss."""
    return {
        entry["tell"]: entry["evaluation"]["rmse"] for entry in searcher.inner.state_dict()["log"] if "tell" in entry
    }


# The rungs.


@pytest.mark.parametrize(
    ("arguments", "rungs"),
    [
        ((81, 1, 3), [1, 3, 9, 27, 81]),
        ((8, 1, 2), [1, 2, 4, 8]),
        ((60, 1, 3), [2, 7, 20, 60]),
        ((60, 5, 4), [15, 60]),
        ((10, 10, 2), [10]),
        ((242, 1, 3), [3, 9, 27, 81, 242]),
        ((243, 1, 3), [1, 3, 9, 27, 81, 243]),
    ],
)
def test_rungs(arguments, rungs):
    assert rung_epochs(*arguments) == rungs


@given(st.integers(1, 300), st.integers(1, 300), st.integers(2, 5))
def test_rungs_rise_to_the_longest_training(max_epochs, min_epochs, eta):
    min_epochs = min(min_epochs, max_epochs)
    rungs = rung_epochs(max_epochs, min_epochs, eta)
    assert rungs[-1] == max_epochs
    assert rungs[0] >= min_epochs
    assert all(low < high for low, high in pairwise(rungs))
    assert min_epochs * eta ** len(rungs) > max_epochs  # one more would start below min_epochs


# Brackets.

# Li et al. 2018, table 1 (R = 81, eta = 3), and mlr3hyperband's manual (R = 8, eta = 2): (architectures, epochs).
TABLES = {
    (81, 3): [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ],
    (8, 2): [[(8, 1), (4, 2), (2, 4), (1, 8)], [(6, 2), (3, 4), (1, 8)], [(4, 4), (2, 8)], [(4, 8)]],
}


def rungs_run(made):
    return [(len(list(group)), epochs) for epochs, group in groupby(made, lambda proposal: proposal.epochs)]


@pytest.mark.parametrize(("resource", "eta"), TABLES)
def test_hyperbands_brackets_are_the_papers(resource, eta):
    table = TABLES[resource, eta]
    flat = [rung for bracket in table for rung in bracket]
    made = run(halving("hyperband", resource, eta=eta), 2 * sum(size for size, _ in flat))
    # The last rung of one bracket and the first of the next may have the same epochs.
    joined = [(sum(size for size, _ in group), epochs) for epochs, group in groupby(flat + flat, lambda rung: rung[1])]
    assert rungs_run(made) == joined
    s_max = len(table) - 1
    for s, bracket in zip(range(s_max, -1, -1), table, strict=True):
        n = math.ceil((s_max + 1) * eta**s / (s + 1))
        assert bracket == [(n // eta**i, resource // eta ** (s - i)) for i in range(s + 1)]


def test_successive_halving_promotes_the_best():
    made = run(halving("successive-halving", 60), 2 * 40)
    for bracket in (made[:40], made[40:]):
        rungs = [bracket[:27], bracket[27:36], bracket[36:39], bracket[39:]]
        assert [{proposal.epochs for proposal in rung} for rung in rungs] == [{2}, {7}, {20}, {60}]
        for rung, promoted in pairwise(rungs):
            best = sorted(rung, key=loss_of)[: len(rung) // 3]
            assert [p.architecture for p in promoted] == [p.architecture for p in best]


@pytest.mark.parametrize("name", ["successive-halving", "hyperband"])
def test_the_inner_searcher_is_told_once_of_the_highest_rung(name):
    searcher = halving(name, 27, space=mixed_space())
    last, one_bracket = {}, 27 + 9 + 3 + 1
    for proposal in run(searcher, one_bracket, lambda proposal: int(proposal.architecture.id, 16) + proposal.epochs):
        last[proposal.architecture] = int(proposal.architecture.id, 16) + proposal.epochs
    by_itself = [proposal.architecture for proposal in searcher_of("random", mixed_space()).ask(27)]
    assert told(searcher) == {number: last[architecture] for number, architecture in enumerate(by_itself)}
    assert sorted(entry["tell"] for entry in searcher.inner.state_dict()["log"] if "tell" in entry) == list(range(27))


def test_those_behind_are_told_as_soon_as_that_is_decided():
    searcher = halving("successive-halving", 9)
    run(searcher, 8)
    assert told(searcher) == {}
    run(searcher, 1)
    assert len(told(searcher)) == 9 - 3
    run(searcher, 3)
    assert len(told(searcher)) == 9 - 1
    run(searcher, 1)
    assert len(told(searcher)) == 9


def test_several_workers_begin_another_bracket_instead_of_waiting():
    searcher = halving("successive-halving", 9)
    first = searcher.ask(9)
    (other,) = searcher.ask()
    assert {proposal.epochs for proposal in first} == {other.epochs} == {1}
    for proposal in reversed(first):
        searcher.tell(proposal.id, evaluation_of(loss_of(proposal)))
    promoted = searcher.ask(3)
    best = sorted(first, key=loss_of)[:3]
    assert [(p.architecture, p.epochs) for p in promoted] == [(p.architecture, 3) for p in best]
    assert searcher.ask()[0].epochs == 1


@pytest.mark.parametrize("failure", FAILURES)
@every_kind
def test_the_failed_are_not_promoted(name, failure):
    """A seventh is sound on the lowest rung, half of those on the next: fewer than could go on."""
    searcher, sound, promotions = halving(name, 9), set(), 0
    for _ in range(150):
        (proposal,) = searcher.ask()
        x, epochs = proposal.architecture["x"], proposal.epochs
        if any(known == x for known, _ in sound):
            assert (x, epochs // 3) in sound
            promotions += 1
        good = x < {1: 1 / 7, 3: 1 / 14, 9: 1}[epochs]
        if good:
            sound.add((x, epochs))
        searcher.tell(proposal.id, evaluation_of(loss_of(proposal)) if good else failure)
    assert promotions > 5
    assert len([x for x, epochs in sound if epochs == 9]) > 1


def test_a_bracket_of_nothing_but_failures_ends():
    searcher = halving("hyperband", 9)
    made = []
    for _ in range(9 + 5 + 3 + 1):
        (proposal,) = searcher.ask()
        searcher.tell(proposal.id, FAILURES[0])
        made.append(proposal)
    assert rungs_run(made) == [(9, 1), (5, 3), (3, 9), (1, 1)]


@pytest.mark.parametrize(("available", "sizes"), [(20, [20, 6, 2, 1]), (1, [1, 1, 1, 1])])
def test_an_inner_searcher_that_ends(available, sizes):
    searcher, made = halving("successive-halving", 27), []
    draw = searcher.inner.propose
    searcher.inner.propose = lambda number: draw(number) if number < available else None
    while asked := searcher.ask():
        searcher.tell(asked[0].id, evaluation_of(loss_of(asked[0])))
        made += asked
    assert rungs_run(made) == list(zip(sizes, [1, 3, 9, 27], strict=True))
    assert len(told(searcher)) == available


# ASHA.


def get_job(finished, promoted, rungs, eta):
    """Algorithm 2 of Li et al. 2020; `finished` has (loss, architecture) by rung. None grows the bottom rung."""
    for k in range(len(rungs) - 2, -1, -1):
        top = [x for _, x in sorted(finished[k])][: len(finished[k]) // eta]
        for x in top:
            if (k, x) not in promoted:
                return x, k + 1
    return None


@pytest.mark.parametrize(("pending", "eta"), [(1, 3), (4, 2), (7, 4)])
def test_ashas_promotions_by_a_literal_reading(pending, eta):
    searcher = halving("asha", 64, eta=eta)
    rungs = rung_epochs(64, 1, eta)
    finished, promoted, waiting = {k: [] for k in range(len(rungs))}, set(), []
    rng, top = np.random.default_rng(0), 0
    fresh = iter(searcher_of("random", LINE).ask(1500))
    for _ in range(300):
        while len(waiting) < pending:
            (proposal,) = searcher.ask()
            expected = get_job(finished, promoted, rungs, eta)
            x, rung = (next(fresh).architecture["x"], 0) if expected is None else expected
            if expected is not None:
                promoted.add((rung - 1, x))
            assert (proposal.architecture["x"], proposal.epochs) == (x, rungs[rung])
            top += rung == len(rungs) - 1
            waiting.append((proposal, rung))
        proposal, rung = waiting.pop(rng.integers(len(waiting)))
        loss = rng.random()  # so that ranks change from rung to rung
        finished[rung].append((loss, proposal.architecture["x"]))
        searcher.tell(proposal.id, Evaluation("ok", loss))
    assert top > 1


def test_ashas_inner_searcher_is_told_of_the_lowest_rung_at_once():
    searcher, first = halving("asha", 27), []
    for _ in range(60):
        (proposal,) = searcher.ask()
        searcher.tell(proposal.id, evaluation_of(loss_of(proposal)))
        if proposal.epochs == 1:
            first.append(loss_of(proposal))
        assert list(told(searcher).values()) == first
    assert len(first) < 60


# All of them.


@every_kind
def test_learning_inner_searchers_learn(name):
    """The least epochs already tell all, so that the proposals for them must get better."""
    searcher = halving(name, 9, searcher="evolution", options={"population": 5, "step": 0.05})
    lowest = [p.architecture["x"] for p in run(searcher, 250) if p.epochs == 1]
    assert np.mean(lowest[-20:]) < 0.3  # random search: 0.5, standard deviation 0.065


@pytest.mark.parametrize("pending", [1, 4])
@pytest.mark.parametrize("inner", [{}, {"searcher": "bayes", "options": {"startup": 3}}])
@every_kind
def test_a_replayed_log_continues_identically(name, inner, pending):
    expected = check_replay(lambda: halving(name, 9, 3, SPACES["mixed"], **inner), pending, before=14, after=12)
    assert len({proposal.epochs for proposal in expected}) > 1


@every_kind
def test_proposals_limit_the_training(name):
    problem = Problem(tiny_task(max_epochs=8, patience=100), NullMeter())
    searcher = halving(name, 8, space=interaction_space(units=1), eta=2)
    epochs = []
    for _ in range(16):
        (proposal,) = searcher.ask()
        evaluation = problem.evaluate(proposal.architecture, proposal.epochs)
        searcher.tell(proposal.id, evaluation)
        assert evaluation.epochs == proposal.epochs
        epochs.append(evaluation.epochs)
    assert max(epochs) == 8
    assert min(epochs) == 1


@every_kind
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_failures_are_survived(name, space):
    searcher = halving(name, 27, space=space, searcher="optuna-tpe", options={"startup": 5})
    for number in range(60):
        (proposal,) = searcher.ask()
        assert space.contains(proposal.architecture)
        searcher.tell(proposal.id, FAILURES[number % 3] if number < 20 or number % 2 else evaluation_of(1 + number % 7))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"searcher": "randm"}, r"Unknown searcher 'randm'\. Did you mean 'random'\?"),
        ({"searcher": "sif"}, "option 'searcher' is 'sif', but it must propose points of the space"),
        ({"searcher": "single-op"}, "option 'searcher' is 'single-op', but it must propose"),
        ({"searcher": "hyperband"}, "option 'searcher' is 'hyperband', but it must .* leave the epochs open"),
        ({"searcher": "oracle"}, "searcher 'oracle' needs data whose interaction function is known"),
        ({"searcher": "bayes", "options": {"start": 3}}, "searcher 'bayes' has no option 'start'"),
        ({"eta": 1}, "option 'eta' of searcher"),
        ({"min_epochs": 0}, "option 'min_epochs' of searcher"),
        ({"min_epochs": 10}, "option 'min_epochs' is 10, but the study trains for 9 epochs"),
    ],
)
@every_kind
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        halving(name, 9, space=interaction_space(), **options)
