"""What a device can do: the whole surface between the compiler and CUDA, and which device is the current one.

Memory and arrays are CuPy's: `cupy.cuda.alloc` and `cupy.ndarray`. An address is an int.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from funcgrad.compiler.cuda.launches import LibraryCall, Source


class Recording(Protocol):
    """A graph that is being made.

    Attributes:
        streams: addresses of the streams that it is made from. The first one is recorded from the beginning to the
            end, another one from its first wait on, and the first one must have waited for it at the end.
    """

    streams: Sequence[int]

    def mark(self, stream: int) -> Any:
        """What the stream with this number was given so far."""
        ...

    def wait(self, stream: int, mark: Any) -> None:
        """What the stream is given from now on begins after a mark."""
        ...


class Device(Protocol):
    """One device.

    Attributes:
        number: which one, as CuPy counts them.
        architecture: "sm_90".
        products: the library of matrix products (`steps/cublaslt.py`); None where it is not installed.
        lock: held by what gives it work.
    """

    number: int
    architecture: str
    products: Any
    lock: Any

    def functions(self, sources: Sequence[Source]) -> list[Any]:
        """What `launch` takes for each kernel, compiled and loaded."""
        ...

    def launch(
        self,
        function: Any,
        grid_x: int,
        grid_y: int,
        grid_z: int,
        block_x: int,
        block_y: int,
        block_z: int,
        shared: int,
        stream: int,
        parameters: int,
        extra: int,
    ) -> None:
        """Begin a kernel.

        Args:
            function: as `functions` gives it.
            shared: bytes of dynamic shared memory.
            stream: its address.
            parameters: the address of the address of the one argument, which is read before this returns.
            extra: 0.
        """
        ...

    def launch_together(self, *arguments: Any) -> None:
        """The same for a kernel whose blocks wait for each other; without `extra`."""
        ...

    def product(self, prepared: Any, pointers: dict[str, int], stream: int) -> None:
        """Begin a matrix product that `products` has prepared."""
        ...

    def claim_workspace(self, stream: Any) -> None:
        """Products of other streams so far come before those that this stream is given from now on."""
        ...

    def copy(self, target: int, source: int, nbytes: int, stream: int) -> None:
        """Begin a copy within the device."""
        ...

    def fill(self, target: int, nbytes: int, value: int, stream: int) -> None:
        """Begin to set bytes."""
        ...

    def write(self, target: int, data: bytes, stream: int) -> None:
        """Copy a few bytes from the host; they may change afterwards."""
        ...

    def read(self, source: int, nbytes: int, stream: int) -> bytes:
        """Wait for everything before, and copy a few bytes to the host."""
        ...

    def library(self, call: LibraryCall, operands: Sequence[int], results: Sequence[int]) -> None:
        """Compute an equation by CuPy on the current stream."""
        ...

    def contiguous(self, array: Any) -> Any:
        """A copy of an array in C order."""
        ...

    def current_stream(self) -> Any:
        """The stream of the caller; its address is `.ptr`."""
        ...

    def order(self, before: Any, after: Any) -> None:
        """What `after` is given from now on waits for what `before` was given so far."""
        ...

    def capture(self, work: Callable[[Recording], None]) -> Any:
        """What work does on the streams of a recording, as a graph that `replay` takes. It is not executed."""
        ...

    def replay(self, graph: Any, stream: int) -> None:
        """Begin everything in a graph."""
        ...

    def finish(self, stream: Any) -> None:
        """Wait until everything that a stream was given is done."""
        ...

    def is_current(self) -> bool:
        """Whether this device is CuPy's current one, and this thread can launch on it."""
        ...

    def active(self) -> contextlib.AbstractContextManager[Any]:
        """In its body this device is the current one."""
        ...


_replacement: list[Device] = []  # an emulator, in tests


@contextlib.contextmanager
def using(device: Device) -> Iterator[None]:
    """Everything runs on this device inside the `with` block: how tests put an emulator in the place of CUDA."""
    _replacement.append(device)
    try:
        yield
    finally:
        _replacement.remove(device)


def is_replaced() -> bool:
    """Whether an emulator runs everything."""
    return bool(_replacement)


def device_of(number: int) -> Device:
    """The device with this number."""
    return _replacement[-1] if _replacement else _cuda_device(number)


@functools.cache
def _cuda_device(number: int) -> Device:
    # Imported when there is a device: CuPy must be there.
    module = importlib.import_module("funcgrad.compiler.cuda.runtime.cuda_device")
    return module.CudaDevice(number)
