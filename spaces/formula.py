"""Formulas: how operations compose over the modes, written such as `plus(multiply(1,2),3)`.

A formula names operations and, from 1, the modes that they take; it can be read, written, compared and computed with.
What the operations are is not known here, but for the algebra of the paper's five.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from automl_cf.errors import InputError

SYMMETRIC = ("multiply", "plus", "min", "max")  # associative and commutative: neither order nor nesting matters
CONCAT = "concat"
_MIRRORED = {"min": "max", "max": "min"}  # min(-a, -b) = -max(a, b)
_TOKEN = re.compile(r"\s*([A-Za-z][\w-]*|\d+|[(),])")

_MOST_SIGNS = 1000

Term: TypeAlias = "Formula | int"


@dataclass(frozen=True)
class Formula:
    """An operation of two or more terms; a term is a mode's number, from 1, or a formula."""

    operation: str
    parts: tuple[Term, ...]

    def __str__(self) -> str:
        return f"{self.operation}({','.join(map(str, self.parts))})"

    @property
    def modes(self) -> tuple[int, ...]:
        """The modes in the order in which they are written."""
        return tuple(mode for part in self.parts for mode in _modes(part))

    def inner(self) -> Iterator["Formula"]:
        """The formulas within."""
        for part in self.parts:
            if isinstance(part, Formula):
                yield part
                yield from part.inner()

    def canonical(self) -> "Formula":
        """The one way of writing this formula: equal for two if and only if they always give the same numbers.

        What is associative is written flat, what is commutative in one order; so are concat's parts, whose order is
        only that of the predictor's weights. With every mode used once, multiply, plus, min and max have no other
        identities: those of distribution, say, repeat a variable.
        """
        parts: list[Term] = [part.canonical() if isinstance(part, Formula) else part for part in self.parts]
        if self.operation in SYMMETRIC:
            parts = [
                inner
                for part in parts
                for inner in (part.parts if isinstance(part, Formula) and part.operation == self.operation else [part])
            ]
        if self.operation in (*SYMMETRIC, CONCAT):
            parts.sort(key=lambda part: (0, str(part), 0) if isinstance(part, Formula) else (1, "", part))
        return Formula(self.operation, tuple(parts))

    def representative(self) -> "Formula":
        """The first by name of all formulas that can express the same as this one, embeddings and w being learnt.

        Learning finds the signs: those of w, and those of a mode's embeddings. So max(1,2) is a min(1,2), and
        multiply(max(1,2),3) a multiply(min(1,2),3), but plus(max(1,2),min(3,4)) is no plus(min(1,2),min(3,4)). It
        finds scales, too: concat(a,b), two weights instead of one, is plus(a,b) if a or b can change its sign. With
        more than four modes some classes come out as two: a mode alone in one of concat's parts could stand in the
        other.
        """
        return min((formula for _, formula in _signed(self) if isinstance(formula, Formula)), key=str).canonical()


def parse(text: str) -> Formula:
    """Read a formula. Raises InputError unless it uses each of the modes 1..n once, n at least 2."""
    if len(text) > _MOST_SIGNS:  # so that neither its depth nor a mode's number is beyond what Python reads
        raise InputError(f"composition '{text:.60}' has {len(text)} characters, but may have {_MOST_SIGNS}.")
    tokens = _tokens(text)
    formula = _term(text, tokens)
    if not isinstance(formula, Formula) or next(tokens, None) is not None:
        raise _unreadable(text)
    modes = formula.modes
    if sorted(modes) != list(range(1, len(modes) + 1)):
        raise InputError(
            f"composition '{text}' uses the modes {', '.join(map(str, modes))}, "
            "but must use each of 1, 2, ... up to their number once."
        )
    if any(inner.operation == CONCAT for inner in formula.inner()):
        raise InputError(f"composition '{text}' has concat within, but it may only be the outermost operation.")
    return formula


def over(operation: str, order: int) -> Formula:
    """The operation of all modes at once."""
    return Formula(operation, tuple(range(1, order + 1)))


def all_formulas(modes: Iterable[int], operations: Iterable[str]) -> set[Formula]:
    """Every way of putting the modes together by these operations, two at a time, each in its canonical form.

    `operations` are of the five. Concat is outermost only, since it doubles the length.
    """
    modes, operations = tuple(modes), tuple(operations)
    inner = [operation for operation in operations if operation != CONCAT]
    return {
        Formula(operation, (left, right)).canonical()
        for left_modes, right_modes in _halves(modes)
        for left in _terms(left_modes, inner)
        for right in _terms(right_modes, inner)
        for operation in operations
    }


def _terms(modes: tuple[int, ...], operations: list[str]) -> Iterable[Term]:
    return modes if len(modes) == 1 else all_formulas(modes, operations)


def _halves(modes: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every way of dividing the modes into two, the first mode among the left ones."""
    first, *rest = modes
    for picks in product((True, False), repeat=len(rest)):
        right = tuple(mode for mode, left in zip(rest, picks, strict=True) if not left)
        if right:
            yield (first, *(mode for mode in rest if mode not in right)), right


def _signed(term: Term) -> set[tuple[int, Term]]:
    """Every (sign, formula) such that sign * formula is the term, for some signs of the modes' embeddings."""
    if isinstance(term, int):
        return {(1, term), (-1, term)}
    found: set[tuple[int, Term]] = set()
    choices = [_signed(part) for part in term.parts]
    for chosen in product(*choices):
        signs, parts = {sign for sign, _ in chosen}, tuple(part for _, part in chosen)
        if term.operation == CONCAT:  # each part has weights, hence a sign, of its own
            fixed = [part for part, ways in zip(parts, choices, strict=True) if {(1, part), (-1, part)} - ways]
            found.add((1, Formula("plus" if len(fixed) <= 1 else CONCAT, parts).canonical()))
        elif term.operation == "multiply":
            negative = sum(sign < 0 for sign, _ in chosen) % 2
            found.add((-1 if negative else 1, Formula("multiply", parts).canonical()))
        elif signs == {1}:
            found.add((1, Formula(term.operation, parts).canonical()))
        elif signs == {-1}:
            found.add((-1, Formula(_MIRRORED.get(term.operation, term.operation), parts).canonical()))
    return found


def _modes(term: Term) -> tuple[int, ...]:
    return (term,) if isinstance(term, int) else term.modes


def _tokens(text: str) -> Iterator[str]:
    position, stripped = 0, text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise _unreadable(text)
        yield match[1]
        position = match.end()


def _term(text: str, tokens: Iterator[str]) -> Term:
    head = next(tokens, "")
    if head.isdecimal():
        return int(head)
    if not head[:1].isalpha() or next(tokens, "") != "(":
        raise _unreadable(text)
    parts, mark = [_term(text, tokens)], next(tokens, "")
    while mark == ",":
        parts.append(_term(text, tokens))
        mark = next(tokens, "")
    if mark != ")" or len(parts) < 2:
        raise _unreadable(text)
    return Formula(head, tuple(parts))


def _unreadable(text: str) -> InputError:
    return InputError(f"composition '{text}' cannot be read; write it such as plus(multiply(1,2),3).")
