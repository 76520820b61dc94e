"""The checks that only ask/tell searchers are put to."""

import json

from automl_cf.cf.problem import Evaluation
from automl_cf.errors import AutomlCfError
from automl_cf.searchers import AskTellSearcher, Proposal, Searcher
from automl_cf.testing import problems
from automl_cf.testing.requirement import Unmet
from automl_cf.testing.subject import Step, Subject, first_difference, proposed

_FINITE = 12  # proposals of a space with five points


def check_state(subject: Subject, half: int) -> str:
    """Store after `half` tells, and compare as many further steps as `subject.trace` has."""
    pending, rest = 3 if subject.capabilities.parallel else 1, len(subject.trace) - half
    searcher, waiting = _asker(subject.make()), list[Proposal]()
    _advance(searcher, waiting, pending, half)
    waiting += searcher.ask(pending - len(waiting))
    state = json.loads(json.dumps(searcher.state_dict(), allow_nan=False))
    again = _asker(subject.make())
    resumed = again.load_state_dict(state)
    where = f"stored after {half} tells with {len(waiting)} pending"
    if list(resumed) != waiting:
        numbers = [[proposal.id for proposal in some] for some in (waiting, resumed)]
        raise Unmet(f"{where}, it has proposals {numbers[1]} pending, and had {numbers[0]}, or others of these numbers")
    expected, got = (_advance(one, list(waiting), pending, rest) for one in (searcher, again))
    if difference := first_difference(expected, got):
        raise Unmet(f"{where}, {difference}, counted from there")
    return f"after {half} tells, with up to {pending} pending"


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
