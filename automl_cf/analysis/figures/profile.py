"""Performance profiles: the share of problems that a searcher solves within a multiple of the quickest one's time."""

import pandas as pd

from automl_cf.analysis.curves import clock_named
from automl_cf.analysis.figures.lines import View, draw_lines, few_ticks
from automl_cf.analysis.figures.page import Page
from automl_cf.analysis.figures.subject import Subject, machines_in_words, problems_in_words, sentences
from automl_cf.analysis.figures.targets import thresholds_in_words, times
from automl_cf.analysis.run import groups
from automl_cf.analysis.thresholds import performance_profiles
from automl_cf.errors import InputError


def draw(page: Page, subject: Subject) -> str:
    """Draw one panel: problems are all data sets, dimensions, seeds and thresholds."""
    profiles = performance_profiles(times(subject))
    problems, unsolved = int(profiles["problems"].iloc[0]), int(profiles["unsolved"].iloc[0])
    if problems == unsolved:
        raise InputError("profile: no searcher reached any of the thresholds, so there are no times to compare.")
    (ax,) = page.time_panels(1)
    frames = []
    right = max(float(profiles["ratio"].max()), 2.0)
    for searcher, own in groups(profiles, "searcher"):
        frames.append(pd.concat([own, own.tail(1).assign(ratio=right)]).assign(searcher=searcher))
    lines = pd.concat(frames, ignore_index=True).rename(columns={"ratio": "x", "share": "mean"})
    lines = lines.assign(n=1, seeds=1, dataset="", dim=0)
    draw_lines(ax, lines, subject.looks, view=View(-0.03, 1.03, cut=False), level=False)
    ax.set_xlim(left=1)
    few_ticks(ax)
    ax.set(xlabel="time / least time of all searchers", ylabel="share of problems solved")
    page.legend_of(subject.looks, set(lines["searcher"]))
    return sentences(
        f"Performance profiles of {clock_named(subject.clock).label} to thresholds, over {problems} problems (data "
        "set, dimension, seed and threshold); no intervals.",
        f"No searcher solved {unsolved} of them." if unsolved else "",
        "A profile depends on who is compared.",
        thresholds_in_words(subject),
        machines_in_words(subject.run),
        problems_in_words(subject.run, subject.clock),
    )
