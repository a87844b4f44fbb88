"""Conversions of half precision where the CPU has no instructions for them: bit by bit those of NumPy."""

import ctypes

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from funcgrad.compiler.llvm.loading.load import load  # noqa: E402
from funcgrad.compiler.llvm.runtime import halves  # noqa: E402


def loop(name, function, kinds):
    """A function that converts the elements of an array one by one."""
    source, target = kinds
    return f"""
define void @{name}(ptr %from, ptr %to, i64 %count) {{
entry:
  br label %next
next:
  %i = phi i64 [0, %entry], [%following, %next]
  %source = getelementptr {source}, ptr %from, i64 %i
  %target = getelementptr {target}, ptr %to, i64 %i
  %x = load {source}, ptr %source
  %y = call {target} @{function}({source} %x)
  store {target} %y, ptr %target
  %following = add i64 %i, 1
  %more = icmp slt i64 %following, %count
  br i1 %more, label %next, label %end
end:
  ret void
}}
"""


KINDS = {
    "widen": ("__extendhfsf2", ("half", "float"), (np.float16, np.float32)),
    "narrow": ("__truncsfhf2", ("float", "half"), (np.float32, np.float16)),
    "narrow_double": ("__truncdfhf2", ("double", "half"), (np.float64, np.float16)),
}
TEXT = halves.TEXT + "".join(loop(name, *KINDS[name][:2]) for name in KINDS)


def converted(name, x):
    out = np.empty(x.shape, KINDS[name][2][1])
    loaded = load(TEXT)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
        loaded.address(name)
    )
    run(x.ctypes.data, out.ctypes.data, x.size)
    return out


def assert_same(found, expected):
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    valid = ~np.isnan(expected)
    assert found[valid].tobytes() == expected[valid].tobytes()


ALL = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def test_every_half():
    assert_same(converted("widen", ALL), ALL.astype(np.float32))


@pytest.mark.parametrize("name", ["narrow", "narrow_double"])
def test_halves_and_what_lies_between(name):
    dtype = KINDS[name][2][0]
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        exact = ALL[np.isfinite(ALL)].astype(dtype)
        middle = (exact[1:] + exact[:-1]) / 2
        near = [np.nextafter(m, dtype(s)) for m in (exact, middle) for s in (np.inf, -np.inf)]
        bits = rng.integers(0, 256, 400_000 * dtype().itemsize, dtype=np.uint8).view(dtype)
        moderate = (rng.standard_normal(400_000) * 10.0 ** rng.integers(-9, 6, 400_000)).astype(
            dtype
        )
        edges = np.array([65504, 65519.99, 65520, 6e-8, 2.98e-8, 2.9802322387695312e-08], dtype)
        for x in (exact, middle, *near, bits, moderate, edges, -edges):
            assert_same(converted(name, x), x.astype(np.float16))
