"""A loss along a line: what the line searches evaluate, and how they give up."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import lax
from funcgrad.ir.types import real_dtype
from funcgrad.optim.base import is_trained, without_constants
from funcgrad.optim.tree import add_scale, get, reductions, where
from funcgrad.optim.tree.arithmetic import map_arrays
from funcgrad.transforms.grad import value_and_grad


def slope_along(grad: Any, updates: Any) -> Any:
    """The derivative of the loss along a direction."""
    return np.real(reductions.sum(map_arrays(lambda g, u: g * u, grad, updates)))


def moved(params: Any, step: Any, updates: Any) -> Any:
    """The parameters a step further along the line."""
    return map_arrays(
        lambda p, u: p if u is None else p + _cast(u, p), params, add_scale_to_zero(step, updates)
    )


def add_scale_to_zero(step: Any, updates: Any) -> Any:
    """The updates times a step length."""
    return add_scale(map_arrays(np.zeros_like, updates), step, updates)


def _cast(update: Any, param: Any) -> Any:
    dtype = getattr(param, "dtype", update.dtype)
    return update if update.dtype == dtype else update.astype(dtype)


def check_line(name: str, params: Any, value: Any, grad: Any, value_fn: Any) -> None:
    """Raise for a call of `update` that lacks what a line search needs."""
    given = {"params": params, "value": value, "grad": grad, "value_fn": value_fn}
    missing = [key for key, one in given.items() if one is None]
    if missing:
        raise ValueError(
            f"[{name}] needs {', '.join(missing)}. Write optimizer.update(grads, state, params, value=loss, "
            "grad=grads, value_fn=loss_function)."
        )


def bound(name: str, value_fn: Callable[..., Any], extra: dict[str, Any]) -> Callable[[Any], Any]:
    """The loss as a function of the parameters alone."""
    accepted = inspect.signature(value_fn).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in accepted.values())
    unknown = [key for key in extra if key not in accepted and not takes_all]
    if unknown:
        raise TypeError(
            f"[{name}] value_fn has no arguments {unknown}, which were given to `update`."
        )
    return lambda params: value_fn(params, **extra)


def scalar_dtype(params: Any) -> np.dtype:
    """The dtype of the numbers along the line: that of the parameters, real and at least float32."""
    found = [leaf for leaf in reductions.arrays_of(without_constants(params)) if is_trained(leaf)]
    return real_dtype(np.result_type(*found)) if found else np.dtype(np.float64)


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """`value_and_grad` that takes both from the state of a line search, where the last one left them.

    Args:
        value_fn: the loss: (params, ...) -> number.

    Returns:
        Function (params, ..., state=optimizer_state) -> (value, gradient).

    Example:
        >>> from funcgrad import optim
        >>> f = lambda x: np.sum(x**2)
        >>> optimizer = optim.lbfgs()
        >>> value_and_grad_from_state(f)(np.ones(2), state=optimizer.init(np.ones(2)))
        (np.float64(2.0), array([2., 2.]))
    """

    def evaluated(params: Any, *args: Any, state: Any, **kwargs: Any) -> tuple[Any, Any]:
        value, grad = get(state, "value"), get(state, "grad")
        if value is None or grad is None:
            raise ValueError(
                "[value_and_grad_from_state] the state has no value and gradient. Use an optimizer with a "
                "line search; scale_by_backtracking_linesearch needs store_grad=True."
            )

        def compute(*operands: Any) -> tuple[Any, Any]:
            found, slope = value_and_grad(value_fn)(operands[0], *args, **kwargs)
            return np.asarray(found).astype(value.dtype) if np.isscalar(found) else found.astype(
                value.dtype
            ), where(True, slope, grad)

        return lax.cond(np.isfinite(value), lambda *_: (value, grad), compute, params)

    return evaluated
