"""Native reductions over windows: pooling of all kinds, odd sizes, ties, special values, threads."""

import ctypes

import numpy as np
import pytest

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.loading.load import load
from funcgrad.compiler.llvm.runtime import runtime
from funcgrad.compiler.llvm.windows.windows import supports, windows
from funcgrad.compiler.lowering.window_spec import WindowSpec
from funcgrad.config import config
from funcgrad.ops.sliding import ALONE, Sliding
from funcgrad.ops.windows import (
    WINDOW_MAX,
    WINDOW_MIN,
    WINDOW_POSITION,
    WINDOW_PUT,
    WINDOW_SUM,
    WINDOW_TAKE,
)
from tests.compiler.guarded import guarded

REDUCTIONS = {"add": WINDOW_SUM, "maximum": WINDOW_MAX, "minimum": WINDOW_MIN}


def compiled(spec):
    """A Python function of arrays, the last of which is the result."""
    runtime.ensure()
    module = Module()
    name = windows(module, spec)
    count = 3 if spec.what in ("take", "put") else 2
    f = module.function("entry", "void", ["ptr"] * count)
    f.call(name, "void", f.arguments)
    f.ret()
    library = load(module.text())
    native = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(library.address("entry"))

    def run(*arrays, keep=library):
        native(*[array.ctypes.data for array in arrays])
        return arrays[-1]

    return run


def check(x, window):
    """All that can be done with windows of this array, against NumPy. Memory behind arrays cannot be touched."""
    computed = lambda spec, *arrays: compiled(spec)(*map(guarded, arrays))
    rng = np.random.default_rng(1)
    for what, primitive in REDUCTIONS.items():
        expected = primitive(x, window=window)
        spec = WindowSpec(what, x.dtype, x.shape, window)
        assert supports(spec)
        got = computed(spec, x, np.full_like(expected, 7))
        scale = 1 if x.dtype.kind != "f" else np.finfo(x.dtype).eps * 64
        np.testing.assert_allclose(got, expected, rtol=scale, atol=scale)
    for what in ("largest", "smallest"):
        positions = WINDOW_POSITION(x, window=window, is_largest=what == "largest")
        spec = WindowSpec(what, x.dtype, x.shape, window)
        np.testing.assert_array_equal(computed(spec, x, np.full_like(positions, 7)), positions)
        spec = WindowSpec("take", x.dtype, x.shape, window)
        expected = WINDOW_TAKE(x, positions, window=window)
        np.testing.assert_array_equal(
            computed(spec, x, positions, np.full_like(expected, 7)), expected
        )
        spec = WindowSpec("put", x.dtype, x.shape, window)
        cotangent = rng.integers(-9, 9, positions.shape).astype(x.dtype)
        expected = WINDOW_PUT(cotangent, positions, window=window, shape=x.shape)
        np.testing.assert_array_equal(
            computed(spec, cotangent, positions, np.full(x.shape, 7, x.dtype)), expected
        )


def integers(shape, dtype=np.float32, seed=0):
    """Few different numbers, so that many are equal."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


POOL = (ALONE, ALONE, Sliding(2, 2), Sliding(2, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint64"])
@pytest.mark.parametrize("shape", [(2, 3, 8, 14), (1, 2, 7, 9), (3, 1, 2, 2), (1, 1, 40, 71)])
def test_pooling(shape, dtype):
    check(integers(shape, dtype), POOL)


def test_channels_last():
    check(integers((2, 6, 8, 21)), (ALONE, Sliding(3, 2, 1, 1), Sliding(2, 2), ALONE))


@pytest.mark.parametrize(
    "sliding", [Sliding(3, 1, 1, 1), Sliding(3, 2, 1, 0), Sliding(2, 3), Sliding(5, 6)]
)
def test_overlap_padding_and_gaps(sliding):
    check(integers((2, 17, 39)), (ALONE, sliding, sliding))


@pytest.mark.parametrize("shape", [(2, 4, 10), (3, 6, 13), (1, 2, 31)])
@pytest.mark.parametrize("sliding", [Sliding(1, 3), Sliding(2, 3), Sliding(2, 5, 1, 0)])
def test_gaps_behind_the_last_window_are_not_of_the_array(shape, sliding):
    check(integers(shape), (ALONE, Sliding(2, 2), sliding))


@pytest.mark.parametrize("seed", range(10))
def test_random_windows(seed):
    rng = np.random.default_rng(seed)
    between = lambda low, high: int(rng.integers(low, high))
    window = tuple(
        ALONE
        if rng.random() < 0.3
        else Sliding(
            *(between(*pair) for pair in [(1, 4), (1, 6), (-2, 4), (-2, 4), (1, 3), (1, 4)])
        )
        for _ in range(between(1, 5))
    )
    check(integers(tuple(rng.integers(1, 12, len(window)).tolist()), seed=seed), window)


def test_large_windows_are_loops():
    check(integers((3, 20, 25)), (ALONE, Sliding(20), Sliding(9, 3)))
    check(integers((700,), np.float64), (Sliding(300, 7),))
    assert not supports(WindowSpec("add", np.dtype("float32"), (5000,), (Sliding(2000),)))


def test_special_values():
    x = np.array([[np.nan, 1, np.inf, -np.inf], [2, np.nan, np.nan, -0.0]], np.float32)
    x = np.concatenate([x, np.full((2, 4), -np.inf, np.float32)])
    with np.errstate(invalid="ignore"):
        for window in (
            (Sliding(2), Sliding(2)),
            (Sliding(2, 2), Sliding(2, 2)),
            (ALONE, Sliding(3)),
        ):
            for what, primitive in REDUCTIONS.items():
                expected = primitive(x, window=window)
                got = compiled(WindowSpec(what, x.dtype, x.shape, window))(
                    x, np.zeros_like(expected)
                )
                np.testing.assert_array_equal(got, expected)
            for what in ("largest", "smallest"):
                expected = WINDOW_POSITION(x, window=window, is_largest=what == "largest")
                got = compiled(WindowSpec(what, x.dtype, x.shape, window))(x, expected + 7)
                np.testing.assert_array_equal(got, expected)


def test_nothing_beyond_the_arrays_is_touched():
    x = integers((3, 4, 6, 10))
    out = WINDOW_MAX(x, window=POOL)
    room = np.full(out.size + 128, 7, np.float32)
    inside = room[64:-64].reshape(out.shape)
    compiled(WindowSpec("maximum", x.dtype, x.shape, POOL))(x, inside)
    np.testing.assert_array_equal(inside, out)
    assert (room[:64] == 7).all() and (room[-64:] == 7).all()


def test_threads_change_nothing():
    x = integers((16, 16, 40, 40))
    run = compiled(WindowSpec("maximum", x.dtype, x.shape, POOL))
    for threads in (1, 2, 5):
        with config.override(num_threads=threads):
            got = run(x, np.zeros((16, 16, 20, 20), np.float32))
        np.testing.assert_array_equal(got, WINDOW_MAX(x, window=POOL))
