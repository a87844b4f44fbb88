"""Hyperparameters as part of the state, where they can be read and changed between steps."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from funcgrad.ir.types import is_inexact
from funcgrad.nn.filters import is_array
from funcgrad.optim.base import GradientTransformation, as_weak


class InjectHyperparamsState(NamedTuple):
    """The state of `inject_hyperparams`: number of steps, name -> value, and the inner state."""

    count: Any
    hyperparams: dict[str, Any]
    inner_state: Any


def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., GradientTransformation]:
    """Keep the numbers given to an optimizer in its state: `state.hyperparams["learning_rate"]`.

    They can be read, and changed with `optim.tree.set(state, learning_rate=0.01)`; a compiled step is not
    compiled again. Every number can be a schedule: number of steps -> number.

    Args:
        inner_factory: makes the optimizer, such as `optim.adam`.
        static_args: arguments that stay as they are. Bools, None and what is no number do so anyway.
        hyperparam_dtype: dtype of the numbers in the state; float64 by default.

    Returns:
        A function of the arguments of `inner_factory`, which returns the optimizer.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = inject_hyperparams(optim.sgd)(learning_rate=0.1)
        >>> state = optim.tree.set(optimizer.init(np.zeros(1)), learning_rate=0.5)
        >>> optimizer.update(np.ones(1), state)[0]
        array([-0.5])
    """
    fixed = {static_args} if isinstance(static_args, str) else set(static_args)
    signature = inspect.signature(inner_factory)
    if not fixed <= set(signature.parameters):
        raise ValueError(
            f"[inject_hyperparams] static_args {sorted(fixed - set(signature.parameters))} are no arguments; "
            f"they are {sorted(signature.parameters)}."
        )

    @functools.wraps(inner_factory)
    def made(*args: Any, **kwargs: Any) -> GradientTransformation:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"[inject_hyperparams] {error}. {getattr(inner_factory, '__name__', 'It')} takes "
                f"{', '.join(signature.parameters)}; got {', '.join(kwargs) or 'no names'}."
            ) from None
        bound.apply_defaults()
        given = {**bound.arguments, **bound.arguments.pop("kwargs", {})}
        changing = {name: value for name, value in given.items() if name not in fixed}
        schedules = {name: value for name, value in changing.items() if callable(value)}
        numbers = {name: value for name, value in changing.items() if _is_number(value)}
        others = {k: v for k, v in given.items() if k not in schedules and k not in numbers}
        return _injected(inner_factory, numbers, schedules, others, hyperparam_dtype)

    return made


inject_stateful_hyperparams = inject_hyperparams


def _injected(
    factory: Callable[..., GradientTransformation],
    numbers: dict[str, Any],
    schedules: dict[str, Callable[[Any], Any]],
    others: dict[str, Any],
    dtype: Any,
) -> GradientTransformation:
    def scheduled(count: Any) -> dict[str, Any]:
        return {name: _stored(schedule(count), dtype) for name, schedule in schedules.items()}

    def inner(values: dict[str, Any]) -> GradientTransformation:
        return factory(**others, **{name: as_weak(value) for name, value in values.items()})

    def init(params: Any) -> InjectHyperparamsState:
        count = np.int64(0)
        values = {name: _stored(value, dtype) for name, value in numbers.items()}
        values = {**values, **scheduled(count)}
        return InjectHyperparamsState(count, values, inner(values).init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        values = {**state.hyperparams, **scheduled(state.count)}
        new, inner_state = inner(values).update(updates, state.inner_state, params, **extra)
        return new, InjectHyperparamsState(state.count + 1, values, inner_state)

    return GradientTransformation(init, update)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) or (is_array(value) and value.dtype.kind != "b")


def _stored(value: Any, dtype: Any) -> Any:
    """A number as a NumPy scalar of a fixed dtype, so that a compiled step fits every later state."""
    value = np.asarray(value)[()] if type(value) in (int, float) else value
    if is_inexact(value.dtype):
        return value.astype(dtype or np.float64)
    return value
