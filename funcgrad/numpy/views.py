"""Which results share memory with their operand in NumPy, so that writes to one must be seen by the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcgrad.ir.tracer import Tracer, register_view, state


def view_of(
    base: Any,
    derive: Callable[[Any], Any],
    write_back: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """`derive(base)`, remembered as a view of `base` so that writes to either are seen by the other.

    A value without axes is a NumPy scalar, which nothing can write into, unless it is itself a view.
    """
    view = derive(base)
    if not isinstance(base, Tracer):
        return view
    if not base.shape and not is_view(base):
        return view.snapshot() if view is base else view
    return register_view(base, view, derive, write_back)


@contextlib.contextmanager
def nothing_traced() -> Iterator[None]:
    """Run operations on plain arrays without recording them."""
    saved = state.stack, state.ambient
    state.stack, state.ambient = [], None
    try:
        yield
    finally:
        state.stack, state.ambient = saved


def is_view(value: Any) -> bool:
    return (
        isinstance(value, Tracer) and value.inplace is not None and value.inplace.base is not None
    )


def layout(tracer: Tracer) -> np.ndarray:
    """An array, never read, with the strides that NumPy's array would have in place of `tracer`."""
    record = tracer.inplace
    if record is None or record.base is None or record.derive is None:
        return np.empty(tracer.shape, tracer.dtype)
    with nothing_traced():
        return record.derive(layout(record.base))


def reshape_shares_memory(value: Any, shape: tuple[int, ...], order: Any) -> bool:
    """Whether NumPy reshapes without copying. In C order only views can be laid out so that it cannot."""
    if not isinstance(value, Tracer) or (order == "C" and not is_view(value)):
        return True
    try:
        layout(value).reshape(shape, order=order, copy=False)
    except ValueError:
        return False
    return True


def ravel_shares_memory(value: Any, order: Any) -> bool:
    """Whether NumPy flattens without copying: only if the elements lie one after the other."""
    if not isinstance(value, Tracer) or (order == "C" and not is_view(value)):
        return True
    flags = layout(value).flags
    return flags.f_contiguous if order == "F" else flags.c_contiguous
