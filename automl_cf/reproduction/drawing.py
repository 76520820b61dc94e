"""An exhibit as files: its tables in Markdown and CSV, its figures, and beside them what the paper prints."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from automl_cf.analysis.figures.draw import draw_figure
from automl_cf.analysis.markdown import escape, table
from automl_cf.analysis.merge import merged
from automl_cf.analysis.output import whole_file
from automl_cf.analysis.published import about, side_by_side, spelled
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.tables import final_table, ranking_columns, score_columns, search_columns
from automl_cf.errors import InputError
from automl_cf.reproduction.exhibits import Exhibit, Picture
from automl_cf.reproduction.frames import CHOSEN, at_chosen_dimension, without_repeats

FOLDER = "exhibits"
"""Where exhibits are, of the folder of all."""

BIAS = "bias-only"
_FORMATS = ("png", "pdf")
_DPI = 150


def write_exhibit(name: str, exhibit: Exhibit, runs: Mapping[str, Run], folder: Path) -> Path:
    """Draw an exhibit of those of its studies' runs that there are; return its Markdown file in ``folder``.

    What cannot be drawn of such runs is said in the file. Raises InputError if none of the runs is there, or if a file
    cannot be written.
    """
    there = [runs[study] for study in exhibit.studies if study in runs]
    if not there:
        raise InputError(f"{name}: none of the studies that it is made of was run: {', '.join(exhibit.studies)}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"'{folder}' cannot be made: {error.strerror}.") from error
    heading = f"{exhibit.place}: {exhibit.title}" if exhibit.place else exhibit.title
    sections = [f"# {escape(heading)}"]
    left_out = [study for study in exhibit.studies if study not in runs]
    if left_out:
        sections.append(f"Not run: {', '.join(left_out)}.")
    sections += _pictures(name, exhibit, runs, folder)
    run = merged(without_repeats(there, exhibit.shown))
    forms = [(run, exhibit.dims)] + ([(at_chosen_dimension(run), (CHOSEN,))] if exhibit.chosen else [])
    if exhibit.place.startswith("Table"):
        beside = pd.concat([_beside(form, exhibit.place, dims) for form, dims in forms], ignore_index=True)
        sections += ["## Published and measured", table(_beside_shown(beside)), *about(beside["metric"])]
        _write_csv(beside, folder / f"{name}-published.csv")
    finals = pd.concat([_at(final_table(form), dims) for form, dims in forms], ignore_index=True)
    sections += _measured(finals, ranking=name == "table-3")
    _write_csv(finals, folder / f"{name}.csv")
    path = folder / f"{name}.md"
    with whole_file(path) as partial:
        partial.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return path


def _pictures(name: str, exhibit: Exhibit, runs: Mapping[str, Run], folder: Path) -> Iterator[str]:
    for picture in exhibit.pictures:
        there = [runs[study] for study in picture.studies if study in runs]
        if not there:
            continue
        stem = folder / picture.stem(name)
        try:
            caption = _draw(picture, there, stem)
        except InputError as error:
            yield f"*{escape(stem.name)} could not be drawn: {escape(str(error))}*"
            continue
        yield f"![{escape(picture.kind)}]({stem.name}.png)"
        yield f"*{escape(caption)}*"


def _draw(picture: Picture, runs: Sequence[Run], stem: Path) -> str:
    known = {name for run in runs for name in run.cells["searcher"]}
    wanted = [name for name in picture.searchers if name in known]
    drawn = draw_figure(
        picture.kind,
        without_repeats(runs, wanted),
        stem,
        formats=_FORMATS,
        width="page",
        clock=picture.clock,
        searchers=wanted,
        dim=picture.dim,
        caption=False,
        dpi=_DPI,
    )
    return drawn.caption


def _beside(run: Run, place: str, dims: Sequence[int]) -> pd.DataFrame:
    """Rows of `side_by_side` for a place, and what `bias-only` comes to on the same data sets and dimensions."""
    rows = side_by_side(run)
    rows = _at(rows[rows["place"] == place], dims)
    finals = final_table(run).set_index(["dataset", "dim", "searcher"])
    keys = list(zip(rows["dataset"], rows["dim"], rows["searcher"], strict=True))
    of_rmse = rows["metric"] == "rmse_std"
    for column in ("vs_bias_only", "vs_bias_only_low", "vs_bias_only_high"):
        values = pd.Series([finals[column].get(key) for key in keys], index=rows.index, dtype="float64")
        rows[column] = values.where(of_rmse)
    bias = []
    for dataset, dim, metric, _ in groups(rows, "dataset", "dim", "metric"):
        if (dataset, dim, BIAS) in finals.index and metric == "rmse_std":
            row = finals.xs((dataset, dim, BIAS))
            numbers = {"mean": row["rmse_std"], "low": row["rmse_std_low"], "high": row["rmse_std_high"], "n": row["n"]}
            bias.append({"dataset": dataset, "dim": dim, "searcher": BIAS, "metric": metric, **numbers})
    return pd.concat([rows, pd.DataFrame(bias)], ignore_index=True) if bias else rows


def _beside_shown(rows: pd.DataFrame) -> pd.DataFrame:
    shown = []
    for row in rows.to_dict("records"):
        form = spelled(row["metric"])
        published = not pd.isna(row.get("published"))
        versus = float(row.get("vs_bias_only", float("nan")))
        shown.append(
            {
                "Data set": row["dataset"],
                "Dim": dimension_text(row["dim"]),
                "The paper's": row["method"] if published else "-",
                "Ours": row["searcher"],
                "Metric": row["metric"],
                "Published": row["printed"] if published else "-",
                "Measured": interval_text(row["mean"], row["low"], row["high"], form),
                "Seeds": str(int(row["n"])),
                "Difference": f"{row['difference']:+{form}}" if published and not pd.isna(row["mean"]) else "-",
                f"Minus {BIAS}": "-"
                if pd.isna(versus)
                else interval_text(versus, row["vs_bias_only_low"], row["vs_bias_only_high"], "+.4f"),
            }
        )
    return pd.DataFrame(shown)


def _measured(finals: pd.DataFrame, ranking: bool) -> Iterator[str]:
    for dataset, dim, rows in groups(finals, "dataset", "dim"):
        yield f"## {escape(dataset)}, {'dimension chosen on validation' if dim == CHOSEN else f'dimension {dim}'}"
        yield table(score_columns(rows))
        yield table(search_columns(rows))
        if ranking and len(of_lists := ranking_columns(rows)):
            yield table(of_lists)


def _at(rows: pd.DataFrame, dims: Sequence[int]) -> pd.DataFrame:
    return rows[rows["dim"].isin(list(dims))].reset_index(drop=True) if dims else rows.reset_index(drop=True)


def dimension_text(dim: float) -> str:
    """How tables show a dimension."""
    if np.isnan(dim):
        return "-"
    return "by validation" if dim == CHOSEN else f"{dim:g}"


def interval_text(mean: float, low: float, high: float, form: str = ".4f") -> str:
    """A mean with its interval, as tables show it."""
    if np.isnan(mean):
        return "-"
    return f"{mean:{form}}" + ("" if np.isnan(low) else f" [{low:{form}}, {high:{form}}]")


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as partial:
        frame.to_csv(partial, index=False, lineterminator="\n")
