"""`debug_nans` and `debug_infs`: stop at the first operation that makes one, and say from what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.config import config
from funcgrad.ir.attribution import current_location
from funcgrad.ir.devices import is_cupy_array
from funcgrad.ir.tracer import Tracer, state
from funcgrad.ir.types import kind


def check_finite(name: str, args: Sequence[Any], outs: Sequence[Any]) -> None:
    """Raise FloatingPointError if a result has a NaN (or infinity) that the settings forbid."""
    for out in outs:
        if not is_floating(out):
            continue
        if config.debug_nans and np.any(np.isnan(out)):
            raise_found("NaN", np.isnan, name, args)
        if config.debug_infs and np.any(np.isinf(out)):
            raise_found("infinity", np.isinf, name, args)


def is_floating(value: Any) -> bool:
    is_array = isinstance(value, np.ndarray | np.generic) or is_cupy_array(value)
    return is_array and kind(value.dtype) in "fc"


def raise_found(what: str, test: Any, name: str, args: Sequence[Any]) -> None:
    concrete = [arg for arg in args if not isinstance(arg, Tracer)]
    given = any(is_floating(arg) and np.any(test(arg)) for arg in concrete)
    verb = "was given" if given else "made"
    where = " in a derivative" if state.quiet else ""
    location = current_location()
    operands = "\n".join(f"operand {i}: {describe_operand(arg)}" for i, arg in enumerate(concrete))
    raise FloatingPointError(
        errors.compose(
            f"{name} {verb} {'a' if what == 'NaN' else 'an'} {what}{where}.",
            where=f"{location.describe() if location else ''}\n{operands}",
            why="The value may be fine and only its derivative infinite or undefined, as that of sqrt at 0."
            if state.quiet
            else "",
            fix="np.where(ok, f(np.where(ok, x, 1.0)), 0.0)    # keep bad values away from the operation\n"
            "with funcgrad.allow_nans(): ...               # around code that makes one on purpose",
            page="debug-nans",
        )
    )


def describe_operand(value: Any) -> str:
    """Type, range of the finite elements, and how many are not finite."""
    array = value.get() if is_cupy_array(value) else np.asarray(value)
    text = f"{array.dtype.name}{list(array.shape)}"
    if array.ndim == 0:
        return f"{text} = {array.item()!r}"
    if array.size == 0 or array.dtype.kind not in "biufV" or not is_floating(array):
        return text
    finite = array[np.isfinite(array)]
    parts = [f"in [{finite.min()}, {finite.max()}]"] if finite.size else []
    counts = {
        "NaN": np.isnan(array).sum(),
        "inf": np.isinf(array).sum(),
        "zero": (array == 0).sum(),
    }
    parts += [f"{count} {name}" for name, count in counts.items() if count]
    return f"{text} {', '.join(parts)}"
