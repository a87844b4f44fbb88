"""A whole Program as one native function: kernels and steps in order, on memory that the plan has given them.

Kernels are functions of their own, `void NAME(ptr buffers, i64 chunk)`. They know no addresses, so kernels that do
the same thing (the layers of a model) are one function.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.calls.failure import RAISED, RECORDED, stop_if
from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.kernels.flat import FlatWriter, is_flat
from funcgrad.compiler.llvm.kernels.floating import can_look, write_clear, write_events
from funcgrad.compiler.llvm.kernels.kernel import KernelWriter
from funcgrad.compiler.llvm.kernels.memory import ALIGNED
from funcgrad.compiler.llvm.kernels.merge_parts import write_merge
from funcgrad.compiler.llvm.kernels.registers import memory_type
from funcgrad.compiler.llvm.kernels.small_arrays import load_elements
from funcgrad.compiler.llvm.kernels.tiny import TinyWriter
from funcgrad.compiler.llvm.module_writer import ModuleWriter
from funcgrad.compiler.llvm.steps.stacks import Stack, frame_slot
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.lowering.graph import Map, Node, Reduce, Step
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.plan import Plan, nbytes, tiny_loads
from funcgrad.compiler.lowering.ragged import level_count
from funcgrad.compiler.lowering.reductions import accumulator_dtype
from funcgrad.compiler.lowering.views import located
from funcgrad.ir.types import ArrayType

EVENTS_PLACE = 7  # of the record: floating point events of all threads
LONG_WORK = 100_000  # operations of a unit after which to look whether Ctrl-C has ended it early


class ProgramWriter:
    """Writes the units of one plan at the current place of a function.

    Args:
        writer: the module.
        function: the function to write into.
        plan: what to write.
        inputs, outputs: addresses of the arrays.
        arena: address of `plan.arena` bytes.
        failure: address of the record of what went wrong.
        end: the block to go to then.

    Attributes:
        registers: the elements of small nodes, where they are at hand.
        captured: nodes that need not be in memory if their elements are in registers.
    """

    def __init__(
        self,
        writer: ModuleWriter,
        function: Function,
        plan: Plan,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        arena: Value,
        failure: Value,
        end: Block,
    ) -> None:
        self.writer = writer
        self.f = function
        self.plan = plan
        self.inputs = inputs
        self.outputs = outputs
        self.arena = arena
        self.failure = failure
        self.end = end
        self.registers: dict[Node, list[Value]] = {}
        self.captured: set[Node] = set()
        self.is_outermost = False

    def write(self) -> None:
        for unit in self.plan.units:
            before = self.writer.work
            if isinstance(unit, Kernel):
                self.write_kernel(unit)
            elif isinstance(unit, Fused):
                self.writer.module.site = unit.step.equation
                self.writer.write_fused(self, unit)
            else:
                self.write_step(unit)
            if self.writer.work - before >= LONG_WORK:
                stop_if(self.f, was_interrupted(self.f), self.failure, RAISED, self.end)
        for number, node in self.plan.copies:
            target, source = self.outputs[number], self.pointer(node)
            with self.if_apart(target, source):
                self.copy(target, source, nbytes(node))

    # --- memory ---

    @functools.cached_property
    def streamed(self) -> frozenset[Node]:
        """Large results of the whole program, which are written past the cache."""
        if self.writer.target.vector_bytes != ALIGNED or not can_look(self.writer.target):
            return frozenset()
        found = [n for n in self.plan.graph.outputs if is_streamed(n, self.plan)]
        return frozenset(found) if self.is_outermost else frozenset()

    def pointer(self, key: Any) -> Value:
        """The address of a node in memory."""
        if isinstance(key, Node) and not nbytes(key):
            return self.arena
        place = self.plan.places[key]
        if place.kind == "input":
            return self.inputs[place.number]
        if place.kind == "output":
            return self.outputs[place.number]
        return self.f.gep(self.arena, place.number)

    def operand(self, node: Node) -> Value:
        """The address of an operand of a step, which is contiguous."""
        if node in self.plan.in_memory:
            return self.pointer(node)
        found = located(node)
        assert found is not None
        return self.f.gep(self.pointer(found.base), found.offset * node.dtype.itemsize)

    def stack(self, node: Node) -> Stack:
        """The stack of unknown length that a result of a step stands for."""
        return Stack(self.f, self.slots(node.type), node.type, self.leave_if)

    def slots(self, type: ArrayType) -> Value:
        """The address of new slots for a stack of this type."""
        first = self.writer.slot_count
        self.writer.slot_count += level_count(type.shape)
        return frame_slot(self.f, first)

    def leave_if(self, bad: Value) -> None:
        """End the program if there is no memory."""
        stop_if(self.f, bad, self.failure, RECORDED, self.end)

    def element_registers(self, node: Node) -> list[Value]:
        """The elements of a small operand."""
        if node in self.registers:
            return self.registers[node]
        return load_elements(self.f, self.operand(node), node.type)

    @contextlib.contextmanager
    def if_apart(self, a: Value, b: Value) -> Iterator[None]:
        """Run the body, unless an output and an input turn out to be the same memory, which donation may lead to."""
        if not self.plan.in_place:
            yield
            return
        with self.f.when(self.f.icmp("ne", a, b)):
            yield

    def copy(self, target: Value, source: Value, size: int) -> None:
        copy_bytes(self.f, target, source, size)

    # --- kernels ---

    def write_kernel(self, kernel: Kernel) -> None:
        if kernel.is_tiny:
            self.write_tiny(kernel)
            return
        keys = self.kernel_buffers(kernel)
        name, chunks = self.kernel_function(kernel, keys)
        self.count_work(kernel)
        arguments = pointer_array(self.f, [self.buffer(key) for key in keys])
        if chunks == 1:
            self.f.call(name, "void", [arguments, constant("i64", 0)])
        else:
            task = Value("ptr", f"@{name}")
            given = [task, arguments, constant("i64", chunks)]
            self.f.external("fg_parallel_interruptible", "i32", given)
        self.merge_parts(kernel, chunks)

    def count_work(self, kernel: Kernel) -> None:
        """Note what a kernel does: how much, and whether it may cause a warning."""
        schedule = self.plan.schedules[kernel]
        points = int(np.prod(kernel.domain, dtype=np.int64)) if kernel.domain else 1
        self.writer.work += points * max(1, schedule.cost)
        self.writer.is_loud |= schedule.is_loud

    def buffer(self, key: Any) -> Value:
        """The address that a kernel finds in its array of pointers."""
        return self.failure if key == "failure" else self.pointer(self.memory_key(key))

    def kernel_buffers(self, kernel: Kernel) -> list[Any]:
        """What a kernel finds in its array of pointers, in order."""
        schedule = self.plan.schedules[kernel]
        keys: dict[Any, None] = dict.fromkeys(schedule.loads)
        keys.update(
            dict.fromkeys(
                store.owner for store in kernel.stores if not self.is_gathered(kernel, store.owner)
            )
        )
        keys.update(dict.fromkeys(("part", node) for node in schedule.divided()))
        keys.update(dict.fromkeys(("sum", node) for node in schedule.summed_in_memory()))
        return [*keys, "failure"]

    def is_gathered(self, kernel: Kernel, node: Node) -> bool:
        schedule = self.plan.schedules[kernel]
        return node in schedule.divided() or node in schedule.summed_in_memory()

    def memory_key(self, key: Any) -> Any:
        """Where a kernel buffer lies: sums go straight to the result unless they are wider than it."""
        if isinstance(key, tuple) and key[0] == "sum":
            return ("part", key[1]) if ("part", key[1]) in self.plan.places else key[1]
        return key

    def kernel_function(self, kernel: Kernel, keys: list[Any]) -> tuple[str, int]:
        schedule = self.plan.schedules[kernel]
        module = self.writer.module
        f = module.function(
            f"k{len(self.writer.kernels)}", "void", ["ptr noalias", "i64"], "internal"
        )
        base, chunk = f.arguments
        buffers = {key: f.load("ptr", f.gep(base, i, "ptr"), 8) for i, key in enumerate(keys)}
        chunks = schedule.chunk_count()
        for node in schedule.divided():
            size = node.type.size
            element = memory_type(accumulator_dtype(node))
            shift = f.op("mul", chunk, constant("i64", size))
            buffers["part", node] = f.gep(buffers["part", node], shift, element)
        failure = buffers.pop("failure")
        reports = schedule.is_loud and chunks > 1 and can_look(self.writer.target)
        if reports:
            write_clear(f)
        target, streamed = self.writer.target, self.streamed & set(buffers)
        KernelWriter(f, schedule, buffers, chunk, target, failure, streamed).write()
        if streamed:
            f.external("llvm.x86.sse.sfence", "void", [])
        if reports:
            note_events(f, failure)
        f.ret()
        return self.writer.kernel(f), chunks

    def merge_parts(self, kernel: Kernel, chunks: int) -> None:
        """Combine what the chunks of a kernel have gathered, in order."""
        schedule = self.plan.schedules[kernel]
        divided = schedule.divided()
        nodes: list[Reduce] = [*divided, *schedule.summed_in_memory()]
        for node in nodes:
            key = ("part", node)
            if key in self.plan.places:
                count = chunks if node in divided else 1
                write_merge(self.f, node, self.pointer(key), self.pointer(node), count)

    def write_tiny(self, kernel: Kernel) -> None:
        self.writer.is_loud |= any(isinstance(n, Map) and n.is_loud for n in kernel.members)
        nodes = [*tiny_loads(kernel, self.plan.in_memory), *[s.owner for s in kernel.stores]]
        buffers = {node: self.pointer(node) for node in nodes}
        tiny: FlatWriter | TinyWriter
        if is_flat(kernel, {**buffers, **self.registers}):
            tiny = FlatWriter(self.f, kernel, buffers, self.registers)
        else:
            tiny = TinyWriter(self.f, kernel, buffers, self.failure, self.registers)
        self.registers.update(tiny.write(self.captured - self.plan.needed_in_memory))

    # --- steps ---

    def write_step(self, step: Step) -> None:
        self.writer.module.site = step.equation
        self.writer.write_step(self, step)

    def result(self, step: Step, number: int) -> Value | None:
        """The address of a result of a step; None if nobody reads it."""
        node = step.results[number]
        return self.pointer(node) if node in self.plan.places else None


def was_interrupted(f: Function) -> Value:
    """Whether Ctrl-C has ended something early, so that its results are not complete and an exception is set."""
    return f.icmp("ne", f.external("fg_interrupted", "i32", []), constant("i32", 0))


STREAMED_BYTES = 8 << 20  # results of which nothing would stay in a cache


def is_streamed(node: Node, plan: Plan) -> bool:
    """Whether a result is so large that it is written past the cache; what replaces an input has just been read."""
    place = plan.places[node]
    if place.kind != "output" or nbytes(node) < STREAMED_BYTES:
        return False
    return not any(number == place.number for number, _ in plan.in_place)


def note_events(f: Function, failure: Value) -> None:
    """Add the floating point events of this thread to the record. Threads may race: one of them is enough."""
    place = f.gep(failure, EVENTS_PLACE, "i64")
    events = write_events(f)
    with f.when(f.icmp("ne", events, constant("i64", 0))):
        f.store(events, place, 8)


def pointer_array(f: Function, pointers: Sequence[Value]) -> Value:
    """Pointers in a row on the stack."""
    array = f.alloca("ptr", max(1, len(pointers)), 8)
    for i, pointer in enumerate(pointers):
        f.store(pointer, f.gep(array, i, "ptr"), 8)
    return array


def copy_bytes(f: Function, target: Value, source: Value, size: int | Value) -> None:
    f.module.declare("llvm.memcpy.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1"])
    size = constant("i64", size) if isinstance(size, int) else size
    arguments = [target, source, size, constant("i1", 0)]
    f.call("llvm.memcpy.p0.p0.i64", "void", arguments)
