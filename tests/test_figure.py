import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from stored_runs import Found, StoredRun

from automl_cf.analysis.figures import anytime as module
from automl_cf.analysis.figures.anytime import draw_curve
from automl_cf.analysis.run import Run
from automl_cf.analysis.styles import styles
from automl_cf.errors import InputError

ERRORS = {"bias-only": 0.84, "sif": 0.85, "random": 0.845}


def example(path: Path, seeds: int = 3, dims: tuple[int, ...] = (8,), dataset: str = "d") -> StoredRun:
    run = StoredRun(path)
    for dim in dims:
        for seed in range(seeds):
            for name, error in ERRORS.items():
                end = error + 0.001 * seed
                found = [Found(5 + seed, end + 0.004, 1, 50, 10), Found(20, end, 1, 200, 10)]
                run.cell(dataset, dim, name, seed, found, end=60, end_visits=600)
    return run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, to look into; not written, since that takes most of the time."""
    figures: list[Figure] = []

    def keep(figure: Figure, stem: Path) -> tuple[Path, Path]:
        figures.append(figure)
        return stem, stem

    monkeypatch.setattr(module, "save_figure", keep)
    return figures


def caption_of(figure: Figure) -> str:
    (text,) = figure.texts
    return " ".join(text.get_text().split())


def by_color(ax: Axes, searcher: str) -> list[np.ndarray]:
    """The lines of a searcher that are neither thin nor the edge of a band, as (points, 2)."""
    color = styles(ERRORS)[searcher].color
    lines = [line for line in ax.get_lines() if to_hex(line.get_color()) == color and line.get_linewidth() > 1]
    return [np.asarray(line.get_xydata()) for line in lines]


def test_mean_curves_and_the_reference(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_curve(Run.load(example(tmp_path).write()), tmp_path / "c")
    (ax,) = drawn[0].axes
    assert ax.get_title() == "d, dimension 8"
    assert (ax.get_xlabel(), ax.get_xscale()) == ("time to deliverable (s)", "log")
    assert ax.get_ylabel() == "test RMSE / std of all ratings"
    # All seeds of sif have a result from 7 + 1 s on, and the second from 20 + 1 s; drawn up to the edge.
    (line,) = by_color(ax, "sif")
    np.testing.assert_allclose(line, [[8, 0.855], [21, 0.851], [60, 0.851], [ax.get_xlim()[1], 0.851]])
    level = by_color(ax, "bias-only")[0]
    np.testing.assert_allclose(level[:, 1], 0.841)
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["random", "sif", "bias-only"]


@pytest.mark.parametrize(
    ("clock", "label", "words", "right"),
    [
        ("deliverable", "time to deliverable (s)", "plus retraining", 60),
        ("search", "search time (s)", "not the retraining", 60),
        ("visits", "visits to deliverable (ratings x operations)", "does not depend on the hardware", 600),
    ],
)
def test_what_the_clock_is_and_includes_is_written(
    tmp_path: Path, drawn: list[Figure], clock: str, label: str, words: str, right: float
) -> None:
    draw_curve(Run.load(example(tmp_path).write()), tmp_path / "c", clock=clock, log_time=False)
    (ax,) = drawn[0].axes
    assert (ax.get_xlabel(), ax.get_xscale()) == (label, "linear")
    assert ax.get_xlim() == (0, 1.04 * right)
    assert words in caption_of(drawn[0])


@pytest.mark.parametrize(
    ("seeds", "words", "bands"),
    [
        (1, "queueing. 1 seed: no band.", 0),
        (2, "Band of 2 seeds: their range.", 2),
        (3, "Mean over 3 seeds. Band: 95% t-interval. Thin: not all", 2),
    ],
)
def test_bands_by_the_number_of_seeds(tmp_path: Path, drawn: list[Figure], seeds: int, words: str, bands: int) -> None:
    draw_curve(Run.load(example(tmp_path, seeds).write()), tmp_path / "c")
    assert words in caption_of(drawn[0])
    assert len(drawn[0].axes[0].collections) == bands


def test_a_panel_per_data_set_and_dimension(tmp_path: Path, drawn: list[Figure]) -> None:
    run = example(tmp_path, dims=(4, 16))
    run.cell("e", 4, "sif", 0, [Found(1, 0.9)], end=1)
    run.cell("e", 16, "sif", 0, [Found(1, 0.9)], end=1, last="cell_failed")
    draw_curve(Run.load(run.write()), tmp_path / "c")
    titles = [ax.get_title() for ax in drawn[0].axes]
    assert titles == ["d, dimension 4", "d, dimension 16", "e, dimension 4", "e, dimension 16"]
    assert drawn[0].axes[3].texts[0].get_text() == "no finished cell with a result"


def test_cells_left_out_are_named(tmp_path: Path, drawn: list[Figure]) -> None:
    run = example(tmp_path)
    run.cell("d", 8, "late", 0, [Found(1, 0.9)], end=1)
    run.cell("d", 8, "late", 1, [], end=1, last="cell_failed")
    run.cell("d", 8, "late", 2, [], end=1, last=None)
    draw_curve(Run.load(run.write()), tmp_path / "c")
    caption = caption_of(drawn[0])
    assert "Left out: d/d8/late/s1 (failed: ValueError: boom), d/d8/late/s2 (interrupted after" in caption
    assert "Mean over 1 to 3 seeds." in caption


def test_outliers_do_not_flatten_the_picture_and_are_named(tmp_path: Path, drawn: list[Figure]) -> None:
    run = example(tmp_path)
    for seed in range(3):
        run.cell("d", 8, "lost", seed, [Found(1, 3.0), Found(2, 1.25)], end=1)
    draw_curve(Run.load(run.write()), tmp_path / "c")
    low, high = drawn[0].axes[0].get_ylim()
    assert low < 0.841
    assert 0.851 < high < 0.88
    assert f"cut at {high:.3f}, curves begin as high as 3.000; lost is above, at 1.250" in caption_of(drawn[0])


def test_without_outliers_all_is_in_view(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_curve(Run.load(example(tmp_path).write()), tmp_path / "c")
    low, high = drawn[0].axes[0].get_ylim()
    assert low < 0.841
    assert high > 0.856
    assert "cut" not in caption_of(drawn[0])


@pytest.mark.parametrize("log_time", [True, False])
def test_what_is_there_at_time_zero_is_drawn(tmp_path: Path, drawn: list[Figure], log_time: bool) -> None:
    run = example(tmp_path)
    run.cell("d", 8, "instant", 0, [Found(0, 0.84)], end=0)
    draw_curve(Run.load(run.write()), tmp_path / "c", log_time=log_time)
    (ax,) = drawn[0].axes
    starts = [np.asarray(line.get_xydata())[0, 0] for line in ax.get_lines()]
    assert ax.get_xlim()[0] in starts


def test_everything_at_time_zero(tmp_path: Path, drawn: list[Figure]) -> None:
    run = StoredRun(tmp_path)
    run.cell("d", 8, "instant", 0, [Found(0, 0.84)], end=0)
    draw_curve(Run.load(run.write()), tmp_path / "c")
    drawn[0].draw_without_rendering()
    assert drawn[0].axes[0].get_xlim() == (0, 1)


def test_any_name_is_drawn_as_it_is(tmp_path: Path, drawn: list[Figure]) -> None:
    run = example(tmp_path, dataset="a$b$ \\frac{")
    names = ["$\\bad{$", "_hidden", "<b>&"]
    for name in names:
        run.cell("a$b$ \\frac{", 8, name, 0, [Found(1, 0.84)], end=1)
    draw_curve(Run.load(run.write()), tmp_path / "c")
    drawn[0].draw_without_rendering()  # would fail on a name taken for a formula
    shown = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert set(names) < set(shown)
    assert drawn[0].axes[0].get_title() == "a$b$ \\frac{, dimension 8"


def test_the_caption_lies_below_the_axes_and_inside_the_picture(tmp_path: Path, drawn: list[Figure]) -> None:
    run = example(tmp_path)
    for seed in range(3):
        run.cell("d", 8, "lost", seed, [Found(1, 3.0), Found(2, 1.25)], end=1)
    draw_curve(Run.load(run.write()), tmp_path / "c")
    (figure,) = drawn
    figure.draw_without_rendering()  # lays it out at its own resolution
    picture, caption = figure.bbox, figure.texts[0].get_window_extent()
    axes, legend = figure.axes[0].get_tightbbox(), figure.legends[0].get_window_extent()
    assert axes is not None
    assert caption.y1 < axes.y0
    assert axes.x1 < legend.x0
    assert picture.x0 < caption.x0
    assert caption.x1 < picture.x1
    assert picture.y0 < caption.y0


def test_an_svg_and_a_png_that_depend_on_the_run_alone(tmp_path: Path) -> None:
    run = Run.load(example(tmp_path).write())
    before = dict(mpl.rcParams)
    svg, png = draw_curve(run, tmp_path / "curve.v1")
    assert (svg.name, png.name) == ("curve.v1.svg", "curve.v1.png")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    again = draw_curve(run, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [svg.read_bytes(), png.read_bytes()]
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    run = Run.load(example(tmp_path).write())
    with pytest.raises(InputError, match=r"Unknown clock 'visit'.* 'visits'"):
        draw_curve(run, tmp_path / "c", clock="visit")
    with pytest.raises(InputError, match=r"c\.svg.* cannot be written"):
        draw_curve(run, tmp_path / "nowhere" / "c")


def test_a_searcher_looks_the_same_in_any_company() -> None:
    known = ["bias-only", "single-op", "sif", "sif-robust", "sif-no-auto", "random", "bayes"]
    together = styles(known)
    assert all(styles([name])[name] == together[name] for name in known)
    assert len({look.color for look in together.values()}) == len(known)
    assert len({(look.dashes, look.marker) for look in together.values()}) == len(known)


def test_the_papers_operations_as_labels_have_a_colour_each() -> None:
    looks = styles(["multiply", "plus", "min", "max", "concat", "sif", "bias-only"])
    assert len({look.color for look in looks.values()}) == len(looks)


def test_many_searchers_can_still_be_told_apart() -> None:
    names = [f"searcher-{number}" for number in range(100)]
    together = styles(names)
    assert len(set(together.values())) == len(names)
    assert all(styles([name])[name].color == look.color for name, look in together.items())
    per_color = defaultdict(list)
    for look in together.values():
        per_color[look.color].append((look.dashes, look.marker))
    assert all(len(set(looks)) == len(looks) for looks in per_color.values())


def test_the_analysis_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys, automl_cf.analysis.summary, automl_cf.analysis.figures.anytime;"
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_searchers_have_lines_a_legend_that_fits_and_no_bands(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    for number in range(30):
        for seed in (1, 2, 3):
            run.cell("data", 8, f"searcher-{number:02}", seed, [Found(1, 0.84 + number / 1000 + seed / 500)], end=5)
    stored = Run.load(run.write())
    draw_curve(stored, tmp_path / "curve")
    svg = (tmp_path / "curve.svg").read_text()
    assert "No bands, for more than 12 searchers." in svg.replace("\n", " ")
    assert "95% t-interval" not in svg
    assert svg.count("<!-- searcher-") == 30
    assert "PolyCollection" not in svg
    assert "FillBetween" not in svg
