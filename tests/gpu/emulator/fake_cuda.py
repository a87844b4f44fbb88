"""Stands for CUDA and for what CuPy tells it, so that the real `CudaDevice` runs on the emulator.

Calls are checked against the signatures of the real functions, as CuPy's extension modules document them, and against
rules of CUDA that only a GPU would show otherwise: contexts of threads, grids, shared memory, captures.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import cupy
import cupy_backends.cuda.api.driver as real_driver
import numpy as np
from nvmath.bindings import cublasLt as real_lt

from funcgrad.compiler.cuda.launches import LibraryCall, Source
from funcgrad.compiler.cuda.runtime import cuda_device, device as devices, nvrtc
from funcgrad.compiler.cuda.runtime.trials import keeps_nan
from funcgrad.compiler.cuda.steps.cublaslt import Library
from tests.gpu.emulator import compiler, fake_lt, memory
from tests.gpu.emulator.device import EmulatedDevice, EmulatedRecording, EmulationError

RANGES = {
    "int": (-(2**31), 2**31),
    "unsigned int": (0, 2**32),
    "size_t": (0, 2**64),
    "intptr_t": (-(2**63), 2**63),
    "uint64_t": (0, 2**64),
    "int64_t": (-(2**63), 2**63),
}
BY_ITSELF = 48 << 10  # shared memory that a function may have without asking
MOST_SHARED = 99 << 10  # that the GPUs with the least of it since 2020 give one block
GRID = (2**31 - 1, 65535, 65535)
DEVICE_TO_DEVICE = cupy.cuda.runtime.memcpyDeviceToDevice


def checked(real: Any, name: str, fake: Callable[..., Any]) -> Callable[..., Any]:
    """`fake`, which refuses what the real function of this name would."""
    parameters = re.match(rf"{name}\((.*?)\)", getattr(real, name).__doc__)
    assert parameters is not None, f"{name} has no signature"
    types = [text.rsplit(" ", 1)[0] for text in parameters[1].split(", ") if text]
    required = [text for text in parameters[1].split(", ") if text and "=" not in text]

    def call(*args: Any) -> Any:
        if not len(required) <= len(args) <= len(types):
            raise TypeError(f"{name}() takes {len(types)} positional arguments ({len(args)} given)")
        for value, type in zip(args, types, strict=False):
            if type in RANGES:
                low, high = RANGES[type]
                if not isinstance(value, int | np.integer) or not low <= value < high:
                    raise TypeError(f"{name}() got {value!r} for {type}")
            elif type in ("bytes", "str") and not isinstance(
                value, {"bytes": bytes, "str": str}[type]
            ):
                raise TypeError(f"{name}() got {value!r} for {type}")
        return fake(*args)

    return call


class Module:
    """Functions that are checked against those of a real module; what is missing here does not exist there either."""

    def __init__(self, real: Any, **functions: Callable[..., Any]) -> None:
        self.real = real
        for name, function in functions.items():
            setattr(self, name, checked(real, name, function))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if callable(found) and not isinstance(found, type):
            raise NotImplementedError(f"the emulator has no {name}")
        return found


class FakeStream:
    """A stream: what it is given is done at once, or noted in the capture that it takes part in."""

    def __init__(self, cuda: FakeCuda, ptr: int) -> None:
        self.cuda, self.ptr = cuda, ptr

    def record(self, event: Any) -> Any:
        self.cuda.need_context()
        event.mark = None
        if self.ptr in self.cuda.captured:
            event.mark = self.cuda.recording.mark(self.cuda.captured[self.ptr])
        return event

    def wait_event(self, event: Any) -> None:
        self.cuda.need_context()
        if event.mark is None:
            return
        number = self.cuda.captured.setdefault(self.ptr, len(self.cuda.captured))
        self.cuda.recording.wait(number, event.mark)

    def begin_capture(self) -> None:
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.cuda.recording, self.cuda.captured = EmulatedRecording(), {self.ptr: 0}

    def end_capture(self) -> Any:
        recording, self.cuda.recording, self.cuda.captured = self.cuda.recording, None, {}
        if recording is None:
            raise EmulationError("no capture has begun")
        recording.check()
        self.cuda.captures += 1
        return self.cuda.graph(recording)

    def synchronize(self) -> None:
        self.cuda.refuse("waiting", self.ptr)


class FakeEvent:
    """An event; its mark is lost with it, as CUDA may do."""

    mark: Any = None

    def __init__(self, disable_timing: bool = False) -> None:
        assert disable_timing


class FakeDevice(contextlib.nullcontext):
    """The only device."""

    compute_capability = "90"


class FakeCuda:
    """All that there is of CUDA: kernels, streams, graphs.

    Attributes:
        captured: numbers in the recording by address of stream.
        launches: how many kernels were launched.
        replays, captures: how many graphs were launched and made.
        now: the current stream.
    """

    def __init__(self, order: int = 0) -> None:
        self.order = order
        self.batch = compiler.Batch()
        self.sources: dict[str, Source] = {}
        self.kernels: list[compiler.LazyKernel] = []
        self.granted: dict[int, int] = {}
        self.graphs: list[EmulatedRecording] = []
        self.threads = threading.local()
        self.recording: Any = None
        self.captured: dict[int, int] = {}
        self.launches = self.captures = self.replays = self.streams = 0
        self.now = FakeStream(self, 0)
        self.driver = Module(
            real_driver,
            launchKernel=self.launch,
            launchCooperativeKernel=lambda *args: self.launch(*args, 0, cooperative=True),
            moduleLoadData=self.load,
            moduleGetFunction=self.function,
            funcSetAttribute=self.set_attribute,
        )
        self.runtime = Module(
            cupy.cuda.runtime,
            getDevice=lambda: 0,
            memGetInfo=self.make_context,
            memcpyAsync=self.copy,
            memsetAsync=lambda target, value, n, stream: self.give(
                stream, lambda: ctypes.memset(target, value, n)
            ),
            streamSynchronize=lambda stream: self.refuse("waiting", stream),
            graphLaunch=self.replay,
        )

    def new_stream(self, non_blocking: bool = False) -> FakeStream:
        assert non_blocking
        self.streams += 1
        return FakeStream(self, 1000 * self.streams)

    # --- contexts and streams ---

    def make_context(self) -> tuple[int, int]:
        self.threads.has_context = True
        return 1, 1

    def need_context(self) -> None:
        if not getattr(self.threads, "has_context", False):
            raise EmulationError("CUDA_ERROR_INVALID_CONTEXT: this thread has no context")

    def give(self, stream: int, work: Callable[[], Any]) -> None:
        self.need_context()
        if stream in self.captured:
            self.recording.add(EmulatedRecording.streams[self.captured[stream]], work)
        else:
            work()

    def refuse(self, what: str, stream: int) -> None:
        if stream in self.captured:
            raise EmulationError(f"{what} in a capture")

    def copy(self, target: int, source: int, nbytes: int, kind: int, stream: int) -> None:
        if kind != DEVICE_TO_DEVICE:
            self.refuse("a copy from or to the host", stream)
        self.give(stream, lambda: ctypes.memmove(target, source, nbytes))

    # --- kernels ---

    def load(self, code: bytes) -> int:
        self.need_context()
        return 1 + len(code)

    def function(self, module: int, name: str) -> int:
        self.kernels.append(compiler.LazyKernel(self.sources[name], self.batch))
        return len(self.kernels)

    def set_attribute(self, function: int, attribute: int, value: int) -> None:
        self.need_context()
        assert attribute == real_driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        if value + static_shared(self.kernels[function - 1].source) > MOST_SHARED:
            raise EmulationError("CUDA_ERROR_INVALID_VALUE: so much shared memory has no block")
        self.granted[function] = value

    def launch(self, function: int, *args: Any, cooperative: bool = False) -> None:
        self.launches += 1
        *sizes, shared, stream, parameters, extra = args
        grid, block = sizes[:3], sizes[3:]
        kernel = self.kernels[function - 1]
        allowed = self.granted.get(function, BY_ITSELF - static_shared(kernel.source))
        if extra or shared > allowed or min(sizes) < 1 or max(block) > 1024:
            raise EmulationError(f"CUDA_ERROR_INVALID_VALUE: {kernel.name} {args}")
        if np.prod(block) > 1024 or any(n > most for n, most in zip(grid, GRID, strict=True)):
            raise EmulationError(f"CUDA_ERROR_INVALID_VALUE: {kernel.name} {args}")
        if kernel.kernel.parameter_bytes > 4096:
            raise EmulationError(f"{kernel.name} has {kernel.kernel.parameter_bytes} bytes")
        runner = SimpleNamespace(
            order_of_threads=self.order, do=lambda work, stream: self.give(stream, work)
        )
        EmulatedDevice.launch(
            runner,
            kernel,
            *grid,
            *block,
            shared,
            stream,
            parameters,
            0,
            cooperative,  # type: ignore[arg-type]
        )

    # --- graphs ---

    def graph(self, recording: EmulatedRecording) -> Any:
        self.graphs.append(recording)
        return SimpleNamespace(graphExec=len(self.graphs), upload=lambda stream: stream.ptr)

    def replay(self, graph: int, stream: int) -> None:
        self.need_context()
        self.refuse("the launch of a graph", stream)
        self.replays += 1
        for work in self.graphs[graph - 1].in_some_order(self.order):
            work()


def static_shared(source: Source) -> int:
    """At least so many bytes of shared memory are declared in a kernel."""
    counts = re.findall(r"FG_SHARED\([^,]*,[^,]*, (\d+)\)", source.text)
    return 4 * sum(map(int, counts))


class CheckedDevice(cuda_device.CudaDevice):
    """The real device, but for what CuPy's own kernels would do."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        super().__init__(0)
        lt = SimpleNamespace(**vars(fake_lt))
        lt.matmul = self.matmul
        for name, function in list(vars(lt).items()):
            if callable(getattr(real_lt, name, None)) and name.startswith(("create", "mat")):
                setattr(lt, name, checked(real_lt, name, function))
        self.products = Library(lt, None, functools.partial(keeps_nan, self))

    def matmul(self, handle: int, description: int, *args: Any) -> None:
        """The epilogue's addresses are those of this moment."""
        now = dict(fake_lt.objects[description])

        def work() -> None:
            with patch.dict(fake_lt.objects, {description: now}):
                fake_lt.matmul(handle, description, *args)

        self.cuda.give(args[-1], work)

    def functions(self, sources: Any) -> list[int]:
        self.cuda.sources.update({source.name: source for source in sources})
        return super().functions(sources)

    def contiguous(self, array: Any) -> Any:
        return memory.put(memory.host(array))

    def library(self, call: LibraryCall, operands: Any, results: Any) -> None:
        runner = SimpleNamespace(launches=0, refuse_while_recording=lambda what: None)
        EmulatedDevice.library(runner, call, operands, results)  # type: ignore[arg-type]


@contextlib.contextmanager
def checked_cuda(order: int = 0) -> Iterator[FakeCuda]:
    """In the body compiled programs run by the real `CudaDevice`, on the emulator."""
    cuda = FakeCuda(order)
    facade = SimpleNamespace(
        Stream=cuda.new_stream,
        Event=FakeEvent,
        Device=FakeDevice,
        alloc=memory.allocate,
        get_current_stream=lambda: cuda.now,
    )
    one, on_device = lambda: 1, lambda xp, array: memory.put(array) if xp is cupy else array
    with (
        patch.object(cuda_device, "driver", cuda.driver),
        patch.object(cuda_device, "runtime", cuda.runtime),
        patch.object(cuda_device, "cupy", SimpleNamespace(cuda=facade, ndarray=cupy.ndarray)),
        patch.object(nvrtc, "compiled", lambda text, architecture: text.encode()),
        patch.object(nvrtc, "version", lambda: "emulated"),  # part of the names in the cache
        cupy.cuda.using_allocator(memory.allocate),
        patch("funcgrad.ir.devices.device_count", one),
        patch("funcgrad.device.device_count", one),
        patch("funcgrad.ir.devices.put_on_device", on_device),
        patch("funcgrad.ir.mixing.put_on_device", on_device),
        patch("funcgrad.device.put_on_device", on_device),
        devices.using(CheckedDevice(cuda)),
    ):
        yield cuda
