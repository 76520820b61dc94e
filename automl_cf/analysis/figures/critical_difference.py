"""Mean ranks over data sets, with bars over those that Nemenyi's test does not tell apart (Demsar, JMLR 7, 2006)."""

from matplotlib.axes import Axes

from automl_cf.analysis.figures.page import LINE, MARKER, Page, plain
from automl_cf.analysis.figures.subject import Subject, listed, problems_in_words, sentences
from automl_cf.analysis.ranks import RankTest, dataset_errors, rank_test
from automl_cf.analysis.tables import final_table

_ROW, _BAR = 0.15, 0.07  # inches


def draw(page: Page, subject: Subject) -> str:
    """Draw one panel; raises InputError for fewer than three data sets or searchers that have all."""
    test = rank_test(dataset_errors(final_table(subject.run)))
    width = len(test.ranks)
    rows = -(-width // 2)
    height = 0.42 + len(test.groups) * _BAR + 0.1 + rows * _ROW + 0.05
    (ax,) = page.panels(1, height, 1)
    _draw_ranks(ax, test, subject, height)
    differ = test.f_p < test.level
    names = listed(test.datasets)
    return sentences(
        f"Mean ranks by mean test RMSE over {len(test.datasets)} data sets ({names}); 1 is best.",
        f"Friedman's test: chi-square {test.statistic:.3g}, p {test.p:.2g}; Iman and Davenport's F: p {test.f_p:.2g}.",
        f"CD: Nemenyi's critical difference at {test.level:g}; bars join those within it.",
        "" if differ else "As the searchers are not shown to differ at all, the bars are not to be read.",
        f"Left out, without a result on every data set: {listed(test.left_out)}." if test.left_out else "",
        problems_in_words(subject.run),
    )


def _draw_ranks(ax: Axes, test: RankTest, subject: Subject, height: float) -> None:
    """Draw the axis of ranks, the critical difference above it, bars and names below; y is inches from the top."""
    width = len(test.ranks)
    names = list(test.ranks.index)
    left_names = names[: -(-width // 2)]
    axis = 0.36
    ax.set(xlim=(0.8, width + 0.2), ylim=(height, 0))
    ax.set_axis_off()
    ax.plot([1, width], [axis, axis], color="0.2", linewidth=0.8)
    step = -(-width // 10)
    for place in range(1, width + 1):
        ax.plot([place, place], [axis - 0.04, axis], color="0.2", linewidth=0.8)
        if (place - 1) % step == 0:
            ax.text(place, axis - 0.06, str(place), ha="center", va="bottom")
    end = min(1 + test.critical_difference, width)
    ax.plot([1, end], [0.1, 0.1], color="0.2", linewidth=1.2, marker="|", markersize=5)
    more = " (wider than the axis)" if 1 + test.critical_difference > width else ""
    ax.text((1 + end) / 2, 0.07, f"CD = {test.critical_difference:.2f}{more}", ha="center", va="bottom")
    for place, group in enumerate(test.groups):
        y = axis + (place + 1) * _BAR
        ends = [float(test.ranks[group[0]]) - 0.03, float(test.ranks[group[-1]]) + 0.03]
        ax.plot(ends, [y, y], color="0.1", linewidth=2.2, solid_capstyle="butt")
    below = axis + len(test.groups) * _BAR + 0.12
    for place, name in enumerate(names):
        is_left = name in left_names
        y = below + (place if is_left else width - 1 - place) * _ROW
        side = 0.9 if is_left else width + 0.1
        rank, look = float(test.ranks[name]), subject.looks[name]
        ax.plot([rank, rank, side], [axis, y, y], color="0.45", linewidth=0.6, zorder=1)
        ax.plot([rank], [axis], color=look.color, marker=look.marker, markersize=MARKER, linewidth=LINE, zorder=3)
        ax.plot([side], [y], color=look.color, marker=look.marker, markersize=MARKER, clip_on=False, zorder=3)
        ax.annotate(
            f"{plain(name)} {rank:.2f}",
            (side, y),
            xytext=(-5 if is_left else 5, 0),
            textcoords="offset points",
            ha="right" if is_left else "left",
            va="center",
            annotation_clip=False,
        )
