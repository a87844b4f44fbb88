"""Single operations of a device, bound to the memory where their addresses are computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from funcgrad.compiler.cuda.launches import Copy, Fill, Item, Launch, Product, Source
from funcgrad.compiler.cuda.runtime.device import Device

ADDRESS = np.dtype(np.uint64)


class Operation(Protocol):
    """Something to begin on a stream."""

    def run(self, stream: int) -> None: ...


Bind = Callable[[np.ndarray], Operation]  # from the addresses of all operations to one of them


class LaunchOperation:
    """A kernel. Its parameters are read from where the addresses are."""

    def __init__(
        self, device: Device, function: Any, source: Source, first: int, addresses: np.ndarray
    ) -> None:
        self.begin = device.launch_together if source.cooperative else device.launch
        self.extra = () if source.cooperative else (0,)
        self.prepared = (function, *source.grid, *source.block, source.shared)
        place = addresses.ctypes.data + first * ADDRESS.itemsize
        self.parameters = np.array([place], ADDRESS)
        self.address = self.parameters.ctypes.data

    def run(self, stream: int) -> None:
        self.begin(*self.prepared, stream, self.address, *self.extra)


class CopyOperation:
    """A copy; none if an output lies where the input is."""

    def __init__(self, device: Device, nbytes: int, first: int, addresses: np.ndarray) -> None:
        self.device = device
        self.nbytes = nbytes
        self.places = addresses[first : first + 2]

    def run(self, stream: int) -> None:
        target, source = self.places.tolist()
        if target != source:
            self.device.copy(target, source, self.nbytes, stream)


class FillOperation:
    """Bytes of equal value."""

    def __init__(self, device: Device, item: Fill, first: int, addresses: np.ndarray) -> None:
        self.device = device
        self.item = item
        self.places = addresses[first : first + 1]

    def run(self, stream: int) -> None:
        (target,) = self.places.tolist()
        self.device.fill(target, self.item.nbytes, self.item.value, stream)


class ProductOperation:
    """A matrix product."""

    def __init__(
        self, device: Device, prepared: Any, roles: Sequence[str], first: int, addresses: np.ndarray
    ) -> None:
        self.device = device
        self.prepared = prepared
        self.roles = roles
        self.places = addresses[first : first + len(roles)]

    def run(self, stream: int) -> None:
        pointers = dict(zip(self.roles, self.places.tolist(), strict=True))
        self.device.product(self.prepared, pointers, stream)


def operation(item: Item, first: int, device: Device, function: Any) -> Bind:
    """What begins an item whose addresses are found from the place `first` on.

    Args:
        function: of the kernel, if it is one.
    """
    if isinstance(item, Launch):
        return functools.partial(LaunchOperation, device, function, item.source, first)
    if isinstance(item, Copy):
        return functools.partial(CopyOperation, device, item.nbytes, first)
    if isinstance(item, Fill):
        return functools.partial(FillOperation, device, item, first)
    assert isinstance(item, Product), item
    if device.products is None:
        raise ImportError(
            "[jit] matrix products on a GPU need nvmath-python. Install it: pip install 'funcgrad[cuda13]'."
        )
    prepared = device.products.prepared(item.plan)
    return functools.partial(ProductOperation, device, prepared, list(item.slots), first)
