"""The board, the time left and both displays, fed with events as a run emits them."""

import io
from typing import Any

import pytest
from rich.console import Console

from automl_cf.cli.board import Board
from automl_cf.cli.display import LiveDisplay, PlainDisplay, make_display, render
from automl_cf.cli.estimate import time_left
from automl_cf.cli.terminal import clock, roughly
from automl_cf.suite.study import Study, make_study


class Story:
    """Makes the events of one cell, a second apart, counting as a worker does."""

    def __init__(self, searcher: str = "random", seed: int = 1, dataset: str = "ml", dim: int = 8) -> None:
        self.name = f"{dataset}/d{dim}/{searcher}/s{seed}"
        self.facts: dict[str, Any] = {"dataset": dataset, "dim": dim, "searcher": searcher, "seed": seed}
        self.attempt, self.n, self.time = 1, 0, 1000.0

    def event(self, kind: str, search: float = 0.0, retrain: float = 0.0, **fields: Any) -> dict[str, Any]:
        self.n += 1
        self.time += 1
        clocks = dict.fromkeys(("setup", "think", "train", "validate", "retrain", "store", "queue"), 0.0)
        clocks |= {"train": search, "setup": 99.0, "retrain": retrain}
        stamp = {"schema": 1, "kind": kind, "cell": self.name, "attempt": self.attempt, "n": self.n}
        return {**stamp, "time": self.time, "clock": clocks, "visits": 0, **fields}

    def started(self, resumed: bool = False, resumes_after: list[int] | None = None) -> dict[str, Any]:
        return self.event("cell_started", **self.facts, resumed=resumed, resumes_after=resumes_after)

    def trial(self, number: int, search: float, seconds: float = 1.0) -> dict[str, Any]:
        cost = {"train": seconds, "validate": 0.0}
        return self.event("trial", search, number=number, id=f"id{number}", seconds=cost, status="ok")

    def incumbent(self, number: int, rmse: float, search: float) -> dict[str, Any]:
        return self.event("incumbent", search, id=f"id{number}", rmse=rmse, source="trial")

    def score(self, number: int, test: float | None, search: float, retrain: float) -> dict[str, Any]:
        result = {"rmse_std": test, "status": "diverged" if test is None else "ok", "retrain_seconds": 1.25}
        return self.event("score", search, retrain, id=f"id{number}", architecture={"operation": "min"}, **result)

    def whole(self, search: float = 10.0, retrain: float = 5.0, test: float = 0.85) -> list[dict[str, Any]]:
        """A cell from its start until it is scored."""
        return [
            self.started(),
            self.trial(0, search),
            self.incumbent(0, 0.9, search),
            self.event("cell_finished", search, reason="seconds"),
            self.score(0, test, search, retrain),
            self.event("cell_scored", search, retrain),
        ]


def study(**changes: Any) -> Study:
    values = {
        "name": "tale",
        "datasets": ["ml"],
        "searchers": ["sif", "random"],
        "seeds": [1, 2],
        "budget": {"seconds": 10},
        "resources": {"backend": "inline"},
    }
    return make_study({**values, **changes})


def board_of(events: list[dict[str, Any]], **changes: Any) -> Board:
    board = Board(study(**changes))
    for event in events:
        board.add(event)
    return board


def shown(board: Board, now: float = 2000.0, width: int = 80, height: int = 40) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(render(board, now, 75, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_cells_are_grouped_in_the_order_of_the_study() -> None:
    names = list(Board(study(dims=[8, 4], seeds=[2, 1])).cells)
    assert names == [
        f"ml/d{dim}/{searcher}/s{seed}" for dim in (8, 4) for searcher in ("sif", "random") for seed in (2, 1)
    ]


def test_a_cell_through_all_its_states() -> None:
    story = Story()
    board = Board(study())
    view = board.cells[story.name]
    assert (view.state, view.searched, view.done) == ("waiting", False, False)
    board.add(story.started())
    assert view.state == "searching"
    for event in (story.trial(0, 1.0), story.incumbent(0, 0.9, 1.0), story.trial(1, 2.5), story.incumbent(1, 0.8, 2.5)):
        board.add(event)
    assert (view.trials, view.incumbent, view.rmse, view.seconds, view.test) == (2, "id1", 0.8, 2.5, None)
    board.add(story.event("cell_finished", 10.0, reason="seconds"))
    assert (view.state, view.reason, view.searched, view.done) == ("finished", "seconds", True, False)
    board.add(story.score(0, 0.95, 10.0, 1.0))
    assert view.test is None  # of an earlier incumbent
    board.add(story.score(1, 0.85, 10.0, 2.0))
    assert (view.test, view.done) == (0.85, False)
    board.add(story.event("cell_scored", 10.0, 2.0))
    assert view.done


def test_a_failed_cell_without_an_incumbent_is_done_but_with_one_it_is_scored_first() -> None:
    early, late = Story(seed=1), Story(seed=2)
    board = board_of([early.started(), early.event("cell_failed", error="boom", traceback="")])
    assert board.cells[early.name].done
    for event in (late.started(), late.trial(0, 1.0), late.incumbent(0, 0.9, 1.0)):
        board.add(event)
    board.add(late.event("cell_failed", error="boom", traceback=""))
    assert not board.cells[late.name].done
    board.add(late.event("cell_scored"))
    assert (board.cells[late.name].done, board.cells[late.name].state) == (True, "failed")


def test_an_incumbent_that_comes_back_is_the_current_one() -> None:
    story = Story()
    board = board_of([story.started(), *(story.incumbent(i, 0.9 - i / 10, 1.0) for i in (0, 1, 0))])
    assert board.cells[story.name].incumbent == "id0"


def test_events_of_no_cell_or_an_unknown_cell_or_kind_change_nothing() -> None:
    story = Story()
    board = board_of([story.started(), story.event("news", 3.0)])
    assert board.add({**story.event("trial"), "cell": None}) is None
    assert board.add({**story.event("trial"), "cell": "other/d8/sif/s1"}) is None
    assert (board.cells[story.name].state, board.cells[story.name].seconds) == ("searching", 3.0)


def test_an_event_that_comes_again_counts_once() -> None:
    story = Story()
    events = [story.started(), story.trial(0, 1.0), story.incumbent(0, 0.9, 1.0)]
    board = board_of(events)
    assert [board.add(event) for event in events] == [None] * 3
    assert board.cells[story.name].trials == 1


def test_a_resumed_cell_forgets_what_it_does_again() -> None:
    story = Story()
    first = [story.started(), story.trial(0, 1.0), story.incumbent(0, 0.9, 1.0), story.trial(1, 2.0)]
    point = [story.attempt, story.n]
    first += [story.incumbent(1, 0.5, 2.0)]
    board = Board(study())
    board.restore(first)
    assert board.cells[story.name].state == "waiting"
    story.attempt, story.n = 2, 0
    board.add(story.started(resumed=True, resumes_after=point))
    view = board.cells[story.name]
    assert (view.state, view.trials, view.incumbent, view.rmse) == ("searching", 2, "id0", 0.9)
    story.attempt, story.n = 3, 0
    board.add(story.started(resumed=True))
    assert (board.cells[story.name].trials, board.cells[story.name].incumbent) == (0, None)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"trials": 8}, 0.25),
        ({"seconds": 10}, 0.4),
        ({"trials": 8, "seconds": 10}, 0.4),
        ({"trials": 2, "seconds": 10}, 1),
    ],
)
def test_the_nearest_budget_tells_how_far_a_search_is(budget: dict[str, float], expected: float) -> None:
    story = Story()
    board = board_of([story.started(), story.trial(0, 1.0), story.trial(1, 4.0)], budget=budget)
    assert board.fraction(board.cells[story.name], story.time) == pytest.approx(expected)


def test_search_seconds_go_on_between_events_but_not_beyond_the_budget() -> None:
    story = Story()
    board = board_of([story.started(), story.trial(0, 4.0)])
    view = board.cells[story.name]
    assert [board.seconds_now(view, story.time + wait) for wait in (-5, 0, 2.5, 60)] == [4.0, 4.0, 6.5, 10.0]


def test_progress_runs_from_nothing_to_everything() -> None:
    stories = [Story(searcher, seed) for searcher in ("sif", "random") for seed in (1, 2)]
    board = Board(study())
    seen = [board.progress(1000.0)]
    for story in stories:
        for event in story.whole():
            board.add(event)
            seen.append(board.progress(story.time))
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)


def test_at_first_the_budget_tells_the_time_left() -> None:
    assert time_left(Board(study()), 0.0).search == 4 * 10
    assert time_left(Board(study()), 0.0).scoring is None
    assert time_left(Board(study(resources={"workers": 2})), 0.0).search == 4 * 10 / 2
    assert time_left(Board(study(resources={"workers": 9})), 0.0).search == 10  # none is shorter than one cell
    assert time_left(Board(study(searchers=["random"], budget={"trials": 5})), 0.0).search is None


def test_then_the_pace_of_a_cell_and_other_seeds_of_the_same_searcher_do() -> None:
    one, two = Story("random", 1), Story("random", 2)
    only_random = {"searchers": ["random"], "budget": {"trials": 4}}
    board = board_of([one.started(), one.trial(0, 3.0)], **only_random)
    assert time_left(board, one.time).search is None  # nothing tells how long seed 2 will take
    board = board_of([*one.whole(search=12.0), two.started(), two.trial(0, 5.0)], **only_random)
    assert time_left(board, two.time).search == pytest.approx(12.0 - 5.0)
    board = board_of([one.started(), one.trial(0, 3.0)], **only_random, seeds=[1])
    assert time_left(board, one.time).search == pytest.approx(3 * 3.0)


def test_scoring_is_estimated_from_trials_and_then_from_other_seeds() -> None:
    one, two = Story("random", 1), Story("random", 2)
    training = {"l2_grid": [0.0, 1e-5, 1e-4]}
    searched = [one.started(), one.trial(0, 9.0, seconds=2.0), one.incumbent(0, 0.9, 9.0)]
    board = board_of(searched, searchers=["random"], training=training)
    assert time_left(board, one.time).scoring == pytest.approx(2 * 3 * 2.0)  # both cells: 3 trainings of 2 s
    board = board_of([*Story("random", 1).whole(retrain=7.0), *two.whole()[:4]], searchers=["random"])
    assert time_left(board, two.time).scoring == pytest.approx(7.0)


def test_nothing_is_left_in_the_end() -> None:
    events = [event for searcher in ("sif", "random") for seed in (1, 2) for event in Story(searcher, seed).whole()]
    left = time_left(board_of(events), 2000.0)
    assert (left.search, left.scoring) == (0.0, 0.0)


def test_the_live_table_shows_each_cell() -> None:
    failing, working = Story("sif", 1), Story("random", 1)
    board = board_of([failing.started(), failing.event("cell_failed", 1.0, error="ValueError: boom", traceback="")])
    for event in (working.started(), working.trial(0, 5.0), working.incumbent(0, 0.91234, 5.0)):
        board.add(event)
    for event in Story("random", 2).whole(test=0.84321):
        board.add(event)
    text = shown(board, working.time)
    lines = {" ".join(line.split()[:2]): line.split() for line in text.splitlines()}
    assert lines["tale 1:15"]
    assert lines["random 1"] == ["random", "1", "searching", "50%", "1", "5.0", "0.9123"]
    assert lines["2 scored"] == ["2", "scored", "1", "10.0", "0.9000", "0.8432"]
    assert lines["sif 1"][2] == "failed"
    assert lines["2 waiting"] == ["2", "waiting"]
    assert "2 of 4 cells done" in text
    assert "ml/d8/sif/s1 failed: ValueError: boom" in text


@pytest.mark.parametrize("height", [10, 24, 60])
def test_the_live_table_fits_the_terminal_and_shows_what_is_at_work(height: int) -> None:
    story = Story("random", 5, "planted", 16)
    changes = {"seeds": range(1, 9), "datasets": ["ml", "planted"], "dims": [8, 16]}
    text = shown(board_of([story.started()], **changes), story.time, height=height)
    lines = text.splitlines()
    assert len(lines) < height
    assert max(map(len, lines)) <= 80
    assert any("searching" in line for line in lines)
    assert "waiting" in lines[-2]  # how many more
    assert "…" not in text


def test_what_comes_next_is_told() -> None:
    board = Board(study())
    assert "0 of 4 cells done · starting" in shown(board)
    story = Story("sif")
    board.add(story.started())
    assert "about 40 s of search left, then scoring" in shown(board, story.time)
    board.add(story.trial(0, 5.0))
    board.add(story.incumbent(0, 0.9, 5.0))
    assert "about 1 min left" in shown(board, story.time)


def test_names_from_data_are_no_markup() -> None:
    story = Story("random", 1, "[red]x")
    board = board_of(
        [story.started(), story.event("cell_failed", error="[/red] no", traceback="")], datasets=["[red]x"]
    )
    assert "[red]x/d8/random/s1 failed: [/red] no" in shown(board)


def test_plain_lines() -> None:
    out = io.StringIO()
    story, failing = Story("random", 1), Story("sif", 1)
    with make_display(Board(study()), Console(file=out, width=20)) as display:
        assert isinstance(display, PlainDisplay)
        for event in story.whole():
            display(event)
            display(event)
        display(failing.started())
        display(failing.event("cell_failed", error="ValueError: [boom]", traceback=""))
    assert [line.partition(" ")[2] for line in out.getvalue().splitlines()] == [
        "[0/4] ml/d8/random/s1: started",
        "[0/4] ml/d8/random/s1: finished (seconds) after 10.0 s of search, 1 trial, validation RMSE 0.9000",
        "[0/4] ml/d8/random/s1: scored min: test RMSE 0.8500, retrained in 1.2 s",
        "[1/4] ml/d8/random/s1: done: test RMSE 0.8500",
        "[1/4] ml/d8/sif/s1: started",
        "[2/4] ml/d8/sif/s1: failed: ValueError: [boom]",
    ]


def test_plain_lines_of_what_gives_no_result() -> None:
    out = io.StringIO()
    display = PlainDisplay(Board(study()), Console(file=out, width=200))
    story = Story("random", 1)
    story.attempt = 2
    for event in (
        story.started(resumed=True),
        story.event("cell_finished", reason="trials"),
        story.score(0, None, 0.0, 1.0),
        story.event("cell_scored"),
    ):
        display(event)
    assert [line.partition("s1: ")[2] for line in out.getvalue().splitlines()] == [
        "goes on",
        "finished (trials) after 0.0 s of search, 0 trials, nothing found",
        "scored min: no test result (diverged), retrained in 1.2 s",
        "done: test RMSE unknown",
    ]


def test_the_live_display_is_for_terminals_and_ends_with_the_last_state() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=30, color_system=None, _environ={"TERM": "xterm"})
    story = Story("random", 1)
    with make_display(Board(study()), console) as display:
        assert isinstance(display, LiveDisplay)
        for event in story.whole(test=0.77777):
            display(event)
    assert "0.7778" in out.getvalue()
    dumb = Console(file=out, force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(make_display(Board(study()), dumb), PlainDisplay)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (751, "12:31"), (3723, "1:02:03")])
def test_elapsed_time(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "5 s"), (12, "10 s"), (54, "55 s"), (57, "1 min"), (170, "3 min"), (4800, "80 min"), (9000, "2 h 30 min")],
)
def test_estimates_are_rough(seconds: float, text: str) -> None:
    assert roughly(seconds) == text
