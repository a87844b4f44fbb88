"""Programs compiled for 64-bit ARM and run by the emulator: everything but Python callbacks and threads."""

from __future__ import annotations

import contextlib
import functools
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import llvmlite.binding as llvm
import numpy as np

from funcgrad.compiler import stages
from funcgrad.compiler.llvm import target
from funcgrad.compiler.llvm.loading.libraries import WRITERS, module_of
from funcgrad.compiler.llvm.loading.machine_code import Source
from funcgrad.compiler.llvm.loading.units import declared_names
from funcgrad.compiler.pipeline import simplified
from funcgrad.ir.program import Program
from tests.compiler.arm.processor import (
    C_FUNCTIONS,
    CPU,
    FEATURES,
    TRIPLE,
    Processor,
    compile_for_arm,
)

# What the runtime does where there is one thread, in few words.
RUNTIME = """
declare ptr @malloc(i64)

define ptr @fg_allocate(i64 %bytes) {
  %block = call ptr @malloc(i64 %bytes)
  ret ptr %block
}

define void @fg_free(ptr %block) {
  ret void
}

define void @fg_parallel(ptr %task, ptr %data, i64 %chunks) {
entry:
  br label %next
next:
  %chunk = phi i64 [0, %entry], [%following, %run]
  %more = icmp slt i64 %chunk, %chunks
  br i1 %more, label %run, label %leave
run:
  call void %task(ptr %data, i64 %chunk)
  %following = add i64 %chunk, 1
  br label %next
leave:
  ret void
}

define i32 @fg_parallel_interruptible(ptr %task, ptr %data, i64 %chunks) {
  call void @fg_parallel(ptr %task, ptr %data, i64 %chunks)
  ret i32 0
}

define i64 @fg_threads() {
  ret i64 1
}

define i32 @fg_poll() {
  ret i32 0
}

define i32 @fg_tick(ptr %ticks) {
  ret i32 0
}

define i32 @fg_interrupted() {
  ret i32 0
}
"""
ELSEWHERE = ("fg_blas_", "fg_lapack_")  # libraries that there are for this machine only
# Parts of the compiler that remember what they made for this machine.
REMEMBERING = ("target", "products", "windows", "kernels", "mathlib", "steps")


class Features:
    """What llvmlite says of a processor."""

    def flatten(self) -> str:
        return FEATURES


@contextlib.contextmanager
def arm_target() -> Iterator[None]:
    """Meanwhile code is written for ARM."""
    answers = {
        "get_default_triple": lambda: TRIPLE,
        "get_host_cpu_name": lambda: CPU,
        "get_host_cpu_features": Features,
    }
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(llvm, name, answer))
        stack.callback(forget)
        forget()
        assert target.host().vector_bytes == 16 and target.host().registers == 32
        yield


def forget() -> None:
    for name, module in [*sys.modules.items()]:
        if name.startswith(tuple(f"funcgrad.compiler.llvm.{part}" for part in REMEMBERING)):
            for value in [*vars(module).values()]:
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


class Unsupported(Exception):
    """The program needs Python, BLAS or something else that is not here."""


class ArmProgram:
    """A Program for ARM, callable with arrays. To be made inside of `arm_target()`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        emitted = stages.run_stages(simplified(program))["emit"]
        if emitted.libraries:
            raise Unsupported(str(emitted.libraries[0].equation.primitive.name))
        modules = shared_modules(emitted.source.text)
        objects = [compile_for_arm(emitted.source.text, emitted.source.level), runtime()]
        objects += [shared(name) for name in modules]
        self.processor = Processor(objects, C_FUNCTIONS)

    def __call__(self, *args: Any) -> list[np.ndarray]:
        arrays = [
            np.require(np.asarray(x, t.dtype), requirements="C")
            for x, t in zip(args, self.program.input_types, strict=True)
        ]
        outs = [np.empty(t.shape, t.dtype) for t in self.program.output_types]
        inputs, outputs = [self.put(x) for x in arrays], [self.put(x) for x in outs]
        code = self.processor.call("program", self.pointers(inputs), self.pointers(outputs))
        if code & 0xFFFFFFFF:
            raise RuntimeError(f"[arm] the program failed with {code}")
        for array, place in zip(arrays, inputs, strict=True):
            assert self.processor.read(place, array.nbytes) == array.tobytes(), (
                "an input has changed"
            )
        return [self.take(out, place) for out, place in zip(outs, outputs, strict=True)]

    def put(self, array: np.ndarray) -> int:
        place = self.processor.allocate(array.nbytes)
        self.processor.write(place, array.tobytes())
        return place

    def take(self, out: np.ndarray, place: int) -> np.ndarray:
        behind = -(-out.nbytes // 4096) * 4096 - out.nbytes + 4096
        assert not any(self.processor.read(place + out.nbytes, behind)), "a write behind an output"
        return np.frombuffer(self.processor.read(place, out.nbytes), out.dtype).reshape(out.shape)

    def pointers(self, places: Sequence[int]) -> int:
        place = self.processor.allocate(8 * len(places))
        self.processor.write(place, struct.pack(f"<{len(places)}Q", *places))
        return place


@functools.cache
def runtime() -> Any:
    return compile_for_arm(RUNTIME, 2)


def shared_modules(text: str) -> list[str]:
    """The modules of shared functions that a program needs, and those that these need."""
    found: dict[str, None] = {}
    pending = [text]
    while pending:
        for name in declared_names(pending.pop()):
            if name.startswith(ELSEWHERE):
                raise Unsupported(name)
            if not name.startswith(tuple(WRITERS)):
                continue
            module, write = module_of(name)
            if ".blas." in module:
                raise Unsupported("BLAS")
            if module not in found:
                found[module] = None
                pending.append(write().text)
    return [*found]


@functools.cache
def shared(module: str) -> Any:
    source: Source = module_of(module)[1]()
    return compile_for_arm(source.text, source.level)
