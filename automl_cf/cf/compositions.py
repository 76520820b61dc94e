"""Compositions of operations (paper, section 3.4), such as `plus(multiply(1,2),3)`, as operations themselves.

An operation's name with brackets is a formula; what it computes is made here from the operations that it names, so
that every engine and searcher takes a composition as it takes any operation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from automl_cf.errors import InputError
from automl_cf.spaces.formula import Formula, Term, over, parse

if TYPE_CHECKING:
    from automl_cf.cf.operations import Operation


def is_composition(name: str) -> bool:
    """Whether the name of an operation is a formula."""
    return "(" in name


def formula_of(name: str, order: int) -> Formula:
    """What an operation's name says of `order` modes: a composition's formula, or the operation of all modes.

    Raises InputError for what is no formula, and for a composition of another number of modes.
    """
    formula = parse(name) if is_composition(name) else over(name, order)
    _check_order(formula, order)
    return formula


@dataclass(frozen=True)
class Composition:
    """The two functions of an `Operation` for a formula; `operation` gives those that it names.

    Raises InputError for a formula with an operation within whose result is not as long as one embedding.
    """

    formula: Formula
    operation: Callable[[str], "Operation"]

    def __post_init__(self) -> None:
        self.operation(self.formula.operation)  # an unknown one is refused as such
        for inner in self.formula.inner():
            if self.operation(inner.operation).width(2, len(inner.parts)) != 2:
                raise InputError(
                    f"composition '{self.formula}' has {inner.operation} within, but its result is not as long as "
                    "one embedding, so it may only be the outermost operation."
                )

    def combine(self, rows: Sequence[Tensor]) -> Tensor:
        """The formula's value, (n, width), from (n, dim) of every mode."""
        return self._value(self.formula, rows)

    def width(self, dim: int, order: int) -> int:
        """How many numbers come out. Raises InputError if the formula is of another number of modes."""
        _check_order(self.formula, order)
        return self.operation(self.formula.operation).width(dim, len(self.formula.parts))

    def _value(self, term: Term, rows: Sequence[Tensor]) -> Tensor:
        if isinstance(term, int):
            return rows[term - 1]
        return self.operation(term.operation).combine([self._value(part, rows) for part in term.parts])


def _check_order(formula: Formula, order: int) -> None:
    if len(formula.modes) != order:
        raise InputError(f"composition '{formula}' is of {len(formula.modes)} modes, but the data have {order}.")
