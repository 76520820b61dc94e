"""What each kind of figure shows, against values computed by hand, by brute force or by other libraries."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from scipy import stats
from stored_runs import SCALE, Found, StoredRun

from automl_cf.analysis.figures import draw as drawing
from automl_cf.analysis.figures.convergence import mean_convergence
from automl_cf.analysis.figures.draw import draw_figure
from automl_cf.analysis.figures.efficiency import top_curve
from automl_cf.analysis.figures.operations import choice, counts_of
from automl_cf.analysis.figures.subject import Options
from automl_cf.analysis.run import Run
from automl_cf.analysis.styles import styles
from automl_cf.cf.elementwise import apply_network
from automl_cf.errors import InputError

Draw = Callable[..., tuple[Figure, str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Draws a kind and returns the figure and its caption; nothing is written."""
    figures: list[Figure] = []

    def keep(figure: Figure, stem: Path, *_: Any) -> tuple[Path, ...]:
        figures.append(figure)
        return (stem,)

    monkeypatch.setattr(drawing, "save_figure", keep)

    def draw(kind: str, *runs: Path, **options: Any) -> tuple[Figure, str]:
        caption = draw_figure(kind, list(runs), **options).caption
        return figures[-1], caption

    return draw


def example(path: Path, errors: Mapping[str, float], seeds: int = 3, dataset: str = "d", dim: int = 8) -> StoredRun:
    """A run whose searchers end at these errors, 0.001 more with each seed, found after 10 seconds."""
    run = StoredRun(path)
    for seed in range(1, seeds + 1):
        for name, error in errors.items():
            found = [Found(5, error + 0.02, 1), Found(10 + seed, error + 0.001 * seed, 1)]
            run.cell(dataset, dim, name, seed, found, end=60)
    return run


def interval(values: list[float]) -> tuple[float, float]:
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return float(low), float(high)


def dots(figure: Figure, panel: int = 0) -> dict[str, tuple[float, float, float, float]]:
    """The means of a panel by their colour: x, y and the ends of the interval."""
    found = {}
    for container in figure.axes[panel].containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, (bar,) = container.lines
        ((x, y),) = np.asarray(line.get_xydata())
        (segment,) = bar.get_segments()
        across = segment[:, 0] if segment[0, 1] == segment[1, 1] else segment[:, 1]
        found[to_hex(line.get_color())] = (float(x), float(y), float(across[0]), float(across[1]))
    return found


def colour(name: str, names: Mapping[str, Any] | list[str]) -> str:
    return styles(names)[name].color


def test_dimensions_of_one_dimension_are_rows_with_the_best_at_the_top(tmp_path: Path, shown: Draw) -> None:
    errors = {"random": 0.85, "sif": 0.84, "bias-only": 0.86}
    figure, caption = shown("dimensions", example(tmp_path, errors).write())
    found = dots(figure)
    for place, name in enumerate(["sif", "random", "bias-only"]):
        values = [errors[name] + 0.001 * seed for seed in (1, 2, 3)]
        np.testing.assert_allclose(found[colour(name, errors)], [np.mean(values), place, *interval(values)])
    low, high = figure.axes[0].get_ylim()
    assert low > high
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["sif", "random", "bias-only"]
    assert "Mean over 3 seeds. Lines: 95% t-interval over seeds." in caption
    assert "does not start at 0" in caption


def test_dimensions_side_by_side(tmp_path: Path, shown: Draw) -> None:
    run = StoredRun(tmp_path)
    for dim in (4, 8, 16):
        for seed in (1, 2):
            for name, error in {"sif": 0.84, "random": 0.85}.items():
                run.cell("d", dim, name, seed, [Found(5, error + 0.001 * dim + 0.002 * seed)], end=9)
    figure, _ = shown("dimensions", run.write())
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["4", "8", "16"]
    assert ax.get_xlabel() == "embedding dimension"
    places = sorted((float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line, *_ in ax.containers)
    assert [round(x) for x, _ in places] == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(
        [y for x, y in places if x < round(x)], [0.84 + 0.001 * dim + 0.003 for dim in (4, 8, 16)]
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["random", "sif"]


def test_one_seed_has_no_interval_and_the_caption_says_so(tmp_path: Path, shown: Draw) -> None:
    figure, caption = shown("dimensions", example(tmp_path, {"sif": 0.84}, seeds=1).write())
    (container,) = figure.axes[0].containers
    assert container.lines[2] == ()
    assert "Mean over 1 seed. 1 seed: no interval." in caption


def test_optimism_is_test_minus_validation(tmp_path: Path, shown: Draw) -> None:
    figure, caption = shown("optimism", example(tmp_path, {"sif": 0.84, "random": 0.85}).write())
    for x, _, low, high in dots(figure).values():
        np.testing.assert_allclose([x, low, high], 0.01)  # which a stored run has
    assert "above 0 validation was too hopeful" in caption


def with_curves(
    path: Path, curves: Mapping[str, list[Any]], trials: Mapping[str, list[float]] | None = None
) -> StoredRun:
    run = StoredRun(path)
    for name, of_seeds in curves.items():
        for seed, curve in enumerate(of_seeds, 1):
            cell = run.cell("d", 8, name, seed, [Found(5, 0.84, score={"curve": curve})], end=9, last=None)
            run.events = [event for event in run.events if event["kind"] != "trial" or event["cell"] != cell]
            if name in (trials or {}):
                run.trial(cell, 0, id="id0", curve=(trials or {})[name], rmse=0.9)
            run.event("cell_finished", cell, reason="seconds", clock={"train": 9.0})
    return run


def test_convergence_is_the_curve_of_the_retraining_in_units_of_all_ratings(tmp_path: Path, shown: Draw) -> None:
    curves = {"sif": [[1.0, 0.96, 0.95], [1.0, 0.97, 0.96]], "random": [[1.1, 0.99, 0.97, 0.96], [1.0, 0.98]]}
    figure, caption = shown("convergence", with_curves(tmp_path, curves).write())
    (ax,) = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "validation RMSE / std of all ratings")
    lines = {to_hex(line.get_color()): line for line in ax.get_lines() if line.get_linewidth() > 1}
    sif = np.asarray(lines[colour("sif", curves)].get_xydata())
    np.testing.assert_allclose(sif, [[1, SCALE], [2, 0.965 * SCALE], [3, 0.955 * SCALE]])
    # One of random's seeds stopped after its second epoch; only until then the line is whole.
    random = np.asarray(lines[colour("random", curves)].get_xydata())
    np.testing.assert_allclose(random, [[1, 1.05 * SCALE], [2, 0.985 * SCALE]])
    thin = [line for line in ax.get_lines() if line.get_linewidth() < 1 and len(line.get_xdata()) == 4]
    means = [line for line in thin if np.isclose(line.get_ydata()[-1], SCALE * (0.96 + 0.98) / 2)]
    assert len(means) == 1
    assert "it is held at its last value" in caption


def test_convergence_falls_back_on_trials_and_names_who_is_left_out(tmp_path: Path, shown: Draw) -> None:
    curves = {"sif": [None, None], "random": [[1.0, 0.9], [1.0, 0.9]], "bayes": [[], []], "bias-only": [[0.95], [0.96]]}
    figure, caption = shown("convergence", with_curves(tmp_path, curves, {"bayes": [0.99, 0.97]}).write())
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["bayes", "random", "bias-only"]
    assert "the trial during search, as the run stores no other: bayes." in caption
    assert "Left out, as no curve is stored: sif (2) (cells)." in caption
    assert "A level, as it has no epochs: bias-only." in caption
    (level,) = [line for line in figure.axes[0].get_lines() if to_hex(line.get_color()) == colour("bias-only", curves)]
    np.testing.assert_allclose(level.get_ydata(), 0.955 * SCALE)


def test_without_any_curve_convergence_is_refused(tmp_path: Path, shown: Draw) -> None:
    with pytest.raises(InputError, match="no curve of a final architecture"):
        shown("convergence", with_curves(tmp_path, {"sif": [None]}).write())


@given(st.lists(st.lists(st.floats(0.5, 2), min_size=1, max_size=6), min_size=1, max_size=5))
def test_mean_convergence_holds_what_has_stopped(curves: list[list[float]]) -> None:
    mean = mean_convergence([np.array(curve) for curve in curves])
    for epoch in range(1, max(map(len, curves)) + 1):
        values = [curve[min(epoch, len(curve)) - 1] for curve in curves]
        row = mean.iloc[epoch - 1]
        assert row["x"] == epoch
        assert row["mean"] == pytest.approx(math.fsum(values) / len(values))
        assert row["n"] == sum(len(curve) >= epoch for curve in curves)


FOUND = st.tuples(st.integers(0, 5), st.integers(0, 4), st.floats(0.5, 2))


@given(st.lists(FOUND, min_size=1, max_size=9), st.integers(1, 4))
def test_top_curve_is_the_mean_of_the_k_best_by_validation(found: list[tuple[int, int, float]], k: int) -> None:
    x, validation, test = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    curve = top_curve(x, validation, test, k, 10.0)
    assert curve.end == 10
    for time in range(7):
        known = sorted((entry for entry in found if entry[0] <= time), key=lambda entry: entry[1])[:k]
        expected = math.fsum(entry[2] for entry in known) / len(known) if known else math.nan
        np.testing.assert_allclose(curve.at(np.array([float(time)])), [expected], equal_nan=True)


def test_efficiency_says_what_it_is(tmp_path: Path, shown: Draw) -> None:
    run = StoredRun(tmp_path)
    for seed in (1, 2):
        found = [Found(2, 0.9), Found(4, 0.86), Found(8, 0.88, score={"validation": 0.5})]
        run.cell("d", 8, "sif", seed, found, end=20)
        run.cell("d", 8, "random", seed, [Found(3, 0.87)], end=20)
    folder = run.write()
    figure, caption = shown("efficiency", folder, options=Options(top=2, linear=True))
    names = ["random", "sif"]
    lines = [line for line in figure.axes[0].get_lines() if to_hex(line.get_color()) == colour("sif", names)]
    (line,) = [line for line in lines if line.get_linewidth() > 1]
    # The last has the least validation RMSE, though not the least test RMSE; before it, the two that there are.
    points = np.asarray(line.get_xydata())[:3]
    np.testing.assert_allclose(points, [[2, 0.9], [4, 0.88], [8, 0.87]])
    assert "the 2 architectures with the least validation RMSE after retraining" in caption
    assert "1 to 3 a cell" in caption
    assert figure.axes[0].get_xlabel() == "search time (s)"
    with pytest.raises(InputError, match=r"clock: .*by 'search' only, not by 'visits'"):
        shown("efficiency", folder, clock="visits")
    with pytest.raises(InputError, match=r"top: 0"):
        shown("efficiency", folder, options=Options(top=0))


def test_operations_are_counted(tmp_path: Path, shown: Draw) -> None:
    run = StoredRun(tmp_path)
    chosen = {"sif": ["plus", "plus", "max"], "random": ["min", "max", "max"], "ncf": [None, None, None]}
    for name, of_seeds in chosen.items():
        for seed, operation in enumerate(of_seeds):
            architecture = {"operation": operation, "p": [0.0] * 4} if operation else {"model": "ncf"}
            run.cell("d", 8, name, seed, [Found(1, 0.84, score={"architecture": architecture})], end=2)
    figure, caption = shown("operations", run.write())
    (ax,) = figure.axes
    rows = [text.get_text() for text in ax.get_yticklabels()]
    columns = [text.get_text() for text in ax.get_xticklabels()]
    numbers = {(columns[int(t.get_position()[0])], rows[int(t.get_position()[1])]): int(t.get_text()) for t in ax.texts}
    assert numbers == {("random", "max"): 2, ("random", "min"): 1, ("sif", "max"): 1, ("sif", "plus"): 2}
    assert rows[0] == "max"
    assert "Cells without an operation: ncf (3)." in caption


def test_several_operations_are_one_choice() -> None:
    assert choice({"operations": ["plus", "max"]}) == choice({"operations": ("max", "plus")}) == "max + plus"
    assert choice({"model": "ncf"}) is None


def networks(architecture: Mapping[str, Any], x: np.ndarray) -> dict[str, np.ndarray]:
    """What PyTorch's own element-wise networks make of x."""
    return {
        name: apply_network(
            torch.tensor(x),
            torch.tensor(architecture[name], dtype=torch.float64),
            architecture.get("activation", "sigmoid"),
        ).numpy()
        for name in "pqr"
        if name in architecture
    }


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", None])
def test_elementwise_functions_are_those_that_are_trained(tmp_path: Path, shown: Draw, activation: str | None) -> None:
    rng = np.random.default_rng(3)
    architectures = []
    for units in (1, 2, 5):
        vectors = {name: rng.normal(size=3 * units + 1).tolist() for name in "pqr"}
        architectures.append(
            {"operation": "max(min(1,2),3)", **vectors, **({"activation": activation} if activation else {})}
        )
    run = StoredRun(tmp_path)
    for seed, architecture in enumerate(architectures):
        run.cell("d", 8, "sif", seed, [Found(1, 0.84, score={"architecture": architecture})], end=2)
        run.cell("d", 8, "single-op", seed, [Found(1, 0.84, score={"architecture": {"operation": "max"}})], end=2)
    figure, caption = shown("elementwise", run.write(), options=Options(x=(-1.5, 3.0)))
    (ax,) = figure.axes
    assert ax.get_title() == "sif"
    curves = [line for line in ax.get_lines() if len(line.get_xdata()) > 2]
    assert len(curves) == 9
    x = np.asarray(curves[0].get_xdata())
    assert (x[0], x[-1]) == (-1.5, 3.0)
    wanted = [values for architecture in architectures for values in networks(architecture, x).values()]
    np.testing.assert_allclose([line.get_ydata() for line in curves], wanted, atol=1e-12)
    low, high = ax.get_ylim()
    assert low < np.min(wanted)
    assert np.max(wanted) < high
    assert "x from -1.5 to 3" in caption
    assert "No element-wise networks: single-op." in caption


def test_without_networks_there_is_no_elementwise_figure(tmp_path: Path, shown: Draw) -> None:
    run = StoredRun(tmp_path)
    run.cell("d", 8, "single-op", 1, [Found(1, 0.84, score={"architecture": {"operation": "max"}})], end=2)
    with pytest.raises(InputError, match="has element-wise networks"):
        shown("elementwise", run.write())


def over_data_sets(path: Path, count: int, searchers: int = 5) -> list[Path]:
    """Runs on data sets of their own; the searchers' order is the same on all of them."""
    folders = []
    for number in range(count):
        errors = {f"searcher-{place}": 0.8 + 0.01 * place + 0.001 * number for place in range(searchers)}
        folders.append(example(path / str(number), errors, dataset=f"data-{number}").write())
    return folders


def test_critical_difference_over_data_sets(tmp_path: Path, shown: Draw) -> None:
    figure, caption = shown("critical-difference", *over_data_sets(tmp_path, 6))
    (ax,) = figure.axes
    texts = {text.get_text() for text in ax.texts}
    assert {f"searcher-{place} {place + 1:.2f}" for place in range(5)} <= texts
    difference = 2.7278 * math.sqrt(5 * 6 / (6 * 6))  # Demsar's table 5: q of 5 classifiers at 0.05 is 2.728
    assert f"CD = {difference:.2f}" in texts
    # Ranks 1, 2, ... 5: bars join 1-3, 2-4 and 3-5.
    bars = [line.get_xdata() for line in ax.get_lines() if line.get_linewidth() > 2]
    np.testing.assert_allclose(bars, [[0.97, 3.03], [1.97, 4.03], [2.97, 5.03]])
    chi, p = stats.friedmanchisquare(*(np.arange(6) + 100 * place for place in range(5)))
    assert f"chi-square {chi:.3g}, p {p:.2g}" in caption
    assert "over 6 data sets" in caption


def test_critical_difference_is_never_over_seeds(tmp_path: Path, shown: Draw) -> None:
    with pytest.raises(InputError, match=r"over 2 data sets cannot be tested: it takes 3 .* seeds"):
        shown("critical-difference", *over_data_sets(tmp_path, 2))


def test_where_searchers_do_not_differ_the_bars_are_not_to_be_read(tmp_path: Path, shown: Draw) -> None:
    folders = []
    for number in range(3):
        errors = {f"s{place}": 0.8 + 0.01 * ((place + number) % 3) for place in range(3)}
        folders.append(example(tmp_path / str(number), errors, dataset=f"data-{number}").write())
    _, caption = shown("critical-difference", *folders)
    assert "the bars are not to be read" in caption


def test_ranks_over_time(tmp_path: Path, shown: Draw) -> None:
    run = StoredRun(tmp_path)
    for seed in (1, 2, 3):
        run.cell("d", 8, "early", seed, [Found(1, 0.85)], end=20)
        run.cell("d", 8, "late", seed, [Found(5, 0.84)], end=20)
        run.cell("d", 8, "worst", seed, [Found(1, 0.9)], end=20)
    figure, caption = shown("rank", run.write(), clock="search", options=Options(linear=True))
    (ax,) = figure.axes
    ends = {to_hex(line.get_color()): line.get_ydata()[-1] for line in ax.get_lines() if line.get_linewidth() > 1}
    names = ["early", "late", "worst"]
    assert [ends[colour(name, names)] for name in names] == [2, 1, 3]
    (early,) = [
        np.asarray(line.get_xydata())
        for line in ax.get_lines()
        if to_hex(line.get_color()) == colour("early", names) and line.get_linewidth() > 1
    ]
    np.testing.assert_allclose(early[:2], [[1, 1], [5, 2]])
    assert "Mean over 3 seeds." in caption


def test_shares_of_thresholds_reached(tmp_path: Path, shown: Draw) -> None:
    run = StoredRun(tmp_path)
    run.study["analysis"] = {"thresholds": [0.86]}
    for seed, last in enumerate([0.84, 0.85, 0.87]):
        run.cell("d", 8, "sif", seed, [Found(2 + seed, last)], end=20)
        run.cell("d", 8, "random", seed, [Found(8, 0.845)], end=20)
    folder = run.write()
    figure, caption = shown("ecdf", folder, clock="search", options=Options(linear=True))
    names = ["random", "sif"]
    (line,) = [
        line
        for line in figure.axes[0].get_lines()
        if to_hex(line.get_color()) == colour("sif", names) and line.get_linewidth() > 1
    ]
    np.testing.assert_allclose(np.asarray(line.get_xydata())[:4], [[0, 0], [2, 1 / 3], [3, 2 / 3], [20, 2 / 3]])
    assert "Thresholds of test RMSE / std: 0.86." in caption
    _, caption = shown("ecdf", folder, options=Options(thresholds=(0.85,)))
    assert "0.85 (not declared in the study), 0.86." in caption
    # The profile: of 3 problems sif solves 2, both first; random solves all, two of them 4 and 8 / 3 times later.
    figure, caption = shown("profile", folder, clock="search")
    (ax,) = figure.axes
    (line,) = [
        line
        for line in ax.get_lines()
        if to_hex(line.get_color()) == colour("random", names) and line.get_linewidth() > 1
    ]
    np.testing.assert_allclose(np.asarray(line.get_xydata())[:3], [[1, 1 / 3], [8 / 3, 2 / 3], [4, 1]])
    assert "over 3 problems" in caption


@pytest.mark.parametrize("kind", ["ecdf", "profile"])
def test_without_thresholds_it_is_said_how_to_add_one(tmp_path: Path, shown: Draw, kind: str) -> None:
    with pytest.raises(InputError, match=r"declares none .*--threshold"):
        shown(kind, example(tmp_path, {"sif": 0.84, "random": 0.85}).write())


def test_seconds_are_stacked_from_0(tmp_path: Path, shown: Draw) -> None:
    run = example(tmp_path, {"sif": 0.84, "random": 0.85}, seeds=2)
    figure, caption = shown("time", run.write())
    (ax,) = figure.axes
    assert ax.get_xlim()[0] == 0
    # Of 60 s of search a quarter each is thinking and validating; two retrainings of 1 s follow.
    wanted = {"think": 15, "train": 30, "validate": 15, "retrain": 2}
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == list(wanted)
    starts = 0.0
    for container, (kind, seconds) in zip(ax.containers, wanted.items(), strict=True):
        for bar in container:
            np.testing.assert_allclose([bar.get_x(), bar.get_width()], [starts, seconds], err_msg=kind)
        starts += seconds
    assert "Mean of 2 seeds" in caption


def test_counts_are_of_every_searcher_and_choice() -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    cells = pd.DataFrame({"choice": rng.choice(["a", "b", "c"], 40), "searcher": rng.choice(["x", "y"], 40)})
    table = counts_of(cells)
    expected = pd.crosstab(cells["choice"], cells["searcher"])
    assert (table == expected.loc[table.index, table.columns]).all().all()


def test_runs_of_one_data_set_are_drawn_together(tmp_path: Path, shown: Draw) -> None:
    first, second = (example(tmp_path / name, {name: 0.84}).write() for name in ("sif", "random"))
    figure, _ = shown("dimensions", first, second)
    assert len(figure.axes) == 1
    assert {text.get_text() for text in figure.axes[0].get_yticklabels()} == {"sif", "random"}
    other = example(tmp_path / "e", {"sif": 0.9}, dataset="e").write()
    figure, _ = shown("anytime", first, second, other)
    assert [ax.get_title() for ax in figure.axes] == ["d, dimension 8", "e, dimension 8"]


def test_a_searcher_has_one_look_in_every_kind(tmp_path: Path, shown: Draw) -> None:
    errors = {"mine": 0.84, "sif": 0.85, "other": 0.86}
    folder = example(tmp_path, errors).write()
    for kind in ("anytime", "dimensions", "optimism", "rank", "efficiency"):
        figure, _ = shown(kind, folder, searchers=["mine"])  # whoever else is there
        colours = {to_hex(line.get_color()) for line in figure.axes[0].get_lines()}
        assert colour("mine", errors) in colours, kind


def test_only_some_searchers_and_dimensions(tmp_path: Path, shown: Draw) -> None:
    run = StoredRun(tmp_path)
    for dim in (4, 8):
        for name in ("sif", "random"):
            run.cell("d", dim, name, 1, [Found(1, 0.84)], end=2)
    folder = run.write()
    figure, _ = shown("dimensions", folder, searchers=["sif"], dim=8)
    assert [ax.get_title() for ax in figure.axes] == ["d, dimension 8"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["sif"]
    with pytest.raises(InputError, match=r"no cell of dimension 5; there are 4, 8"):
        shown("dimensions", folder, dim=5)
    assert set(Run.load(folder).cells["dim"]) == {4, 8}
