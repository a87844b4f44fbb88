"""Donated arguments: arrays that the caller gives up, and loud errors for their reuse.

An array that was given up is read-only afterwards, and no jitted function takes it any more. A call made by native code
also hands its memory on to a result, if nobody else refers to the array or a view of it: then it shows what that result
holds. This counts as done even if the call ends with an exception.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.calls import donated as native
from funcgrad.config import config
from funcgrad.ir import source
from funcgrad.ir.program import Program
from funcgrad.ir.source import SourceLocation
from funcgrad.ir.types import is_inexact

Place = tuple[str, SourceLocation | None]  # the name of the function, and the line that called it

# Arrays that were donated to calls made by Python code and still exist: id -> (weak reference, where).
_donated: dict[int, tuple[weakref.ref, Place]] = {}


def is_owner(array: Any) -> bool:
    """Whether an argument has no memory that it cannot give up."""
    if not isinstance(array, np.ndarray):
        return True
    return array.base is None and array.flags.owndata and array.flags.writeable


def donate(arrays: Sequence[Any], name: str) -> None:
    """Mark arrays as given up: read-only, and refused by the next call; under `debug_nans` also filled with NaN."""
    place = (name, source.user_location())
    for array in arrays:
        if isinstance(array, np.ndarray):
            if config.debug_nans and array.flags.writeable and is_inexact(array.dtype):
                array[...] = np.nan
            array.flags.writeable = False
            native.mark(array)
            key = id(array)
            _donated[key] = (weakref.ref(array, lambda _, key=key: _donated.pop(key, None)), place)


def check_not_donated(arrays: Sequence[Any], name: str) -> None:
    """Raise if an argument was donated before."""
    for array in arrays:
        if not isinstance(array, np.ndarray):
            continue
        place = _place_of(array)
        if place is not None:
            taker, line = place
            raise ValueError(
                f"[jit] an argument of {name} ({array.dtype.name}{list(array.shape)}) was donated to {taker}"
                f"{f', called at {line}' if line else ''}. Use what that call returned, or leave donate_argnums out "
                "there."
            )


def _place_of(array: np.ndarray) -> Place | None:
    """To whom an array was given up, or one that it is a view of; None if it was not."""
    owners = [array] if array.base is None else [array, array.base]
    for owner in owners:
        entry = _donated.get(id(owner))
        if entry is not None and entry[0]() is owner:
            return entry[1]
    if not native.is_marked(array):
        return None
    found = (native.where_given(owner) for owner in owners)
    return next((place for place in found if place is not None), ("an earlier call", None))


def check_alone(arrays: Sequence[Any], donated: Sequence[Any], name: str) -> None:
    """Raise if a donated argument is passed twice, and warn if it cannot be given up."""
    others = [array for array in arrays if isinstance(array, np.ndarray)]
    for array in donated:
        if not isinstance(array, np.ndarray):
            continue
        if sum(np.may_share_memory(array, other) for other in others) > 1:
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
