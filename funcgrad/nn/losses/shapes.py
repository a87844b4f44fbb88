"""What losses share: shapes that must agree, and the reductions of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.nn.walk import is_module
from funcgrad.ops import sequences


def as_array(value: Any) -> Any:
    """An argument of a loss as an array; what `model.apply` returns is none.

    Raises:
        TypeError: it is a tuple with a model.
    """
    if isinstance(value, tuple) and any(map(is_module, value)):
        raise TypeError(
            "A loss got a tuple with a model in it: model.apply returns (outputs, model). Write\n"
            "  outputs, model = model.apply(x, train=True, key=key)"
        )
    return sequences.as_array(value)


def errors(name: str, predictions: Any, targets: Any) -> Any:
    """`predictions - targets`, with targets of 0 by default."""
    if targets is None:
        return as_array(predictions)
    predictions, targets = matched(name, predictions, targets)
    return predictions - targets


def matched(name: str, predictions: Any, targets: Any) -> tuple[Any, Any]:
    """Both as arrays, after a look at their shapes."""
    predictions, targets = as_array(predictions), as_array(targets)
    check_shapes(name, predictions, targets)
    return predictions, targets


def check_shapes(name: str, predictions: Any, targets: Any) -> None:
    """Broadcasting (n, 1) against (n,) would give n * n errors: refuse."""
    if predictions.shape != targets.shape:
        raise ValueError(
            f"[{name}] both arguments must have the same shape, but got {predictions.shape} and "
            f"{targets.shape}. Write targets.reshape(predictions.shape) or np.broadcast_to if that is meant."
        )


def broadcasting(name: str, **arguments: Any) -> list[Any]:
    """Arguments as arrays whose shapes broadcast.

    Raises:
        ValueError: they do not; names them.
    """
    arrays = {argument: as_array(value) for argument, value in arguments.items()}
    try:
        np.broadcast_shapes(*[x.shape for x in arrays.values()])
    except ValueError:
        found = " and ".join(f"{argument} of {x.shape}" for argument, x in arrays.items())
        raise ValueError(
            f"[{name}] shapes must be equal or broadcast, but got {found}. Write x.reshape(shape) for one of them."
        ) from None
    return list(arrays.values())


def reduced(name: str, values: Any, reduction: str | None) -> Any:
    """Values as they are ("none"), their "mean", or their "sum"."""
    check_reduction(name, reduction)
    if reduction in (None, "none"):
        return values
    if reduction == "mean":
        return fnp.mean(values)
    return fnp.sum(values)


def check_reduction(name: str, reduction: str | None, more: tuple[str, ...] = ()) -> None:
    """Raise ValueError unless a loss has this reduction."""
    known = ("none", "mean", "sum", *more)
    if reduction is not None and reduction not in known:
        raise ValueError(f"[{name}] reduction must be one of {known}, but got {reduction!r}.")


def kept(where: Any, values: Any, axis: Any) -> Any:
    """A sum along an axis, of the included elements only."""
    if where is not None:
        values = fnp.where(where, values, 0)
    return fnp.sum(values, axis=axis)
