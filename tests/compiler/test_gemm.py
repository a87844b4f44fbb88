"""Matrix products in native code against NumPy: shapes, strides, dtypes, special values, threads."""

import ctypes
import itertools
import math
import signal
import time

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.loading.load import load
from funcgrad.compiler.llvm.products.dot_plan import count_parts, plan_dot
from funcgrad.compiler.llvm.products.gemm import dot, write_dot_rows
from funcgrad.compiler.llvm.runtime.runtime import ensure_blas
from funcgrad.compiler.llvm.target import Target, host
from funcgrad.compiler.lowering.dot_spec import DotSpec, simplified
from funcgrad.config import config

FLOATS = ("float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
OTHERS = ("bool", "float16", "bfloat16", "complex64", "complex128")
SHAPES = [
    *itertools.product((1, 3, 7, 17), (1, 3, 7, 17), (1, 3, 7, 17)),
    *[(6, 64, 8), (12, 64, 300), (13, 130, 33), (64, 100, 10), (100, 10, 64), (128, 10, 512)],
    *[(1000, 3, 5), (3, 1000, 5), (5, 3, 1000), (1, 1, 1003), (1003, 1, 7), (1, 1003, 70)],
    *[(33, 70, 1100), (200, 200, 200)],
]
LAYOUTS = ("rows", "columns", "spread", "reversed", "repeated")

loaded = []


def compiled(spec, rows=False, prototype=ctypes.CFUNCTYPE):
    """The function of a product, as a Python function of arrays."""
    ensure_blas()
    module = Module()
    entry = module.function("entry", "void", ["ptr"] * 3 + ["i64"] * (2 * rows), "dso_local")
    if rows:
        write_dot_rows(entry, spec, *entry.arguments)
    else:
        entry.call(dot(module, spec), "void", entry.arguments)
    entry.ret()
    library = load(module.text())
    loaded.append(library)
    types = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * (2 * rows)
    function = prototype(None, *types)(library.address("entry"))

    def run(x, y, out, *span):
        function(x.ctypes.data, y.ctypes.data, out.ctypes.data, *span)
        return out

    return run


def strides(a):
    return tuple(stride // a.itemsize for stride in a.strides)


def spec_of(x, y, out, accumulate=False):
    """The product of stacks of matrices that broadcast."""
    lead = out.shape[:-2]
    axes = []
    for i in range(-len(lead), 0):
        steps = [0 if a.shape[i - 2] == 1 else strides(a)[i - 2] for a in (x, y, out)]
        axes.append((lead[i], *steps))
    sizes = (out.shape[-2], out.shape[-1], x.shape[-1])
    sides = (strides(a)[-2:] for a in (x, y, out))
    return DotSpec(out.dtype, tuple(axes), *sizes, *sides, accumulate)


def numbers(rng, shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind in "iub":
        return rng.integers(0, 2 if dtype.kind == "b" else 100, shape).astype(dtype)
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if dtype.kind == "c" else values).astype(dtype)


def matrix(rng, rows, columns, dtype, layout):
    """A matrix that lies in memory in one of several ways."""
    if layout == "rows":
        return numbers(rng, (rows, columns), dtype)
    if layout == "columns":
        return numbers(rng, (columns, rows), dtype).T
    if layout == "spread":
        return numbers(rng, (2 * rows, 3 * columns + 1), dtype)[::2, 1::3]
    if layout == "reversed":
        return numbers(rng, (rows, columns), dtype)[::-1, ::-1]
    return np.broadcast_to(numbers(rng, (1, columns), dtype), (rows, columns))


def reference(x, y):
    """In at least double precision, or with the wraparound of NumPy's integers."""
    if x.dtype.kind in "iub":
        return x @ y
    wide = np.complex128 if x.dtype.kind == "c" else np.float64
    return x.astype(wide) @ y.astype(wide)


def assert_product(out, x, y, start=0):
    """Rounding: a few units in the last place of the sum of magnitudes, as for any order of summation."""
    expected = reference(x, y) + start
    if out.dtype.kind in "iub":
        np.testing.assert_array_equal(out, expected.astype(out.dtype))
        return
    wide = expected.dtype
    real = ml_dtypes.finfo(np.float32) if out.dtype == np.complex64 else ml_dtypes.finfo(out.dtype)
    bound = abs(x.astype(wide)) @ abs(y.astype(wide)) + abs(np.asarray(start, wide))
    eps = float(real.eps) if out.dtype.kind != "c" else np.finfo(out.dtype).eps
    grows = 1 if out.dtype.itemsize == 2 else 2 * math.sqrt(x.shape[-1]) + 2
    assert np.all(abs(out.astype(wide) - expected) <= grows * eps * bound + float(real.tiny))


# --- shapes and strides ---


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("m, n, k", SHAPES)
def test_shapes(dtype, m, n, k):
    rng = np.random.default_rng(m + n + k)
    x, y = numbers(rng, (m, k), dtype), numbers(rng, (k, n), dtype)
    out = np.full((m, n), np.nan, dtype)
    compiled(spec_of(x, y, out))(x, y, out)
    assert_product(out, x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
@pytest.mark.parametrize("n", [17, 18, 20, 22, 24, 36, 52, 100])
def test_short_tails(dtype, n):
    """The last columns of a row may be a shorter vector, with a mask or without."""
    rng = np.random.default_rng(n)
    for layout in ("rows", "columns"):
        x, y = numbers(rng, (37, 30), dtype), matrix(rng, 30, n, dtype, layout)
        out = np.zeros((37, n), dtype)
        compiled(spec_of(x, y, out))(x, y, out)
        assert_product(out, x, y)


@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize(
    "m, n, k", [(7, 3, 5), (33, 70, 100), (1, 50, 40), (40, 1, 50), (20, 90, 1)]
)
def test_layouts(left, right, m, n, k):
    rng = np.random.default_rng(0)
    x, y = matrix(rng, m, k, "float32", left), matrix(rng, k, n, "float32", right)
    out = np.full((m, n), np.nan, "float32")
    compiled(spec_of(x, y, out))(x, y, out)
    assert_product(out, x, y)


@pytest.mark.parametrize("layout", ["columns", "spread", "reversed"])
@pytest.mark.parametrize("m, n, k", [(7, 3, 5), (33, 70, 100), (40, 1, 50), (65, 65, 1200)])
def test_layouts_of_results(layout, m, n, k):
    """What lies between the elements of a spread result stays as it is."""
    rng = np.random.default_rng(0)
    x, y = numbers(rng, (m, k), "float64"), numbers(rng, (k, n), "float64")
    out = matrix(rng, m, n, "float64", layout)
    base = out.base
    assert base is not None
    before = base.copy()
    compiled(spec_of(x, y, out))(x, y, out)
    assert_product(out, x, y)
    assert np.count_nonzero(base != before) <= out.size


@pytest.mark.parametrize("dtype", [*INTEGERS, *OTHERS])
@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (7, 3, 5), (17, 33, 40), (1, 9, 30), (30, 1, 50)])
@pytest.mark.parametrize("layout", ["rows", "columns", "spread"])
def test_dtypes(dtype, m, n, k, layout):
    rng = np.random.default_rng(0)
    x, y = matrix(rng, m, k, dtype, layout), matrix(rng, k, n, dtype, layout)
    out = numbers(rng, (m, n), dtype)
    compiled(spec_of(x, y, out))(x, y, out)
    assert_product(out, x, y)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("left", ["rows", "columns"])
@pytest.mark.parametrize("right", ["rows", "columns"])
def test_complex_by_blas(dtype, left, right):
    rng = np.random.default_rng(0)
    x, y = matrix(rng, 70, 90, dtype, left), matrix(rng, 90, 80, dtype, right)
    out = numbers(rng, (70, 80), dtype)
    spec = spec_of(x, y, out)
    assert plan_dot(simplified(spec), host()).tile.kind == "blas"
    compiled(spec)(x, y, out)
    assert_product(out, x, y)
    start = out.copy()
    compiled(spec_of(x, y, out, accumulate=True))(x, y, out)
    assert_product(out, x, y, start)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bfloat16"])
@pytest.mark.parametrize("m, n, k", [(1003, 300, 150), (600, 515, 200)])
def test_operand_in_panels(dtype, m, n, k, accumulate):
    """An operand whose numbers for one tile lie far apart is copied by all threads before."""
    rng = np.random.default_rng(0)
    x, y = matrix(rng, m, k, dtype, "columns"), numbers(rng, (k, n), dtype)
    out = numbers(rng, (m, n), dtype)
    start = out.copy() if accumulate else np.zeros_like(out)
    spec = spec_of(x, y, out, accumulate)
    plan = plan_dot(simplified(spec), host())
    assert plan.packs_x or plan.tile.kind == "blas" or dtype == "bfloat16"
    run = compiled(spec)
    run(x, y, out)
    assert_product(out, x, y, start.astype(reference(x, y).dtype))
    before = out.copy()
    with config.override(num_threads=1):
        out[...] = start
        assert run(x, y, out).tobytes() == before.tobytes()


def test_large_operands_are_not_copied_as_a_whole():
    sizes = [(m, 512, 1024) for m in (1 << 13, 1 << 14)]
    specs = [DotSpec(np.dtype("float32"), (), m, n, k, (1, m), (n, 1), (n, 1)) for m, n, k in sizes]
    plans = [plan_dot(simplified(spec), host()) for spec in specs]
    assert plans[0].packs_x or plans[0].tile.kind == "blas"
    assert not plans[1].packs_x


# --- batches ---


@pytest.mark.parametrize(
    "lead_x, lead_y",
    [
        ((5,), (5,)),
        ((5,), (1,)),
        ((1,), (5,)),
        ((2, 3), (2, 3)),
        ((2, 1), (2, 3)),
        ((2, 3), (1, 3)),
    ],
)
@pytest.mark.parametrize("m, n, k", [(4, 4, 4), (1, 20, 7), (7, 1, 20), (10, 40, 33)])
def test_batches(lead_x, lead_y, m, n, k):
    rng = np.random.default_rng(0)
    x, y = numbers(rng, (*lead_x, m, k), "float32"), numbers(rng, (*lead_y, k, n), "float32")
    out = np.full((*np.broadcast_shapes(lead_x, lead_y), m, n), np.nan, "float32")
    compiled(spec_of(x, y, out))(x, y, out)
    assert_product(out, x, y)


@pytest.mark.parametrize("dtype", ["float32", "int64", "float16", "bfloat16", "bool", "complex64"])
@pytest.mark.parametrize("m, n, k", [(7, 3, 5), (33, 70, 1100), (1, 50, 40), (40, 1, 50)])
def test_accumulate(dtype, m, n, k):
    rng = np.random.default_rng(0)
    x, y = numbers(rng, (m, k), dtype), numbers(rng, (n, k), dtype).T
    out = numbers(rng, (m, n), dtype)
    start = out.copy()
    compiled(spec_of(x, y, out, accumulate=True))(x, y, out)
    assert_product(out, x, y, start.astype(reference(x, y).dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int8", "complex128"])
def test_sums_of_nothing(dtype):
    x, y, out = np.ones((2, 3, 0), dtype), np.ones((2, 0, 5), dtype), np.ones((2, 3, 5), dtype)
    compiled(spec_of(x, y, out, accumulate=True))(x, y, out)
    assert np.all(out == 1)
    compiled(spec_of(x, y, out), rows=True)(x, y, out, 1, 4)
    assert np.all(out.reshape(6, 5) == np.array([1, 0, 0, 0, 1, 1])[:, None])
    assert np.all(compiled(spec_of(x, y, out))(x, y, out) == 0)


@pytest.mark.parametrize("m, n, b", [(0, 3, 2), (3, 0, 2), (3, 3, 0)])
def test_nothing(m, n, b):
    x, y, out = np.ones((b, m, 4)), np.ones((b, 4, n)), np.ones((b, m, n))
    compiled(spec_of(x, y, out))(x, y, out)


# --- rows by the caller ---


@pytest.mark.parametrize("right", ["rows", "columns"])
@pytest.mark.parametrize(
    "m, n, k, b",
    [(50, 40, 30, 1), (7, 130, 9, 6), (200, 3, 64, 1), (1, 30, 5, 9), (62, 130, 2500, 1)],
)
def test_rows(m, n, k, b, right):
    """Any division into blocks of rows gives the same bits as the whole, and touches no other rows."""
    rng = np.random.default_rng(0)
    x = numbers(rng, (b, m, k), "float32")
    y = np.stack([matrix(rng, k, n, "float32", right) for _ in range(b)])
    if right == "columns":
        y = y.swapaxes(1, 2).copy().swapaxes(1, 2)
    whole = np.full((b, m, n), np.nan, "float32")
    spec = spec_of(x, y, whole)
    compiled(spec)(x, y, whole)
    run = compiled(spec, rows=True)
    for step in (1, 5, 24, 1000):
        out = np.full((b * m, n), 7, "float32")
        for start in range(0, b * m, step):
            assert np.all(out[start:] == 7)
            run(x, y, out, start, min(start + step, b * m))
        assert out.tobytes() == whole.tobytes()


# --- exceptional values ---


@pytest.mark.parametrize("m, n, k", [(3, 5, 4), (20, 100, 70), (1, 40, 90), (40, 1, 90)])
@pytest.mark.parametrize("right", ["rows", "columns"])
def test_special_values(m, n, k, right):
    """Zero times infinity is NaN, and what `out` held is not read."""
    rng = np.random.default_rng(0)
    x, y = numbers(rng, (m, k), "float32"), matrix(rng, k, n, "float32", right)
    x[0, 0], y[0, 0] = 0, np.inf
    x[m - 1, k - 1] = np.nan
    y[k - 1, n - 1] = -np.inf
    out = np.full((m, n), np.nan, "float32")
    compiled(spec_of(x, y, out))(x, y, out)
    with np.errstate(all="ignore"):
        expected = np.einsum("ik,kj->ij", x.astype("f8"), y.astype("f8"))
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(out), np.isinf(expected))


def test_denormals_are_kept():
    x, y = np.full((2, 1), 1e-30, "float32"), np.full((1, 40), 1e-10, "float32")
    out = np.zeros((2, 40), "float32")
    compiled(spec_of(x, y, out))(x, y, out)
    assert np.all(out == np.float32(1e-30) * np.float32(1e-10))
    assert np.all(out > 0)


# --- threads ---


@pytest.mark.parametrize(
    "m, n, k, b", [(300, 200, 150, 1), (4, 4000, 300, 1), (60, 50, 40, 20), (100, 200, 2500, 1)]
)
@pytest.mark.parametrize("right", ["rows", "columns"])
def test_results_do_not_depend_on_threads(m, n, k, b, right):
    rng = np.random.default_rng(0)
    x = numbers(rng, (b, m, k), "float32")
    y = numbers(rng, (b, k, n) if right == "rows" else (b, n, k), "float32")
    y = y if right == "rows" else y.swapaxes(1, 2)
    out = np.empty((b, m, n), "float32")
    run = compiled(spec_of(x, y, out))
    seen = set()
    for threads in (1, 2, 2, 3, 7):
        with config.override(num_threads=threads):
            out[...] = np.nan
            seen.add(run(x, y, out).tobytes())
    assert len(seen) == 1
    assert_product(out, x, y)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int32", "complex64"])
@pytest.mark.parametrize("m, n, k", [(1, 1, 3_000_001), (3, 5, 700_000)])
def test_long_sums_are_cut_into_parts(dtype, m, n, k, accumulate):
    rng = np.random.default_rng(0)
    x, y = numbers(rng, (m, k), dtype), numbers(rng, (k, n), dtype)
    start = numbers(rng, (m, n), dtype)
    spec = spec_of(x, y, start, accumulate)
    assert count_parts(plan_dot(simplified(spec), host())) > 1
    run = compiled(spec)
    seen = set()
    for threads in (1, 2, 3):
        with config.override(num_threads=threads):
            out = start.copy()
            seen.add(run(x, y, out).tobytes())
    assert len(seen) == 1
    assert_product(out, x, y, start.astype(reference(x, y).dtype) if accumulate else 0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_ctrl_c_ends_a_product_early():
    def interrupt(*_):
        raise KeyboardInterrupt

    size = 4000
    x = np.ones((size, size), "float32")
    out = np.empty_like(x)
    run = compiled(spec_of(x, x, out), prototype=ctypes.PYFUNCTYPE)
    previous = signal.signal(signal.SIGALRM, interrupt)
    started = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(x, x, out)
        assert time.perf_counter() - started < 0.5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


# --- other machines ---


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "m, n, k", [(7, 3, 5), (33, 70, 100), (1, 50, 40), (40, 1, 50), (6, 33, 20)]
)
def test_narrow_vectors(monkeypatch, dtype, m, n, k):
    """Code for 16 registers of 32 or 16 bytes, as other CPUs have them."""
    rng = np.random.default_rng(0)
    for vector_bytes in (32, 16):
        target = Target(host().triple, host().cpu, "+avx2")
        target.vector_bytes = vector_bytes
        monkeypatch.setattr(
            "funcgrad.compiler.llvm.products.gemm.host", lambda target=target: target
        )
        for right in ("rows", "columns"):
            x, y = numbers(rng, (m, k), dtype), matrix(rng, k, n, dtype, right)
            out = np.full((m, n), np.nan, dtype)
            compiled(spec_of(x, y, out))(x, y, out)
            assert_product(out, x, y)


# --- dot_general ---


@pytest.mark.filterwarnings("ignore:.*was compiled .* times")
@pytest.mark.parametrize(
    ("equation", "shape"),
    [
        *[("i,j->ij", (3,)), ("ij,kl->ijkl", (2, 3)), ("ij,jk->ik", (4, 4)), ("ij,ij->", (2, 3))],
        *[("bi,bj->bij", (2, 3)), ("bij,bkj->bik", (2, 3, 4)), ("ijk,kl->ijl", (3, 3, 3))],
    ],
)
def test_products_of_an_array_with_itself(equation, shape):
    x = np.arange(1, 1 + np.prod(shape), dtype="float32").reshape(shape)
    part = 0 if equation.startswith("ijk") else slice(None)
    found = fg.jit(lambda x: fg.numpy.einsum(equation, x, x[part]))(x)
    np.testing.assert_allclose(found, np.einsum(equation, x, x[part]), rtol=1e-6)
