"""Spaces of interaction functions for tensors (paper, sections 3.4 and A.2)."""

from collections.abc import Sequence
from functools import cache

from automl_cf.errors import InputError, suggest
from automl_cf.spaces.formula import Formula, all_formulas
from automl_cf.spaces.interaction import OPERATIONS, space_of_functions
from automl_cf.spaces.space import Space

MODE_VECTORS = ("p", "q", "r", "s", "t", "u")  # the network of mode 0, 1, 2, ...: p for users and q for items


@cache
def compositions(
    order: int = 3, operations: tuple[str, ...] = OPERATIONS, one_per_class: bool = False
) -> tuple[str, ...]:
    """Return the names of all compositions of two operations over three modes, or of order - 1 over `order`.

    Every bracketing counts, of every two modes first, with concat outermost only. Two that are the same formula, such
    as (1 plus 2) plus 3 and 1 plus (2 plus 3), come once; with `one_per_class`, so do those that express the same
    (`Formula.representative`), by their first. The order is that of nesting, then that of `operations`.
    """

    def rank(formula: Formula) -> tuple[int, list[int], str]:
        numbers = [operations.index(part.operation) for part in (formula, *formula.inner())]
        return len(numbers), numbers, str(formula)

    formulas = sorted(all_formulas(range(1, order + 1), operations), key=rank)
    if one_per_class:
        first = {formula.representative(): formula for formula in reversed(formulas)}
        formulas = sorted(first.values(), key=rank)
    return tuple(map(str, formulas))


def tensor_space(
    order: int = 3,
    operations: Sequence[str] = OPERATIONS,
    units: int = 5,
    activation: str = "sigmoid",
    norm_bound: float = 3.0,
    k: int = 1,
    one_per_class: bool = False,
    bias: bool = False,
    predictor: str = "linear",
    l2: Sequence[float] = (),
    dims: Sequence[int] = (),
) -> Space:
    """Return the space of f(u, v, s) = O(g(u; p), g(v; q), g(s; r)), section 3.4.

    `operation` is O, one of the `compositions` of these `operations`, or with k > 1 `operations` are the k of them that
    are used together. For each of the `order` modes there is an element-wise network, p, q, r and so on; the other
    options are those of `interaction_space`. Raises InputError for options that make no sense.
    """
    if isinstance(order, bool) or not isinstance(order, int) or not 2 <= order <= len(MODE_VECTORS):
        raise InputError(
            f"The tensor space has order {order!r}, but it must be an integer from 2 to {len(MODE_VECTORS)}."
        )
    for name in operations:
        if name not in OPERATIONS:
            raise InputError(
                f"The tensor space composes {name!r}, but must compose some of {', '.join(OPERATIONS)}."
                f"{suggest(str(name), OPERATIONS)}"
            )
    names = compositions(order, tuple(dict.fromkeys(operations)), one_per_class)
    return space_of_functions(
        "tensor",
        names,
        MODE_VECTORS[:order],
        units=units,
        activation=activation,
        norm_bound=norm_bound,
        k=k,
        bias=bias,
        predictor=predictor,
        l2=l2,
        dims=dims,
    )
