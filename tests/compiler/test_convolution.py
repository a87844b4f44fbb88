"""Native convolutions: the rows of the table of primitives and their gradients, odd sizes, threads, special values."""

import ctypes
import signal
import time

import numpy as np
import pytest

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.loading.load import load
from funcgrad.compiler.llvm.runtime import runtime
from funcgrad.compiler.llvm.target import Target, host
from funcgrad.compiler.llvm.windows import (
    conv_lanes,
    conv_places,
    conv_table,
    conv_terms,
    winograd_layout,
)
from funcgrad.compiler.llvm.windows.convolution import conv, supports
from funcgrad.compiler.llvm.windows.winograd_layout import pays
from funcgrad.compiler.lowering.conv_spec import contiguous, conv_spec
from funcgrad.config import config
from funcgrad.ops.convolution import CONVOLVE, Convolve
from funcgrad.ops.sliding import Sliding
from funcgrad.transforms.grad import vjp
from tests.ops.cases_windows import CASES

PLAIN = ("nc01", "oc01", "no01")
# Lengths for which Winograd's way is the faster one.
BOUNDS = {"n": (2, 8), "c": (32, 70), "o": (48, 90), "0": (7, 17), "1": (7, 17)}
SAME = (Sliding(3, low=1, high=1),) * 2


def compiled(spec, prototype=ctypes.CFUNCTYPE):
    """A Python function of three arrays."""
    runtime.ensure()
    module = Module()
    name = conv(module, spec)
    f = module.function("entry", "void", ["ptr"] * 3)
    f.call(name, "void", f.arguments)
    f.ret()
    library = load(module.text())
    native = prototype(None, *[ctypes.c_void_p] * 3)(library.address("entry"))

    def run(x, w, out, keep=library):
        native(x.ctypes.data, w.ctypes.data, out.ctypes.data)
        return out

    return run


def compute(x, w, labels, window):
    spec = conv_spec(x.dtype, labels, window, x.shape, w.shape)
    shape = Convolve.numpy(CONVOLVE, np, x, w, labels=labels, window=window).shape
    return compiled(spec)(x, w, np.full(shape, 77, x.dtype))


@pytest.fixture
def compared(monkeypatch):
    """Each convolution that NumPy computes meanwhile is also computed natively and compared; how many there were."""
    seen = []

    def checked(primitive, xp, x, w, *, labels, window):
        out = numpy(primitive, xp, x, w, labels=labels, window=window)
        spec = conv_spec(x.dtype, labels, window, x.shape, w.shape)
        assert supports(spec)
        x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
        got = compiled(spec)(x, w, np.full(out.shape, 77, x.dtype))
        scale = np.abs(out).max(initial=1)
        np.testing.assert_allclose(
            got, out, atol=1e-6 * scale if x.itemsize == 4 else 1e-12 * scale
        )
        seen.append(labels)
        return out

    numpy = Convolve.numpy
    monkeypatch.setattr(Convolve, "numpy", checked)
    return seen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [c for c in CASES if c.primitive == "convolve"], ids=str)
def test_rows_and_their_gradients(case, dtype, compared):
    out, pull = vjp(case.call, *case.arguments(dtype))
    pull(out)
    assert len(compared) == 3


@pytest.mark.parametrize("seed", range(12))
def test_random_sizes(seed, compared):
    rng = np.random.default_rng(seed)
    between = lambda low, high: int(rng.integers(low, high))
    rank = between(1, 4)
    window = tuple(
        Sliding(*(between(*pair) for pair in [(1, 4), (1, 4), (-2, 4), (-2, 4), (1, 4), (1, 4)]))
        for _ in range(rank)
    )
    axes = "".join(map(str, range(rank)))
    labels = ("nc" + axes, "oc" + axes, "no" + axes)
    channels = between(1, 40)
    x = rng.normal(size=(between(1, 30), channels, *rng.integers(1, 9, rank))).astype(np.float32)
    w = rng.normal(size=(between(1, 90), channels, *(s.size for s in window))).astype(np.float32)
    call = lambda x, w: CONVOLVE(x, w, labels=labels, window=window)
    out, pull = vjp(call, x, w)
    pull(out)


@pytest.mark.parametrize("labels", [("n01c", "01co", "n01o"), ("0nc1", "o1c0", "1on0")])
def test_other_orders_of_axes(labels, compared):
    rng = np.random.default_rng(0)
    lengths = [dict(n=3, c=5, **{"0": 6, "1": 7}), dict(o=18, c=5, **{"0": 3, "1": 2})]
    x, w = (
        rng.normal(size=[of[a] for a in side]).astype(np.float32)
        for of, side in zip(lengths, labels, strict=False)
    )
    window = (Sliding(3, low=1), Sliding(2, stride=2))
    out, pull = vjp(lambda x, w: CONVOLVE(x, w, labels=labels, window=window), x, w)
    pull(out)
    assert len(compared) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [(19,), (8, 9), (3, 4, 10)])
@pytest.mark.parametrize("spacing", [2, 3])
def test_space_between_elements_of_x(spacing, lengths, dtype, compared):
    """Neighbours among the results of a phase lie `spacing` apart, more of them than squares of the copy hold."""
    rng = np.random.default_rng(0)
    window = (Sliding(4, low=2, high=1, spacing=spacing),) * len(lengths)
    axes = "012"[: len(lengths)]
    labels = ("nc" + axes, "oc" + axes, "no" + axes)
    x = rng.normal(size=(2, 3, *lengths)).astype(dtype)
    w = rng.normal(size=(18, 3, *[4] * len(lengths))).astype(dtype)
    out, pull = vjp(lambda x, w: CONVOLVE(x, w, labels=labels, window=window), x, w)
    pull(rng.normal(size=out.shape).astype(dtype))
    assert len(compared) == 3
    spec = conv_spec(x.dtype, labels, window, x.shape, w.shape)
    module = Module()
    conv(module, spec)
    assert f"copy.spread.{x.itemsize}" in module.text()


@pytest.mark.parametrize("sizes", [(5, 1, 1), (2, 3, 2), (1, 20, 1), (3, 1, 4)])
@pytest.mark.parametrize(
    "sliding", [Sliding(3, low=1, high=1), Sliding(3, 2, 1, 0), Sliding(2, 1, 2, 3, 2, 2)]
)
@pytest.mark.parametrize("lengths", [(6, 41), (9, 7), (70,)])
def test_few_channels_in_a_group(sizes, sliding, lengths, compared):
    rng = np.random.default_rng(0)
    groups, channels, outputs = sizes
    axes = "01"[: len(lengths)]
    labels = ("ngc" + axes, "goc" + axes, "ngo" + axes)
    window = (sliding,) * len(lengths)
    x = rng.normal(size=(3, groups, channels, *lengths)).astype(np.float32)
    w = rng.normal(size=(groups, outputs, channels, *[sliding.size] * len(lengths)))
    call = lambda x, w: CONVOLVE(x, w, labels=labels, window=window)
    out, pull = vjp(call, x, w.astype(np.float32))
    pull(rng.normal(size=out.shape).astype(np.float32))
    assert len(compared) == 3


@pytest.mark.parametrize("size", [5, 7, 17])
@pytest.mark.parametrize("stride", [1, 2])
def test_lines_that_share_elements(size, stride, compared):
    rng = np.random.default_rng(0)
    labels = ("ng01", "g01", "ng01")
    window = (Sliding(size, stride, size // 2, size // 2),) * 2
    x = rng.normal(size=(1, 3, 19, 28)).astype(np.float32)
    w = rng.normal(size=(3, size, size)).astype(np.float32)
    out, pull = vjp(lambda x, w: CONVOLVE(x, w, labels=labels, window=window), x, w)
    pull(rng.normal(size=out.shape).astype(np.float32))
    assert len(compared) == 3


def test_integers_wrap_as_in_numpy():
    x = np.arange(2 * 3 * 25, dtype=np.int32).reshape(2, 3, 5, 5) * 1_000_003
    w = np.arange(4 * 27, dtype=np.int32).reshape(4, 3, 3, 3) - 50
    expected = CONVOLVE(x, w, labels=PLAIN, window=SAME)
    np.testing.assert_array_equal(compute(x, w, PLAIN, SAME), expected)


def test_any_strides():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 6, 5, 3))
    w = rng.normal(size=(3, 3, 5, 20))
    out = np.zeros((3, 20, 7, 6))
    strides = [
        tuple(s // 8 for s in array.strides) for array in (x.T, w.T, out.transpose(0, 1, 3, 2))
    ]
    spec = conv_spec(x.dtype, PLAIN, SAME, x.T.shape, w.T.shape, *strides)
    compiled(spec)(x, w, out)
    expected = CONVOLVE(x.T, w.T, labels=PLAIN, window=SAME)
    np.testing.assert_allclose(out.transpose(0, 1, 3, 2), expected, atol=1e-12)


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 16, 20, 20)).astype(np.float32)
    w = rng.normal(size=(40, 16, 3, 3)).astype(np.float32)
    run = compiled(conv_spec(x.dtype, PLAIN, SAME, x.shape, w.shape))
    results = []
    for threads in (1, 2, 5):
        with config.override(num_threads=threads):
            results.append(run(x, w, np.zeros((8, 40, 20, 20), np.float32)))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
@pytest.mark.parametrize("sliding", [Sliding(3, low=1, high=1), Sliding(5, 1, 2, 2)])
@pytest.mark.parametrize("shape_w", [(512, 64), (256, 256)])
def test_ctrl_c_ends_a_convolution_early(sliding, shape_w):
    def interrupt(*_):
        raise KeyboardInterrupt

    x = np.ones((32, shape_w[1], 80, 80), np.float32)
    w = np.ones((*shape_w, sliding.size, sliding.size), np.float32)
    out = np.zeros((32, shape_w[0], 80, 80), np.float32)
    spec = conv_spec(x.dtype, PLAIN, (sliding, sliding), x.shape, w.shape)
    run = compiled(spec, prototype=ctypes.PYFUNCTYPE)
    previous = signal.signal(signal.SIGALRM, interrupt)
    started = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(x, w, out)
        assert time.perf_counter() - started < 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture(params=[(32, 16), (16, 32)], ids=["avx2", "neon"])
def other_machine(request, monkeypatch):
    """Vectors and registers of another CPU."""
    target = host()
    other = Target(target.triple, target.cpu, target.features)
    other.vector_bytes, other.registers = request.param
    for module in (conv_lanes, conv_places, conv_table, conv_terms, winograd_layout):
        monkeypatch.setattr(module, "host", lambda: other)


@pytest.mark.usefixtures("other_machine")
@pytest.mark.parametrize("seed", range(3))
def test_code_for_other_machines(seed, compared):
    rng = np.random.default_rng(seed)
    for channels, outputs in ((3, 40), (40, 50), (8, 1)):
        x = rng.normal(size=(3, channels, 9, 14)).astype(np.float32)
        w = rng.normal(size=(outputs, channels, 3, 3)).astype(np.float32)
        out, pull = vjp(lambda x, w: CONVOLVE(x, w, labels=PLAIN, window=SAME), x, w)
        pull(out)
    assert len(compared) == 9


@pytest.mark.parametrize("channels", [8, 64])
def test_special_values_go_where_they_belong(channels):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, channels, 9, 9)).astype(np.float32)
    w = rng.normal(size=(64, channels, 3, 3)).astype(np.float32)
    x[0, 3, 4, 4], x[1, 0, 0, 8], x[1, 2, 7, 1] = np.nan, np.inf, 1e38
    assert pays(conv_spec(x.dtype, PLAIN, SAME, x.shape, w.shape)) == (channels == 64)
    with np.errstate(all="ignore"):
        expected = CONVOLVE(x, w, labels=PLAIN, window=SAME)
        got = compute(x, w, PLAIN, SAME)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("labels", [PLAIN, ("n01c", "01co", "n01o")])
def test_winograd(seed, labels, compared):
    rng = np.random.default_rng(seed)
    lengths = {a: int(rng.integers(*pair)) for a, pair in BOUNDS.items()}
    window = tuple(Sliding(3, low=a, high=b) for a, b in rng.integers(-1, 4, (2, 2)).tolist())
    dtype = [np.float32, np.float64][seed % 2]
    x = rng.normal(size=[lengths[a] for a in labels[0]]).astype(dtype)
    w = rng.normal(size=[3 if a.isdigit() else lengths[a] for a in labels[1]]).astype(dtype)
    assert pays(conv_spec(x.dtype, labels, window, x.shape, w.shape))
    out, pull = vjp(lambda x, w: CONVOLVE(x, w, labels=labels, window=window), x, w)
    pull(rng.normal(size=out.shape).astype(dtype))
    assert len(compared) == 3


def test_nothing_beyond_the_arrays_is_touched():
    rng = np.random.default_rng(0)
    for o in (1, 15, 17, 33):
        x = rng.normal(size=(3, 2, 5, 7))
        w = rng.normal(size=(o, 2, 3, 3))
        room = np.full(3 * o * 5 * 7 + 128, 7.0)
        out = room[64:-64].reshape(3, o, 5, 7)
        compiled(conv_spec(x.dtype, PLAIN, SAME, x.shape, w.shape))(x, w, out)
        assert (room[:64] == 7).all() and (room[-64:] == 7).all()


def test_what_has_no_native_code():
    for dtype in ("float16", "complex64", "int8"):
        assert not supports(conv_spec(np.dtype(dtype), PLAIN, SAME, (1, 1, 3, 3), (1, 1, 3, 3)))
    huge = conv_spec(np.dtype("float32"), PLAIN, SAME, (1 << 20, 1 << 12, 3, 3), (1, 1 << 12, 3, 3))
    assert not supports(huge)


def test_contiguous():
    assert contiguous((2, 3, 4)) == (12, 4, 1)
