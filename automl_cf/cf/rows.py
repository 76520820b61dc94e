"""A row of an embedding table as one SIMD value, for Numba kernels.

Numba cannot know that two arrays do not overlap, so it compiles a loop over a row's elements one by one. Here a row
is loaded, computed with, and stored as a whole: `load(table, r * dim, width) * 2 + other` is a handful of vector
instructions at any dimension. `width` is a tuple as long as the row: a tuple's length is part of its type, which
makes the dimension a constant of the compiled code. Arithmetic is strict IEEE, element by element.

Numba's cache looks at the file of the calling kernel only: whoever edits this file must touch kernels.py too.
"""

import operator
from collections.abc import Callable
from math import factorial, log
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array


class Row(types.Type):  # type: ignore[misc] # numba has no types
    """The Numba type of `length` numbers of one floating-point type."""

    def __init__(self, dtype: Any, length: int) -> None:
        self.dtype = dtype
        self.length = length
        super().__init__(f"Row({dtype} x {length})")


def _vector(row: Row) -> Any:
    return ir.VectorType(ir.FloatType() if row.dtype == types.float32 else ir.DoubleType(), row.length)


@register_default(Row)
class _RowModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, row: Row) -> None:
        super().__init__(manager, row, _vector(row))


def _pointer(context: Any, builder: Any, array: Any, row: Row, value: Any, start: Any) -> Any:
    data = make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [start]), _vector(row).as_pointer())


@intrinsic
def load(typing: Any, array: Any, start: Any, width: Any) -> Any:
    """The `len(width)` elements of a C-contiguous array from its element number `start`."""
    row = Row(array.dtype, len(width))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = builder.load(_pointer(context, builder, array, row, args[0], args[1]))
        loaded.align = array.dtype.bitwidth // 8
        return loaded

    return row(array, types.uint64, width), build


@intrinsic
def store(typing: Any, array: Any, start: Any, row: Any) -> Any:
    """Write a row into a C-contiguous array, from its element number `start`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = builder.store(args[2], _pointer(context, builder, array, row, args[0], args[1]))
        stored.align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.uint64, row), build


def _spread(context: Any, builder: Any, kind: Any, value: Any, row: Row) -> Any:
    """`value` as a row: a number stands for a row of it."""
    if isinstance(kind, Row):
        return value
    one = ir.Constant(ir.VectorType(ir.IntType(32), row.length), None)
    vector = _vector(row)
    number = context.cast(builder, value, kind, row.dtype)
    start = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(start, ir.Constant(vector, ir.Undefined), one)


def _spread_all(context: Any, builder: Any, kinds: Any, values: Any, row: Row) -> list[Any]:
    return [_spread(context, builder, kind, value, row) for kind, value in zip(kinds, values, strict=True)]


def _elementwise(build_one: Callable[[Any, Any, Any], Any]) -> Any:
    """An operator of two rows, or of a row and a number, from how LLVM's builder writes it."""

    @intrinsic
    def compute(typing: Any, a: Any, b: Any) -> Any:
        row = a if isinstance(a, Row) else b

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build_one(builder, *_spread_all(context, builder, (a, b), args, row))

        return row(a, b), build

    return compute


def _overload(operation: Any, build_one: Callable[[Any, Any, Any], Any]) -> None:
    compute = _elementwise(build_one)

    @overload(operation)
    def _choose(a: Any, b: Any) -> Any:
        def chosen(a: Any, b: Any) -> Any:
            return compute(a, b)

        return chosen if isinstance(a, Row) or isinstance(b, Row) else None


_overload(operator.add, lambda builder, a, b: builder.fadd(a, b))
_overload(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_overload(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_overload(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))


@intrinsic
def where_less(typing: Any, x: Any, y: Any, a: Any, b: Any) -> Any:
    """Element by element, a where x < y, else b; all but one of x and y may be numbers."""
    row = x if isinstance(x, Row) else y

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left, right, yes, no = _spread_all(context, builder, (x, y, a, b), args, row)
        return builder.select(builder.fcmp_ordered("<", left, right), yes, no)

    return row(x, y, a, b), build


@intrinsic
def zero_like(typing: Any, row: Any) -> Any:
    """A row of zeros."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_vector(row), None)

    return row(row), build


def _call(builder: Any, name: str, row: Row, args: Any) -> Any:
    """LLVM's own elementwise function of that name."""
    kind = ir.FunctionType(_vector(row), [_vector(row)] * len(args))
    full = f"llvm.{name}.v{row.length}f{row.dtype.bitwidth}"
    return builder.call(get_or_insert_function(builder.module, kind, full), args)


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c of rows, rounded once; a is a row, b and c may be numbers."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "fma", a, _spread_all(context, builder, (a, b, c), args, a))

    return a(a, b, c), build


def _unary(name: str) -> Any:
    @intrinsic
    def compute(typing: Any, row: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _call(builder, name, row, args)

        return row(row), build

    return compute


def _binary(name: str) -> Any:
    @intrinsic
    def compute(typing: Any, a: Any, b: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _call(builder, name, a, args)

        return a(a, b), build

    return compute


sqrt, _round = _unary("sqrt"), _unary("rint")
minimum, maximum = _binary("minimum"), _binary("maximum")  # NaN if either is


@intrinsic
def total(typing: Any, row: Any) -> Any:
    """The sum of a row's elements, by halves: the same bits wherever it is compiled."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (value,), length, index = args, row.length, ir.IntType(32)
        while length > 1 and length % 2 == 0:
            length //= 2
            masks = [ir.Constant(ir.VectorType(index, length), list(range(k, k + length))) for k in (0, length)]
            low, high = (builder.shuffle_vector(value, value, mask) for mask in masks)
            value = builder.fadd(low, high)
        result = builder.extract_element(value, ir.Constant(index, 0))
        for i in range(1, length):
            result = builder.fadd(result, builder.extract_element(value, ir.Constant(index, i)))
        return result

    return row.dtype(row), build


@intrinsic
def rotated(typing: Any, row: Any) -> Any:
    """Every element one place further, the last one first."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        before = [(i - 1) % row.length for i in range(row.length)]
        return builder.shuffle_vector(args[0], args[0], ir.Constant(ir.VectorType(ir.IntType(32), row.length), before))

    return row(row), build


@intrinsic
def _power_of_two(typing: Any, row: Any) -> Any:
    """2^x for whole numbers x within the exponent's range, written into the bits of the exponent."""
    bits, mantissa, bias = (32, 23, 127) if row.dtype == types.float32 else (64, 52, 1023)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = ir.VectorType(ir.IntType(bits), row.length)
        exponent = builder.add(builder.fptosi(args[0], integers), ir.Constant(integers, [bias] * row.length))
        shifted = builder.shl(exponent, ir.Constant(integers, [mantissa] * row.length))
        return builder.bitcast(shifted, _vector(row))

    return row(row), build


def _exp2_of_degree(degree: int) -> Callable[[Any], Any]:
    first, *rest = (log(2) ** k / factorial(k) for k in range(degree, -1, -1))
    others = tuple(rest)

    def compute(x: Any) -> Any:
        x = where_less(60.0, x, 60.0, where_less(x, -60.0, -60.0, x))  # NaN stays NaN
        n = _round(x)
        f = x - n
        e = zero_like(f) + first
        for c in others:
            e = fma(e, f, c)
        return e * _power_of_two(n)

    return compute


_exp2_32, _exp2_64 = _exp2_of_degree(6), _exp2_of_degree(12)


def exp2(x: Any) -> Any:
    """2^x = 2^n 2^f with |f| <= 1/2 and 2^f by its series, to rounding for |x| <= 60; beyond, that of 60."""
    raise NotImplementedError("for compiled code only")


@overload(exp2)
def _exp2(x: Any) -> Any:
    return _exp2_32 if x.dtype == types.float32 else _exp2_64
