"""The paper's tables and figures, and ours beyond it: which studies each is made of, and what is drawn of them.

Several exhibits share a study, where the paper shows the same trainings in several places: their numbers then agree
with each other, as the paper's do not (its SIF at dimension 8 on MovieLens-100K has four).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

CF = ("bias-only", "altgrad", "fm", "deep-wide", "ncf", "sif-no-auto", "sif", "sif-robust")
TENSOR_CF = ("bias-only", "cp", "tucker", "hofm", "deep-wide", "ncf", "sif-no-auto", "sif", "sif-robust")
AUTOML = ("bias-only", "random", "rl", "bayes", "sif-no-auto", "sif", "sif-robust")
ONE_OF_EACH_KIND = (  # more lines than these cannot be told apart
    "bias-only",
    "myfm",
    "random",
    "evolution",
    "optuna-tpe",
    "asha",
    "darts",
    "snas",
    "nasp",
    "sif",
    "sif-robust",
    "sif-ensemble",
)
OPERATIONS = ("multiply", "plus", "min", "max", "concat", "conv", "outer")

MATRIX = ("methods", "methods-ml-1m")
TENSOR = ("tensor-month", "tensor-foursquare", "tensor-planted")


@dataclass(frozen=True)
class Picture:
    """A figure of `analysis.figures`, of those of ``studies`` that were run; ``name`` is a suffix of its file's."""

    kind: str
    studies: tuple[str, ...]
    name: str = ""
    searchers: tuple[str, ...] = ()
    dim: int | None = None
    clock: str | None = None

    def stem(self, exhibit: str) -> str:
        """Its file's name without the suffix, as a picture of the exhibit of that name."""
        return f"{exhibit}-{self.name}" if self.name else exhibit


@dataclass(frozen=True)
class Exhibit:
    """A table or figure. ``place`` is the paper's, "" of what is beyond it.

    ``chosen``: its table also shows each searcher at the dimension that validation chose. ``dims``: those that its
    table shows, all if none. ``shown``: the searchers of its table, all if none.
    """

    place: str
    title: str
    studies: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()
    shown: tuple[str, ...] = ()
    dims: tuple[int, ...] = ()
    chosen: bool = False

    def made_of(self, runs: Collection[str]) -> bool:
        """Whether it can be made, at least in part, of the runs of these studies."""
        return not set(self.studies).isdisjoint(runs)


def _both(
    kind: str, of_matrices: tuple[str, ...], of_tensors: tuple[str, ...], dim: int | None = None, prefix: str = ""
) -> tuple[Picture, Picture]:
    """The same figure of matrices and of tensors, of these searchers."""
    return (
        Picture(kind, MATRIX, f"{prefix}matrix", of_matrices, dim),
        Picture(kind, TENSOR, f"{prefix}tensor", of_tensors, dim),
    )


EXHIBITS: Mapping[str, Exhibit] = MappingProxyType(
    {
        "table-3": Exhibit(
            "Table 3", "RMSE, Hit@K and NDCG@K on ml-100k", MATRIX[:1], shown=CF, dims=(8,), chosen=True
        ),
        "table-4": Exhibit("Table 4", "Clock time of search and fine-tuning", MATRIX, shown=CF, dims=(8,)),
        "table-5": Exhibit("Table 5", "SIF with k operations", ("k-operations",)),
        "table-6": Exhibit("Table 6", "Activation and hidden units of the element-wise networks", ("element-wise",)),
        "table-7": Exhibit("Table 7", "A perceptron as predictor, and a linear one", ("predictors",), chosen=True),
        "figure-2": Exhibit(
            "Figure 2",
            "CF methods by dimension",
            (*MATRIX, *TENSOR),
            _both("dimensions", CF, TENSOR_CF),
            shown=tuple(dict.fromkeys((*CF, *TENSOR_CF))),
            chosen=True,
        ),
        "figure-3": Exhibit(
            "Figure 3",
            "Convergence of SIF's functions and of CF methods",
            (*MATRIX, *TENSOR),
            _both("convergence", CF, TENSOR_CF, dim=8),
            shown=tuple(dict.fromkeys((*CF, *TENSOR_CF))),
            dims=(8,),
        ),
        "figure-4": Exhibit(
            "Figure 4",
            "AutoML searchers by dimension",
            (*MATRIX, *TENSOR),
            _both("dimensions", AUTOML, AUTOML),
            shown=AUTOML,
            chosen=True,
        ),
        "figure-5": Exhibit(
            "Figure 5",
            "Search efficiency: the mean test RMSE of the best architectures so far, by search time",
            (*MATRIX, *TENSOR),
            (
                *_both("efficiency", AUTOML, AUTOML, dim=8),
                *_both("anytime", AUTOML, AUTOML, dim=8, prefix="delivered-"),
            ),
            shown=AUTOML,
            dims=(8,),
        ),
        "figure-6": Exhibit(
            "Figure 6",
            "Operations and element-wise functions found, and every single operation",
            (*MATRIX, "operations"),
            (
                Picture("operations", MATRIX, "a", AUTOML[1:]),
                Picture("elementwise", MATRIX[:1], "b", ("random", "rl", "bayes", "sif", "sif-robust"), dim=8),
                Picture("dimensions", ("methods", "operations"), "c", ("bias-only", "sif", *OPERATIONS)),
            ),
            shown=("bias-only", "sif", *OPERATIONS),
        ),
        "figure-7": Exhibit(
            "Figure 7",
            "Convergence of single operations by dimension",
            ("methods", "operations"),
            (Picture("convergence", ("methods", "operations"), "", ("sif", *OPERATIONS)),),
            shown=("bias-only", "sif", *OPERATIONS),
        ),
        "figure-8": Exhibit(
            "Figure 8",
            "SIF's space and general ones of perceptrons",
            ("spaces",),
            (Picture("anytime", ("spaces",)), Picture("convergence", ("spaces",), "convergence")),
        ),
        "searchers": Exhibit(
            "",
            "Every searcher and baseline of the suite",
            ("searchers", "rich-spaces"),
            (
                Picture("dimensions", ("searchers", "rich-spaces")),
                Picture("anytime", ("searchers", "rich-spaces"), "anytime", ONE_OF_EACH_KIND),
            ),
        ),
        "rich-spaces": Exhibit(
            "",
            "The paper's space, and richer ones",
            ("rich-spaces",),
            (Picture("dimensions", ("rich-spaces",)), Picture("anytime", ("rich-spaces",), "anytime")),
        ),
        "penalties": Exhibit(
            "",
            "A wider grid of penalties",
            ("penalties",),
            (Picture("dimensions", ("penalties",)),),
        ),
        "equal-visits": Exhibit(
            "",
            "The same by visits, a clock that knows no hardware",
            MATRIX,
            (Picture("anytime", MATRIX, "", AUTOML, dim=8, clock="visits"),),
            shown=AUTOML,
            dims=(8,),
        ),
        "equal-trials": Exhibit(
            "",
            "Equal numbers of trials",
            ("trials",),
            (Picture("anytime", ("trials",), clock="search"),),
        ),
    }
)
"""All exhibits by name, in the order of the report. To add one, write it here, and its study into benchmarks/paper."""
