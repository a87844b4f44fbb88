"""Operands on one device: which array module computes, and the error for arrays that lie on several.

Arrays of the user are never copied from one device to another without being asked. Small constants that functions of
funcgrad make for themselves (index ranges, masks) are: they go to the device of the arrays that they meet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.devices import (
    CPU,
    PLACEMENT,
    Device,
    computed_on,
    device_of_new_arrays,
    only_numpy,
    place_of,
    put_on_device,
)
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import ArrayType
from funcgrad.tree.flattening import leaves_with_path
from funcgrad.tree.keys import path_string


def array_module(args: Sequence[Any]) -> Any:
    """numpy, or cupy when an argument is a CuPy array."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and any(isinstance(arg, cupy.ndarray) for arg in args) else np


def on_one_device(args: Sequence[Any], user: Any) -> tuple[Device, Sequence[Any]]:
    """The device where an operation runs, and its operands there.

    Args:
        args: concrete operands.
        user: what asks, for the error message.

    Raises:
        TypeError: the user has passed arrays on different devices.
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return CPU, args
    device, has_host = None, False
    for arg in args:
        if isinstance(arg, cupy.ndarray):
            if device is not None and device.id != arg.data.device_id:
                refuse_mixture(user)
            device = Device("cuda", arg.data.device_id)
        elif isinstance(arg, np.ndarray):
            has_host = True
    if device is None:
        return CPU, args
    return device, [moved(arg, device, user) for arg in args] if has_host else args


def moved(arg: Any, device: Device, user: Any) -> Any:
    """An operand as one that CuPy takes: NumPy arrays without axes become numbers, others are copied."""
    if not isinstance(arg, np.ndarray):
        return arg
    if not arg.ndim:
        return arg[()]
    refuse_mixture(user)
    return computed_on(device, put_on_device, arg)


def constant_near(array: Any, user: Any) -> Any:
    """An array that a function being recorded reads: a NumPy array goes to the device of the arguments.

    Raises:
        TypeError: it was the user who passed it beside arrays on a device.
    """
    device = PLACEMENT.near
    if device is None or device == CPU or not isinstance(array, np.ndarray) or not array.ndim:
        return array
    return moved(array, device, user)


def check_one_device(arrays: Sequence[Any], labels: Any, user: str) -> Device:
    """The device of the arguments of a function; that of new arrays if they have none.

    Args:
        arrays: the array leaves of all arguments.
        labels: returns what each is called: "argument 'x' of loss".
        user: what asks, for the error message.

    Raises:
        TypeError: they are on different devices.
    """
    if only_numpy():
        return CPU
    found = [place_of(array) for array in arrays]
    known = {device for device in found if device is not None}
    if len(known) <= 1:
        return known.pop() if known else device_of_new_arrays()
    places = [
        (label, array, device)
        for label, array, device in zip(labels(), arrays, found, strict=True)
        if device is not None
    ]
    raise mixture_error(user, places, source.user_frame())


def refuse_mixture(user: Any) -> None:
    """Raise if the function of funcgrad that the user's line called was given arrays on different devices."""
    call, caller = innermost_call()
    if call is None:
        return
    places = [
        (label, value, device)
        for label, value in arguments_of(call)
        if (device := place_of(value)) is not None
    ]
    if len({device for _, _, device in places}) > 1:
        raise mixture_error(str(user), places, caller)


def innermost_call() -> tuple[FrameType | None, FrameType | None]:
    """The frame of the function that the user's innermost line called, and the user's frame."""
    call: FrameType | None = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not source.is_user_frame(frame):
        call, frame = frame, frame.f_back
    return call, frame


def arguments_of(frame: FrameType) -> Iterator[tuple[str, Any]]:
    """The leaves of the arguments of a call, and what each is called."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    for position, name in enumerate(code.co_varnames[:count]):
        kind = f"argument {position}, {name!r}" if position < code.co_argcount else f"{name!r}"
        yield from leaves_of(frame.f_locals.get(name), kind)
    rest = code.co_varnames[count : count + bool(code.co_flags & 4) + bool(code.co_flags & 8)]
    for name in rest:
        value = frame.f_locals.get(name)
        items = value.items() if isinstance(value, dict) else enumerate(value or ())
        for key, item in items:
            yield from leaves_of(item, f"argument {key!r}")


def leaves_of(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    for path, leaf in leaves_with_path(value):
        at = path_string(path)
        yield f"{name} at {at}" if at else name, leaf


def mixture_error(
    user: str, places: Sequence[tuple[str, Any, Device]], caller: FrameType | None
) -> TypeError:
    """The error that names an array on each device, by position and by the user's names."""
    first: dict[Device, tuple[str, str]] = {}
    for label, value, device in places:
        if device not in first:
            kind = "numpy.ndarray" if device == CPU else "cupy.ndarray"
            traced = "traced " if isinstance(value, Tracer) else ""
            shown = f"{traced}{kind} {ArrayType(value.shape, value.dtype)} on {device}"
            first[device] = (name_in(caller, value), f"{label}: {shown}")
    lines = [f"{text}{f'  ({name})' if name else ''}" for name, text in first.values()]
    target = max(first, key=lambda device: device.platform)
    other = next(device for device in first if device != target)
    name = first[other][0] or "x"
    return TypeError(
        errors.compose(
            f"[{user}] got arrays on different devices:\n  " + "\n  ".join(lines),
            where=source.where(),
            why="Copies between devices take long, so none is made without being asked for.",
            fix=f'{name} = funcgrad.device_put({name}, "{target}")    # once, outside of loops',
            page="mixed-devices",
        )
    )


def name_in(frame: FrameType | None, value: Any) -> str:
    """What the user's function calls a value; '' if it has no name there."""
    names = {} if frame is None else frame.f_locals
    return next((name for name, known in names.items() if known is value), "")
