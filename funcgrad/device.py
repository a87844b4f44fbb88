"""Devices: which there are, where new arrays go, and moving trees of arrays from one to another.

NumPy arrays are on the CPU and CuPy arrays on a GPU; operations run where their arrays are. A program runs on a GPU
because its arrays are there: nothing else in it changes.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.config import config
from funcgrad.ir.devices import (
    CPU,
    Device,
    computed_on,
    cupy_module,
    device_count,
    device_of_array,
    device_of_new_arrays,
    is_cupy_array,
    missing_cuda,
    place_of,
    put_on_device,
    usable_device,
)
from funcgrad.ir.tracer import Tracer

__all__ = [
    "Device",
    "block_until_ready",
    "cuda_is_available",
    "default_device",
    "device_get",
    "device_of",
    "device_put",
    "devices",
    "set_default_device",
    "try_gpu",
]


def devices(platform: str | None = None) -> list[Device]:
    """The devices of this machine: CUDA devices first, the CPU last.

    Args:
        platform: "cpu" or "cuda" for those alone; all by default.

    Example:
        >>> import funcgrad as fg
        >>> fg.devices("cpu")
        [Device('cpu')]
    """
    if platform not in (None, "cpu", "cuda", "gpu"):
        raise ValueError(f"[devices] platform is {platform!r}, expected 'cpu' or 'cuda'.")
    gpus = [] if platform == "cpu" or missing_cuda() else range(device_count())
    found = [Device("cuda", number) for number in gpus]
    return found if platform in ("cuda", "gpu") else [*found, CPU]


def cuda_is_available() -> bool:
    """Whether CuPy is installed and finds a GPU.

    Example:
        >>> import funcgrad as fg
        >>> device = "cuda" if fg.cuda_is_available() else "cpu"
    """
    return missing_cuda() is None


def try_gpu(i: int = 0) -> Device:
    """CUDA device number `i` if there is one, else the CPU.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> device = fg.try_gpu()
        >>> x = fg.device_put(np.ones(3, np.float32), device)
        >>> fg.device_of(x) == device
        True
    """
    available = 0 if missing_cuda() else device_count()
    return Device("cuda", i) if 0 <= i < available else CPU


def default_device(device: Any) -> contextlib.AbstractContextManager[None]:
    """Where arrays go that are made from nothing, in this thread and inside a `with` block.

    Functions such as `funcgrad.numpy.zeros`, `funcgrad.random.normal` and the initialisers of layers follow it. It
    moves no array: operations run where their operands are, and inside transformations new arrays go beside the
    arguments. Random keys are made on the host, and work with every device.

    Args:
        device: "cpu", "cuda", "cuda:1" or a Device; None for the CPU.

    Raises:
        RuntimeError: there is no such device here; the message says what is missing.

    Example:
        >>> import funcgrad as fg
        >>> with fg.default_device(fg.try_gpu()):
        ...     layer = fg.nn.Linear(3, 2, key=fg.random.key(0))
    """
    return config.override(default_device=_name(device))


def set_default_device(device: Any) -> None:
    """`default_device` from now on, in this thread; `FUNCGRAD_DEFAULT_DEVICE` sets it for a whole process.

    Example:
        >>> import funcgrad as fg
        >>> fg.set_default_device("cpu")
    """
    config._set({"default_device": _name(device)})


def _name(device: Any) -> str:
    return "" if device is None else str(usable_device(device))


def device_of(x: Any) -> Device:
    """The device of an array or a traced value, or of the first array of a tree. Numbers are on the CPU.

    Raises:
        TypeError: the value is traced by `jit` or `make_jaxpr` for arguments that are nowhere yet.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.device_of(np.ones(3))
        Device('cpu')
    """
    for leaf in tree.leaves(x):
        found = place_of(leaf) or device_of_array(leaf)
        if found is not None:
            return found
        if isinstance(leaf, Tracer) and leaf.shape:
            return device_of_new_arrays()
    return CPU


def device_put(x: Any, device: Any = None, *, donate: bool = False) -> Any:
    """A tree with its arrays on a device. Arrays that are there already are returned as they are.

    Args:
        x: array or tree of arrays, such as a model or the state of an optimizer. NumPy numbers become arrays
            without axes on a GPU; Python numbers and other leaves stay as they are.
        device: "cpu", "cuda", "cuda:1" or a Device; None for the default device.
        donate: accepted as in JAX; changes nothing.

    Returns:
        The same tree, with NumPy arrays for the CPU and CuPy arrays for a CUDA device.

    Raises:
        RuntimeError: there is no such device here; the message says what is missing.
        TypeError: a value is traced, and is on another device.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.device_put({"w": np.ones(2), "name": "layer"}, "cpu")
        {'name': 'layer', 'w': array([1., 1.])}
    """
    del donate
    target = device_of_new_arrays() if device is None else usable_device(device)
    return tree.map(lambda leaf: _moved(leaf, target), x)


def _moved(leaf: Any, target: Device) -> Any:
    if isinstance(leaf, Tracer):
        return _traced_on(leaf, target)
    if is_cupy_array(leaf):
        if target == CPU:
            return leaf.get()
        is_there = leaf.data.device_id == target.id
        return leaf if is_there else computed_on(target, put_on_device, leaf)
    if isinstance(leaf, np.ndarray | np.generic) and target != CPU and leaf.dtype.kind in "biufcV":
        return computed_on(target, put_on_device, leaf)
    return leaf


def _traced_on(leaf: Tracer, target: Device) -> Tracer:
    """A traced value stays where it is: compiled code computes on one device."""
    found = device_of(leaf)
    if found == target:
        return leaf
    raise TypeError(
        f"[device_put] cannot move {leaf!r} from {found} to {target}: a transformed function computes on the device "
        "of its arguments. Move the arguments before the call, or the results after it."
    )


def device_get(x: Any) -> Any:
    """A tree with its arrays as NumPy arrays; waits until they are computed.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.device_get((np.ones(2), 3))
        (array([1., 1.]), 3)
    """
    return device_put(x, CPU)


def block_until_ready(x: Any) -> Any:
    """Wait until the arrays of a tree are computed, and return the tree. On the CPU they always are.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.block_until_ready(np.ones(2))
        array([1., 1.])
    """
    numbers = {leaf.data.device_id for leaf in tree.leaves(x) if is_cupy_array(leaf)}
    for number in numbers:
        with cupy_module().cuda.Device(number):
            cupy_module().cuda.get_current_stream().synchronize()
    return x
