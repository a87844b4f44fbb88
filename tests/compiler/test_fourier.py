"""Native Fourier transforms: lengths and shapes of all kinds, threads, other machines, special values, Ctrl-C."""

import signal

import mpmath
import numpy as np
import pytest

pytest.importorskip("llvmlite")

import funcgrad as fg  # noqa: E402
from funcgrad.compiler.llvm.fourier import stage  # noqa: E402
from funcgrad.compiler.llvm.fourier.butterflies import RADICES, factors  # noqa: E402
from funcgrad.compiler.llvm.fourier.spec import LONGEST  # noqa: E402
from funcgrad.compiler.llvm.fourier.twiddles import root  # noqa: E402
from funcgrad.compiler.llvm.target import Target, host  # noqa: E402
from tests.compiler.guarded import guarded  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

REAL = ["float32", "float64"]
KINDS = ["fftn", "ifftn", "rfftn", "irfftn"]
# Few and many lines, neighbours in memory or not, more or fewer than vectors have lanes.
SHAPES = [
    *[((16,), (0,)), ((8, 8), (0, 1)), ((5, 12), (1,)), ((40, 16), (0,)), ((40, 13), (0,))],
    *[((3, 6, 10, 4), (0, 1, 2, 3)), ((3, 6, 10, 7), (3, 1)), ((6, 1, 20), (0, 1, 2))],
    *[
        ((2, 64, 33), (1,)),
        ((33, 64), (1,)),
        ((18, 21), (1, 0)),
        ((21, 18), (1, 0)),
        ((21, 45), (0, 1)),
        ((1, 36), (0, 1)),
    ],
]


def operand(kind, shape, axes, dtype, seed=0):
    """Random numbers; what `irfftn` reads has about half the length along the last of the axes."""
    rng = np.random.default_rng(seed)
    shape = list(shape)
    if kind == "irfftn":
        shape[axes[-1]] = shape[axes[-1]] // 2 + 1
    x = rng.normal(size=shape).astype(dtype)
    if kind == "rfftn":
        return x
    return (x + 1j * rng.normal(size=shape)).astype(np.result_type(dtype, np.complex64))


def precise(kind, x, axes):
    wide = np.float64 if x.dtype.kind == "f" else np.complex128
    return getattr(np.fft, kind)(x.astype(wide), axes=axes)


def assert_right(kind, x, axes):
    """Errors are small beside the whole spectrum. What was compiled."""
    compiled = fg.jit(lambda x: getattr(np.fft, kind)(x, axes=axes))
    found, expected = compiled(guarded(x)), precise(kind, x, axes)
    assert found.shape == expected.shape
    assert found.dtype == getattr(np.fft, kind)(x, axes=axes).dtype
    scale = np.sqrt(np.mean(np.abs(expected) ** 2))
    precision = np.finfo(x.dtype).eps
    assert np.max(np.abs(found - expected)) <= 20 * precision * scale
    return str(fg.debug.inspect(compiled, x).kernels)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("shape", "axes"), SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_shapes(kind, shape, axes, dtype):
    assert "library" not in assert_right(kind, operand(kind, shape, axes, dtype), axes)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("kind", ["fftn", "irfftn"])
def test_every_radix(kind, dtype):
    for length in (*[2 * radix for radix in RADICES], 7 * 11 * 4, 1 << 10, 1000, LONGEST):
        x = operand(kind, (2, length), (1,), dtype)
        assert "step fourier" in assert_right(kind, x, (1,))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("length", [3, 5, 9, 45, 77, 1001])
@pytest.mark.parametrize("lines", [1, 5, 20])
def test_odd_numbers_of_real_numbers(lines, length, dtype):
    x = operand("rfftn", (lines, length), (1,), dtype)
    half = operand("fftn", (lines, length // 2 + 1), (1,), dtype)
    tolerance = 40 * np.finfo(dtype).eps * np.sqrt(length)
    for axis in (0, 1):
        there = fg.jit(lambda x: np.fft.rfft(x, axis=axis))  # noqa: B023
        back = fg.jit(lambda x: np.fft.irfft(x, length, axis))  # noqa: B023
        for call, reference, given in (
            (there, np.fft.rfft(x), x),
            (back, np.fft.irfft(half, length), half),
        ):
            turned = given if axis else np.ascontiguousarray(given.T)
            found = call(guarded(turned))
            np.testing.assert_allclose(found if axis else found.T, reference, atol=tolerance)
            assert "step fourier" in str(fg.debug.inspect(call, turned).kernels)


def test_factors():
    assert factors(1) == ()
    assert factors(240) == (8, 2, 3, 5)
    assert factors(37) is None


def test_roots_of_unity_are_exact():
    for n in (1, 2, 3, 8, 12, 1000, 8191):
        for k in range(0, 2 * n, max(1, n // 50)):
            with mpmath.workdps(40):
                angle = 2 * mpmath.mpf(k) / n
                exact = float(mpmath.cospi(angle)), float(-mpmath.sinpi(angle))
            np.testing.assert_allclose(root(k, n), exact, rtol=4e-16)
    assert root(1, 4) == (0, -1)
    assert root(3, 6) == (-1, 0)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("rfft", (3, 2)), ("irfft", (3, 2)), ("fft", (2, 37)), ("fft", (2, 2 * LONGEST))],
)
def test_what_has_no_native_code_is_a_library_step(kind, shape):
    x = operand(kind + "n", shape, (0,), "float64")
    compiled = fg.jit(getattr(np.fft, kind))
    np.testing.assert_array_equal(compiled(x), getattr(np.fft, kind)(x))


@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_no_bit(kind):
    x = operand(kind, (128, 250), (0, 1), "float32")
    compiled = fg.jit(lambda x: getattr(np.fft, kind)(x))
    results = []
    for count in (1, 2, 5):
        with fg.threads(count):
            results.append(compiled(x).tobytes())
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("vector_bytes", [16, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_code_for_other_machines(kind, vector_bytes, monkeypatch):
    target = host()
    other = Target(target.triple, target.cpu, target.features)
    other.vector_bytes = vector_bytes
    monkeypatch.setattr(stage, "host", lambda: other)
    with fg.config.override(cache=False):
        for shape in ((7, 24), (24, 9)):
            assert_right(kind, operand(kind, shape, (0, 1), "float32"), (0, 1))


@pytest.mark.parametrize("shape", [(16,), (600, 512)])
def test_numpys_warnings(shape):
    x = np.zeros(shape, np.complex128)
    x[..., [3, 5]] = 1e308
    with pytest.warns(RuntimeWarning, match="overflow encountered in fft"):
        fg.jit(lambda x: np.fft.fft(x))(x)
    fg.jit(lambda x: np.fft.fft(x))(x / 1e4)  # no warning, for these are errors here


def test_lines_have_nothing_to_do_with_each_other():
    x = operand("fftn", (40, 32), (1,), "float64")
    x[3, 4], x[7, 1], x[7, 6] = np.nan, np.inf, np.inf
    for axis in (0, 1):
        lines = x if axis else np.ascontiguousarray(x.T)
        with pytest.warns(RuntimeWarning, match="invalid value encountered in fft"):
            found = fg.jit(lambda x: np.fft.fft(x, axis=axis))(lines)  # noqa: B023
        found = found if axis else found.T
        clean = [i for i in range(40) if i not in (3, 7)]
        np.testing.assert_allclose(found[clean], np.fft.fft(x[clean]), atol=1e-12)
        assert not np.isfinite(found[[3, 7]]).any()


def test_imaginary_parts_that_a_real_signal_cannot_have_are_ignored():
    x = np.array([1 + 5j, 2 - 1j, 3 + 7j])
    np.testing.assert_allclose(fg.jit(np.fft.irfft)(x), np.fft.irfft(x), atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_in_loops_and_under_vmap(kind):
    x = operand(kind, (3, 8, 6), (1, 2), "float64")
    transform = lambda x: getattr(np.fft, kind)(x, axes=(0, 1))
    expected = getattr(np.fft, kind)(x, axes=(1, 2))
    np.testing.assert_allclose(fg.jit(fg.vmap(transform))(x), expected, atol=1e-13)
    looped = fg.jit(lambda x: fg.lax.map(transform, x))
    np.testing.assert_allclose(looped(x), expected, atol=1e-13)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_ctrl_c_ends_a_transform_early():
    def interrupt(*_):
        raise KeyboardInterrupt

    x = np.ones((40, 500, 300), np.complex64)
    compiled = fg.jit(lambda x: np.fft.fftn(np.fft.ifftn(np.fft.fftn(x))))
    compiled(x)
    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in range(10):
                compiled(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
