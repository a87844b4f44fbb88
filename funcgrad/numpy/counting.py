"""Counting and comparing values: histograms and sets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.devices import placed
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import PYTHON_SCALARS, is_inexact
from funcgrad.numpy.accumulations import diff
from funcgrad.numpy.grids import numpy_linspace
from funcgrad.numpy.indexing import take
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.reductions import max as largest, min as smallest, sum as sum_of
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.searching import searchsorted
from funcgrad.numpy.shape import ravel
from funcgrad.ops.arithmetic import add, divide, subtract
from funcgrad.ops.at import at
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, greater_equal, less_equal, logical_and, logical_not
from funcgrad.ops.create import full
from funcgrad.ops.extrema import minimum
from funcgrad.ops.index import getitem
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.sort import sort
from funcgrad.ops.unique import unique as distinct


def concrete_array(name: str, value: Any) -> np.ndarray:
    """The values of an array whose elements decide the shape of a result."""
    found = value.concrete() if isinstance(value, Tracer) else np.asarray(value)
    if found is None:
        raise errors.ConcretizationTypeError(
            errors.compose(
                f"[{name}] the shape of the result depends on the values of {value!r}.",
                where=source.where(),
                why="Compiled and vectorised code must know every shape while it is traced.",
                fix="call it outside of jit and vmap, and pass its result in\n"
                "funcgrad.pure_callback(...)    # with a result of a fixed shape",
                page="concretization",
            )
        )
    return np.asarray(found)


@numpy_function(np.bincount)
def numpy_bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """`np.bincount` on traced values."""
    return bincount(x, weights, minlength)


def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often each number 0, 1, 2, ... occurs, or the sum of its weights.

    Args:
        x: vector of integers that are not negative.
        weights: vector of the same length.
        minlength: least length of the result.
        length: length of the result where `x` is not known while tracing; larger numbers are left out.
    """
    x = as_array(x)
    if length is None:
        known = concrete_array("bincount", x)
        length = max(int(known.max(initial=-1)) + 1, minlength)
    ones = full(shape_of(x), 1, np.int64) if weights is None else as_array(weights)
    if weights is not None:
        ones = convert(ones, np.promote_types(ones.dtype, np.float64))
    return at(full((length,), 0, ones.dtype))[x].add(ones, mode="drop")


@numpy_function(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges that `histogram` uses."""
    del weights
    if isinstance(bins, str):
        concrete = concrete_array("histogram_bin_edges", a)
        return np.histogram_bin_edges(concrete, bins, range)
    if ndim_of(as_array(bins)):
        return as_array(bins)
    a = as_array(a)
    low, high = (smallest(a), largest(a)) if range is None and a.size else (range or (0.0, 1.0))
    bounds: list[Any] = [low, high, a]
    dtype = np.result_type(*(x if type(x) in PYTHON_SCALARS else x.dtype for x in bounds))
    dtype = dtype if is_inexact(dtype) else np.dtype(np.float64)
    low, high = convert(low, dtype), convert(high, dtype)
    same = equal(low, high)
    low, high = select(same, subtract(low, 0.5), low), select(same, add(high, 0.5), high)
    return numpy_linspace(low, high, int(bins) + 1)


@numpy_function(np.histogram)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Any, Any]:
    """How many elements lie between each pair of neighbouring edges.

    Args:
        a: array.
        bins: number of bins, or their edges.
        range: (lowest, highest) edge; the extrema of `a` by default.
        density: divide by the number of elements and the width of the bin.
        weights: what each element counts.

    Returns:
        (counts, edges).
    """
    edges = histogram_bin_edges(a, bins, range, weights)
    a = ravel(a)
    weight = full(shape_of(a), 1, np.int64) if weights is None else ravel(weights)
    count = shape_of(edges)[0] - 1
    place = subtract(searchsorted(edges, a, "right"), 1)
    place = select(equal(a, edges[-1]), count - 1, place)
    inside = logical_and(greater_equal(a, edges[0]), less_equal(a, edges[-1]))
    place = select(inside, place, count)
    counts = at(full((count,), 0, weight.dtype))[place].add(weight, mode="drop")
    if density:
        counts = divide(divide(counts, diff(edges)), sum_of(counts))
    return counts, placed(edges)


@numpy_function(np.isin)
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: Any = None,
) -> Any:
    """Whether each element is among `test_elements`."""
    del assume_unique, kind
    element, known = promoted_arrays(element, test_elements)
    known = sort(ravel(known))
    size = shape_of(known)[0]
    if size == 0:
        found = full(shape_of(element), False, np.bool_)
    else:
        place = minimum(searchsorted(known, element), size - 1)
        found = equal(getitem(known, place), element)
    return logical_not(found) if invert else found


@numpy_function(np.unique)
def numpy_unique(ar: Any, *args: Any, sorted: bool = True, **options: Any) -> Any:
    """`np.unique` on traced values; the result is always sorted."""
    del sorted
    return unique(ar, *args, **options)


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different elements in order.

    Args:
        ar: array.
        return_index, return_inverse, return_counts: return also where each value occurs first, which value
            each element is, and how often each occurs.
        axis: compare slices along this axis instead of elements; their values must be known.
        equal_nan: whether all NaN are one value.
        size, fill_value: length of the result, needed under `jit` and `vmap`, and what fills it up.
    """
    if axis is None:
        return distinct(
            ar, return_index, return_inverse, return_counts,
            equal_nan=equal_nan, size=size, fill_value=fill_value,
        )  # fmt: skip
    ar = as_array(ar)
    concrete = concrete_array("unique", ar)
    _, *found = np.unique(concrete, True, True, True, axis, equal_nan=equal_nan)
    wanted = zip(found, (return_index, return_inverse, return_counts), strict=True)
    extras = [part for part, is_wanted in wanted if is_wanted]
    values = take(ar, found[0], axis)
    return (values, *extras) if extras else values


class UniqueAll(NamedTuple):
    """The result of `unique_all`."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """The result of `unique_counts`."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """The result of `unique_inverse`."""

    values: Any
    inverse_indices: Any


@numpy_function(np.unique_values)
def unique_values(x: Any, /) -> Any:
    """The different elements."""
    return unique(x, equal_nan=False)


@numpy_function(np.unique_counts)
def unique_counts(x: Any, /) -> UniqueCounts:
    """The different elements, and how often each occurs."""
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


@numpy_function(np.unique_inverse)
def unique_inverse(x: Any, /) -> UniqueInverse:
    """The different elements, and which of them each element is."""
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False))


@numpy_function(np.unique_all)
def unique_all(x: Any, /) -> UniqueAll:
    """The different elements, where each occurs first, which each element is, and how often each occurs."""
    return UniqueAll(*unique(x, True, True, True, equal_nan=False))


@numpy_function(np.union1d)
def union1d(ar1: Any, ar2: Any) -> Any:
    """The different elements of both arrays."""
    return unique(concatenate([ravel(ar1), ravel(ar2)]))


@numpy_function(np.intersect1d)
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """The different elements that both arrays have."""
    del assume_unique
    first = unique(ar1)
    return first[np.isin(concrete_array("intersect1d", first), concrete_array("intersect1d", ar2))]


@numpy_function(np.setxor1d)
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """The different elements that exactly one of the arrays has."""
    both = union1d(ar1, ar2)
    values = concrete_array("setxor1d", both)
    first, second = (np.isin(values, concrete_array("setxor1d", x)) for x in (ar1, ar2))
    del assume_unique
    return both[first != second]


@numpy_function(np.setdiff1d)
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """The different elements of `ar1` that `ar2` does not have."""
    del assume_unique
    first = unique(ar1)
    return first[~np.isin(concrete_array("setdiff1d", first), concrete_array("setdiff1d", ar2))]
