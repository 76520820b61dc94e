"""REPRODUCTION.md: what became of each claim of the paper, with every number read from stored results."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_cf.analysis.comparison import UNDECIDED
from automl_cf.analysis.curves import cell_curves
from automl_cf.analysis.markdown import bullets, escape, table
from automl_cf.analysis.output import whole_file
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.statistics import t_interval
from automl_cf.analysis.tables import cell_table, final_table, score_columns
from automl_cf.analysis.verdicts import smallest_effect
from automl_cf.reproduction.claims import (
    AGAINST,
    CLAIMS,
    FOR,
    MIXED,
    NOT_SUPPORTED,
    SECONDS,
    Claim,
    beside_bias,
    verdict,
)
from automl_cf.reproduction.drawing import BIAS, dimension_text, interval_text
from automl_cf.reproduction.drawing import FOLDER as EXHIBITS_FOLDER
from automl_cf.reproduction.exhibits import EXHIBITS
from automl_cf.reproduction.frames import at_chosen_dimension, dimensions_chosen
from automl_cf.reproduction.leak import optimism
from automl_cf.reproduction.reasons import NAME as REASONS_NAME
from automl_cf.reproduction.reasons import read_reasons
from automl_cf.reproduction.studies import FOLDER as RUNS_FOLDER
from automl_cf.reproduction.studies import names
from automl_cf.reproduction.transfer import HERE, TARGETS, by_source

_HEADLINE = ("methods", "methods-ml-1m")
_WIDER = "penalties"
_SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of the budget

_READING = """\
Errors are test RMSE in standard deviations of all ratings, the paper's unit; below 0 a difference is in favour of the
first. Differences are paired: of two methods on the same split, of each seed. Intervals are Student's, 95%, over
seeds (splits and initialisations). What decides is corrected by Holm's method for all pairs of the searchers that a
claim compares on a data set, pairs of two rivals included, which is strict. Two claims are not corrected: on
overfitting each method is compared with itself alone, and times are decided by their intervals. A difference below
the smallest effect that matters, {effect:g}, counts as none; with so few seeds an interval is seldom narrow enough to
say that. A claim is **supported** if all evidence is for it, **not supported** if none is and some is against it,
**mixed** if some is for it and some against, **undecided** otherwise. Searchers and models saw training and
validation ratings only; the dimension, where several were run, the penalty, the epoch and the function were all
chosen on validation. `bias-only` is a model of a mean and a bias for each user and item, without any interaction:
what does not beat it has found no interaction function worth the name."""


def write_report(runs: Mapping[str, Run], scale: str, folder: Path, path: Path) -> Path:
    """Write the report on all runs, whose exhibits are in ``folder``, and return its path."""
    reasons = read_reasons(folder)
    where = Path(os.path.relpath(folder, path.parent))
    of_runs = (where / RUNS_FOLDER).as_posix()
    evidence = {name: claim.evidence(runs) for name, claim in CLAIMS.items() if set(claim.studies) & set(runs)}
    beside = {name: "; ".join(_beside(CLAIMS[name], runs)) for name in evidence}
    sections = [
        "# The paper, reproduced and judged",
        "Yao, Chen, Kwok, Li and Hsieh: *Efficient Neural Interaction Function Search for Collaborative Filtering*, "
        f"WWW 2020. Written by `automl-cf reproduce all --scale {scale}`; every number is read from the runs in "
        f"[{of_runs}]({of_runs}).",
        *_headline(runs),
        "## The claims",
        table(_overview(evidence, beside)),
        _READING.format(effect=smallest_effect(next(iter(runs.values())))),
    ]
    for name, rows in evidence.items():
        sections += _claim(CLAIMS[name], rows, beside[name], reasons.get(name, ""), runs, folder, where)
    sections += ["## Beyond the paper", *_leak(runs), *_penalties(runs), *_transfer(runs), *_budgets(runs)]
    sections += ["## All tables and figures", _exhibits(runs, where), "## How it was run", *_circumstances(runs)]
    if reasons:
        sections.append(
            f"Likely reasons are of [{REASONS_NAME}]({(where / REASONS_NAME).as_posix()}), written by people."
        )
    with whole_file(path) as partial:
        partial.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return path


def _headline(runs: Mapping[str, Run]) -> Iterator[str]:
    for name in _HEADLINE:
        if name in runs:
            for dataset, finals in groups(final_table(at_chosen_dimension(runs[name])), "dataset"):
                dims = sorted(set(runs[name].cells["dim"]))
                chosen = "" if len(dims) == 1 else ", chosen on validation"
                yield f"### {escape(dataset)}, dimension {_one_of(dims)}{chosen}"
                yield _scores(finals)


def _scores(finals: pd.DataFrame) -> str:
    return table(score_columns(finals)[["Searcher", "Seeds", "Test RMSE / std", f"Minus {BIAS}"]])


def _one_of(dims: list[int]) -> str:
    return str(dims[0]) if len(dims) == 1 else f"{', '.join(map(str, dims[:-1]))} or {dims[-1]}"


def _overview(evidence: Mapping[str, pd.DataFrame], beside: Mapping[str, str]) -> pd.DataFrame:
    rows = []
    for name, found in evidence.items():
        counts = found["speaks"].value_counts()
        rows.append(
            {
                "Claim": CLAIMS[name].says,
                "Place": CLAIMS[name].place,
                "Verdict": verdict(found),
                "For": str(counts.get(FOR, 0)),
                "Against": str(counts.get(AGAINST, 0)),
                "Undecided": str(counts.get(UNDECIDED, 0)),
                f"Minus {BIAS}": f"{CLAIMS[name].first} on {beside[name]}" if beside[name] else "-",
            }
        )
    return pd.DataFrame(rows)


def _beside(claim: Claim, runs: Mapping[str, Run]) -> Iterator[str]:
    for row in beside_bias(runs, claim.studies, claim.first).to_dict("records"):
        yield f"{row['dataset']}: {interval_text(row['mean'], row['low'], row['high'], '+.4f')}"


def _claim(
    claim: Claim,
    rows: pd.DataFrame,
    beside: str,
    reason: str,
    runs: Mapping[str, Run],
    folder: Path,
    where: Path,
) -> Iterator[str]:
    found = verdict(rows)
    yield f"### {escape(claim.says)}: {found}"
    yield f"The paper: {escape(claim.place)}."
    if len(rows):
        yield table(pd.DataFrame([_evidence(row) for row in rows.to_dict("records")]))
    if beside:
        yield f"`{claim.first}` minus `{BIAS}` on {escape(beside)}."
    picture = next((file for file in _picture_files(claim) if (folder / file).exists()), None)
    if picture:
        yield f"![{escape(claim.says)}]({(where / picture).as_posix()})"
    if reason:
        yield f"Likely reason: {escape(reason)}"
    elif found in (MIXED, NOT_SUPPORTED):
        yield "Likely reason: not found."
    links = [_link(name, where) for name in claim.exhibits if EXHIBITS[name].made_of(runs)]
    if links:
        yield f"See {', '.join(links)}."


def _picture_files(claim: Claim) -> Iterator[Path]:
    for name in claim.exhibits:
        for picture in EXHIBITS[name].pictures:
            yield Path(EXHIBITS_FOLDER) / f"{picture.stem(name)}.png"


def _evidence(row: Mapping[Any, Any]) -> dict[str, str]:
    form = ".2f" if row["unit"] == SECONDS else "+.4f"
    between = "by" if row["unit"] == SECONDS else "minus"
    return {
        "Data set": str(row["dataset"]),
        "Dim": dimension_text(row["dim"]),
        "What": f"{row['first']} {between} {row['other']}" + (" (seconds)" if row["unit"] == SECONDS else ""),
        "Seeds": str(row["n"]),
        "Result": interval_text(row["mean"], row["low"], row["high"], form),
        "It is": str(row["verdict"]),
        "Speaks": str(row["speaks"]),
    }


def _leak(runs: Mapping[str, Run]) -> Iterator[str]:
    if "leak" not in runs:
        return
    yield "### Selecting on test, as the public code does"
    rows = [
        {
            "Data set": row["dataset"],
            "Searcher": row["searcher"],
            "Candidates": f"{row['candidates']:.0f}",
            "Seeds": str(row["n"]),
            "Selected on validation": f"{row['by_validation']:.4f}",
            "Selected on test": f"{row['by_test']:.4f}",
            "Difference": interval_text(row["mean"], row["low"], row["high"], "+.4f"),
        }
        for row in optimism(runs["leak"]).to_dict("records")
    ]
    yield table(pd.DataFrame(rows))
    yield (
        "Both columns are test RMSE of the same trained architectures; the difference is what selecting on test is too "
        "hopeful by. The public code picks epochs on test as well, which comes on top."
    )


def _penalties(runs: Mapping[str, Run]) -> Iterator[str]:
    """How often the deliverable's penalty is the largest of the grid, and what a wider grid gives."""
    rows = []
    largest = {name: max(runs[name].study["training"]["l2_grid"]) for name in (*_HEADLINE, _WIDER) if name in runs}
    for name, penalty in largest.items():
        final = runs[name].scores[runs[name].scores["final"]]
        for dataset, searcher, of_both in groups(final, "dataset", "searcher"):
            chosen = (of_both["l2"] == penalty).sum()
            if chosen:
                rows.append(
                    {
                        "Study": name,
                        "Data set": dataset,
                        "Searcher": searcher,
                        "Largest penalty": f"{penalty:g}",
                        "Chosen": f"{chosen} of {len(of_both)}",
                    }
                )
    if rows:
        yield "### How often the largest penalty is chosen"
        yield table(pd.DataFrame(rows))
        yield (
            "Where validation chooses the largest of the paper's penalties, the method might be better with a larger "
            "one: its error is that of the paper's grid, and what beats it might not with a wider one."
        )
    if _WIDER in runs:
        yield f"With penalties up to {largest[_WIDER]:g}:"
        yield _scores(final_table(runs[_WIDER]))


def _transfer(runs: Mapping[str, Run]) -> Iterator[str]:
    there = [name for name in TARGETS if name in runs]
    if not there:
        return
    yield "### Does a function found elsewhere serve here?"
    rows = []
    for name in there:
        means = by_source(runs[name])
        for dataset, dim, of_target in groups(means, "dataset", "dim"):
            wide = of_target.pivot(index="seed", columns="searcher", values="rmse_std")
            for source in wide.columns:
                mean, low, high, n = t_interval(wide[source]).numbers()
                less = t_interval(wide[source] - wide[HERE]).numbers()
                rows.append(
                    {
                        "On": dataset,
                        "Dim": str(dim),
                        "Found": source,
                        "Seeds": str(n),
                        "Test RMSE / std": interval_text(mean, low, high),
                        "Minus found here": "-" if source == HERE else interval_text(*less[:3], "+.4f"),
                    }
                )
    yield table(pd.DataFrame(rows))
    yield "What `sif` found there in each seed, trained anew over the l2 grid here; means over what was found."


def _budgets(runs: Mapping[str, Run]) -> Iterator[str]:
    """The error that would have been delivered after parts of the search's budget."""
    rows = []
    for name in _HEADLINE:
        seconds = runs[name].study["budget"]["seconds"] if name in runs else None
        if seconds is None:
            continue
        run = runs[name]
        curves = cell_curves(run, "search")
        finished = cell_table(run)
        finished = finished[finished["problem"].isna() & (finished["dim"] == 8)]
        for dataset, searcher, cells in groups(finished, "dataset", "searcher"):
            values = np.array([curves[cell].at(np.array(_SHARES) * seconds) for cell in cells["cell"]])
            mean, low, high, n = t_interval(values)
            texts = [
                f"{interval_text(*each)}" if count == len(cells) else "-"
                for *each, count in zip(mean, low, high, n, strict=True)
            ]
            shares = [f"{share * seconds:g} s" for share in _SHARES]
            rows.append({"Data set": dataset, "Searcher": searcher} | dict(zip(shares, texts, strict=True)))
    if rows:
        yield "### With less time"
        for _, of_dataset in groups(pd.DataFrame(rows), "Data set"):
            yield table(of_dataset.dropna(axis=1))
        yield "Test RMSE of the incumbent after so much search, at dimension 8; - where not all seeds had one yet."


def _link(exhibit: str, where: Path) -> str:
    return f"[{exhibit}]({(where / EXHIBITS_FOLDER / exhibit).as_posix()}.md)"


def _exhibits(runs: Mapping[str, Run], where: Path) -> str:
    """A list of links to the exhibits of these runs."""
    lines = []
    for name, exhibit in EXHIBITS.items():
        if not exhibit.made_of(runs):
            continue
        lines.append(
            f"- {_link(name, where)}: {escape(exhibit.title)}" + (f" ({exhibit.place})" if exhibit.place else "")
        )
    return "\n".join(lines)


def _circumstances(runs: Mapping[str, Run]) -> Iterator[str]:
    lines = []
    for name, run in runs.items():
        states = run.cells["state"].value_counts()
        failed = {state: count for state, count in states.items() if state != "finished"}
        chosen = ""
        if run.cells["dim"].nunique() > 1 and "sif" in set(run.cells["searcher"]):
            of_sif = dimensions_chosen(run).query("searcher == 'sif'")["dim"].value_counts().sort_index()
            chosen = "; validation chose for sif: " + ", ".join(f"{dim} ({count})" for dim, count in of_sif.items())
        more = f", {', '.join(f'{count} {state}' for state, count in failed.items())}" if failed else ""
        machine, versions = run.manifest["machine"], run.manifest["versions"]
        lines.append(
            f"{name}: {len(run.cells)} cells, {states.get('finished', 0)} finished{more}; seeds "
            f"{', '.join(map(str, sorted(set(run.cells['seed']))))}; {_budget(run)}; {machine['processor']}, "
            f"{machine['cores']} cores; automl-cf {versions['automl-cf']}, python {versions['python']}, code "
            f"{run.manifest['code']['fingerprint'][:10]}{chosen}"
        )
    yield bullets(lines)
    left_out = [name for name in (*names(), *TARGETS) if name not in runs]
    if left_out:
        yield f"Not run: {', '.join(left_out)}."


def _budget(run: Run) -> str:
    budget = {key: value for key, value in run.study["budget"].items() if value is not None}
    return "budget of a cell " + ", ".join(f"{value:,} {key}" for key, value in budget.items())
