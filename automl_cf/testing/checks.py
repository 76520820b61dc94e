"""What every searcher must keep to: each requirement, how it is tried, and what usually breaks it.

A requirement's function returns, in words, on what it was tried, and raises `Unmet` with what was seen instead.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from itertools import islice

import numpy as np
from pydantic import TypeAdapter, ValidationError

from automl_cf.cf.problem import Problem
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.searchers import AskTellSearcher, Searcher
from automl_cf.spaces import Architecture, Space
from automl_cf.testing import ask_tell, one_shot, problems
from automl_cf.testing.report import Check
from automl_cf.testing.requirement import REQUIREMENTS, Unmet, required
from automl_cf.testing.subject import LEAST, Subject, architecture_of, evaluated_steps, first_difference, steps

_FEW = 3  # trainings, where a check needs real ones
_PAPERS = (
    "parameters of the paper's space taken for granted; read them from self.space, or refuse other spaces by an "
    "InputError when the searcher is made"
)


def tried(subject: Subject) -> Iterator[Check]:
    """The checks of all requirements, in order."""
    return (requirement.tried(subject) for requirement in REQUIREMENTS)


@required(
    "space",
    "every proposal lies in the searcher's space, or, declared as fixed_proposals, can be trained",
    "a range, norm bound or condition restated in the searcher; space.decode, space.sample and the views in "
    "automl_cf.spaces.views never leave the space",
)
def _proposals_lie_in_the_space(subject: Subject) -> str:
    if subject.capabilities.fixed_proposals:
        problem, count = subject.problem, 0
        for step in islice(subject.trajectory(), _FEW):
            _check_trainable(problem, architecture_of(step))
            count += 1
        return f"{count} trained"
    names = [_check_inside(subject.make(space), subject) for space in (problems.SPACE, problems.SPACE_OF_PAIRS)]
    if not subject.capabilities.relaxable_space_only and (other := _made_for(subject, problems.MIXED_SPACE)):
        try:
            names.append(_check_inside(other, subject))
        except Unmet:
            raise
        except (Exception, SystemExit) as error:  # a searcher may raise anything
            raise Unmet(
                f"on space '{problems.MIXED_SPACE.name}' it raised {subject.in_words(error)}", _PAPERS
            ) from error
    return "; ".join(dict.fromkeys(names))


@required(
    "seed",
    "a seed determines the trajectory, in this process and in another one",
    "randomness that comes neither from self.rng nor from children of self.seed, the order of a set or hash() of a "
    "string, which differ between processes, or state kept on the class",
)
def _the_seed_determines_all(subject: Subject) -> str:
    second, _, seconds = subject.second
    if difference := first_difference(subject.trace, second):
        raise Unmet(f"in the same process with the same seed, {difference}")
    assert subject.elsewhere is not None
    try:
        other = subject.elsewhere.trace(subject, len(subject.trace))
    except AutomlCfError as error:
        raise Unmet(str(error)) from error
    if difference := first_difference(json.loads(json.dumps(subject.trace)), other):
        raise Unmet(f"in this process and in another one, {difference}")
    return f"{len(second)} steps in {seconds:.2g} s"


@required(
    "global state",
    "the process-wide random generators are left alone",
    "a call of random.*, numpy.random.* or torch.rand* without a generator; draw from self.rng, and give libraries a "
    "seed drawn from it",
)
def _global_state_is_left_alone(subject: Subject) -> str:
    again, moved, _ = subject.second
    if moved:
        raise Unmet(f"{' and '.join(moved)} moved within {len(again)} steps")
    return "random, numpy.random, torch"


@required(
    "another seed",
    "another seed leads to another trajectory",
    "a random generator with a fixed seed instead of self.rng; what proposes the same models whatever the seed must "
    "declare fixed_proposals",
)
def _another_seed_is_another_search(subject: Subject) -> str:
    if subject.deterministic:
        return "not asked of fixed_proposals"
    for seed in (1, 2):
        if all(one == other for one, other in zip(subject.trace, subject.trajectory(seed), strict=False)):
            raise Unmet(f"seeds 0 and {seed} have the same {len(subject.trace)} steps")
    return "seeds 0, 1, 2"


@required(
    "state",
    "a search that is stored at any moment, however often, and loaded into a fresh searcher goes on as the one that "
    "was never stored",
    "what later steps depend on and state_dict lacks, such as a random generator, a counter, what failed or an "
    "optimizer's sums; the state of an ask/tell searcher must be JSON, that of a one-shot searcher arrays and JSON",
)
def _the_state_continues_identically(subject: Subject) -> str:
    half = len(subject.trace) // 2
    if subject.one_shot:
        return f"{one_shot.check_state(subject, half)}; {one_shot.check_stops(subject)}"
    return f"{ask_tell.check_state(subject, half)}; {ask_tell.check_stops(subject)}"


@required(
    "failures",
    "evaluations that failed or are NaN, and trainings that diverge, do not end the search or lead out of the space",
    "arithmetic on evaluation.rmse, which is None for what failed (evaluation.loss is infinite), or on a NaN",
)
def _failures_are_survived(subject: Subject) -> str:
    return one_shot.check_divergence(subject) if subject.one_shot else ask_tell.check_failures(subject)


@required(
    "test part",
    "what the test part holds changes nothing",
    "something computed from all ratings, such as a random stream seeded by the split's hash",
)
def _a_poisoned_test_part_changes_nothing(subject: Subject) -> str:
    traces = []
    for split in (problems.split(subject.order), problems.poisoned(subject.order)):
        problem = problems.problem_of(split)
        count = len(subject.trace) if subject.one_shot else _FEW
        traces.append(list(islice(evaluated_steps(subject.make(), problem), count)))
    if difference := first_difference(*traces):
        raise Unmet(f"with a test part of NaN, {difference}")
    return f"{len(traces[0])} steps, the test part being NaN"


@required(
    "better than random",
    "it finds something better than the mean of random points",
    "a sign error: losses are minimised, and what failed has an infinite one",
)
def _better_than_the_mean_of_random_points(subject: Subject) -> str:
    if subject.one_shot or subject.capabilities.fixed_proposals:
        return _better_on_ratings(subject)
    proposals = [architecture_of(step) for step in subject.trace]
    later = proposals[len(proposals) // 2 :]
    if not later:
        raise Unmet("it proposed nothing")
    space, rng = subject.make().space, np.random.default_rng(0)
    mean = float(np.mean([problems.closed_form(space.sample(rng)) for _ in range(300)]))
    best = min(map(problems.closed_form, later))
    if best > mean:
        raise Unmet(
            f"on a loss in closed form the best of proposals {len(proposals) - len(later) + 1} to {len(proposals)} has "
            f"{best:.4f}, and random points have {mean:.4f} on average"
        )
    return f"a loss in closed form: {best:.4f}, and random points {mean:.4f}, best of {len(later)} later proposals"


@required(
    "options",
    "Options is a dataclass whose fields all have defaults of their types, and an unknown option is refused in one "
    "sentence",
    "Options that is no @dataclass, a field without default, or a default outside the bounds of its own annotation",
)
def _options(subject: Subject) -> str:
    kind = subject.kind.Options
    if not (is_dataclass(kind) and isinstance(kind, type)):
        raise Unmet(f"Options is {kind!r}, no dataclass")
    if bare := [f.name for f in fields(kind) if f.init and f.default is MISSING and f.default_factory is MISSING]:
        raise Unmet(f"'{bare[0]}' has no default")
    defaults = kind()
    try:
        TypeAdapter(kind).validate_python({f.name: getattr(defaults, f.name) for f in fields(kind) if f.init})
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        raise Unmet(f"the default of '{field}' is {problem['input']!r}: {problem['msg']}") from error
    unknown = {**subject.options, "no_such_option": 1}
    try:
        subject.make(options=unknown)
    except InputError as error:
        if "\n" in str(error) or "no_such_option" not in str(error):
            raise Unmet(f"an unknown option is refused by: {error}") from error
    else:
        raise Unmet("the unknown option 'no_such_option' was accepted")
    return ", ".join(f"{f.name} {getattr(defaults, f.name)!r}" for f in fields(kind)) or "it has none"


@required(
    "protocol",
    "proposals are numbered from 0, only pending ones can be told, and a search that has ended stays ended",
    "ask or tell overridden without calling super(), or propose or step not made to answer None again and again",
)
def _protocol(subject: Subject) -> str:
    if subject.one_shot:
        return one_shot.check_end(subject)
    finite = _made_for(subject, problems.FINITE_SPACE)
    if finite is None:
        return ask_tell.check_numbers_and_end(subject, subject.make())
    try:
        return ask_tell.check_numbers_and_end(subject, finite)
    except Unmet:
        raise
    except (Exception, SystemExit) as error:  # a searcher may raise anything
        raise Unmet(f"on a space of one choice only it raised {subject.in_words(error)}", _PAPERS) from error


@required(
    "capabilities",
    "what the searcher declares is true: its kind, the numbers of modes, several pending proposals",
    "the defaults of Capabilities kept where they do not hold: parallel=True, orders={2, 3}, one_shot=False",
)
def _capabilities_are_true(subject: Subject) -> str:
    declared = subject.capabilities
    if declared.one_shot != subject.one_shot:
        raise Unmet(
            f"one_shot is {declared.one_shot}, but the class is {'a' if subject.one_shot else 'no'} OneShotSearcher"
        )
    if not subject.one_shot and not issubclass(subject.kind, AskTellSearcher):
        raise Unmet("the class is neither an AskTellSearcher nor a OneShotSearcher")
    if not declared.orders or declared.orders - {2, 3}:
        raise Unmet(f"orders is {sorted(declared.orders)}, but data have 2 or 3 modes")
    for order in sorted(declared.orders):
        problem = problems.problem_of(problems.split(order))
        searcher = subject.make(order=order)
        try:
            for step in islice(steps(searcher, problem), 2):
                _check_trainable(problem, architecture_of(step))
        except (Exception, SystemExit) as error:
            seen = error.seen if isinstance(error, Unmet) else f"it raised {subject.in_words(error)}"
            raise Unmet(f"orders has {order}, but on data with {order} modes {seen}") from error
    if declared.parallel and not subject.one_shot:
        ask_tell.check_parallel(subject)
    return f"modes {', '.join(map(str, sorted(declared.orders)))}"


def _check_trainable(problem: Problem, architecture: Architecture) -> None:
    evaluation = problem.evaluate(architecture)
    if evaluation.status not in ("ok", "diverged"):
        raise Unmet(f"{architecture.to_json()} cannot be trained: {evaluation.error}")


def _better_on_ratings(subject: Subject) -> str:
    """By stand-alone validation on the few ratings: of fixed proposals, or of a one-shot search's results."""
    problem, mean = subject.problem, problems.mean_of_random_points(subject.order)
    seen: list[float] = []
    for architecture in _candidates(subject):
        seen.append(problem.evaluate(architecture).loss)
        if seen[-1] < mean:
            return f"planted ratings: validation RMSE {seen[-1]:.4f}, and random points {mean:.4f}"
    results = ", ".join(f"{loss:.4f}" for loss in seen) or "nothing"
    raise Unmet(
        f"on planted ratings its results have validation RMSE {results}, and random points {mean:.4f} on average"
    )


def _candidates(subject: Subject) -> Iterator[Architecture]:
    """What a study would train stand-alone: fixed proposals, or what each restart of a one-shot search ends with."""
    return one_shot.results(subject) if subject.one_shot else map(architecture_of, subject.trace)


def _made_for(subject: Subject, space: Space) -> Searcher | None:
    """The searcher on a space that is not the paper's, which it may refuse."""
    try:
        return subject.make(space)
    except InputError:
        return None


def _check_inside(searcher: Searcher, subject: Subject) -> str:
    for number, step in enumerate(islice(steps(searcher, subject.problem), LEAST), 1):
        if not searcher.space.contains(architecture_of(step)):
            raise Unmet(f"proposal {number} is {step['architecture']}, not of space '{searcher.space.name}'")
    return searcher.space.name + (", k = 2" if searcher.space is problems.SPACE_OF_PAIRS else "")
