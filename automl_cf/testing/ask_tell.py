"""The checks that only ask/tell searchers are put to."""

import json
from collections.abc import Collection

import numpy as np

from automl_cf.cf.problem import Evaluation
from automl_cf.errors import AutomlCfError
from automl_cf.searchers import AskTellSearcher, Proposal, Searcher
from automl_cf.testing import problems
from automl_cf.testing.requirement import Unmet
from automl_cf.testing.subject import PATIENCE, Step, Subject, first_difference, proposed

_FINITE = 12  # proposals of a space with five points
_LEAST_STOPS = 2
_RECORDED = [failure for failure in problems.FAILURES if failure.status != "ok"]  # no log of a run holds NaN


def check_state(subject: Subject, half: int) -> str:
    """Store after `half` tells, and compare as many further steps as `subject.trace` has."""
    pending, rest = 3 if subject.capabilities.parallel else 1, len(subject.trace) - half
    searcher, waiting = _asker(subject.make()), list[Proposal]()
    _advance(searcher, waiting, pending, half)
    waiting += searcher.ask(pending - len(waiting))
    where = f"stored after {half} tells with {len(waiting)} pending"
    again = _reloaded(subject, searcher, waiting, where)
    expected, got = (_advance(one, list(waiting), pending, rest) for one in (searcher, again))
    if difference := first_difference(expected, got):
        raise Unmet(f"{where}, {difference}, counted from there")
    return f"after {half} tells, with up to {pending} pending"


def check_stops(subject: Subject, every: bool = False) -> str:
    """Store again and again in one search, a third of whose evaluations fail, and compare with one never stopped.

    It may stop before each ask and between each ask and its tell. Of a searcher that thinks long only some of these
    stops are tried, evenly, unless `every`.
    """
    moves = 2 * len(subject.trace)
    failing = True
    try:
        expected = interrupted(subject, ())
    except (Exception, SystemExit):  # that it bears no failure is for another check to say
        failing = False
        expected = interrupted(subject, (), failing)
    affordable = 4 * PATIENCE / max(subject.second[2] / 2, 1e-9)  # a stop replays half of the search on average
    stops = list(range(moves))
    if affordable < moves and not every:
        stops = np.linspace(moves - 1, 0, max(_LEAST_STOPS, int(affordable)), endpoint=False).astype(int).tolist()
    if difference := first_difference(expected, interrupted(subject, stops, failing)):
        raise Unmet(f"stored and loaded {len(stops)} times in a row{', with failures' * failing}, {difference}")
    return f"at {len(stops)} of {moves} moments in a row{', with failures' * failing}"


def interrupted(subject: Subject, stops: Collection[int], failing: bool = True) -> list[Step]:
    """A search one proposal at a time, as many as `subject.trace` has, going on in a fresh searcher at each stop.

    Move 2 i asks for proposal i, move 2 i + 1 tells of it; a stop is the number of the move that follows it.
    Raises Unmet if what was pending is not pending any more.
    """
    searcher, waiting, steps = _asker(subject.make()), list[Proposal](), list[Step]()
    for move in range(2 * len(subject.trace)):
        if move in stops:
            searcher = _reloaded(subject, searcher, waiting, f"stored after {move // 2} tells")
        if move % 2 == 0:
            waiting = searcher.ask(1)
            if not waiting:
                break
            steps.append(proposed(waiting[0]))
        else:
            proposal = waiting.pop()
            searcher.tell(proposal.id, _result(proposal, failing))
    return steps


def _result(proposal: Proposal, failing: bool) -> Evaluation:
    """Every third one is a failure, if `failing`, of each kind in turn."""
    turn, third = divmod(proposal.id, 3)
    if failing and third == 1:
        return _RECORDED[turn % len(_RECORDED)]
    return problems.evaluation(proposal.architecture, proposal.epochs)


def _reloaded(subject: Subject, searcher: AskTellSearcher, waiting: list[Proposal], where: str) -> AskTellSearcher:
    """A fresh searcher with the state of another one, which went through JSON; both have the same pending."""
    state = json.loads(json.dumps(searcher.state_dict(), allow_nan=False))
    again = _asker(subject.make())
    resumed = again.load_state_dict(state)
    if list(resumed) != waiting:
        numbers = [[proposal.id for proposal in some] for some in (waiting, resumed)]
        raise Unmet(f"{where}, it has proposals {numbers[1]} pending, and had {numbers[0]}, or others of these numbers")
    return again


def _advance(searcher: AskTellSearcher, waiting: list[Proposal], pending: int, tells: int) -> list[Step]:
    """Keep so many proposals pending, and tell of the newest first, to have their order mixed."""
    told: list[Step] = []
    while len(told) < tells:
        waiting += searcher.ask(pending - len(waiting))
        if not waiting:
            break
        proposal = waiting.pop()
        searcher.tell(proposal.id, problems.evaluation(proposal.architecture, proposal.epochs))
        told.append(proposed(proposal))
    return told


def check_failures(subject: Subject) -> str:
    """Nothing but failures first, then every second one."""
    searcher, count = _asker(subject.make()), 0
    for number in range(3 * len(problems.FAILURES)):
        proposals = searcher.ask(1)
        if not proposals:
            break
        architecture = proposals[0].architecture
        if not subject.capabilities.fixed_proposals and not searcher.space.contains(architecture):
            raise Unmet(f"after {count} failures it proposed {architecture.to_json()}, not of the space")
        failed = number < len(problems.FAILURES) or number % 2 == 0
        evaluation = problems.FAILURES[count % len(problems.FAILURES)]
        searcher.tell(proposals[0].id, evaluation if failed else problems.evaluation(architecture))
        count += failed
    return f"{count} failures"


def check_numbers_and_end(subject: Subject, made: Searcher) -> str:
    """Ask and tell one by one, and try to tell what must be refused; `made` is fresh."""
    searcher = _asker(made)
    _check_refuses(subject, searcher, 0, "before any was asked for")
    for number in range(_FINITE):
        proposals = searcher.ask(1)
        if not proposals:
            if any(searcher.ask(1) for _ in range(2)):
                raise Unmet(f"it ended after {number} proposals, and went on when asked again")
            return f"{number} proposals to the end"
        if [proposal.id for proposal in proposals] != [number]:
            raise Unmet(f"asked for proposal {number}, it gave {[proposal.id for proposal in proposals]}")
        _check_refuses(subject, searcher, number + 1, "which was not asked for")
        searcher.tell(number, problems.evaluation(proposals[0].architecture, proposals[0].epochs))
        _check_refuses(subject, searcher, number, "for the second time")
    return f"{_FINITE} proposals, no end"


def _check_refuses(subject: Subject, searcher: AskTellSearcher, number: int, why: str) -> None:
    try:
        searcher.tell(number, Evaluation("ok", 1.0))
    except AutomlCfError:
        return
    except (Exception, SystemExit) as error:
        raise Unmet(
            f"told of proposal {number}, {why}, it raised {subject.in_words(error)}, no AutomlCfError"
        ) from error
    raise Unmet(f"it accepted to be told of proposal {number}, {why}")


def check_parallel(subject: Subject) -> None:
    """Two proposals pending at a time."""
    searcher = _asker(subject.make())
    try:
        for _ in range(3):
            pair = searcher.ask(2)
            for proposal in reversed(pair):
                searcher.tell(proposal.id, problems.evaluation(proposal.architecture, proposal.epochs))
        ended = not searcher.ask(1)
    except (Exception, SystemExit) as error:
        raise Unmet(f"parallel is true, but with two proposals pending it raised {subject.in_words(error)}") from error
    if len(pair) < 2 and not ended:
        raise Unmet(f"parallel is true, but asked for two proposals it gave {len(pair)}, and more only afterwards")


def _asker(searcher: Searcher) -> AskTellSearcher:
    assert isinstance(searcher, AskTellSearcher), "the class is no AskTellSearcher"
    return searcher
