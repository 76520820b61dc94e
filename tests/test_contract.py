"""The contract that `automl_cf.testing` ships: every searcher keeps it, and each check finds what breaks it."""

import random
import re
from importlib.util import find_spec

import broken_searchers
import numpy as np
import pytest
import torch
from broken_searchers import BROKEN
from typer.testing import CliRunner

from automl_cf import plugins, testing
from automl_cf.cli import app
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.searchers import AskTellSearcher, searchers
from automl_cf.spaces import Choice, Space
from automl_cf.testing import AnotherProcess, ask_tell, assert_searcher, check_searcher, one_shot, problems
from automl_cf.testing.checks import REQUIREMENTS
from automl_cf.testing.subject import MOST, Subject, first_difference, global_randomness


@pytest.fixture(scope="module")
def elsewhere():
    with AnotherProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def _registries(monkeypatch):
    """What a test registers is no searcher of the next."""
    monkeypatch.setattr(plugins, "_executed", dict(plugins._executed))
    before = set(searchers._registered)
    yield
    for name in set(searchers._registered) - before:
        if not searchers.get(name).__module__.startswith("automl_cf."):  # a built-in that was loaded
            del searchers._registered[name]


def broken(name, kind):
    searchers.register(name)(kind)
    return name


def made(name):
    """A searcher of ours as a subject; the test is skipped where a package that it needs is not installed."""
    try:
        return Subject(name, {}, None)
    except InputError as error:
        missing = re.search(r"needs the package ([\w-]+)", str(error))
        if missing is None or find_spec(missing[1].replace("scikit-", "")) is not None:
            raise
        return pytest.skip(str(error))


# Every registered searcher.


THINKERS = {"smac", "rl", "sif-ensemble", "gen-approx", "darts", "sif-robust", "altgrad", "bayes"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in THINKERS)) for name in searchers.names()]
)
def test_every_searcher_keeps_the_contract(name, elsewhere):
    made(name)
    report = check_searcher(name, elsewhere=elsewhere)
    assert report.passed, str(report)
    assert [check.name for check in report.checks] == [requirement.name for requirement in REQUIREMENTS]


# Each check.


def test_there_is_a_broken_searcher_for_each_check():
    assert list(BROKEN) == [requirement.name for requirement in REQUIREMENTS]


SEEN = {
    "space": r"proposal 1 is .*'operation'.*, not of space 'interaction'",
    "seed": "in this process and in another one, step 1 was",
    "global state": r"numpy\.random moved within \d+ steps",
    "another seed": r"seeds 0 and 1 have the same \d+ steps",
    "state": r"stored after \d+ tells with 3 pending, step \d+ was",
    "failures": r"it raised TypeError: .* \(broken_searchers\.py, line \d+, in observe\)",
    "test part": "with a test part of NaN, step 1 was",
    "better than random": r"the best of proposals \d+ to \d+ has 0\.\d+, and random points have 0\.\d+ on average",
    "options": "the default of 'epochs' is 0: .*greater than 0",
    "protocol": "it accepted to be told of proposal 0, before any was asked for",
    "capabilities": r"orders has 3, but on data with 3 modes it raised IndexError: no third mode here \(broken_sea",
}


@pytest.mark.parametrize("requirement", BROKEN)
def test_exactly_the_broken_requirement_fails(requirement, elsewhere):
    name = broken(f"broken-{requirement}", BROKEN[requirement])  # elsewhere a name stays what it was
    report = check_searcher(name, elsewhere=elsewhere)
    assert [check.name for check in report.failed] == [requirement], str(report)
    (check,) = report.failed
    assert re.match(rf"Expected: .+\. Seen: .*{SEEN[requirement]}.*\. Usual cause: .+\.$", check.explanation)
    assert "\n" not in check.explanation


@pytest.mark.parametrize(
    ("kind", "requirement", "seen"),
    [
        ("ReportsNan", "failures", "step 1 has RMSE nan; it must be None"),
        ("OneAtATime", "capabilities", "parallel is true, but with two proposals pending it raised AutomlCfError"),
        ("WaitsForResults", "capabilities", "parallel is true, but asked for two proposals it gave 1"),
        ("GoesOnAfterItsEnd", "protocol", "it ended after 10 proposals, and went on when asked again"),
        ("TakesNetworksForGranted", "protocol", "on a space of one choice only it raised KeyError: 'p' (broken_sea"),
    ],
)
def test_other_ways_to_break_it_are_found(kind, requirement, seen, elsewhere):
    failed = check_searcher(broken(kind, getattr(broken_searchers, kind)), elsewhere=elsewhere).failed
    assert requirement in [check.name for check in failed]
    assert seen in failed[-1].explanation


STOPS = {
    "ForgetsWhatFailed": r"stored and loaded \d+ times in a row, with failures, step \d+ was",
    "ForgetsItsBeginning": r"stored and loaded \d+ times in a row, with failures, step \d+ was",
    "ForgetsWhileItWaits": r"stored and loaded \d+ times in a row, with failures, step \d+ was",
    "ForgetsAllButItsLastLife": r"stored and loaded \d+ times in a row, with failures, step \d+ was",
    "StoresWhatItLoaded": r"stored and loaded after every step, step \d+ was",
}


@pytest.mark.parametrize("kind", STOPS)
def test_one_stop_half_way_is_not_enough(kind, elsewhere):
    name = broken(kind, getattr(broken_searchers, kind))
    subject, part = Subject(name, {}, None), one_shot if kind == "StoresWhatItLoaded" else ask_tell
    assert part.check_state(subject, len(subject.trace) // 2)  # finds nothing
    report = check_searcher(name, elsewhere=elsewhere)
    assert [check.name for check in report.failed] == ["state"], str(report)
    assert re.search(STOPS[kind], report.failed[0].explanation)


def test_who_keeps_a_state_of_its_own_can_be_stopped_anywhere(elsewhere):
    assert check_searcher(broken("keeps", broken_searchers.KeepsAState), elsewhere=elsewhere).passed


def test_every_moment_is_a_stop_and_every_kind_of_failure_is_told(elsewhere):
    stops, told = [], []

    class Watched(broken_searchers.KeepsAState):
        def state_dict(self):
            stops.append((self._asked, len(self._pending)))
            return super().state_dict()

        def observe(self, number, architecture, evaluation):
            told.append(evaluation)

    subject = Subject(broken("watched", Watched), {}, None)
    assert len(subject.trace) == MOST
    ask_tell.check_stops(subject, every=True)
    assert stops == [moment for n in range(MOST) for moment in ((n, 0), (n + 1, 1))]
    assert {evaluation.status for evaluation in told} > {"crashed", "timeout", "invalid", "diverged", "out-of-memory"}


@pytest.mark.slow
@pytest.mark.parametrize("name", searchers.names())
def test_every_searcher_can_be_stopped_at_every_moment(name):
    """Those that think long are stopped at some moments only by the check itself."""
    subject = made(name)
    if subject.one_shot:
        assert one_shot.check_stops(subject)
    else:
        assert f"at {2 * len(subject.trace)} of" in ask_tell.check_stops(subject, every=True)


def test_a_searcher_that_always_raises_fails_and_the_place_is_named():
    name = broken("broken", broken_searchers.AlwaysRaises)
    with pytest.raises(AssertionError, match=r"searcher 'broken' passed 1 of 11 checks\n") as caught:
        assert_searcher(name)
    place = "it raised KeyError: 'operation' (broken_searchers.py, line "
    assert str(caught.value).count(place) >= 7


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("RaisesWhenMade", "cannot be made: AttributeError: 'SearchTask' object has no attribute 'dims'"),
        ("OptionsOfNoDataclass", "Options is <class 'broken_searchers.PlainOptions'>, no dataclass"),
        ("OptionsWithoutDefault", "'speed' has no default"),
    ],
)
def test_what_goes_wrong_when_it_is_made_is_a_failed_check(kind, seen, elsewhere):
    failed = check_searcher(broken(kind, getattr(broken_searchers, kind)), elsewhere=elsewhere).failed
    assert any(seen in check.explanation for check in failed)


def test_a_sound_searcher_is_asserted_in_silence():
    assert assert_searcher("bias-only") is None


def test_what_cannot_be_made_is_the_callers_error(elsewhere):
    with pytest.raises(InputError, match=r"Unknown searcher 'radnom'\. Did you mean 'random'\?"):
        check_searcher("radnom", elsewhere=elsewhere)
    with pytest.raises(InputError, match="option 'startup' of searcher 'bayes' is -1"):
        check_searcher("bayes", {"startup": -1}, elsewhere)


def test_options_reach_the_searcher_here_and_elsewhere(elsewhere):
    subjects = [Subject("evolution", {"population": size}, elsewhere) for size in (2, 10)]
    traces = [subject.trace for subject in subjects]
    assert traces[0] != traces[1]
    assert [elsewhere.trace(s, len(t)) for s, t in zip(subjects, traces, strict=True)] == traces


# What the checks are made of.


def test_a_difference_of_trajectories_is_named():
    one, other = ([{"architecture": {"x": x}, "epochs": None} for x in xs] for xs in ((1, 2, 3), (1, 5, 3)))
    assert first_difference(one, list(one)) is None
    assert first_difference(one, other) == "step 2 was architecture {'x': 2} and then architecture {'x': 5}"
    assert first_difference(one, one[:2]) == "one search had 3 steps and the other 2"


@pytest.mark.parametrize(
    ("draw", "moved"),
    [
        (random.random, ["random"]),
        (np.random.random, ["numpy.random"]),
        (lambda: torch.rand(1), ["torch"]),
        (lambda: np.random.default_rng().random(), []),
    ],
)
def test_global_randomness_is_watched_and_put_back(draw, moved):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    drawn = []
    for _ in range(2):
        with global_randomness() as watched:
            drawn.append(draw())
        assert watched == moved
    assert states() == before
    if moved:
        assert drawn[0] == drawn[1]


def test_the_poison_is_in_the_test_part_only():
    for order in (2, 3):
        clean, poisoned = problems.split(order), problems.poisoned(order)
        assert np.isnan(poisoned.test.values).all()
        assert poisoned.hash != clean.hash
        for part in ("train", "valid"):
            one, other = (getattr(split.for_search(), part) for split in (clean, poisoned))
            assert np.array_equal(one.values, other.values)


def test_the_loss_in_closed_form():
    space = Space("choices", (Choice("a", (0, 1)), Choice("b", (-1, 3))))
    # 0, 1, -1, 3 count as 0, 1/2, -1/2, 3/4.
    for a, term_a in ((0, 0.09), (1, 0.04)):
        for b, term_b in ((-1, 0.64), (3, 0.2025)):
            (architecture,) = {space.decode([a / 2 + 0.1, (b > 0) / 2 + 0.1])}
            assert dict(architecture) == {"a": a, "b": b}
            assert problems.closed_form(architecture) == pytest.approx(0.5 + (term_a + term_b) / 2)
            assert problems.closed_form(architecture, 4) == pytest.approx(0.525 + (term_a + term_b) / 2)


def test_a_class_that_no_other_process_can_import_is_explained(elsewhere, monkeypatch):
    class Local(broken_searchers.Sound):
        pass

    monkeypatch.setattr(Local, "__module__", "__main__")
    with pytest.raises(AutomlCfError, match=r"its class is defined in __main__, .*: put it in a file"):
        elsewhere.trace(Subject(broken("local", Local), {}, elsewhere), 3)


def test_the_other_process_is_started_again_if_a_searcher_ends_it(elsewhere):
    ends = Subject(broken("ends", broken_searchers.EndsAnotherProcess), {}, elsewhere)
    with pytest.raises(AutomlCfError, match="the other process ended: exit status 3"):
        elsewhere.trace(ends, 3)
    sound = Subject(broken("sound", broken_searchers.Sound), {}, elsewhere)
    assert elsewhere.trace(sound, 3) == sound.trace[:3]


# The command.


def invoke(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_the_command_says_what_was_passed():
    result = invoke("bias-only")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "bias-only"
    assert len(lines) == 2 + len(REQUIREMENTS)
    assert all(line.startswith("  passed  ") for line in lines[1:-1])
    assert lines[-1] == "All checks passed (1 searcher)."


SHY = '''"""A plug-in whose searcher draws from the global generator."""

import random

from automl_cf.searchers import AskTellSearcher, searchers


@searchers.register("shy")
class Shy(AskTellSearcher):
    """Random search, and a coin that nobody asked for."""

    def propose(self, number):
        random.random()
        return self.space.sample(self.rng)
'''


def test_the_command_checks_a_plugins_searcher_in_both_processes(tmp_path):
    file = tmp_path / "shy.py"
    file.write_text(SHY)
    result = invoke("shy", "--plugin", file)
    assert result.exit_code == 1
    failed = [line for line in result.stdout.splitlines() if line.startswith("  failed  ")]
    assert len(failed) == 1, result.stdout
    assert failed[0].startswith(
        "  failed  global state: Expected: the process-wide random generators are left alone. Seen"
    )
    assert result.stdout.splitlines()[-1] == "1 of 1 searchers failed: shy."


def test_all_of_them_but_what_is_not_installed(monkeypatch):
    class NotInstalled(AskTellSearcher):
        def __init__(self, task, options):
            raise InputError("searcher 'absent' needs the package absent: pip install absent.")

        def propose(self, number):
            raise NotImplementedError

    broken("absent", NotInstalled)
    monkeypatch.setattr(searchers, "names", lambda: ["absent", "bias-only"])
    result = invoke("--all")
    assert result.exit_code == 0, result.output
    assert "  left out: searcher 'absent' needs the package absent" in result.stdout
    assert result.stdout.splitlines()[-1] == "All checks passed (1 searcher)."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "check needs the names of searchers, or --all for every one."),
        (["random", "--all"], "check needs the names of searchers, or --all for every one."),
        (["radnom"], "Unknown searcher 'radnom'. Did you mean 'random'?"),
        (["shy", "--plugin", "no_such.py"], "plug-in 'no_such.py' cannot be read"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1


def test_what_a_searcher_of_ones_own_needs_is_public():
    assert set(testing.__all__) <= set(dir(testing))
    assert isinstance(problems.SPACE, Space)
