"""Checks that layers share, with errors that name the layer's path, what it got and the cure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.ir.types import is_inexact
from funcgrad.nn.context import described
from funcgrad.ops.cast import convert


def refuse(module: Any, expected: str, x: Any, cure: str = "") -> NoReturn:
    """Raise ValueError: a layer got an array of the wrong shape."""
    raise ValueError(
        f"[{described(module)}] expected an array of shape {expected}, but got {x.dtype}{list(x.shape)}."
        f"{' ' + cure if cure else ''}"
    )


def positive(module: Any, **sizes: Any) -> None:
    """Raise ValueError unless all named arguments are whole numbers of at least 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(
                f"[{type(module).__name__}] {name} must be a whole number of at least 1, but got {size!r}."
            )


def per_axis(module: Any, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """One whole number for each of `rank` axes; a single one counts for all."""
    found = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in found)
    if len(found) != rank or not whole or any(n < least for n in found):
        raise ValueError(
            f"[{type(module).__name__}] {name} must be a whole number of at least {least}, or {rank} of them, but "
            f"got {value!r}."
        )
    return tuple(int(n) for n in found)


def check_channels(module: Any, x: Any, channels: int, rank: int) -> bool:
    """Whether `x` (examples, channels, *`rank` axes) has an axis of examples; raises where it does not fit."""
    axes = ", ".join(("length", "height, width", "depth, height, width")[rank - 1 : rank])
    expected = f"(examples, {channels}, {axes}) or ({channels}, {axes})"
    if x.ndim not in (rank + 1, rank + 2):
        cure = f"Use x[None, None] for one example of one channel, or reshape to {rank + 2} axes."
        refuse(module, expected, x, cure)
    found = x.shape[-rank - 1]
    if found != channels:
        cure = f"This layer was made for {channels} channels, and the array has {found}."
        if x.shape[-1] == channels:
            first = "0" if x.ndim == rank + 1 else "1"
            cure = f"The channels are its last axis: write np.moveaxis(x, -1, {first})."
        refuse(module, expected, x, cure)
    return x.ndim == rank + 2


def in_dtype_of(x: Any, out: Any) -> Any:
    """A result in the dtype of its floating input: NumPy widens bfloat16 beside Python floats."""
    return convert(out, x.dtype) if is_inexact(x.dtype) else out
