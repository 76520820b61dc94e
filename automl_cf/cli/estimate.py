"""How long a run will take yet, from its budget and from those cells that are further on."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from automl_cf.cli.board import Board, CellView

_TELLING = 0.02  # of a budget has to be used before what remains is extrapolated from it


@dataclass(frozen=True)
class TimeLeft:
    """Estimates in seconds, None where nothing is known to estimate them from."""

    search: float | None
    scoring: float | None


def time_left(board: Board, now: float) -> TimeLeft:
    """Estimate what remains of a run's search and of its scoring, which follows when all search is over."""
    views = list(board.cells.values())
    resources = board.study.resources
    cores = max(1, (os.cpu_count() or 1) // resources.cpus_per_cell)
    workers = 1 if resources.backend == "inline" else resources.workers or cores
    search = [_search_left(board, view, now) for view in views if not view.searched]
    scoring = [_scoring_left(board, view) for view in views if not view.done]
    return TimeLeft(_side_by_side(search, workers), _side_by_side(scoring, workers))


def _side_by_side(seconds: Sequence[float | None], workers: int) -> float | None:
    known = [value for value in seconds if value is not None]
    if len(known) < len(seconds):
        return None
    return max(sum(known) / workers, max(known, default=0.0))


def _search_left(board: Board, view: CellView, now: float) -> float | None:
    """By what the same searcher took on other seeds, else this cell's pace, the budget, or the mean."""
    spent = board.seconds_now(view, now)
    known = [other for other in board.cells.values() if other.searched]
    if alike := _of_same_searcher(view, known):
        return max(0.0, fmean(other.seconds for other in alike) - spent)
    fraction = board.fraction(view, now)
    if fraction >= _TELLING:
        return spent * (1 / fraction - 1)
    if board.study.budget.seconds is not None:
        return max(0.0, board.study.budget.seconds - spent)
    return max(0.0, fmean(other.seconds for other in known) - spent) if known else None


def _scoring_left(board: Board, view: CellView) -> float | None:
    """By what the same searcher took on other seeds, else by the trainings that are to be done again."""
    known = [other for other in board.cells.values() if other.scored]
    if alike := _of_same_searcher(view, known):
        return max(0.0, fmean(other.retrain for other in alike) - view.retrain)
    expected = _retraining(board, view)
    if expected is None:
        others = [_retraining(board, other) for other in board.cells.values()]
        expected = _mean(value for value in others if value is not None)
    return None if expected is None else max(0.0, expected - view.retrain)


def _retraining(board: Board, view: CellView) -> float | None:
    """Seconds for retraining what is chosen over the l2 grid, if a training takes as long as a trial."""
    trial = _mean(view.trial_seconds[key] for key in view.incumbents if key in view.trial_seconds)
    if trial is None:
        return None
    scoring = board.study.scoring
    architectures = min(len(view.incumbents), scoring.points) + scoring.top_k - 1
    return trial * architectures * len(board.study.training.l2_grid)


def _of_same_searcher(view: CellView, others: Iterable[CellView]) -> list[CellView]:
    return [other for other in others if replace(other.cell, seed=view.cell.seed) == view.cell]


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return fmean(listed) if listed else None
