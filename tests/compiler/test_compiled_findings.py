"""Programs that were compiled wrong once, as small as they could be made."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.compiler.native import compile_native
from tests.compiler.programs import bits, recorded
from tests.compiler.reference import mismatch

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def check(f, *args):
    """Machine code gives the results of the plain evaluation; `f` must capture no arrays."""
    program = recorded(f, *args)
    native = compile_native(program)
    assert native is not None
    found = [np.asarray(x) for x in native(*args)]
    wrong = mismatch(program, args, found)
    assert not wrong, wrong
    return found


@pytest.mark.parametrize("shape", [(2,), (3, 1), (1, 3), (4, 33), (300, 300)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_sums_of_negative_zeros(shape, dtype):
    x = -np.zeros(shape, dtype)
    check(lambda x: (np.sum(x), np.sum(x, axis=0), np.sum(x, axis=-1), np.mean(x)), x)


def test_double_to_half_is_rounded_once():
    halves = np.arange(0x7BFF, dtype=np.uint16).view(np.float16).astype(np.float64)
    middle = (halves[1:] + halves[:-1]) / 2
    x = np.concatenate([middle, np.nextafter(middle, 0), np.nextafter(middle, np.inf), -middle])
    x = np.append(
        x, [65520, 65519.999999, 1e300, -np.inf, np.nan, -0.0, 1e-320, 2**-25 * (1 + 1e-15)]
    )
    check(lambda x: x.astype(np.float16), x)
    for y in x[-8:]:
        check(lambda y: np.copysign(y, y).astype(np.float16), y)


def test_a_loop_of_one_iteration_over_ragged_stacks():
    def f(x):
        def step(c, e):
            going = lambda s: (s[0] < 5) & (np.sum(s[1]) < 2)
            d = lax.while_loop(going, lambda s: (s[0] + 1, s[1] - e * 0.3 * s[1]), (0, c))[1]
            return d, d * 2

        for n in (0, 1, 2):
            x, ys = lax.scan(step, x, np.arange(n) * 1.0 - 4 * x)
            x = x + np.sum(ys)
        return x

    np.testing.assert_allclose(fg.jit(fg.grad(f))(0.3), fg.grad(f)(0.3), rtol=1e-12)


def test_batches_of_a_strided_operand():
    """The rows of the second operand are 4 apart, not 3."""
    a, b = np.arange(8.0).reshape(2, 2, 2, 1), np.arange(24.0).reshape(2, 4, 3)
    check(lambda a, b: b @ np.reshape(np.reshape(a, (2, 4))[:, :3], (2, 3, 1)), a, b)


def test_elements_chosen_from_a_reshaped_result():
    def f(x, y, i):
        chosen = lambda c: np.reshape(np.take(np.reshape(c * y, 4)[:2] * y[0], i), (2, 2))
        return lax.fori_loop(0, 3, lambda k, c: c + chosen(c), x)

    x, i = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, -1, 1, 0])
    check(f, x, x, i)


def test_narrow_integers_from_large_floats():
    """Out of range these are taken from 32 bits, as NumPy does it on x86."""
    x = np.array([300.0, -1.0, -300.0, 65536.0, 3e9, -3e9, 1e10 + 77, 1e19, np.inf, np.nan])
    for dtype in (np.uint8, np.uint16, np.int8, np.int16, np.int32, np.int64):
        for source in (np.float64, np.float32):
            (found,) = check(lambda x: x.astype(dtype), x.astype(source))
            assert bits(found) == bits(x.astype(source).astype(dtype))


def test_errors_after_floating_point_events():
    """Nobody looks for warnings once an exception is set."""
    f = fg.jit(
        lambda x: np.linalg.inv(np.sqrt(x)[:, None] * 0.0 + fg.numpy.zeros((3, 3))) * np.log(x)
    )
    for _ in range(3):
        with pytest.raises(np.linalg.LinAlgError, match="[Ss]ingular"):
            f(np.array([1.0, 2.0, 3.0]))
    g = fg.jit(lambda x, i: fg.numpy.take(np.log(x), i))
    for _ in range(3):
        with pytest.raises(IndexError, match="out of bounds"):
            g(np.array([-1.0, 0.0, 1.0]), np.array([0, 7]))


@pytest.mark.parametrize(
    "shape", [(2, 2, 3), (2, 7, 8), (7, 8, 2), (2, 64, 100), (300, 40, 5), (3, 2000, 17)], ids=str
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_sums_written_into_a_wider_array(shape, axis):
    """The loops of a reduction cannot be merged where its rows lie apart in memory."""
    x = np.random.default_rng(0).integers(-9, 9, shape).astype(np.float64)
    y = np.ones((x.shape[1] if axis == 0 else x.shape[0], 2))
    check(lambda x: np.pad(np.sum(x, axis=axis), [(0, 0), (0, 9)]), x)
    check(lambda x: np.pad(np.max(x, axis=axis), [(1, 2), (3, 0)]), x)
    check(
        lambda x, y: np.concatenate([np.sum(x * 2, axis=axis), y, np.sum(x, axis=axis)], axis=1),
        x,
        y,
    )


@pytest.mark.parametrize("shape", [(1000, 257), (200_003, 3), (3, 200_003), (5, 7)], ids=str)
def test_long_sums_written_into_a_wider_array(shape):
    x = np.random.default_rng(0).integers(-9, 9, shape).astype(np.float64)
    for axis in (0, 1):
        check(lambda x: np.pad(np.sum(x, axis=axis), 3), x)
        check(
            lambda x: np.stack([np.sum(x, axis=axis), np.max(x, axis=axis), np.mean(x, axis=axis)]),
            x,
        )
    check(lambda x: np.stack([np.sum(x), np.max(x), np.min(x)]), x)


@pytest.mark.parametrize("shape", [(3,), (4, 5), (64, 33)], ids=str)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_constants_in_loops(shape, dtype):
    """A constant that a vector loop and the code before it share is written where both can read it."""
    parts = np.random.default_rng(0).normal(size=(2, *shape))
    x = (parts[0] + 1j * parts[1]).astype(dtype)
    check(lambda x: (np.var(x), np.var(x, axis=0), np.mean(x, axis=-1) / (3 + 4j)), x)
