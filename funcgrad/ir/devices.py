"""Where arrays are: devices, the one that new arrays go to, and the array module that computes there.

NumPy arrays are on the CPU, CuPy arrays on a CUDA device, and operations run where their operands are. Only what makes
arrays from nothing has to choose: inside a transformation the device of its arguments (`near`), else the default.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np

from funcgrad.config import config
from funcgrad.ir.tracer import Tracer, state
from funcgrad.tree.flattening import leaves

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Device:
    """A place for arrays: the CPU, or one CUDA device.

    Attributes:
        platform: "cpu" or "cuda".
        id: the number of the CUDA device; 0 for the CPU.

    Example:
        >>> import funcgrad as fg
        >>> fg.devices()[-1]
        Device('cpu')
    """

    platform: str
    id: int = 0

    def __str__(self) -> str:
        return "cpu" if self.platform == "cpu" else f"cuda:{self.id}"

    def __repr__(self) -> str:
        return f"Device({str(self)!r})"


CPU = Device("cpu")
KEY_WORDS = 2  # of random keys, which are made on the host and used on any device


def as_device(device: Any) -> Device:
    """The Device that a name, a Device or a `cupy.cuda.Device` means; it need not exist on this machine."""
    if isinstance(device, Device):
        return device
    if isinstance(device, str):
        match = re.fullmatch(r"(cpu)(?::0)?|(?:cuda|gpu)(?::(\d+))?", device)
        if match:
            return CPU if match[1] else Device("cuda", int(match[2] or 0))
    elif type(device).__module__.startswith("cupy") and hasattr(device, "id"):
        return Device("cuda", device.id)
    raise ValueError(
        f"[device] {device!r} is no device. Use 'cpu', 'cuda', 'cuda:1' or one of funcgrad.devices()."
    )


def usable_device(device: Any) -> Device:
    """The Device that is meant, which exists here; raises RuntimeError with what is missing."""
    found = as_device(device)
    if found.platform == "cpu":
        return found
    problem = missing_cuda()
    if problem is not None:
        raise RuntimeError(
            f"[device] {str(found)!r} cannot be used: {problem} NumPy arrays and 'cpu' work without it; "
            "funcgrad.try_gpu() gives the GPU where there is one and the CPU elsewhere."
        )
    if found.id >= device_count():
        known = ", ".join(f"cuda:{i}" for i in range(device_count()))
        raise RuntimeError(
            f"[device] there is no device {str(found)!r} here, only {known} and cpu."
        )
    return found


def missing_cuda() -> str | None:
    """Why no CUDA device can be used, and what to do about it; None where one can."""
    if "cupy" not in sys.modules and importlib.util.find_spec("cupy") is None:
        return 'CuPy is not installed. Install it: pip install "funcgrad[cuda13]" (or cuda12, after the driver).'
    try:
        if device_count():
            return None
        problem = "there is no CUDA device"
    except Exception as error:  # a broken installation fails in many ways
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"CuPy is installed but finds no GPU ({problem}). Check nvidia-smi, the driver's version "
        "(cuda12 and cuda13 need different ones) and CUDA_VISIBLE_DEVICES."
    )


def device_count() -> int:
    """How many CUDA devices CuPy sees."""
    return cupy_module().cuda.runtime.getDeviceCount()


@functools.cache
def several_devices() -> bool:
    """Whether an operation must say on which CUDA device it runs."""
    return missing_cuda() is None and device_count() > 1


def cupy_module() -> Any:
    """CuPy, imported when it is first needed: that takes most of a second."""
    return sys.modules.get("cupy") or importlib.import_module("cupy")


def module_of(device: Device) -> Any:
    """numpy or cupy."""
    return np if device.platform == "cpu" else cupy_module()


# --- where an array is ---


def concrete_array(value: Any) -> Any:
    """The array behind a value, through all its tracers; None where there is none yet."""
    while isinstance(value, Tracer):
        value = getattr(value, "value", None)
    return value


def is_cupy_array(value: Any) -> bool:
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, cupy.ndarray)


def device_of_array(value: Any) -> Device | None:
    """The device of an array, or of the array behind a traced value; None for numbers and what has no place yet."""
    array = concrete_array(value)
    if isinstance(array, np.ndarray):
        return CPU
    return Device("cuda", array.data.device_id) if is_cupy_array(array) else None


def place_of(value: Any) -> Device | None:
    """The device of an array that must be beside the others; None for numbers and random keys of the host."""
    array = concrete_array(value)
    if is_cupy_array(array):
        return device_of_array(array)
    shape = getattr(value, "shape", ())
    if not shape or (value.dtype == np.uint32 and shape[-1] == KEY_WORDS):
        return None
    if isinstance(value, Tracer) and array is None:
        return PLACEMENT.near
    return device_of_array(value)


# --- where new arrays go ---


NOTHING = contextlib.nullcontext()


class Placement(threading.local):
    """The device of the arguments of the innermost transformed function that runs in this thread, if known."""

    near: Device | None = None


PLACEMENT = Placement()


def device_of_new_arrays() -> Device:
    """Where arrays go that are made from nothing: beside the arguments, else to the default device."""
    if PLACEMENT.near is not None:
        return PLACEMENT.near
    return as_device(config.default_device) if config.default_device else CPU


def only_numpy() -> bool:
    """Whether every array is a NumPy array, so that there is nothing to decide."""
    return "cupy" not in sys.modules and not config.default_device


@contextlib.contextmanager
def near(values: Iterable[Any]) -> Iterator[None]:
    """New arrays go to the device of these values inside a `with` block: to a GPU if any of them is there."""
    found = {device for device in map(place_of, values) if device is not None}
    saved = PLACEMENT.near
    if found:
        PLACEMENT.near = max(found, key=lambda device: device.platform)
    try:
        yield
    finally:
        PLACEMENT.near = saved


def beside_arguments(fun: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A decorator: arrays that `fun` makes go to the device of its arguments."""

    @functools.wraps(fun)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if only_numpy():
            return fun(*args, **kwargs)
        with near(leaves((args, kwargs))):
            return fun(*args, **kwargs)

    return call


def new_arrays_on(device: Any) -> contextlib.AbstractContextManager[Any]:
    """New arrays go to this device inside a `with` block; None changes nothing."""
    return NOTHING if device is None else _new_arrays_on(usable_device(device))


@contextlib.contextmanager
def _new_arrays_on(device: Device) -> Iterator[None]:
    if state.ambient is not None and device != device_of_new_arrays():
        raise ValueError(
            f"[device] a compiled function makes its arrays on {device_of_new_arrays()}, where its arguments are, "
            f"not on {device}. Pass arrays that are there, or move the result."
        )
    saved, PLACEMENT.near = PLACEMENT.near, device
    try:
        yield
    finally:
        PLACEMENT.near = saved


def placed(array: Any) -> Any:
    """A NumPy array that was just made, on the device of new arrays."""
    if only_numpy() or not isinstance(array, np.ndarray):
        return array
    device = device_of_new_arrays()
    return array if device == CPU else computed_on(device, put_on_device, array)


def put_on_device(xp: Any, array: Any) -> Any:
    return xp.asarray(array)


def using(device: Device) -> contextlib.AbstractContextManager[Any]:
    """CuPy computes on this device inside a `with` block."""
    if device.platform == "cpu":
        return NOTHING
    CUDA.use()
    if not several_devices():
        return NOTHING
    return cupy_module().cuda.Device(device.id)


class CudaContext:
    """Whether this process has used a GPU, and whether it can: what CUDA has in a process is lost by a fork."""

    is_used = False
    is_lost = False

    def use(self) -> None:
        if self.is_lost:
            raise RuntimeError(
                "[device] this process was forked from one that had used the GPU, which CUDA does not survive. Start "
                "processes with multiprocessing.get_context('spawn'), or use the GPU only after the fork."
            )
        self.is_used = True

    def after_fork(self) -> None:
        self.is_lost = self.is_used


CUDA = CudaContext()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CUDA.after_fork)


def computed_on(device: Device, function: Callable[..., Any], *args: Any, **params: Any) -> Any:
    """`function(xp, *args, **params)` with the array module of a device, on that device."""
    with using(device):
        return function(module_of(device), *args, **params)
