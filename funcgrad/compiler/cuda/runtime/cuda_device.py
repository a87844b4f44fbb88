"""A CUDA device, through CuPy."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cupy
import cupy.cuda
import cupy_backends.cuda.api.driver
from cupy.cuda.memory import MemoryPointer, UnownedMemory

from funcgrad.compiler.collector import collector_paused
from funcgrad.compiler.cuda.launches import LibraryCall, Source
from funcgrad.compiler.cuda.runtime.branches import STREAMS
from funcgrad.compiler.cuda.runtime.device import Recording
from funcgrad.compiler.cuda.runtime.modules import Modules
from funcgrad.compiler.cuda.runtime.trials import keeps_nan
from funcgrad.compiler.cuda.steps import cudnn
from funcgrad.compiler.cuda.steps.cublaslt import WORKSPACE_BYTES, Library
from funcgrad.ir.types import ArrayType

# CuPy describes neither to type checkers.
# CuPy's extension modules have no types.
driver: Any = cupy_backends.cuda.api.driver  # type: ignore[attr-defined]
runtime: Any = cupy.cuda.runtime

SHARED = driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


class CudaRecording:
    """See `device.Recording`. The default stream cannot be recorded.

    Attributes:
        marks: live until the recording has ended.
    """

    def __init__(self) -> None:
        self.marks: list[Any] = []
        self.objects = [cupy.cuda.Stream(non_blocking=True) for _ in range(STREAMS)]
        self.streams: Sequence[int] = [stream.ptr for stream in self.objects]

    def mark(self, stream: int) -> Any:
        self.marks.append(self.objects[stream].record(cupy.cuda.Event(disable_timing=True)))
        return self.marks[-1]

    def wait(self, stream: int, mark: Any) -> None:
        self.objects[stream].wait_event(mark)


class CudaDevice:
    """See `device.Device`.

    Args:
        number: of the device, as CuPy counts them.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.architecture = "sm_" + cupy.cuda.Device(number).compute_capability
        self.modules = Modules(self.architecture, self.load)
        self.granted: dict[int, int] = {}  # dynamic shared memory by function
        self.lock = threading.RLock()
        self.threads = threading.local()  # `is_ready` in those that can launch
        self.claimant: Any = None  # the stream whose products use the workspace
        self.launch = driver.launchKernel
        self.launch_together = driver.launchCooperativeKernel

    def is_current(self) -> bool:
        return runtime.getDevice() == self.number and hasattr(self.threads, "is_ready")

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        with cupy.cuda.Device(self.number):
            if not hasattr(self.threads, "is_ready"):
                runtime.memGetInfo()  # makes the device's context that of this thread
                self.threads.is_ready = True
            yield

    # --- kernels ---

    def functions(self, sources: Sequence[Source]) -> list[int]:
        found = self.modules.functions(sources)
        for source, function in zip(sources, found, strict=True):
            # What a function may have by itself are 48 KiB, less its static shared memory.
            if source.shared > self.granted.get(function, 0):
                driver.funcSetAttribute(function, SHARED, source.shared)
                self.granted[function] = source.shared
        return found

    def load(self, code: bytes) -> Callable[[str], int]:
        """The functions of a module; it stays loaded as long as the process runs."""
        module = driver.moduleLoadData(code)
        return functools.partial(driver.moduleGetFunction, module)

    @functools.cached_property
    def products(self) -> Any:
        # Imported by the first compilation for this device.
        try:
            from nvmath.bindings import cublasLt
        except ImportError:
            return None
        return Library(cublasLt, cudnn.installed(), functools.partial(keeps_nan, self))

    @functools.cached_property
    def workspaces(self) -> list[Any]:
        """Memory for the matrix products of each stream of a recording; see `claim_workspace`."""
        return [cupy.cuda.alloc(WORKSPACE_BYTES) for _ in range(STREAMS)]

    def product(self, prepared: Any, pointers: dict[str, int], stream: int) -> None:
        places = self.recording.streams
        memory = self.workspaces[places.index(stream) if stream in places else 0]
        prepared.run(pointers, memory.ptr, WORKSPACE_BYTES, stream)

    def claim_workspace(self, stream: Any) -> None:
        if self.claimant is not None and self.claimant.ptr != stream.ptr:
            self.order(self.claimant, stream)
        self.claimant = stream

    # --- memory ---

    def copy(self, target: int, source: int, nbytes: int, stream: int) -> None:
        runtime.memcpyAsync(target, source, nbytes, runtime.memcpyDeviceToDevice, stream)

    def fill(self, target: int, nbytes: int, value: int, stream: int) -> None:
        runtime.memsetAsync(target, value, nbytes, stream)

    def write(self, target: int, data: bytes, stream: int) -> None:
        host = (ctypes.c_char * len(data)).from_buffer_copy(data)
        place = ctypes.addressof(host)
        runtime.memcpyAsync(target, place, len(data), runtime.memcpyHostToDevice, stream)
        # Where a device reads pageable memory by itself, the copy may begin after that call has returned.
        runtime.streamSynchronize(stream)

    def read(self, source: int, nbytes: int, stream: int) -> bytes:
        host = ctypes.create_string_buffer(nbytes)
        place = ctypes.addressof(host)
        runtime.memcpyAsync(place, source, nbytes, runtime.memcpyDeviceToHost, stream)
        runtime.streamSynchronize(stream)
        return host.raw

    def contiguous(self, array: Any) -> Any:
        return cupy.ascontiguousarray(array)

    def view(self, address: int, type: ArrayType) -> Any:
        """Memory as an array."""
        size = type.size * type.dtype.itemsize
        memory = UnownedMemory(address, size, self, self.number)
        return cupy.ndarray(type.shape, type.dtype, MemoryPointer(memory, 0))

    def library(self, call: LibraryCall, operands: Sequence[int], results: Sequence[int]) -> None:
        arrays = [self.view(a, t) for a, (_, t) in zip(operands, call.operands, strict=True)]
        equation = call.equation
        found = equation.primitive.implementation(cupy, **equation.params)(*arrays)
        found = found if equation.primitive.multiple else (found,)
        for value, address, (_, type) in zip(found, results, call.results, strict=True):
            self.view(address, type)[...] = value

    # --- streams and graphs ---

    def current_stream(self) -> Any:
        return cupy.cuda.get_current_stream()

    def finish(self, stream: Any) -> None:
        stream.synchronize()

    def order(self, before: Any, after: Any) -> None:
        after.wait_event(before.record(cupy.cuda.Event(disable_timing=True)))

    @functools.cached_property
    def recording(self) -> CudaRecording:
        return CudaRecording()

    def capture(self, work: Callable[[Recording], None]) -> Any:
        recorder = self.recording.objects[0]
        with self.lock, collector_paused():  # a destructor could talk to the device
            recorder.begin_capture()
            try:
                work(self.recording)
                graph = recorder.end_capture()
            except BaseException:
                # Ends the recording; what it gives is of no use, and may be an error about the first one.
                with contextlib.suppress(Exception):
                    recorder.end_capture()
                raise
            finally:
                self.recording.marks.clear()
            graph.upload(recorder)
            recorder.synchronize()  # graphs are launched on other streams
        return graph

    def replay(self, graph: Any, stream: int) -> None:
        runtime.graphLaunch(graph.graphExec, stream)
