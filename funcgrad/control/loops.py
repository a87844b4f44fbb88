"""Loops made of `scan` and `while_loop`: `fori_loop`, `map`, `associative_scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.control.common import array_flat
from funcgrad.control.scan import scan, scan_length
from funcgrad.control.while_loop import while_loop
from funcgrad.ir.tracer import Tracer, type_of
from funcgrad.ir.types import kind
from funcgrad.ops.arithmetic import add
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import less
from funcgrad.ops.create import iota
from funcgrad.ops.operands import as_operand, ndim_of, shape_of
from funcgrad.ops.pieces import STATIC_SLICE, concatenate, slice_axis
from funcgrad.ops.shape import moveaxis, reshape
from funcgrad.transforms.arguments import Flat, check_callable, fresh_outputs
from funcgrad.transforms.vmap import vmap


def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool | None = None,
) -> Any:
    """Apply `body_fun(i, carry)` for i from `lower` to `upper - 1`.

    Args:
        lower, upper: integer scalars; may be traced.
        body_fun: `(i, carry) -> carry`; keeps structure, shapes and dtypes. As in a Python
            loop over `range`, i adopts the dtype of what it meets.
        init_val: initial carry.
        unroll: accepted for compatibility of calls; it does not change results.

    Returns:
        The final carry. Differentiable in forward and reverse mode, also with traced bounds.

    Example:
        >>> import funcgrad as fg
        >>> float(fg.lax.fori_loop(1, 5, lambda i, c: c * i, 1.0))
        24.0
    """
    del unroll
    check_callable(body_fun, "lax.fori_loop")
    lower, upper = as_operand(lower), as_operand(upper)
    for name, bound in (("lower", lower), ("upper", upper)):
        found = type_of(bound)
        if found.shape != () or kind(found.dtype) not in "iu":
            raise TypeError(f"[fori_loop] {name} must be an integer scalar, but got {found}.")

    def body(i: Any, carry: Any) -> Any:
        return body_fun(i.as_weak(), carry)

    if not isinstance(lower, Tracer) and not isinstance(upper, Tracer):
        count = max(int(upper) - int(lower), 0)
        numbers = add(iota((count,)), int(lower))
        return scan(lambda carry, i: (body(i, carry), None), init_val, numbers)[0]
    lower, upper = convert(lower, np.int64), convert(upper, np.int64)

    def step(state: tuple) -> tuple:
        i, carry = state
        return add(i, 1), body(i, carry)

    return while_loop(lambda state: less(state[0], upper), step, (lower, init_val))[1]


def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:  # noqa: A001
    """Apply `f` to every element of the leading axis, one after the other.

    Args:
        f: function of one element (a tree like `xs` without the leading axis).
        xs: tree of arrays.
        batch_size: how many elements to compute at once by `vmap`; None for one.

    Returns:
        The stacked results.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.lax.map(lambda x: x * x, np.array([1.0, 2.0, 3.0]))
        array([1., 4., 9.])
    """
    check_callable(f, "lax.map")
    if batch_size is None:
        return scan(lambda carry, x: (carry, f(x)), None, xs)[1]
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"[map] batch_size must be a positive int, but got {batch_size!r}.")
    count = scan_length(array_flat(xs, "[map] xs"), None)
    whole = count // batch_size * batch_size
    parts = []
    if whole:
        blocks = tree.map(
            lambda x: reshape(slice_axis(x, 0, 0, whole), (-1, batch_size, *shape_of(x)[1:])),
            xs,
        )
        ys = scan(lambda carry, block: (carry, vmap(f)(block)), None, blocks)[1]
        parts.append(tree.map(lambda y: reshape(y, (whole, *shape_of(y)[2:])), ys))
    if whole < count or not parts:
        parts.append(vmap(f)(tree.map(lambda x: slice_axis(x, 0, whole, count), xs)))
    if len(parts) == 1:
        return parts[0]
    return tree.map(lambda *ys: concatenate(ys, 0), *parts)


def associative_scan(
    fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """All partial results of an associative operation, in logarithmic depth.

    Args:
        fn: `(a, b) -> c` on trees like `elems`, elementwise along `axis`, associative.
        elems: tree of arrays with equal lengths along `axis`.
        reverse: accumulate from the end.
        axis: the axis to scan along.

    Returns:
        A tree like `elems`; element i combines elements 0 to i (i to the end with `reverse`).

    References:
        Blelloch, Prefix sums and their applications, 1990.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.lax.associative_scan(np.add, np.array([1.0, 2.0, 3.0, 4.0]))
        array([ 1.,  3.,  6., 10.])
    """
    check_callable(fn, "lax.associative_scan")
    flat = array_flat(elems, "[associative_scan] elems")
    moved = []
    for index, x in enumerate(flat.arrays):
        rank = ndim_of(x)
        if not -rank <= axis < rank:
            path = flat.path(index) or "elems"
            raise ValueError(f"[associative_scan] axis {axis}, but {path} has shape {shape_of(x)}.")
        moved.append(moveaxis(x, axis % rank, 0))
    lengths = {shape_of(x)[0] for x in moved}
    if len(lengths) > 1:
        raise ValueError(f"[associative_scan] lengths along axis {axis} differ: {sorted(lengths)}.")

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        pair = [flat.rebuild([moveaxis(x, 0, axis) for x in side]) for side in (a, b)]
        out = Flat(fn(*pair), "the result of fn", tie=False)
        return [moveaxis(x, axis, 0) for x in out.arrays]

    if reverse:
        moved = [_flip(x) for x in moved]
    result = _prefix(combine, moved)
    if reverse:
        result = [_flip(x) for x in result]
    result = [moveaxis(x, 0, axis % ndim_of(x)) for x in result]
    return flat.rebuild(fresh_outputs(result, flat.arrays))


def _flip(x: Any) -> Any:
    spec: list[Any] = [(0, n, 1) for n in shape_of(x)]
    spec[0] = (None, None, -1)
    return STATIC_SLICE(x, spec=tuple(spec))


def _every_second(x: Any, start: int, stop: int) -> Any:
    spec: list[Any] = [(0, n, 1) for n in shape_of(x)]
    spec[0] = (start, stop, 2)
    return STATIC_SLICE(x, spec=tuple(spec))


def _prefix(combine: Callable[[list, list], list], xs: list[Any]) -> list[Any]:
    """Combine neighbours, scan the half-length result, and fill in the elements between."""
    length = shape_of(xs[0])[0] if xs else 0
    if length < 2:
        return xs
    even = [_every_second(x, 0, length - 1) for x in xs]
    odd = [_every_second(x, 1, length) for x in xs]
    sums = _prefix(combine, combine(even, odd))
    later = [_every_second(x, 2, length) for x in xs]
    count = shape_of(later[0])[0]
    between = combine([slice_axis(s, 0, 0, count) for s in sums], later) if count else later
    first = [slice_axis(x, 0, 0, 1) for x in xs]
    starts = [concatenate([a, b], 0) for a, b in zip(first, between, strict=True)]
    return [_weave(a, b) for a, b in zip(starts, sums, strict=True)]


def _weave(even: Any, odd: Any) -> Any:
    """even[0], odd[0], even[1], odd[1], ..."""
    count = shape_of(odd)[0]
    pairs = concatenate(
        [reshape(slice_axis(even, 0, 0, count), (count, 1, *shape_of(even)[1:])),
         reshape(odd, (count, 1, *shape_of(odd)[1:]))],
        1,
    )  # fmt: skip
    woven = reshape(pairs, (2 * count, *shape_of(odd)[1:]))
    if shape_of(even)[0] == count:
        return woven
    return concatenate([woven, slice_axis(even, 0, count, count + 1)], 0)
