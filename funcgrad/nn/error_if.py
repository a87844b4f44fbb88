"""`error_if`: errors about values, also in compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.nn.filters import is_inexact_array
from funcgrad.ops.sequences import as_array
from funcgrad.transforms.callback import debug_callback

MODES = ("default", "raise", "breakpoint", "nan", "off")


def error_if(x: Any, pred: Any, msg: str, *, on_error: str = "default") -> Any:
    """Raise an error where a value is wrong, when the code runs; `jit`, `vmap`, `grad` and loops included.

    Args:
        x: any tree; returned as it is. The check is made whether the result is used or not.
        pred: bool, or an array of them: whether something is wrong.
        msg: the text of the error.
        on_error: "raise" or "default": raise. "breakpoint": open the debugger, then raise. "nan": no error, but NaN for
            all floating arrays in `x`. "off": no check.

    Returns:
        `x`.

    Raises:
        RuntimeError: some element of `pred` is true.

    Example:
        >>> import funcgrad as fg
        >>> @fg.jit
        ... def root(x):
        ...     return np.sqrt(error_if(x, x < 0, "roots are of numbers from 0 on"))
        >>> root(4.0)
        np.float64(2.0)
        >>> root(-4.0)
        Traceback (most recent call last):
            ...
        RuntimeError: roots are of numbers from 0 on
        ...
    """
    if on_error not in MODES:
        raise ValueError(
            f"[error_if] on_error must be one of {', '.join(map(repr, MODES))}, but got {on_error!r}."
        )
    pred = as_array(pred)
    if pred.dtype != bool:
        raise TypeError(
            f"[error_if] pred must be bool, but got {pred.dtype}. Write a comparison, such as x < 0."
        )
    if on_error == "nan":
        is_wrong = fnp.any(pred)
        return tree.map(lambda leaf: _nan_if(is_wrong, leaf), x)
    if on_error != "off":
        debug_callback(_check(msg, on_error == "breakpoint"), fnp.any(pred))
    return x


def _check(msg: str, stops: bool) -> Callable[[Any], None]:
    def check(is_wrong: Any) -> None:
        if not is_wrong:
            return
        if stops:
            breakpoint()
        raise RuntimeError(msg)

    return check


def _nan_if(is_wrong: Any, leaf: Any) -> Any:
    if not is_inexact_array(leaf):
        return leaf
    return fnp.where(is_wrong, np.asarray(np.nan, leaf.dtype), leaf)
