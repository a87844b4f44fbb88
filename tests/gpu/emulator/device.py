"""The emulated device: kernels run on the CPU, products by a stand-in for cuBLASLt, library calls by NumPy."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from unittest.mock import patch

import cupy
import numpy as np

from funcgrad.compiler.cuda.launches import LibraryCall, Source
from funcgrad.compiler.cuda.runtime import device as devices
from funcgrad.compiler.cuda.runtime.trials import keeps_nan
from tests.gpu.emulator import compiler, memory


class Stream(NamedTuple):
    """A stream is only a number here."""

    ptr: int = 0


class EmulationError(RuntimeError):
    """A kernel did what would be wrong on a GPU."""


class EmulatedDevice:
    """See `funcgrad.compiler.cuda.runtime.device.Device`.

    Args:
        order: of threads and blocks: 0 as they are numbered, 1 backward, others pseudo-random.

    Attributes:
        stream: what the caller's stream is.
        launches: how many operations ran.
        captures, replays, orders: how many graphs were made and replayed, and how often streams waited.
        failure: raised instead of the next capture.
    """

    number = 0
    architecture = "sm_90"

    def __init__(self, order: int = 0) -> None:
        self.order_of_threads = order
        self.batch = compiler.Batch()
        self.lock = threading.RLock()  # there is one of each emulated kernel
        self.stream = Stream()
        self.launches = self.captures = self.replays = self.orders = 0
        self.failure: Exception | None = None
        self.recording: EmulatedRecording | None = None
        self.claimant: Stream | None = None

    @functools.cached_property
    def products(self) -> Any:
        from funcgrad.compiler.cuda.steps.cublaslt import Library
        from tests.gpu.emulator import fake_lt

        def trial(prepared: Any) -> bool:
            """A trial is no launch of a program."""
            launches, calls = self.launches, len(fake_lt.calls)
            try:
                return keeps_nan(self, prepared)
            finally:
                self.launches = launches
                del fake_lt.calls[calls:]

        return Library(fake_lt, None, trial)

    def is_current(self) -> bool:
        return True

    def active(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def functions(self, sources: Sequence[Source]) -> list[compiler.LazyKernel]:
        return [compiler.LazyKernel(source, self.batch) for source in sources]

    # --- work: done at once, or noted while a graph is recorded ---

    def do(self, work: Callable[[], None], stream: int) -> None:
        with self.lock:
            if self.recording is not None:
                self.recording.add(stream, work)
                return
            self.launches += 1
            work()

    def refuse_while_recording(self, what: str) -> None:
        if self.recording is not None:
            raise EmulationError(f"{what} while a graph is recorded")

    def launch(
        self,
        function: compiler.LazyKernel,
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
        cooperative: bool = False,
    ) -> None:
        del extra
        grid = (ctypes.c_uint * 3)(grid_x, grid_y, grid_z)
        block = (ctypes.c_uint * 3)(block_x, block_y, block_z)
        place = ctypes.c_void_p.from_address(parameters).value
        assert place is not None
        # What the parameters are now counts, as in CUDA.
        kernel = function.kernel
        kept = (ctypes.c_uint64 * -(-kernel.parameter_bytes // 8))()
        ctypes.memmove(kept, place, kernel.parameter_bytes)

        def work() -> None:
            order = self.order_of_threads
            problem = kernel.run(grid, block, shared, kept, cooperative, order)
            if problem:
                raise EmulationError(f"{function.name}: {problem.decode()}")

        self.do(work, stream)

    def launch_together(self, *arguments: Any) -> None:
        self.launch(*arguments, 0, cooperative=True)

    def product(self, prepared: Any, pointers: dict[str, int], stream: int) -> None:
        self.do(lambda: prepared.run(dict(pointers), 0, 1 << 25, stream), stream)

    def claim_workspace(self, stream: Stream) -> None:
        if self.claimant is not None and self.claimant.ptr != stream.ptr:
            self.order(self.claimant, stream)
        self.claimant = stream

    def copy(self, target: int, source: int, nbytes: int, stream: int) -> None:
        self.do(lambda: ctypes.memmove(target, source, nbytes), stream)

    def fill(self, target: int, nbytes: int, value: int, stream: int) -> None:
        self.do(lambda: ctypes.memset(target, value, nbytes), stream)

    def write(self, target: int, data: bytes, stream: int) -> None:
        self.refuse_while_recording("a copy from the host")
        self.do(lambda: ctypes.memmove(target, data, len(data)), stream)

    def read(self, source: int, nbytes: int, stream: int) -> bytes:
        self.refuse_while_recording("a copy to the host")
        return ctypes.string_at(source, nbytes)

    def contiguous(self, array: Any) -> Any:
        return memory.put(memory.host(array))

    def library(self, call: LibraryCall, operands: Sequence[int], results: Sequence[int]) -> None:
        self.refuse_while_recording("a library call")
        arrays = [
            memory.host_view(a, t.shape, t.dtype) if t.size else np.empty(t.shape, t.dtype)
            for a, (_, t) in zip(operands, call.operands, strict=True)
        ]
        equation = call.equation
        found = equation.primitive.implementation(np, **equation.params)(*arrays)
        found = found if equation.primitive.multiple else (found,)
        self.launches += 1
        for value, address, (_, type) in zip(found, results, call.results, strict=True):
            if type.size:
                memory.host_view(address, type.shape, type.dtype)[...] = value

    # --- streams and graphs ---

    def current_stream(self) -> Stream:
        return self.stream

    def finish(self, stream: Stream) -> None:
        self.refuse_while_recording("waiting")

    def order(self, before: Stream, after: Stream) -> None:
        assert before.ptr != after.ptr
        self.orders += 1

    def capture(self, work: Callable[[EmulatedRecording], None]) -> EmulatedRecording:
        with self.lock:
            self.recording = recording = EmulatedRecording()
            try:
                if self.failure is not None:
                    failure, self.failure = self.failure, None
                    raise failure
                work(recording)
            finally:
                self.recording = None
        recording.check()
        self.captures += 1
        return recording

    def replay(self, graph: EmulatedRecording, stream: int) -> None:
        self.replays += 1
        for work in graph.in_some_order(self.order_of_threads):
            self.do(work, stream)


class EmulatedRecording:
    """A graph: what each stream was given, which may wait for what others were given before a mark.

    A replay runs the streams in any order that the waits allow, so that a wait that is missing shows in the results.
    """

    streams = (-1, -2)

    def __init__(self) -> None:
        self.given: list[list[Any]] = [[] for _ in self.streams]
        self.marks = 0
        self.waited = {0: 0}  # the last mark of each stream that the first one has waited for

    def add(self, stream: int, work: Callable[[], None]) -> None:
        number = self.streams.index(stream)
        if number and not self.given[number]:
            raise EmulationError("a stream is used that has not waited for the first one")
        self.given[number].append(work)

    def mark(self, stream: int) -> tuple[int, int]:
        """The stream, and how much it was given."""
        self.marks += 1
        return stream, len(self.given[stream])

    def wait(self, stream: int, mark: tuple[int, int]) -> None:
        self.given[stream].append(mark)
        if stream == 0:
            other, count = mark
            self.waited[other] = max(self.waited.get(other, 0), count)

    def check(self) -> None:
        """All that other streams were given is waited for by the first one."""
        for number in range(1, len(self.streams)):
            if self.waited.get(number, 0) < len(self.given[number]):
                raise EmulationError("a stream was not waited for at the end of a graph")

    def in_some_order(self, order: int) -> Iterator[Callable[[], None]]:
        """The work, the first stream as early as possible (order 0), as late as possible (1), or at random."""
        done = [0] * len(self.given)
        choose = random.Random(order)
        while True:
            open_streams = [s for s in range(len(done)) if self.may_go_on(s, done)]
            if not open_streams:
                break
            stream = choose.choice(open_streams) if order > 1 else open_streams[-1 if order else 0]
            step = self.given[stream][done[stream]]
            done[stream] += 1
            if callable(step):
                yield step
        if any(count < len(given) for count, given in zip(done, self.given, strict=True)):
            raise EmulationError("streams wait for each other")

    def may_go_on(self, stream: int, done: list[int]) -> bool:
        if done[stream] == len(self.given[stream]):
            return False
        step = self.given[stream][done[stream]]
        return callable(step) or done[step[0]] >= step[1]


@contextlib.contextmanager
def emulated(order: int = 0) -> Iterator[EmulatedDevice]:
    """In the body CuPy arrays lie in guarded memory of the host, and compiled programs run on an emulated device."""
    device = EmulatedDevice(order)
    one = lambda: 1
    on_device = lambda xp, array: memory.put(array) if xp is cupy else array
    with (
        devices.using(device),
        cupy.cuda.using_allocator(memory.allocate),
        patch("funcgrad.ir.devices.device_count", one),
        patch("funcgrad.device.device_count", one),
        patch("funcgrad.ir.devices.put_on_device", on_device),
        patch("funcgrad.ir.mixing.put_on_device", on_device),
        patch("funcgrad.device.put_on_device", on_device),
    ):
        yield device
