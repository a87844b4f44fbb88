"""Code that writes into arrays works on traced values, and never changes the caller's arrays (A6)."""

import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad.errors import TracerArrayConversionError, UnexpectedTracerError
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jit import jit
from tests.numpy.modes import MODES

X = np.array([1.0, 2.0, 3.0, 4.0])

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


@program
def accumulate_into_ndarray(x):
    acc = np.zeros(4)
    for i in range(3):
        acc += x * i
    acc -= 1.0
    acc *= x
    acc /= 2.0
    acc **= 2
    return acc


@program
def accumulate_into_list_item(x):
    parts = [np.zeros(4), np.ones(4)]
    parts[0] += x
    parts[1] *= x
    return parts[0] + parts[1]


@program
def matrix_in_place(x):
    m = np.eye(4)
    m @= np.outer(x, x)
    return m


@program
def integers_in_place(x):
    n = np.zeros(4, int)
    n += x > 2
    n <<= 1
    n |= 1
    return n * x


@program
def aliases_see_writes(x):
    y = x.copy()
    z = y
    z += 1.0
    return y * z


@program
def copies_do_not(x):
    y = x.copy()
    z = y.astype(float)
    w = np.array(y, like=y, copy=True)
    z += 1.0
    w += 2.0
    return y + 10 * z + 100 * w


@program
def writes_through_slices(x):
    y = x.copy()
    v = y[1:3]
    v *= 10.0
    v[0] = -1.0
    y[3] = v[1]
    return y


@program
def writes_through_reshape_and_transpose(x):
    m = np.outer(x, x)
    m.T[0, 1] = 5.0
    m.reshape(2, 8)[1, 2:4] = 6.0
    m.ravel()[-1] = 7.0
    np.swapaxes(m, 0, 1)[2] = 8.0
    np.flip(m)[0, 0] += 1.0
    return m


@program
def views_see_writes(x):
    m = np.outer(x, x)
    turned, row, flat = m.T, m[1], m.reshape(-1)
    m[1, 2] = 0.0
    m += 1.0
    return turned.sum() * 2 + row.sum() * 3 + flat[6]


@program
def numbers_are_immutable(x):
    total = x.sum()
    best = total
    total += 1.0
    return best * total


@program
def masked_assignment(x):
    y = x.copy()
    y[x > 2] = 0.0
    y[np.array([True, False, False, False])] += 5.0
    return y


@program
def ufunc_at(x):
    y = np.zeros_like(x)
    np.add.at(y, [0, 0, 2], x[:3])
    np.multiply.at(y, [0], 3.0)
    np.maximum.at(y, [1], x[3])
    np.subtract.at(y, [3], x[0])
    return y


@program
def functions_that_write(x):
    y = x.copy()
    np.copyto(y, 9.0, where=x > 3)
    np.put(y, [0, 1], [5.0, 6.0])
    np.putmask(y, x == 3, x * 2)
    m = np.outer(y, y)
    np.fill_diagonal(m, x)
    np.put_along_axis(m, np.array([[0], [1], [2], [3]]), 7.0, axis=1)
    y.sort()
    y.fill(y[0])
    return m + y


@program
def out_arguments(x):
    y = np.zeros_like(x)
    np.multiply(x, 2.0, out=y)
    np.add(y, x, y)
    total = np.zeros((), like=x)
    np.sum(y, out=total)
    y.cumsum(out=y)
    return y + total


@program
def funcgrad_zeros(x):
    table = fnp.zeros((3, 4), dtype=float)
    table[0] = x
    for i in range(1, 3):
        table[i] = table[i - 1] * x
    return table


@program
def real_and_imaginary_parts(x):
    z = x + 1j * x
    z.real = x * 2
    z.imag[0] = 5.0
    return np.abs(z)


@program
def augmented_elements(x):
    y = x.copy()
    y[0] += 1.0
    y[1:3] *= 2.0
    y[[0, 3]] -= 1.0
    return y


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_same_as_numpy(name, mode):
    function = PROGRAMS[name]
    operand = X.copy()
    wanted = function(X.copy())
    np.testing.assert_allclose(MODES[mode](function, operand), wanted)
    np.testing.assert_array_equal(operand, X)


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradient_matches_finite_differences(name):
    function = PROGRAMS[name]

    def loss(x):
        return np.sum(function(x) * 1.0)

    x = X + 0.1
    step = 1e-6
    slopes = [(loss(x + step * e) - loss(x - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(grad(loss)(x.copy()), slopes, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_caller_keeps_its_arrays(mode):
    def write(x):
        x += 1.0
        x[0] = 0.0
        x[1:] *= 2.0
        return x

    operand = X.copy()
    out = MODES[mode](write, operand)
    np.testing.assert_array_equal(operand, X)
    np.testing.assert_array_equal(out, [0.0, 6.0, 8.0, 10.0])


@pytest.mark.parametrize("mode", MODES)
def test_casting_rules(mode):
    def add_float_to_integers(x):
        n = np.arange(4, like=x)
        n += x
        return n

    def add_complex(x):
        x = x.copy()
        x += 1j
        return x

    def add_float64_to_float32(x):
        acc = np.zeros(4, np.float32)
        acc += x
        y = x.astype(np.float32)
        y += x
        return acc + y

    for function in (add_float_to_integers, add_complex):
        with pytest.raises(TypeError, match="Cannot cast ufunc 'add' output from"):
            MODES[mode](function, X)
    assert MODES[mode](add_float64_to_float32, X).dtype == np.float32


@pytest.mark.parametrize("mode", MODES)
def test_shapes_do_not_grow(mode):
    def grow(x):
        y = x.copy()
        y += np.ones((2, 4))
        return y

    with pytest.raises(ValueError, match="doesn't match the broadcast"):
        MODES[mode](grow, X)


@pytest.mark.parametrize("mode", MODES)
def test_only_the_operator_may_have_an_ndarray(mode):
    def function_call(x):
        acc = np.zeros(4)
        np.add(acc, x, out=acc)
        return acc

    def call_inside_an_operator(x):
        acc = np.zeros(4)
        total = np.zeros(4)
        total += np.add(acc, x, acc)
        return total

    for function in (function_call, call_inside_an_operator):
        with pytest.raises(TracerArrayConversionError, match="silently stay unwritten"):
            MODES[mode](function, X)


def test_write_into_a_read_only_view_is_not_lost():
    def program(x):
        x = x.copy()
        np.diagonal(np.outer(x, x))[0] = 1.0
        np.broadcast_to(x, (2, 4))[0, 0] = 1.0
        return x

    with pytest.raises(ValueError, match="view"):
        jit(program)(X)


def test_inner_value_does_not_go_into_an_outer_array():
    def outer(x):
        buffer = np.zeros_like(x)

        def inner(y):
            buffer[0] = y
            return buffer.sum()

        return grad(inner)(x[0]) + buffer.sum()

    with pytest.raises(UnexpectedTracerError, match="outer function"):
        grad(outer)(X)
