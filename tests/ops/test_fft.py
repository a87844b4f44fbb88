"""`numpy.fft` on traced values: NumPy's results in every dtype and norm, derivatives, and errors."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import funcgrad as fg
import funcgrad.numpy as fnp
from tests.ops.derivatives import check_derivatives

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

RNG = np.random.default_rng(0)
BLOCK = RNG.normal(size=(3, 4, 5))
ONE_AXIS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
SEVERAL = ("fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2")
NORMS = (None, "backward", "ortho", "forward")
INPUTS = {
    "float64": BLOCK[0],
    "float32": BLOCK[0].astype(np.float32),
    "float16": BLOCK[0].astype(np.float16),
    "int64": np.arange(6),
    "bool": np.array([True, False, True]),
    "complex64": (BLOCK[0] + 1j * BLOCK[1]).astype(np.complex64),
    "complex128": BLOCK[0] + 1j * BLOCK[1],
}


def assert_like_numpy(name, x, **options):
    function = getattr(np.fft, name)
    expected = function(x, **options)
    found = fg.jit(lambda x: function(x, **options))(x)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    tolerance = 2e-2 if x.dtype == np.float16 else 1e-5
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(getattr(fnp.fft, name)(x, **options), expected)


@pytest.mark.parametrize("dtype", INPUTS)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_one_axis(name, dtype):
    x = INPUTS[dtype]
    if name in ("rfft", "ihfft") and x.dtype.kind == "c":
        with pytest.raises(
            TypeError, match=rf"\[{name}\] needs a real array, but got dtype complex"
        ):
            fg.jit(getattr(np.fft, name))(x)
        return
    for options in ({}, {"n": 3}, {"n": 8}, {"axis": 0}, {"n": 7, "norm": "forward"}):
        assert_like_numpy(name, x, **options)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_norms(name, norm):
    assert_like_numpy(name, BLOCK, norm=norm)


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"s": (3, 6), "axes": (0, 2)},
        {"s": (-1, 3), "axes": (1, 0), "norm": "forward"},
        {"axes": (2, 1)},
        {"axes": (1,), "norm": "ortho"},
        {"axes": (1, 1)},
        {"s": (3, 4, 6), "axes": (0, 0, 2)},
    ],
    ids=str,
)
def test_several_axes(name, options):
    assert_like_numpy(name, BLOCK, **options)


def test_namespace_is_complete():
    public = set(np.fft.__all__)
    assert public <= set(dir(fnp.fft))


@given(
    st.sampled_from(ONE_AXIS),
    st.integers(1, 6),
    st.integers(1, 7),
    st.sampled_from(NORMS),
)
def test_derivatives_for_any_length(name, size, length, norm):
    x = RNG.normal(size=(2, size))
    if name in ("fft", "ifft", "irfft", "hfft"):
        x = x + 1j * RNG.normal(size=x.shape)
    check_derivatives(lambda x: getattr(np.fft, name)(x, length, norm=norm), x, order=1)


def test_gradient_of_a_loss_through_a_spectrum():
    power = lambda x: (abs(np.fft.rfft(x)) ** 2).sum()
    x = BLOCK[0, 0]
    np.testing.assert_allclose(fg.grad(power)(x), np.fft.irfft(np.fft.rfft(x), 5) * 5 * 2 - gap(x))
    assert fg.grad(power)(x.astype(np.float32)).dtype == np.float32


def gap(x):
    """Frequencies that stand for two are counted once: what is missing from Parseval's sum."""
    spectrum = np.fft.fft(x)
    spectrum[: len(x) // 2 + 1] = 0
    return 2 * len(x) * np.fft.ifft(spectrum).real


def test_convolution_theorem_under_vmap():
    circular = lambda x, y: np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(y), x.shape[0])
    expected = [
        [sum(x[j] * y[(i - j) % 5] for j in range(5)) for i in range(5)]
        for x, y in zip(BLOCK[0], BLOCK[1], strict=True)
    ]
    np.testing.assert_allclose(fg.vmap(circular)(BLOCK[0], BLOCK[1]), expected)
    mixed = fg.vmap(circular, in_axes=(1, None))(BLOCK[0].T, BLOCK[1, 0])
    np.testing.assert_allclose(mixed[0], circular(BLOCK[0, 0], BLOCK[1, 0]))


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_frequencies(n):
    for name in ("fftfreq", "rfftfreq"):
        found = getattr(fnp.fft, name)(n, 0.3)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, getattr(np.fft, name)(n, 0.3), rtol=1e-6)
        double = getattr(fnp.fft, name)(n, 0.3, dtype=np.float64)
        np.testing.assert_array_equal(double, getattr(np.fft, name)(n, 0.3))
    slope = fg.grad(lambda d: fnp.fft.fftfreq(n, d, dtype=np.float64)[-1])(0.5)
    np.testing.assert_allclose(slope, -4 * (-1 if n > 1 else 0) / n)


@pytest.mark.parametrize("axes", [None, 1, (0, 2)])
@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_shifts(name, axes):
    shift = lambda x: getattr(np.fft, name)(x, axes)
    np.testing.assert_array_equal(fg.jit(shift)(BLOCK), shift(BLOCK))
    check_derivatives(shift, BLOCK, order=1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: np.fft.fft(x, norm="unitary"), ValueError, r"\[fft\] norm='unitary'.*\"ortho\""),
        (lambda x: np.fft.fft(x, n=0), ValueError, r"\[fft\] the number of points.*at least 1"),
        (lambda x: np.fft.fft(x, axis=3), ValueError, r"\[fft\] axis 3 is out of bounds"),
        (lambda x: np.fft.fftn(x, s=(2,), axes=(0, 1)), ValueError, r"\[fftn\] s = .* same length"),
        (lambda x: fnp.fft.fftfreq(0), ValueError, r"\[fftfreq\] n must be .* at least 1"),
    ],
)
def test_errors_name_the_function_and_the_cure(call, error, message):
    with pytest.raises(error, match=message):
        fg.jit(call)(BLOCK)
