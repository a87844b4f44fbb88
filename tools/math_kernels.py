"""Loops around single inlined math functions, for measuring their accuracy and speed."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.mathlib import MATH
from funcgrad.compiler.llvm.mathlib.exponent import power_of_two
from funcgrad.compiler.llvm.mathlib.number import Number, copysign, select
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, constant, vector

ELEMENTS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
WIDTH = {"float": 4, "double": 8}
ENGINES: list[Any] = []


def native_lanes(element: str) -> int:
    return host().vector_bytes // WIDTH[element]


def compile_module(text: str) -> Any:
    """An execution engine for LLVM assembly, by code generation only, as the compiler does it."""
    llvm: Any = __import__("llvmlite.binding", fromlist=["binding"])
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    module.verify()
    machine = llvm.Target.from_triple(host().triple).create_target_machine(
        cpu=host().cpu, features=host().features, opt=2
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    ENGINES.append(engine)
    return engine


def assembly(text: str) -> str:
    """The machine code of LLVM assembly, as text."""
    llvm: Any = __import__("llvmlite.binding", fromlist=["binding"])
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(host().triple).create_target_machine(
        cpu=host().cpu, features=host().features, opt=2
    )
    return machine.emit_assembly(llvm.parse_assembly(text))


def map_text(formula: Callable[..., Value], element: str, count: int, lanes: int) -> str:
    """A function `k(out, in..., n)` over whole vectors: `n` is a multiple of the lanes."""
    module = Module()
    function = module.function("k", "void", ["ptr"] * (count + 1) + ["i64"])
    out, *inputs, n = function.arguments
    type = vector(lanes, element)
    with function.loop(constant("i64", 0), n, max(lanes, 1)) as loop:
        values = [function.load(type, function.gep(p, loop.index, element)) for p in inputs]
        result = formula(function, *values)
        if result.type != type:
            result = function.cast("uitofp", result, type)
        function.store(result, function.gep(out, loop.index, element))
    function.ret()
    return module.text()


def elementwise(
    formula: str | Callable[..., Value], dtype: Any, count: int = 1, lanes: int | None = None
) -> Callable[..., np.ndarray]:
    """A math function, by name or as a writer of code, as a NumPy function of arrays of one length."""
    element = ELEMENTS[np.dtype(dtype)]
    lanes = native_lanes(element) if lanes is None else lanes
    engine = compile_module(
        map_text(MATH[formula] if isinstance(formula, str) else formula, element, count, lanes)
    )
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (count + 1), ctypes.c_int64)
    run = signature(engine.get_function_address("k"))

    def call(*arrays: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        size = len(arrays[0])
        padded = -(-size // max(lanes, 1)) * max(lanes, 1)
        if padded != size:
            arrays = tuple(np.resize(a, padded) for a in arrays)
        out = np.empty(padded, dtype) if out is None else out
        arrays = tuple(np.ascontiguousarray(a, dtype) for a in arrays)
        if padded:
            run(out.ctypes.data, *[a.ctypes.data for a in arrays], padded)
        return out[:size]

    return call


def error_in_ulps(result: Number, exact: Number) -> Number:
    """Distance of a float from its value in double, in units of the last place; inf if only one is NaN.

    Infinity counts as the power of two after the largest float.
    """
    limit = exact.constant(2.0**128)
    got = result.widen()
    got = select(abs(got) > limit, copysign(limit, got), got)
    exact = select(abs(exact) > limit, copysign(limit, exact), exact)
    exponent = ((abs(exact).bits >> 52) - 1023).to_float()
    exponent = select(exponent < -126.0, -126.0, exponent)
    exponent = select(exponent > 127.0, 127.0, exponent)
    error = abs(got - exact) * power_of_two(23.0 - exponent)
    both = got.is_nan() & exact.is_nan()
    one = got.is_nan() ^ exact.is_nan()
    wrong_sign = got.equals(0.0) & exact.equals(0.0) & (got.bits ^ exact.bits < 0)
    return select(one | wrong_sign, math.inf, select(both, 0.0, error))


def error_text(name: str, stride: int) -> str:
    """A function `k(first, n, errors)`: the errors of the floats whose bits are first, first + stride, ..."""
    module = Module()
    lanes = native_lanes("float")
    function = module.function("k", "void", ["i32", "i64", "ptr"])
    first, n, errors = function.arguments
    steps = ", ".join(f"i32 {i * stride}" for i in range(lanes))
    with function.loop(constant("i64", 0), n, lanes) as loop:
        index = function.cast("trunc", loop.index, "i32")
        start = function.op("add", first, function.op("mul", index, constant("i32", stride)))
        bits = function.op(
            "add", function.splat(start, lanes), Value(f"<{lanes} x i32>", f"<{steps}>")
        )
        x = Number(function, bits).as_float()
        result = Number(function, MATH[name](function, x.value))
        exact = Number(function, MATH[name](function, x.widen().value))
        error = error_in_ulps(result, exact).narrow()
        function.store(error.value, function.gep(errors, loop.index, "float"))
    function.ret()
    return module.text()


def float_errors(name: str, stride: int = 1) -> Callable[[int, np.ndarray], None]:
    """Fills an array with the errors of the floats from certain bits on, in ulps against the double version."""
    engine = compile_module(error_text(name, stride))
    signature = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_int64, ctypes.c_void_p)
    run = signature(engine.get_function_address("k"))
    return lambda first, errors: run(first, len(errors), errors.ctypes.data)
