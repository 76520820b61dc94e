"""The paper's claims, each with the evidence for and against it, and the verdict that follows by rule.

Evidence is one difference each, paired by seed, with its interval: `comparison.comparisons` says of it whether the
first is better, worse, equivalent (within the smallest effect that matters) or undecided, after Holm's correction for
all pairs of the same data set and claim. A claim says which of these speak for it. Then:

* supported: all evidence is for it;
* not supported: none is for it, and some against it;
* mixed: some is for it and some against;
* undecided: the rest, where too few seeds or too much noise leave open what might speak against it.

Where a study has several dimensions, each searcher has the one that validation chose, seed by seed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from automl_cf.analysis.comparison import BETTER, EQUIVALENT, UNDECIDED, WORSE, comparisons
from automl_cf.analysis.curves import cell_curves
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.statistics import t_interval
from automl_cf.analysis.tables import cell_table
from automl_cf.analysis.verdicts import smallest_effect
from automl_cf.reproduction.frames import CHOSEN, at_chosen_dimension
from automl_cf.reproduction.transfer import ELSEWHERE, HERE, TARGETS, by_source

Runs = Mapping[str, Run]

SUPPORTED, NOT_SUPPORTED, MIXED, OPEN = "supported", "not supported", "mixed", "undecided"

FOR, AGAINST = "for", "against"
SECONDS, RMSE = "times as long", "rmse_std"

COLUMNS = ["dataset", "dim", "first", "other", "n", "mean", "low", "high", "verdict", "unit", "speaks"]
"""The columns of evidence; ``mean``, ``low`` and ``high`` are of first minus other, or first by other for `SECONDS`."""

_MATRIX = ("methods", "methods-ml-1m")
_ALL = (*_MATRIX, "tensor-month", "tensor-foursquare", "tensor-planted")


@dataclass(frozen=True)
class Claim:
    """What the paper says, where, of which studies evidence is taken, and how.

    ``first`` is the searcher that is set beside `bias-only`.
    """

    says: str
    place: str
    studies: tuple[str, ...]
    evidence: Callable[[Runs], pd.DataFrame]
    exhibits: tuple[str, ...]
    first: str = "sif"


def verdict(evidence: pd.DataFrame) -> str:
    """Return what follows of the evidence by the rule above; undecided where there is none."""
    speaks = set(evidence["speaks"])
    if speaks == {FOR}:
        return SUPPORTED
    if AGAINST in speaks:
        return MIXED if FOR in speaks else NOT_SUPPORTED
    return OPEN


def pairs(
    cells: pd.DataFrame,
    run: Run,
    first: str | Sequence[str],
    others: Sequence[str],
    supports: Sequence[str] = (BETTER,),
) -> pd.DataFrame:
    """Return the evidence of searchers against others among cells of a run, for each data set and dimension.

    The verdicts of ``supports`` speak for the claim, what else is decided speaks against it.
    """
    firsts = [first] if isinstance(first, str) else list(first)
    known = [name for name in others if name in set(cells["searcher"]) and name not in firsts]
    cells = cells[cells["searcher"].isin([*firsts, *known])]
    rows = comparisons(cells, smallest_effect(run), run.study.get("fractions"))
    rows = rows[rows["searcher"].isin(firsts) & rows["against"].isin(known)]
    speaks = {each: FOR if each in supports else AGAINST for each in (BETTER, WORSE, EQUIVALENT)}
    frame = rows.rename(columns={"searcher": "first", "against": "other"})
    return frame.assign(unit=RMSE, speaks=frame["verdict"].map(speaks).fillna(UNDECIDED))[COLUMNS].reset_index(
        drop=True
    )


def _each(runs: Runs, studies: Sequence[str], first: str, others: Sequence[str]) -> pd.DataFrame:
    """`pairs` of each study that was run, at the dimension that validation chose."""
    return _together(pairs(_chosen(runs[name]), runs[name], first, others) for name in studies if name in runs)


def _chosen(run: Run) -> pd.DataFrame:
    return cell_table(at_chosen_dimension(run))


def _together(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    some = [frame for frame in frames if len(frame)]
    return pd.concat(some, ignore_index=True) if some else pd.DataFrame(columns=COLUMNS)


def _beats_automl(runs: Runs) -> pd.DataFrame:
    return _each(runs, _ALL, "sif", ("random", "rl", "bayes"))


def _beats_humans(runs: Runs) -> pd.DataFrame:
    return _each(runs, _ALL, "sif", ("altgrad", "fm", "deep-wide", "ncf", "cp", "tucker", "hofm"))


def _needs_validation(runs: Runs) -> pd.DataFrame:
    return _each(runs, _ALL, "sif", ("sif-no-auto",))


def _faster(runs: Runs) -> pd.DataFrame:
    return _together(
        _time_to_match(runs[name], "sif", ("random", "rl", "bayes"), dim=8) for name in _ALL if name in runs
    )


def _time_to_match(run: Run, first: str, others: Sequence[str], dim: int) -> pd.DataFrame:
    """How many times as long as each rival ``first`` takes to deliver what the rival delivers in the end, by seed.

    Times are those to deliverable. Geometric means with Student's interval of their logarithms, over the seeds on which
    it gets there. Where it does not in most seeds, that speaks against; where in some, nothing is decided.
    """
    cells = cell_table(run)
    cells = cells[(cells["dim"] == dim) & cells["problem"].isna()]
    curves = cell_curves(run)
    rows = []
    for dataset, of_it in groups(cells, "dataset"):
        by = {(row["searcher"], row["seed"]): row for row in of_it.to_dict("records")}
        seeds = sorted(set(of_it["seed"]))
        for other in others:
            ratios = []
            for seed in seeds:
                if (first, seed) in by and (other, seed) in by:
                    curve, rival = curves[by[first, seed]["cell"]], by[other, seed]
                    reached = curve.x[curve.y <= rival["rmse_std"]]
                    ratios.append(reached[0] / rival["deliverable_seconds"] if len(reached) else np.nan)
            if ratios:
                rows.append({"dataset": dataset, "dim": dim, "first": first, "other": other} | _ratio(ratios))
    return pd.DataFrame(rows, columns=COLUMNS)


def _ratio(ratios: Sequence[float]) -> dict[str, object]:
    mean, low, high, n = t_interval(np.log(ratios)).numbers()
    never = len(ratios) - n
    if never:
        decided = WORSE if never * 2 > len(ratios) else UNDECIDED
    elif n > 1 and high < 0:
        decided = BETTER
    else:
        decided = WORSE if n > 1 and low > 0 else UNDECIDED
    speaks = {BETTER: FOR, WORSE: AGAINST}.get(decided, UNDECIDED)
    values = dict(zip(("mean", "low", "high"), np.exp([mean, low, high]).tolist(), strict=True))
    text = f"{decided}; on {never} of {len(ratios)} seeds never" if never else decided
    return {"n": n, **values, "verdict": text, "unit": SECONDS, "speaks": speaks}


def _distinct(runs: Runs) -> pd.DataFrame:
    """Functions found at home against those found on another data set, trained and tested at home."""
    frames = []
    for name in TARGETS:
        if name in runs:
            cells = by_source(runs[name])
            others = sorted({source for source in cells["searcher"] if source.startswith(ELSEWHERE)})
            frames.append(pairs(cells[cells["dim"] == 8], runs[name], HERE, others))
    return _together(frames)


def _robust(runs: Runs) -> pd.DataFrame:
    run = runs["element-wise"]
    others = [name for name in sorted(set(run.cells["searcher"])) if "-" in name and not name.endswith(("-1", "-only"))]
    return pairs(cell_table(run), run, "sigmoid-5", others, (EQUIVALENT,))


def _more_operations(runs: Runs) -> pd.DataFrame:
    run = runs["k-operations"]
    return pairs(cell_table(run), run, [f"k={k}" for k in range(2, 6)], ("k=1",))


def _linear_suffices(runs: Runs) -> pd.DataFrame:
    run = runs["predictors"]
    return pairs(_chosen(run), run, "linear", ("mlp",), (BETTER, EQUIVALENT))


def _compact_space(runs: Runs) -> pd.DataFrame:
    run = runs["spaces"]
    return pairs(cell_table(run), run, "sif", ("gen-approx", "nas-random", "nas-reinforce"))


def _overfit(runs: Runs) -> pd.DataFrame:
    """Each method at the largest dimension against itself at the smallest, and with nothing else: one pair each."""
    run = runs["methods"]
    cells = cell_table(run)
    small, large = int(cells["dim"].min()), int(cells["dim"].max())
    at = cells.assign(searcher=cells["searcher"] + " at " + cells["dim"].astype("str"), dim=CHOSEN)
    methods = ("altgrad", "fm", "deep-wide", "ncf", "sif")
    found = _together(pairs(at, run, f"{name} at {large}", (f"{name} at {small}",), (WORSE,)) for name in methods)
    return found.assign(dim=np.nan)  # it is of two


def beside_bias(runs: Runs, studies: Sequence[str], first: str) -> pd.DataFrame:
    """A searcher against `bias-only`, at the dimension that validation chose: what each claim stands beside."""
    return _each(runs, studies, first, ("bias-only",))


CLAIMS: Mapping[str, Claim] = MappingProxyType(
    {
        "beats-automl": Claim(
            "SIF finds better functions than other AutoML searchers",
            "section 4.3.1, Figure 4",
            _ALL,
            _beats_automl,
            ("figure-4", "figure-5"),
        ),
        "beats-humans": Claim(
            "SIF's functions are better than human-designed ones",
            "section 4.2.1, Figure 2, Table 3",
            _ALL,
            _beats_humans,
            ("figure-2", "table-3"),
        ),
        "needs-validation": Claim(
            "SIF(no-auto), which fits the function on the training part, is worse than SIF",
            "sections 4.2.1 and 4.3.1",
            _ALL,
            _needs_validation,
            ("figure-2", "figure-4"),
        ),
        "faster": Claim(
            "SIF is faster than other AutoML searchers",
            "section 4.3.2, Figure 5",
            _ALL,
            _faster,
            ("figure-5", "equal-visits"),
        ),
        "distinct": Claim(
            "Different data sets need different functions",
            "abstract, section 4.4",
            tuple(TARGETS),
            _distinct,
            ("figure-6",),
            HERE,
        ),
        "robust": Claim(
            "With 5 hidden units or more the activation and the number of units hardly matter",
            "section 4.5.3, Table 6",
            ("element-wise",),
            _robust,
            ("table-6",),
            "sigmoid-5",
        ),
        "more-operations": Claim(
            "More operations at a time help slightly",
            "section 4.5.2, Table 5",
            ("k-operations",),
            _more_operations,
            ("table-5",),
            "k=1",
        ),
        "linear-suffices": Claim(
            "A linear predictor suffices",
            "section 4.5.4, Table 7",
            ("predictors",),
            _linear_suffices,
            ("table-7",),
            "linear",
        ),
        "compact-space": Claim(
            "SIF's space is easier to search than general ones of perceptrons",
            "section 4.5.1, Figure 8",
            ("spaces",),
            _compact_space,
            ("figure-8",),
        ),
        "overfitting": Claim(
            "All methods overfit as the dimension grows",
            "section 4.2.1, Figure 2",
            ("methods",),
            _overfit,
            ("figure-2",),
        ),
    }
)
"""The claims by name, in the order of the report."""
