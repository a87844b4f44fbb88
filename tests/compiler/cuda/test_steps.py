"""Steps as launches, on the emulated device: products, convolutions, windows, changed elements, running operations."""

import numpy as np
import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

import funcgrad as fg  # noqa: E402
from funcgrad import lax  # noqa: E402
from funcgrad.ops import gather, scatter  # noqa: E402
from funcgrad.ops.convolution import convolve  # noqa: E402
from funcgrad.ops.cumulative import CUM_LOG_SUM_EXP, CUM_MAX, CUM_PROD, CUM_SUM  # noqa: E402
from funcgrad.ops.matmul import dot_general  # noqa: E402
from funcgrad.ops.recurrence import LINEAR_RECURRENCE  # noqa: E402
from funcgrad.ops.sliding import ALONE, Sliding  # noqa: E402
from funcgrad.ops.windows import (  # noqa: E402
    WINDOW_MAX,
    WINDOW_POSITION,
    WINDOW_PUT,
    WINDOW_SUM,
    WINDOW_TAKE,
)
from tests.compiler.cuda.step_rows import BFLOAT16, HALVES, check, numbers, row  # noqa: E402
from tests.gpu.emulator import fake_lt  # noqa: E402
from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")
INEXACT = (np.float16, BFLOAT16, np.float32, np.float64, np.complex64)


# --- products ---

BIG = 40  # so that products are not left to one block of threads


def products():
    for dtype in INEXACT:
        x, y = numbers((BIG, 33), dtype, 1), numbers((33, BIG + 3), dtype, 2)
        name, tolerance = np.dtype(dtype).name, 60 if np.dtype(dtype) in HALVES else 2e3
        yield row(
            f"{name}", lambda x, y: dot_general(x, y, ((1,), (0,))), x, y, tolerance=tolerance
        )
        yield row(
            f"{name} turned",
            lambda x, y: dot_general(y.T, x.T, ((1,), (0,))),
            x,
            y,
            tolerance=tolerance,
        )
    for dtype in (np.int8, np.int64, np.uint16, bool):
        x, y = numbers((37, 45), dtype, 1), numbers((45, 34), dtype, 2)
        yield row(f"{np.dtype(dtype)}", lambda x, y: (x @ y, y.T @ x.T), x, y)
    x, y = numbers((3, 4, 40, 17)), numbers((3, 4, 17, 41), seed=1)
    yield row("batches", lambda x, y: x @ y, x, y)
    heads = numbers((3, 40, 4, 16))
    scores = lambda q, k: q.transpose(0, 2, 1, 3) @ k.transpose(0, 2, 3, 1)
    yield row("batches apart", scores, heads, heads + 1)
    yield row("one of them", lambda x, y: x @ y[0, 0], x, y)
    yield row("slices", lambda x, y: x[1:, ::2] @ y[::2], numbers((60, 66)), numbers((66, 50)))
    yield row("vector", lambda x, y: (x @ y, y @ x), numbers((300, 300)), numbers(300))
    yield row("nothing", lambda x, y: x @ y, numbers((40, 0)), numbers((0, 40)))
    yield row("no rows", lambda x, y: x @ y, numbers((0, 40)), numbers((40, 40)))
    yield row(
        "several axes", lambda x, y: np.tensordot(x, y, 2), numbers((50, 6, 7)), numbers((6, 7, 44))
    )


@pytest.mark.parametrize("order", [0, 1])
def test_products(order):
    check(products(), order)


@pytest.mark.parametrize(
    ("precision", "number"), [("highest", 68), ("tensorfloat32", 77), ("bfloat16", 75)]
)
def test_precision_of_float32(precision, number):
    x, y = numbers((70, 70)), numbers((70, 70), seed=1)
    with emulated(), fg.default_matmul_precision(precision):
        fake_lt.calls.clear()
        fg.jit(lambda x, y: x @ y)(put(x), put(y))
        assert [call["compute"] for call in fake_lt.calls] == [number]


# --- convolutions ---


def convolutions():
    nchw, nhwc = ("nc01", "oc01", "no01"), ("n01c", "01co", "n01o")
    x, w = numbers((2, 5, 13, 12)), numbers((11, 5, 3, 3), seed=1)
    window = (Sliding(3, 1, 1, 1), Sliding(3, 2, 1, 0))
    yield row("planes", lambda x, w: convolve(x, w, nchw, window), x, w)
    turned = x.transpose(0, 2, 3, 1).copy(), w.transpose(2, 3, 1, 0).copy()
    yield row("channels last", lambda x, w: convolve(x, w, nhwc, window), *turned)
    alone = (Sliding(1), Sliding(1))
    small = numbers((11, 5, 1, 1))
    yield row("windows of one element", lambda x, w: convolve(x, w, nchw, alone), x, small)
    wide = (Sliding(3, 1, 2, 2, 1, 2), Sliding(3, 1, 0, 1, 2, 1))
    yield row("dilated and spaced", lambda x, w: convolve(x, w, nchw, wide), x, w)
    groups = ("ngc01", "goc01", "ngo01")
    many = numbers((2, 3, 8, 9, 9)), numbers((3, 16, 8, 3, 3), seed=1)
    yield row("groups", lambda x, w: convolve(x, w, groups, window), *many)
    depth = ("nc01", "c01", "nc01")
    yield row("depthwise", lambda x, w: convolve(x, w, depth, window), x, w[0])
    for dtype in (np.float16, np.int32, np.complex64):
        given = x.astype(dtype), w.astype(dtype)
        yield row(
            f"{np.dtype(dtype)}", lambda x, w: convolve(x, w, nchw, window), *given, tolerance=100
        )
    line = ("nc0", "oc0", "no0")
    long = numbers((4, 3, 900)), numbers((2, 3, 500), seed=1)
    yield row(
        "long windows", lambda x, w: convolve(x, w, line, (Sliding(500),)), *long, tolerance=2e4
    )


def gradients_of_convolutions():
    labels = ("nc01", "oc01", "no01")
    window = (Sliding(3, 2, 1, 1), Sliding(3, 1, 1, 1))

    def gradient(x, w, seed):
        out, pull = fg.vjp(lambda x, w: convolve(x, w, labels, window), x, w)
        return pull(seed * out)

    given = numbers((3, 8, 12, 11)), numbers((9, 8, 3, 3), seed=1), numbers((3, 9, 6, 11), seed=2)
    yield row("gradient", gradient, *given, tolerance=2e4)


@pytest.mark.parametrize("order", [0, 1])
def test_convolutions(order):
    check([*convolutions(), *gradients_of_convolutions()], order)


def test_convolutions_in_pieces(monkeypatch):
    """What would be too large a matrix is made piece by piece, of rows or of terms."""
    monkeypatch.setattr("funcgrad.compiler.cuda.steps.convolution_products.MOST_BYTES", 1 << 13)
    check(gradients_of_convolutions())


# --- windows ---


def windows():
    window = (ALONE, Sliding(3, 2, 1, 1), Sliding(2, 2), ALONE)
    over = (ALONE, Sliding(3, 1, 1, 1), Sliding(2, 1, 0, 1, 1, 2), ALONE)
    for dtype in (np.float16, np.float32, np.int32):
        x = numbers((2, 9, 10, 3), dtype)
        for number, each in enumerate((window, over)):
            name = f"{np.dtype(dtype)} {number}"
            yield row(f"sum {name}", lambda x, w=each: WINDOW_SUM(x, window=w), x, tolerance=30)
            yield row(f"max {name}", lambda x, w=each: WINDOW_MAX(x, window=w), x)

            def moved(x, w=each):
                places = WINDOW_POSITION(x, window=w, is_largest=False)
                taken = WINDOW_TAKE(x, places, window=w)
                return places, taken, WINDOW_PUT(taken, places, window=w, shape=x.shape)

            yield row(f"positions {name}", moved, x, tolerance=30)
    nan = numbers((8, 8))
    nan[3, 3] = np.nan
    pool = (Sliding(2, 2), Sliding(2, 2))
    yield row("NaN", lambda x: WINDOW_MAX(x, window=pool), nan)


def test_windows():
    check(windows(), 1)


# --- changed elements ---


def scatters():
    ways = {
        "add": gather.SCATTER_ADD,
        "set": scatter.SCATTER_SET,
        "max": scatter.SCATTER_MAX,
        "multiply": scatter.SCATTER_MULTIPLY,
    }
    for name, primitive in ways.items():
        for dtype in (np.float32, np.float16, np.int16):
            for count in (1, 200, 3000):
                x = numbers((40, 3), dtype)
                index = np.random.default_rng(count).integers(-41, 41, (count, 1))
                updates = numbers((count, 1, 3), dtype, 1, 0.1)
                if name == "multiply":
                    updates = (updates * 0 + 1).astype(dtype)
                params = {"labels": (0,), "drop": True, "unique": False}
                change = lambda x, u, i, p=primitive, k=params: p(x, u, i, **k)
                label = f"{name} {np.dtype(dtype)} {count}"
                yield row(label, change, x, updates, index, tolerance=300)
    params = {"labels": (0, 1), "drop": True, "unique": False}
    two = [np.random.default_rng(n).integers(0, 9, s) for n, s in ((1, (70, 1)), (2, (60,)))]
    added = lambda x, u, i, j: gather.SCATTER_ADD(x, u, i, j, **params)
    yield row("two indices", added, numbers((9, 9)), numbers((70, 60)), *two)
    same = np.zeros(5000, np.int32)
    add = lambda x, u, i: gather.SCATTER_ADD(x, u, i, labels=(0,), drop=True, unique=False)
    yield row("one row", add, numbers((3, 2)), numbers((5000, 2), seed=2), same, tolerance=2e4)
    into_zeros = lambda u, i: lax.dynamic_update_slice(fg.numpy.full_like(u, 2.0), u[1:], (i, 0))
    yield row("window", into_zeros, numbers((6, 4)), np.int64(-5))


def test_scatters():
    check(scatters(), 1)


def test_a_window_that_leaves_the_array_changes_nothing():
    f = fg.jit(lambda x, u, i: lax.dynamic_update_slice(x, u, (i,)))
    with emulated():
        x = numbers(8)
        out = f(put(x), put(numbers(4)), put(np.int64(5)))
        np.testing.assert_array_equal(host(out), x)


# --- running operations ---


def running():
    shapes = ((4, 30), 1), ((2, 2500, 2), 1), ((1, 9000), 1), ((33, 70, 65), 1)
    for number, (dtype, (shape, axis)) in enumerate(
        [*[(np.float32, shape) for shape in shapes], (np.float16, shapes[1]), (np.int32, shapes[1])]
    ):
        params = {"axis": axis, "reverse": bool(number % 2)}
        total = lambda x, k=params: CUM_SUM(x, **k)
        x = numbers(shape, dtype, scale=0.1)
        yield row(f"sum {np.dtype(dtype)} {shape}", total, x, tolerance=5e3)
    x = numbers((3, 5000), scale=1e-2)
    yield row("product", lambda x: CUM_PROD(1 + x, axis=1, reverse=False), x, tolerance=5e3)
    yield row("max", lambda x: CUM_MAX(x, axis=1, reverse=True), x)
    yield row("log sum", lambda x: CUM_LOG_SUM_EXP(x, axis=1, reverse=False), x, tolerance=5e3)
    for shape, dtype in (((3, 20), np.complex64), ((2, 6000), np.float32)):
        factor, term = numbers(shape, dtype, scale=0.5), numbers(shape, dtype, seed=1)
        term[:, ::7] = 0
        recur = lambda f, t: LINEAR_RECURRENCE(f, t, axis=1, reverse=False)
        yield row(f"recurrence {shape}", recur, factor, term)


def test_running_operations():
    check(running(), 1)
