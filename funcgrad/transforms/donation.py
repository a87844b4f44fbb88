"""Donated arguments: arrays that the caller gives up, and loud errors for their reuse."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.ir import source
from funcgrad.ir.program import Program
from funcgrad.ir.types import is_inexact

# Arrays that were donated and still exist: id -> (weak reference, where).
_donated: dict[int, tuple[weakref.ref, str]] = {}


def donate(arrays: Sequence[Any], name: str) -> None:
    """Mark arrays as given up: read-only, and refused by the next call; under `debug_nans` also filled with NaN."""
    where = f"{name}, called at {source.user_location()}"
    for array in arrays:
        if isinstance(array, np.ndarray):
            if config.debug_nans and array.flags.writeable and is_inexact(array.dtype):
                array[...] = np.nan
            array.flags.writeable = False
            key = id(array)
            _donated[key] = (weakref.ref(array, lambda _, key=key: _donated.pop(key, None)), where)


def check_donated(arrays: Sequence[Any], donated: Sequence[Any], name: str) -> None:
    """Raise if an argument was donated before, or is donated and passed twice."""
    for array in arrays:
        if not isinstance(array, np.ndarray):
            continue
        for owner in (array, array.base):
            entry = _donated.get(id(owner))
            if entry is not None and entry[0]() is owner:
                raise ValueError(
                    f"[jit] an argument of {name} ({array.dtype.name}{list(array.shape)}) was donated to "
                    f"{entry[1]}. Use what that call returned, or leave donate_argnums out there."
                )
    for array in donated:
        if not isinstance(array, np.ndarray):
            continue
        if (
            sum(
                np.may_share_memory(array, other)
                for other in arrays
                if isinstance(other, np.ndarray)
            )
            > 1
        ):
            raise ValueError(
                f"[jit] a donated argument of {name} ({array.dtype.name}{list(array.shape)}) shares memory "
                "with another argument. Pass a copy: x.copy()."
            )
        if array.base is not None:
            warnings.warn(
                f"[jit] a donated argument of {name} is a view of another array, whose memory cannot be "
                "given up. Donate the array itself.",
                stacklevel=4,
            )


def warn_unused(program: Program, arrays: Sequence[Any], donated: Sequence[Any], name: str) -> None:
    """Warn about donated arguments that the compiled function never reads: giving them up helps nothing."""
    read = {atom for equation in program.equations for atom in equation.inputs}
    read.update(program.outputs)
    variables = program.inputs[len(program.inputs) - len(arrays) :]
    given = {id(array) for array in donated}
    for variable, array in zip(variables, arrays, strict=True):
        if id(array) in given and variable not in read:
            warnings.warn(
                f"[jit] a donated argument of {name}, {variable.type}, is donated, but {name} does not use it. "
                "Leave it out of donate_argnums, or do not pass it.",
                stacklevel=6,
            )
