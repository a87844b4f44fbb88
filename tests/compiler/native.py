"""Functions as machine code against the interpreter of Programs."""

from __future__ import annotations

import numpy as np

from funcgrad import tree
from funcgrad.compiler.native import compile_native
from funcgrad.compiler.pipeline import simplified
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.program import evaluate
from funcgrad.ir.quiet import quiet
from funcgrad.ir.tracer import type_of


def native(f, *args):
    """The machine code of a function of arrays, and the arrays that it captures."""
    program, captured = trace_flat(lambda *xs: tree.leaves(f(*xs)), [type_of(x) for x in args])
    return compile_native(simplified(program)), program, captured


def check(f, *args, rtol=0.0, libraries=0):
    """Compare shapes, dtypes and values; `libraries` is how many steps are left to Python."""
    compiled, program, captured = native(f, *args)
    assert compiled is not None and len(compiled.libraries) == libraries
    with quiet():
        expected = evaluate(program, *captured, *args)
    for found, wanted in zip(compiled(*captured, *args), expected, strict=True):
        same(found, wanted, rtol)


def same(found, wanted, rtol=0.0):
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if not rtol or wanted.dtype.kind in "biu":
        np.testing.assert_array_equal(found, wanted)
        return
    if wanted.dtype.kind not in "fc":  # the small floats of ml_dtypes
        found, wanted = found.astype(np.float32), wanted.astype(np.float32)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol)
