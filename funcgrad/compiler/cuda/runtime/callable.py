"""A compiled Program as a callable of CuPy arrays."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection
from typing import Any

import cupy

from funcgrad.compiler.cuda import stages
from funcgrad.compiler.cuda.launches import Launches
from funcgrad.compiler.cuda.runtime.call import Call
from funcgrad.compiler.cuda.runtime.device import Device
from funcgrad.compiler.cuda.runtime.executable import Executable
from funcgrad.compiler.cuda.runtime.memory import allocate, not_enough
from funcgrad.compiler.cuda.runtime.replay import Replay
from funcgrad.compiler.cuda.runtime.staging import Stager
from funcgrad.ir.program import Program

_programs: weakref.WeakSet[CudaProgram] = weakref.WeakSet()


class Variant:
    """A Program compiled for inputs of which some are not aligned: what runs it, and its graphs."""

    def __init__(self, owner: CudaProgram, launches: Launches) -> None:
        self.executable = Executable(launches, owner.device)
        self.replay = Replay(
            self.executable, owner.program.input_types, owner.program.output_types, owner.stager
        )


class CudaProgram:
    """A Program on one device, callable with arrays.

    Args:
        program: what it computes.
        device: where.
        write: makes the launches, for numbers of inputs that are not aligned.
    """

    def __init__(
        self, program: Program, device: Device, write: Callable[[Collection[int]], Launches]
    ) -> None:
        self.program = program
        self.device = device
        self.write = write
        self.input_types = [type.strong() for type in program.input_types]
        self.output_types = [type.strong() for type in program.output_types]
        self.stager = Stager(device)
        self.variants: dict[tuple[int, ...], Variant] = {}
        _programs.add(self)
        self.last = self.variant(())

    def __call__(self, *inputs: Any) -> list[Any]:
        """Fresh arrays, or donated ones in which results lie; the device may still be computing them."""
        device = self.device
        if not device.is_current():
            with device.active():
                return self(*inputs)
        with device.lock:
            stream = device.current_stream()
            shortcut = self.last.replay.shortcut
            if shortcut is not None and (found := shortcut.run(inputs, stream)) is not None:
                return found
            call = Call(inputs, self.input_types, self.device.contiguous, stream)
            variant = self.last = self.variant(call.unaligned)
            call.take_over(variant.executable.in_place)
            if variant.executable.has_products:
                self.device.claim_workspace(stream)
            try:
                found = variant.replay.run(call)
                return self.launch(variant.executable, call) if found is None else found
            except cupy.cuda.memory.OutOfMemoryError as error:
                return self.with_less_memory(variant, call, error)

    def variant(self, unaligned: tuple[int, ...]) -> Variant:
        if unaligned not in self.variants:
            self.variants[unaligned] = Variant(self, self.write(unaligned))
        return self.variants[unaligned]

    def launch(self, executable: Executable, call: Call) -> list[Any]:
        """Launch everything one by one."""
        places, size = call.layout()
        arena = allocate(executable.arena + size)
        addresses = list(call.addresses)
        if size:
            first = arena.ptr + executable.arena
            for i, place in places.items():
                addresses[i] = first + place
            self.stager.run([], b"".join(call.numbers.values()), first, call.stream.ptr)
        outputs = [
            call.inputs[call.outputs_in_place[k]]
            if k in call.outputs_in_place
            else cupy.ndarray(type.shape, type.dtype)
            for k, type in enumerate(self.output_types)
        ]
        results = [output.data.ptr for output in outputs]
        call.is_begun = True
        executable.run(executable.frame(addresses, results, arena.ptr, call.stream.ptr))
        return outputs

    def drop(self) -> None:
        """Give back the memory of graphs."""
        for variant in self.variants.values():
            variant.replay.drop()

    def with_less_memory(self, variant: Variant, call: Call, error: MemoryError) -> list[Any]:
        """Once more without the memory of graphs, those of other Programs included."""
        for program in list(_programs):
            if program.device is self.device:
                program.drop()
        if call.is_begun and call.taken:  # they may hold results already
            raise not_enough(self.program, variant.executable.source, error) from None
        try:
            return self.launch(variant.executable, call)
        except cupy.cuda.memory.OutOfMemoryError as again:
            raise not_enough(self.program, variant.executable.source, again) from None


def compile_cuda(program: Program, device: Device, donated: Collection[int] = ()) -> CudaProgram:
    """A Program as a callable of arrays on a device.

    Args:
        program: what to compile; need not be simplified.
        device: where it shall run.
        donated: numbers of the inputs that the caller gives up.
    """

    def launches(unaligned: Collection[int]) -> Launches:
        context = stages.Context(donated, unaligned, device.products)
        return stages.run_stages(program, context)["write"]

    with device.active():
        return CudaProgram(program, device, launches)
