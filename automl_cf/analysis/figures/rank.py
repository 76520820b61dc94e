"""The mean over seeds of each searcher's rank among all, by time."""

import pandas as pd

from automl_cf.analysis.curves import clock_named
from automl_cf.analysis.figures.lines import Pen, View, draw_lines, few_ticks
from automl_cf.analysis.figures.page import Page, titled
from automl_cf.analysis.figures.subject import (
    Subject,
    bands_in_words,
    machines_in_words,
    of_panel,
    panel_title,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.ranks import mean_ranks
from automl_cf.errors import InputError


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim), rank 1 at the bottom, as the least error is elsewhere."""
    ranks = mean_ranks(subject.run, subject.clock)
    if ranks.empty:
        raise InputError(
            "rank: every seed of these runs has a cell that is unfinished or not scored, so none has ranks."
        )
    low, high = ranks["low"].fillna(ranks["mean"]), ranks["high"].fillna(ranks["mean"])
    ranks = ranks.assign(seeds=ranks["n"], low=low, high=high, least=low, most=high)
    panels = list(subject.panels())
    for (dataset, dim), ax in zip(panels, page.time_panels(len(panels)), strict=True):
        own = of_panel(ranks, dataset, dim)
        searchers = max(own["searcher"].nunique(), 2)
        draw_lines(
            ax,
            own,
            subject.looks,
            not subject.options.linear,
            Pen(edge=0),
            view=View(0.8, searchers + 0.2, cut=False),
            level=False,
        )
        if len(own):
            few_ticks(ax, most=6)
        titled(ax, panel_title(dataset, dim))
        ax.set(xlabel=clock_named(subject.clock).label, ylabel="mean rank (1: least test RMSE)")
    page.legend_of(subject.looks, set(ranks["searcher"]))
    return sentences(
        "Ranks by test RMSE of the deliverable, among the searchers shown; those without a result yet share the last "
        "ranks.",
        f"Mean over {seeds_in_words(ranks['n'])}.",
        bands_in_words(ranks, ranks["n"]),
        *_without(ranks),
        machines_in_words(subject.run),
        problems_in_words(subject.run, subject.clock),
    )


def _without(ranks: pd.DataFrame) -> list[str]:
    """Which seeds are left out, and who gave no result on some."""
    missing = sorted({seed for seeds in ranks["missing"] for seed in seeds})
    failed = sorted({name for name, seeds in zip(ranks["searcher"], ranks["failed"], strict=True) if seeds})
    left_out = f"Seeds left out, as a cell is unfinished: {', '.join(map(str, missing))}."
    last = f"Ranked last where they gave no result: {', '.join(failed)}."
    return [*([left_out] if missing else []), *([last] if failed else [])]
