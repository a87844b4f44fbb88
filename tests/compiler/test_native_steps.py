"""Scatters, updates of windows, running operations and recurrences as machine code against the interpreter."""

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.kernels.combine import combines
from funcgrad.compiler.llvm.steps import cumulatives, scatters, tasks
from funcgrad.config import config
from funcgrad.ir.types import FLOAT32
from funcgrad.ops import cumulative
from funcgrad.ops.dynamic_slice import dynamic_slice, dynamic_update_slice
from funcgrad.ops.recurrence import linear_recurrence
from funcgrad.ops.scatter import scatter
from tests.compiler.native import check, same

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = ("float32", "float64", "float16", BFLOAT16)
REAL = (*FLOATS, "int8", "int32", "int64", "uint16", "bool")
ALL = (*REAL, "complex64", "complex128")
SIZES = (0, 1, 3, 7, 17, 1003)


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    x = rng.standard_normal(shape) * 3
    if dtype.kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(np.int64).astype(dtype) if dtype.kind in "iub" else x.astype(dtype)


def resolution(dtype):
    """The relative error that another order of operations may cause."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iub":
        return 0.0
    return {2: 2e-2, 4: 1e-5, 8: 1e-5 if dtype.kind == "c" else 1e-13, 16: 1e-13}[dtype.itemsize]


@pytest.fixture
def small_parts(monkeypatch):
    """What long arrays need, with short ones: several chunks, looks for Ctrl-C."""
    monkeypatch.setattr(cumulatives, "POLL_ELEMENTS", 128)
    monkeypatch.setattr(cumulatives, "CHUNK_WORK", 64)
    monkeypatch.setattr(scatters, "POLL_WORK", 64)
    monkeypatch.setattr(scatters, "CHUNK_WORK", 64)
    monkeypatch.setattr(scatters, "BLOCK", 16)
    monkeypatch.setattr(tasks, "CHUNK_BYTES", 1 << 10)
    with config.override(cache=False):
        yield


# --- windows at run-time places ---


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize(
    ("shape", "window", "starts"),
    [
        ((7,), (3,), (4,)),
        ((7,), (3,), (-7,)),
        ((17, 5), (4, 5), (-9, 0)),
        ((17, 5), (3, 2), (14, -3)),
        ((3, 4, 5), (1, 4, 3), (2, 0, 1)),
        ((1003,), (1003,), (0,)),
        ((5,), (0,), (5,)),
        ((0, 3), (0, 3), (0, 0)),
        ((1, 1), (1, 1), (-1, 0)),
    ],
)
def test_a_window_is_replaced(dtype, shape, window, starts):
    x, updates = numbers(shape, dtype), numbers(window, dtype, 1)
    places = [np.int64(start) for start in starts]
    check(lambda x, u, *starts: dynamic_update_slice(x, u, starts), x, updates, *places)
    check(lambda u, *s: dynamic_update_slice(np.zeros(shape, dtype), u, s), updates, *places)
    check(lambda x, *s: dynamic_slice(x, s, window), x, *places)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bool", "complex128"])
@pytest.mark.parametrize("width", [1, 5, 33])
def test_one_window_for_each_example(dtype, width):
    x, updates = numbers((4, 9, width), dtype), numbers((4, 3, width), dtype, 1)
    starts = np.array([1, -4, 6, 0])
    read = fg.vmap(lambda x, s: dynamic_slice(x, (s, 0), (3, width)))
    check(read, x, starts)
    write = fg.vmap(lambda x, u, s: dynamic_update_slice(x, u, (s, 0)))
    check(write, x, updates, starts)
    check(lambda x, s: read(x, s)[:, ::-1].sum(1), x, starts, rtol=resolution(dtype))


def test_a_slice_of_each_example_has_a_derivative():
    x, starts = numbers((3, 10), "float64"), np.array([2, -3, 7])
    read = fg.vmap(lambda x, s: dynamic_slice(x, (s,), (3,)))
    check(fg.grad(lambda x, s: (read(x * 2, s) ** 2).sum()), x, starts, rtol=1e-14)


@pytest.mark.parametrize("start", [3, -6, 100, -100])
@pytest.mark.parametrize("size", [0, 3])
def test_a_window_outside_is_an_error(start, size):
    x = np.zeros((2, 5))
    write = lambda x, i: dynamic_update_slice(x, np.ones((2, size)), (0, i))  # noqa: E731
    read = fg.vmap(lambda x, i: dynamic_slice(x, (i,), (3,)))
    for f, args in ((write, (x, np.int64(start))), (read, (x, np.array([1, start])))):
        if f is write and size == 0 and start == 3:
            continue
        messages = []
        for run in (f, fg.jit(f)):
            with pytest.raises(IndexError) as caught:
                run(*args)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


# --- scatters ---


@pytest.mark.parametrize("dtype", ALL)
def test_rows_are_combined_in_their_order(dtype):
    rng = np.random.default_rng(2)
    for count in SIZES:
        for shape in ((7,), (13, 3), (2, 64)):
            indices = rng.integers(-shape[0], shape[0], count)
            x, updates = numbers(shape, dtype), numbers((count, *shape[1:]), dtype, 1)
            signs = np.sign(updates) if updates.dtype.kind != "b" else updates

            def write(x, i, u, signs):
                found = [scatter(mode, x, [i], u) for mode in ("set", "add", "max", "min")]
                return [*found, scatter("multiply", x, [i], signs)]

            check(write, x, indices, updates, signs, rtol=rounding(x))


def rounding(x):
    """Products of complex numbers are rounded once or twice."""
    return resolution(x.dtype) if x.dtype.kind == "c" else 0.0


@pytest.mark.parametrize("mode", ["set", "add", "max"])
def test_indices_broadcast_and_have_any_integer_dtype(mode):
    rng = np.random.default_rng(3)
    x, updates = numbers((5, 6, 3), "float32"), numbers((4, 7, 3), "float32", 1)
    i = rng.integers(-5, 5, (4, 1)).astype(np.int8)
    j = rng.integers(0, 6, (1, 7)).astype(np.uint32)
    check(lambda x, i, j, u: scatter(mode, x, [i, j], u), x, i, j, updates)
    check(lambda i, j, u: scatter(mode, np.ones((5, 6, 3), "f4"), [i, j], u), i, j, updates)
    check(lambda x, i, u: scatter(mode, x, [i], u), x, np.int64(-2), updates[0, :6])


@pytest.mark.parametrize("shape", [(4,), (4, 3), (0,), (0, 3), (4, 0)])
def test_rows_out_of_bounds_are_dropped(shape):
    indices = np.array([-9, 3, -4, 4, 0, 7, -5])
    x, updates = numbers(shape, "float64"), numbers((7, *shape[1:]), "float64", 1)
    check(lambda x, i, u: scatter("add", x, [i], u, drop=True), x, indices, updates)


@pytest.mark.parametrize(
    ("shape", "indices"),
    [((5,), ([0, 5, 1],)), ((0,), ([0],)), ((4, 6), ([0, 1], [2, -7])), ((3, 0), ([3],))],
)
def test_an_index_out_of_bounds_is_an_error(shape, indices):
    arrays = [np.array(index) for index in indices]
    rows = (len(indices[0]), *shape[len(indices) :])

    def write(x, *indices):
        return scatter("add", x, indices, np.ones(rows), labels=(1, 3)[: len(indices)])

    messages = []
    for run in (write, fg.jit(write)):
        with pytest.raises(IndexError, match="out of bounds for axis") as caught:
            run(np.zeros(shape), *arrays)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("dtype", ["float16", BFLOAT16])
def test_half_precision_is_summed_in_float32(dtype):
    updates = np.full(4000, 1.0, dtype)
    indices = np.zeros(4000, np.int64)
    found = fg.jit(lambda x, i, u: scatter("add", x, [i], u))(np.zeros(3, dtype), indices, updates)
    assert found.dtype == dtype and float(found[0]) == float(np.array(4000).astype(dtype))


@pytest.mark.parametrize("mode", ["set", "add", "multiply"])
def test_rows_that_threads_share(mode, small_parts):
    rng = np.random.default_rng(4)
    for width in (1, 129, 300, 517):
        x, updates = numbers((9, width), "float32"), numbers((41, width), "float32", 1)
        indices = rng.integers(-9, 9, 41)
        check(lambda x, i, u: scatter(mode, x, [i], u), x, indices, updates)
        check(lambda i, u: scatter(mode, np.ones((9, width), "f4"), [i], u), indices, updates)
    x, updates = numbers((9, 8), "float16"), numbers((6, 7, 8), "float16", 1)
    i, j = rng.integers(0, 9, (6, 1)), rng.integers(0, 1, (1, 7))
    check(lambda x, i, j, u: scatter(mode, x, [i + j], u), x, i, j, updates)


# --- changes in place, in loops ---


def test_loops_change_what_they_carry_in_place():
    def fill(x, i):
        x = dynamic_update_slice(x, x[:1] + i, (i,))
        return x, x[0]

    def count(x, i):
        return scatter("add", x, [i % 5], np.float64(1.0)), i

    numbers_ = np.arange(17)
    for step, start in ((fill, np.arange(20)), (count, np.zeros(9))):
        check(lambda x, n, step=step: fg.lax.scan(step, x, n), start, numbers_)


# --- running operations ---

SHAPES = [
    *[((n,), 0) for n in SIZES],
    *[((7, 5), 0), ((7, 5), 1), ((33, 100), 1), ((100, 33), 0), ((3, 4, 5), 1)],
    *[((3, 70, 130), 1), ((2, 3, 1), 2), ((0, 3), 0), ((3, 0), 0), ((17, 40, 2), 1), ((20, 64), 1)],
]


def running(dtype):
    extremes = [cumulative.cummax, cumulative.cummin]
    return [cumulative.cumsum, *extremes[: 0 if np.dtype(dtype).kind == "c" else 2]]


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("reverse", [False, True])
def test_running_operations(dtype, reverse):
    for shape, axis in SHAPES:
        x = numbers(shape, dtype)
        factors = x if x.dtype.kind in "iub" else (1 + x * 0.01).astype(dtype)

        def run(x, factors, axis=axis):
            found = [f(x, axis=axis, reverse=reverse) for f in running(dtype)]
            return [*found, cumulative.cumprod(factors, axis=axis, reverse=reverse)]

        check(run, x, factors, rtol=resolution(dtype) if x.dtype.kind == "c" else 0.0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_running_logarithms_of_sums(dtype):
    for shape, axis in SHAPES:
        x = numbers(shape, dtype)
        libraries = int(not combines("logaddexp", FLOAT32))
        run = lambda x, axis=axis: cumulative.cumlogsumexp(x, axis=axis)  # noqa: E731
        check(run, x, rtol=resolution(dtype) * 10, libraries=libraries)


@pytest.mark.parametrize("function", [cumulative.cumsum, cumulative.cumprod, cumulative.cummax])
def test_long_rows_look_for_interrupts(function, small_parts):
    for shape, axis in (((1009,), 0), ((5, 777), 1), ((777, 5), 0), ((300, 70), 0)):
        for dtype in ("float64", "int32"):
            x = numbers(shape, dtype) if dtype == "int32" else 1 + numbers(shape, dtype) * 0.01
            check(lambda x, axis=axis: function(x, axis=axis), x)


def test_what_is_not_finite_runs_on():
    x = np.array([1.0, -0.0, np.inf, 2.0, -np.inf, np.nan, 3.0])
    for y in (x, x[:4], np.array([-0.0, -0.0]), np.array([0.0, np.inf, 1.0])):
        for function in (*running("float64"), cumulative.cumprod):
            check(function, y)
            check(lambda x, f=function: f(x, axis=1), np.tile(y, (20, 1)))


# --- recurrences ---


@pytest.mark.parametrize("dtype", [*FLOATS, "complex64", "complex128"])
@pytest.mark.parametrize("reverse", [False, True])
def test_recurrences(dtype, reverse):
    for shape, axis in SHAPES:
        factor, term = (numbers(shape, dtype, 1) * 0.25).astype(dtype), numbers(shape, dtype)
        run = lambda f, t, axis=axis: linear_recurrence(f, t, axis, reverse)  # noqa: E731
        check(run, factor, term, rtol=resolution(dtype) * 20)


def test_a_carried_zero_stays_zero():
    factor = np.array([1.0, np.inf, np.nan, 2.0, np.inf])
    term = np.array([0.0, 0.0, 3.0, 0.0, -6.0])
    same(fg.jit(linear_recurrence)(factor, term), [0.0, 0.0, 3.0, 6.0, np.inf])


def test_a_changed_array_whose_old_value_is_a_result_is_copied():
    def run(x):
        step = lambda x, i: (dynamic_update_slice(x, x[:1] + 1.0, (i,)), x)
        return fg.lax.scan(step, x, np.arange(5))

    check(run, np.zeros(6))
