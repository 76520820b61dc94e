import itertools
import math
from collections import Counter

import numpy as np
import pytest
from ask_tell import FAILURES, check_replay, check_survives_failures, evaluation_of, minimise, searcher_of
from example_spaces import SPACES, mixed_space
from scipy import stats

from automl_cf.cf.problem import Evaluation
from automl_cf.errors import InputError
from automl_cf.searchers.evolution import reflect
from automl_cf.spaces import Choice, Int, Real, Space, Subset

BITS = 6


def one_max(bits=BITS):
    return Space("one-max", tuple(Choice(f"bit_{i}", (0, 1)) for i in range(bits)))


def zeros(architecture):
    return len(architecture) - sum(architecture.values())


def genes(size, options=50):
    """So many options that no two members agree by chance."""
    return Space("genes", tuple(Choice(f"gene_{i}", tuple(range(options))) for i in range(size)))


def changed(parent, child):
    return {name for name in {*parent, *child} if parent.get(name) != child.get(name)}


def test_random_search_on_one_max():
    """The best of n has expectation sum over k of 1 - P(Binomial < k)^n."""
    n, runs = 8, 500
    best = [BITS - min(minimise(searcher_of("random", one_max(), seed), zeros, n)[1]) for seed in range(runs)]
    below = stats.binom(BITS, 0.5).cdf(np.arange(BITS)) ** n
    moments = [np.sum(1 - below), np.sum((2 * np.arange(BITS) + 1) * (1 - below))]
    deviation = np.sqrt((moments[1] - moments[0] ** 2) / runs)
    assert np.mean(best) == pytest.approx(moments[0], abs=4 * deviation)


def expected_best(bits, population, sample, trials):
    """The best of evolution on one-max, as a Markov chain: mean and variance of its number of ones.

    A state is the members' ones, oldest first, and the best so far. A parent is any of the `sample`-fold draws' best; a
    mutation flips one bit of it.
    """
    law = stats.binom(bits, 0.5).pmf(np.arange(bits + 1))
    chain = {}
    for ones in itertools.product(range(bits + 1), repeat=population):
        chain[ones, max(ones)] = math.prod(law[k] for k in ones)
    for _ in range(trials - population):
        after = {}
        for (ones, best), probability in chain.items():
            for drawn in itertools.product(ones, repeat=sample):
                parent = max(drawn)
                for child, chance in ((parent + 1, 1 - parent / bits), (parent - 1, parent / bits)):
                    if chance:
                        state = (*ones[1:], child), max(best, child)
                        after[state] = after.get(state, 0) + probability * chance / population**sample
        chain = after
    first, second = (sum(p * best**power for (_, best), p in chain.items()) for power in (1, 2))
    return first, second - first**2


@pytest.mark.parametrize(("population", "sample"), [(1, 1), (2, 2), (3, 2)])
def test_evolution_on_one_max(population, sample):
    trials, runs, best = 12, 400, []
    for seed in range(runs):
        searcher = searcher_of("evolution", one_max(), seed, {"population": population, "sample": sample})
        best.append(BITS - min(minimise(searcher, zeros, trials)[1]))
    mean, variance = expected_best(BITS, population, sample, trials)
    assert np.mean(best) == pytest.approx(mean, abs=4 * np.sqrt(variance / runs))


def test_the_first_generation_is_random_searchs():
    space = mixed_space()
    random, evolution = (
        searcher_of("random", space).ask(5),
        searcher_of("evolution", space, 0, {"population": 5}).ask(5),
    )
    assert [p.architecture for p in random] == [p.architecture for p in evolution]


@pytest.mark.parametrize("pending", [1, 4])
def test_parents_are_the_youngest_that_were_told(pending):
    """Old members die, however good they are: here each is worse than the one before."""
    space, population = genes(6), 3
    searcher = searcher_of("evolution", space, 1, {"population": population, "sample": 2})
    rng, told, waiting, parents = np.random.default_rng(0), [], [], []
    for _ in range(120):
        for proposal in searcher.ask(pending - len(waiting)):
            if proposal.id >= population and told:
                sources = [
                    age for age, member in enumerate(reversed(told)) if len(changed(member, proposal.architecture)) == 1
                ]
                assert min(sources) < population
                parents.append(min(sources))
            waiting.append(proposal)
        proposal = waiting.pop(rng.integers(len(waiting)))
        searcher.tell(proposal.id, Evaluation("ok", 1.0 + len(told)))
        told.append(proposal.architecture)
    # The oldest of three wins a draw of two with probability 5/9, the next one with 3/9.
    counts = np.bincount(parents, minlength=population)
    assert stats.chisquare(counts, len(parents) * np.array([1, 3, 5]) / 9).pvalue > 1e-3


def steps_of(space, count, **options):
    """A line of descent: each proposal is the child of the one before."""
    searcher = searcher_of("evolution", space, 2, {"population": 1, "sample": 1} | options)
    proposed, _ = minimise(searcher, lambda architecture: 1.0, count)
    return list(itertools.pairwise(proposed))


def test_a_choice_changes_to_every_other_option():
    space = Space("choices", (Choice("a", ("x", "y", "z")), Subset("b", (1, 2, 3, 4), 2), Choice("only", (7,))))
    moves = {"a": Counter(), "b": Counter()}
    for parent, child in steps_of(space, 3000):
        (name,) = changed(parent, child)
        moves[name][parent[name], child[name]] += 1
    totals = [counter.total() for counter in moves.values()]
    assert stats.binomtest(totals[0], sum(totals), 0.5).pvalue > 1e-3
    # From each of 3 options to 2 others, from each of 6 subsets to 5, and all arrows alike in the long run.
    for counter, arrows in ((moves["a"], 3 * 2), (moves["b"], 6 * 5)):
        assert len(counter) == arrows
        assert stats.chisquare(list(counter.values())).pvalue > 1e-3


def test_a_number_takes_a_reflected_gaussian_step():
    step = 0.3
    pairs = steps_of(Space("line", (Real("x", 0.0, 1.0),)), 800, step=step)
    z = stats.norm(0, step)

    def cdf(parent, x):
        """Of a Gaussian folded onto [0, 1]: the images of [0, x] under reflection."""
        return sum(z.cdf(2 * k + x - parent) - z.cdf(2 * k - x - parent) for k in range(-4, 5))

    levels = [cdf(parent["x"], child["x"]) for parent, child in pairs]
    assert stats.kstest(levels, "uniform").pvalue > 1e-3


def test_reflection():
    for x, folded in ((0.3, 0.3), (-0.2, 0.2), (1.2, 0.8), (2.1, 0.1), (-1.4, 0.6), (1.0, 1.0), (-7.25, 0.75)):
        assert reflect(x) == pytest.approx(folded)


@pytest.mark.parametrize("step", [0.1, 1e-9])
def test_an_integer_always_changes(step):
    pairs = steps_of(Space("integers", (Int("n", 2, 5),)), 200, step=step)
    assert all(parent != child for parent, child in pairs)
    assert {child["n"] for _, child in pairs} == {2, 3, 4, 5}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_mutation_changes_one_parameter_that_exists(space):
    names = {parameter.name: parameter for parameter in space.searched}
    seen = set()
    for parent, child in steps_of(space, 300):
        assert space.contains(child)
        (mutated,) = changed(
            {n: v for n, v in parent.items() if n in child}, {n: v for n, v in child.items() if n in parent}
        )
        assert mutated in parent
        seen.add(mutated)
        for name in changed(parent, child) - {mutated}:  # only what began or ceased to exist through it
            assert names[name].exists(parent) != names[name].exists(child)
    assert seen == set(names)


def test_what_ceases_to_exist_is_remembered():
    space = Space("memory", (Choice("switch", ("off", "on")), Real("x", 0.0, 1.0, when=("switch", ("on",)))))
    last, returns = None, 0
    for parent, child in steps_of(space, 200):
        last = parent.get("x", last)
        if "x" in child and "x" not in parent and last is not None:
            assert child["x"] == last
            returns += 1
    assert returns > 20


@pytest.mark.parametrize("failure", FAILURES)
def test_the_failed_are_no_parents(failure):
    space = genes(6)
    searcher = searcher_of("evolution", space, 0, {"population": 4, "sample": 60})
    first = searcher.ask(4)
    for proposal in first:
        searcher.tell(proposal.id, Evaluation("ok", 9.0) if proposal.id == 2 else failure)
    children = [proposal.architecture for proposal in searcher.ask(20)]
    assert all(len(changed(first[2].architecture, child)) == 1 for child in children)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_failures_are_survived(space):
    check_survives_failures(searcher_of("evolution", space), 40)


def test_a_space_of_one_architecture():
    space = Space("one", (Choice("operation", ("plus",)), Subset("both", (1, 2), 2)))
    proposed, _ = minimise(searcher_of("evolution", space), lambda architecture: 1.0, 15)
    assert {dict(architecture)["operation"] for architecture in proposed} == {"plus"}


def test_it_learns_with_several_pending():
    searcher, waiting, losses = searcher_of("evolution", genes(4, 10)), [], []
    for _ in range(200):
        waiting += searcher.ask(5 - len(waiting))
        proposal = waiting.pop(0)
        losses.append(sum(proposal.architecture.values()))
        searcher.tell(proposal.id, evaluation_of(losses[-1]))
    # Random search has mean 18 and standard deviation 5.7.
    assert np.mean(losses[-50:]) < 9


@pytest.mark.parametrize("pending", [1, 3])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_replayed_log_continues_identically(space, pending):
    check_replay(lambda: searcher_of("evolution", space, 5), pending, before=25, after=10)


@pytest.mark.parametrize("option", [{"population": 0}, {"sample": 0}, {"step": 0.0}, {"step": math.inf}])
def test_bad_options_are_refused(option):
    (name,) = option
    with pytest.raises(InputError, match=f"option '{name}' of searcher 'evolution'"):
        searcher_of("evolution", one_max(), 0, option)
