"""What the tests of steps on the emulated device share: numbers of every dtype, and rows checked against NumPy."""

from __future__ import annotations

import ml_dtypes
import numpy as np

import funcgrad as fg
from funcgrad import tree
from funcgrad.compiler.cuda import stages
from funcgrad.compiler.cuda.launches import Product
from funcgrad.compiler.cuda.steps.cublaslt import Library
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of
from tests.gpu.emulator import fake_lt
from tests.gpu.rows import Row, failures

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = (np.dtype(np.float16), BFLOAT16)


def numbers(shape, dtype=np.float32, seed=0, scale=1.0):
    """Random elements; small whole numbers of integer dtypes."""
    dtype, rng = np.dtype(dtype), np.random.default_rng([seed, *np.atleast_1d(shape)])
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0, 9, shape).astype(dtype)
    x = rng.standard_normal(shape) * scale
    if dtype.kind == "c":
        x = x + 1j * rng.standard_normal(shape) * scale
    return x.astype(dtype)


def row(name, function, *arguments, tolerance=2e3):
    """A function of arrays that shall give on the device what it gives on NumPy arrays."""
    return Row(name, function, tuple(map(np.asarray, arguments)), tolerance)


def check(rows, order=0):
    """All rows hold; their kernels are compiled together."""
    wrong = failures(list(rows), order)
    assert not wrong, "\n".join(wrong)


def pulled(f, *argnums):
    """The gradient of the sum of all results, without an array that would have to be made on the device."""

    def gradient(*args):
        def moving(*xs):
            given = list(args)
            for place, x in zip(argnums, xs, strict=True):
                given[place] = x
            return sum(leaf.sum() for leaf in tree.leaves(f(*given)))

        out, pull = fg.vjp(moving, *[args[i] for i in argnums])
        return pull(out)

    return gradient


def items_of(f, *args, donated=()):
    """What a function launches."""
    flat = lambda *xs: tree.leaves(f(*xs))
    program, _ = trace_flat(flat, [type_of(x) for x in args], "f")
    context = stages.Context(donated, products=Library(fake_lt))
    return stages.run_stages(program, context)["write"].items


def epilogues(f, *args):
    """The epilogues of the products that it launches."""
    return [item.plan.epilogue for item in items_of(f, *args) if isinstance(item, Product)]
