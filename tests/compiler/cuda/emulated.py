"""Runs the kernels of a Program in the emulator: library steps by NumPy, memory between guarded pages."""

from __future__ import annotations

import ctypes

import numpy as np

from funcgrad import tree
from funcgrad.compiler.cuda.fusion import partition
from funcgrad.compiler.cuda.kernels.elements import supports
from funcgrad.compiler.cuda.kernels.write import write_kernel
from funcgrad.compiler.cuda.lowering import CudaLowering
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.lower import lower_program
from funcgrad.compiler.lowering.plan import is_empty
from funcgrad.compiler.lowering.views import located_anyhow
from funcgrad.compiler.pipeline import simplified
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of
from tests.compiler.reference import mismatch
from tests.gpu.emulator import compiler
from tests.gpu.emulator.memory import Guarded, host_view


class KernelProgram:
    """The kernels of a Program, ready to be compiled together with those of others.

    Args:
        program: what to run.
        captured: its hidden inputs.
        aligned: whether memory begins at multiples of 16 bytes.
    """

    def __init__(self, program, captured=(), aligned=True):
        self.program = program
        self.captured = captured
        self.aligned = aligned
        self.graph = lower_program(simplified(program), supports, lambda *_: False, CudaLowering)
        found = partition(self.graph)
        self.units = [unit for unit in found.units if not is_empty(unit)]
        self.in_memory = {*found.stored, *self.graph.inputs}
        nodes = None if aligned else frozenset()
        self.launches = {
            unit: write_kernel(unit, self.in_memory, nodes)
            for unit in self.units
            if not isinstance(unit, Step)
        }

    @property
    def sources(self):
        return [source for launches in self.launches.values() for source, _ in launches]

    def run(self, args, order=0):
        """The results for these arguments."""
        memory = Memory(self.aligned, self.in_memory)
        for node, value in zip(self.graph.inputs, [*self.captured, *args], strict=True):
            memory.array(node)[...] = value
        for unit in self.units:
            if isinstance(unit, Step):
                run_step(unit, memory)
            else:
                run_launches(self.launches[unit], memory, order)
        return [memory.read(node).copy() for node in self.graph.outputs]


class Memory:
    """What nodes and scratch keys have as memory."""

    def __init__(self, aligned, in_memory):
        self.places = {}
        self.in_memory = in_memory
        self.shift = 0 if aligned else 1

    def address(self, key):
        nbytes = key.type.size * key.dtype.itemsize if isinstance(key, Node) else key[-1]
        if key not in self.places:
            self.places[key] = Guarded(nbytes + (16 if self.shift else 0))
        place = self.places[key].address
        return place + key.dtype.itemsize if self.shift and isinstance(key, Node) else place

    def array(self, node):
        if not node.type.size:
            return np.empty(node.shape, node.dtype)
        return host_view(self.address(node), node.shape, node.dtype)

    def read(self, node):
        """The elements of a node, also of a view of memory."""
        if node in self.in_memory or not node.type.size:
            return self.array(node)
        found = located_anyhow(node)
        start = self.array(found.base)
        strides = tuple(n * node.dtype.itemsize for n in found.strides)
        flat = start.reshape(-1)[found.offset :]
        return np.lib.stride_tricks.as_strided(flat, node.shape, strides)


def run_step(step, memory):
    outs = step.equation.run(*[memory.read(node) for node in step.operands])
    for result, out in zip(step.results, outs, strict=True):
        memory.array(result)[...] = out


def run_launches(launches, memory, order):
    for source, keys in launches:
        (kernel,) = compiler.kernels([source])
        pointers = (ctypes.c_void_p * max(1, len(keys)))(*[memory.address(key) for key in keys])
        grid, block = (ctypes.c_uint * 3)(*source.grid), (ctypes.c_uint * 3)(*source.block)
        problem = kernel.run(grid, block, source.shared, pointers, source.cooperative, order)
        assert not problem, f"{problem.decode()}\n{source.text}"


def prepared(f, *args, aligned=True):
    """The kernels of a function for arguments like these."""
    flat = lambda *xs: tree.leaves(f(*xs))
    return KernelProgram(*trace_flat(flat, [type_of(x) for x in args], "kernels"), aligned)


def compile_all(programs):
    """Compile the kernels of all these at once."""
    compiler.kernels([source for program in programs for source in program.sources])


def check(program, args, order=0):
    """The results are those of plain evaluation."""
    given = [*program.captured, *args]
    wrong = mismatch(program.program, given, program.run(args, order))
    assert not wrong, f"{wrong}\n{program.program}"
