"""Transformations that treat every array by itself: the step of one array makes the step of a tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.types import is_complex
from funcgrad.optim.base import (
    GradientTransformation,
    as_array,
    as_weak,
    check_moment,
    is_trained,
    map_leaves,
    map_updates,
    moment_dtype,
    moment_real_dtype,
    stateless,
    without_constants,
)

Start = Callable[[Any], Any]


def leafwise(
    name: str, state_class: Any, step: Any, *, shaped: bool = True, **starts: Start
) -> GradientTransformation:
    """A transformation from the step of one array.

    Args:
        name: for errors.
        state_class: NamedTuple class. The fields in `starts` are trees like the parameters; one other field
            is the number of steps so far.
        step: (gradient, moments, count, parameter) -> (update, new moments), for one array. `count` is that
            of this step, from 1; `parameter` is None where the caller gave none.
        shaped: whether the first moment has the shape of the parameter, which is checked then.
        starts: for each tree of moments, parameter -> first value.
    """
    (counter,) = [field for field in state_class._fields if field not in starts] or (None,)

    def init(params: Any) -> Any:
        trees = {field: _started(start, params) for field, start in starts.items()}
        return state_class(**trees, **({counter: np.int64(0)} if counter else {}))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        count = getattr(state, counter) + 1 if counter else None
        old = {field: getattr(state, field) for field in starts}

        def visit(moment: Any, update: Any, *rest: Any) -> Any:
            if not is_trained(update):
                return None
            check_moment(name, moment, update, shaped)
            others, param = (rest, None) if params is None else (rest[:-1], rest[-1])
            return _stepped(step, widened(update), (moment, *others), as_weak(count), param)

        first, *others = old.values()
        given = [] if params is None else [params]
        rows = map_leaves(visit, name, first, without_constants(updates), *others, *given)
        new = {
            field: map_leaves(_part(place), name, rows, trees)
            for place, (field, trees) in enumerate(old.items(), 1)
        }
        result = map_leaves(_update_of, name, rows)
        return result, state_class(**new, **({counter: count} if counter else {}))

    return GradientTransformation(init, update)


def leafwise_stateless(name: str, step: Any, needs_params: bool = False) -> GradientTransformation:
    """A transformation without memory from the step of one array: gradient or (gradient, parameter) -> update."""

    def visit(update: Any, *params: Any) -> Any:
        return step(widened(update), *params) if is_trained(update) else None

    def update(updates: Any, params: Any) -> Any:
        given = (checked_params(name, params),) if needs_params else ()
        return map_leaves(visit, name, without_constants(updates), *given)

    return stateless(update)


def checked_params(name: str, params: Any) -> Any:
    """The parameters, for a transformation that cannot do without them."""
    if params is None:
        raise ValueError(
            f"[{name}] needs the parameters. Write optimizer.update(grads, state, params)."
        )
    return params


def checked_value(name: str, value: Any) -> Any:
    """The loss, for a transformation that cannot do without it."""
    if value is None:
        raise ValueError(
            f"[{name}] needs the loss. Write optimizer.update(grads, state, params, value=loss)."
        )
    return value


def zeros(param: Any) -> Any:
    """A moment that begins at zero."""
    return np.zeros_like(param, dtype=moment_dtype(param.dtype))


def real_zeros(param: Any) -> Any:
    """A moment of squares, which are real."""
    return np.zeros_like(param, dtype=moment_real_dtype(param.dtype))


def filled(value: float) -> Start:
    """A real moment that begins at a value."""
    return lambda param: real_zeros(param) + value


def zeros_of(dtype: Any) -> Start:
    """A moment that begins at zero, in a dtype; None for that of the parameter."""
    return zeros if dtype is None else lambda param: np.zeros_like(param, dtype=dtype)


def widened(update: Any) -> Any:
    """A gradient in the precision that moments are kept in."""
    update = as_array(update)
    dtype = moment_dtype(update.dtype)
    return update if update.dtype == dtype else update.astype(dtype)


class _Row:
    """What the step of one array returned: the update, then the moments. One leaf of a tree."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple) -> None:
        self.parts = parts


def _started(start: Start, params: Any) -> Any:
    return map_updates(lambda p: start(as_array(p)), params, "init")


def _stepped(step: Any, gradient: Any, old: tuple, count: Any, param: Any) -> _Row:
    found, new = step(gradient, old, count, param)
    fitted = [_fit(value, before) for value, before in zip(new, old, strict=True)]
    return _Row((_fit(found, gradient), *fitted))


def _fit(value: Any, like: Any) -> Any:
    """Hyperparameters that are arrays must not change the precision of what they meet."""
    dtype = like.dtype
    if value.dtype == dtype or is_complex(value.dtype):
        return value
    return value.astype(dtype)


def _part(place: int) -> Callable[[Any, Any], Any]:
    return lambda row, old: row.parts[place] if type(row) is _Row else old


def _update_of(row: Any) -> Any:
    return row.parts[0] if type(row) is _Row else None
