"""What NumPy hands to a traced value, and what it cannot hand over (CONVENTIONS section 9, R52)."""

import math

import numpy as np
import pytest
import scipy.special

import funcgrad
import funcgrad.numpy as fnp
from funcgrad.errors import (
    ConcretizationTypeError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
)
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jit import jit
from tests.numpy.modes import ABSTRACT, MODES

X = np.array([1.0, 2.0, 3.0])

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

ARRIVES = {
    "ndarray * t": lambda x: X * x,
    "scalar ** t": lambda x: np.float64(2) ** x,
    "ndarray @ t": lambda x: np.ones((2, 3)) @ x,
    "list + t": lambda x: [1.0, 2.0, 3.0] + x,
    "zeros_like": lambda x: np.zeros_like(x) + x,
    "zeros like=": lambda x: np.zeros(3, like=x) + x,
    "full like=": lambda x: np.full(3, x[0], like=x),
    "ones like=": lambda x: np.ones(3, np.float32, like=x) + x,
    "arange like=": lambda x: np.arange(3, like=x) * x,
    "eye like=": lambda x: np.eye(3, like=x) @ x,
    "asarray like=": lambda x: np.asarray([x, 2 * x], like=x),
    "array like=": lambda x: np.array([[x[0], 1.0], [2.0, x[1]]], like=x),
    "stack": lambda x: np.stack([x, x]),
    "where": lambda x: np.where(x > 1, x, 0.0),
    "einsum": lambda x: np.einsum("i,j->ij", x, x),
    "interp": lambda x: np.interp(x, X, X**2),
    "linalg": lambda x: np.linalg.norm(x),
    "fft": lambda x: np.fft.fft(x).real,
    "expit": scipy.special.expit,
    "erf": scipy.special.erf,
    "gammaln": scipy.special.gammaln,
    "xlogy": lambda x: scipy.special.xlogy(x, x),
    "betaln": lambda x: scipy.special.betaln(x, 2.0),
    "copy": np.copy,
    "sum of tracers": lambda x: sum(x),
    "tuple": lambda x: np.stack(tuple(x)),
    "namespace": lambda x: x.__array_namespace__().sum(x),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ARRIVES)
def test_arrives(name, mode):
    function = ARRIVES[name]
    plain = function(X) if name != "namespace" else X.sum()
    out = MODES[mode](function, X)
    np.testing.assert_allclose(out, plain)
    assert out.dtype == plain.dtype


NEEDS_MEMORY = {
    "np.array of a list": lambda x: np.array([x[0], x[1]]),
    "np.array": np.array,
    "np.asarray": np.asarray,
    "np.full": lambda x: np.full(3, x[0]),
    "np.arange": lambda x: np.arange(x[0]),
    "np.sum of a list": lambda x: np.sum([x[0], x[1]]),
    "ndarray.dot": lambda x: np.ones(3).dot(x),
    "np.float32": lambda x: np.float32(x[0]),
    "np.r_": lambda x: np.r_[x, x],
    "np.vectorize": lambda x: np.vectorize(lambda t: t + 1)(x),
    "scipy logsumexp": scipy.special.logsumexp,
    "scipy softmax": scipy.special.softmax,
    "out= ndarray": lambda x: np.add(x, 1.0, out=np.zeros(3)),
    "sum out= ndarray": lambda x: np.sum(x, out=np.zeros(())),
    "add.at ndarray": lambda x: np.add.at(np.zeros(3), [0], x[0]),
    "ndarray[slice] = t": lambda x: np.zeros(3).__setitem__(slice(0, 2), x[:2]),
    "tobytes": lambda x: x.tobytes(),
    "strides": lambda x: x.strides,
    "view": lambda x: x.view(np.int64),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NEEDS_MEMORY)
def test_needs_memory(name, mode):
    with pytest.raises(TracerArrayConversionError, match="Write instead"):
        MODES[mode](NEEDS_MEMORY[name], X)


@pytest.mark.parametrize("mode", MODES)
def test_element_of_an_ndarray(mode):
    def program(x):
        buffer = np.zeros(3)
        buffer[0] = x[0]
        return buffer

    with pytest.raises(ConcretizationTypeError, match=r"np\.zeros\(n, like=x\)"):
        MODES[mode](program, X)


NEEDS_NUMBER = {
    "math.sin": lambda x: math.sin(x[0]),
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "complex": lambda x: complex(x[0]),
    "round": lambda x: round(x[0]),
    "item": lambda x: x[0].item(),
    "tolist": lambda x: x.tolist(),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NEEDS_NUMBER)
def test_needs_a_number(name, mode):
    with pytest.raises(ConcretizationTypeError, match="needs a concrete number"):
        MODES[mode](NEEDS_NUMBER[name], X)


NEEDS_BOOL = {
    "if": lambda x: 1.0 if x[0] > 0 else 0.0,
    "assert": lambda x: x if bool(x[0] > 0) else x,
    "in a list": lambda x: 1.0 if x[0] in [x[1], x[2]] else 0.0,
    "in an array": lambda x: 1.0 if 2.0 in x else 0.0,
    "sorted": lambda x: np.stack(sorted(x)),
    "and": lambda x: x[0] > 0 and x[1] > 0,
}


@pytest.mark.parametrize("name", NEEDS_BOOL)
def test_needs_a_bool(name):
    function = NEEDS_BOOL[name]
    for mode in ABSTRACT.values():
        with pytest.raises(TracerBoolConversionError):
            mode(function, X)
    np.testing.assert_array_equal(MODES["grad"](function, X), function(X))


@pytest.mark.parametrize("mode", ["jit", "vmap"])
def test_needs_an_integer(mode):
    count = np.array([2, 3])
    for function in (
        lambda n: sum(range(n[0])),
        lambda n: [1.0, 2.0, 3.0, 4.0][n[0]],
        lambda n: fnp.zeros(n[0]),
        lambda n: fnp.reshape(fnp.zeros(2), n[0]),
    ):
        with pytest.raises(TracerIntegerConversionError):
            MODES[mode](function, count)
    # NumPy puts its own message in front, which shows the traced value.
    with pytest.raises(TypeError, match=r"int64\[\] traced by"):
        MODES[mode](lambda n: np.zeros(n[0]), count)


def test_index_of_an_ndarray():
    table = np.arange(5.0)
    with pytest.raises(
        (TracerArrayConversionError, TracerIntegerConversionError, IndexError)
    ) as raised:
        jit(lambda i: table[i])(2)
    assert "funcgrad.numpy.asarray(table)[i]" in str(raised.value)
    assert jit(lambda i: fnp.asarray(table)[i])(2) == 2.0


def test_format():
    assert grad(lambda x: x * len(f"{x:.3f}"))(1.5) == 5.0
    assert jit(lambda x: x * len(f"{x}"))(1.0) > 5.0
    with pytest.raises(ConcretizationTypeError, match="debug.print"):
        jit(lambda x: x * len(f"{x:.3f}"))(1.0)


@pytest.mark.parametrize("mode", MODES)
def test_never_an_object_array(mode):
    def program(x):
        for attempt in (lambda: np.array([x, x], dtype=object), lambda: np.asarray(x, object)):
            with pytest.raises(TracerArrayConversionError):
                attempt()
        return x

    MODES[mode](program, X)


@pytest.mark.parametrize("mode", MODES)
def test_no_counterpart(mode):
    for function in (
        lambda x: scipy.special.struve(x, x),
        lambda x: np.polyfit(x, x, 1),
        lambda x: np.subtract.reduce(x),
        lambda x: np.arctan2.at(np.zeros_like(x), [0], x[0]),
    ):
        with pytest.raises(TypeError, match="has no counterpart for traced values"):
            MODES[mode](function, X)


class Quantity:
    """A foreign type with its own NumPy protocol."""

    __array_ufunc__ = None

    def __radd__(self, other):
        return "radd"


class Foreign:
    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return f"foreign {ufunc.__name__}"

    def __rmul__(self, other):
        return "rmul"


@pytest.mark.parametrize("mode", MODES)
def test_foreign_types_go_first(mode):
    seen = []

    def program(x):
        seen.extend([x + Quantity(), x * Foreign(), np.multiply(x, Foreign())])
        with pytest.raises(TypeError):
            x - Quantity()
        with pytest.raises(TypeError):
            x + None
        assert (x == None) is False  # noqa: E711
        assert (x != "text") is True
        return x

    MODES[mode](program, X)
    assert seen == ["radd", "rmul", "foreign multiply"]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_masked_arrays_and_matrices_are_refused():
    for operand in (np.ma.masked_array(X, X > 2), np.matrix(X)):
        with pytest.raises(TypeError, match="plain arrays|no counterpart|asarray"):
            grad(lambda x, y=operand: np.sum(x * y))(X)


# --- keyword arguments of ufuncs -------------------------------------------------------------


def where_without_out(x):
    return np.divide(1.0, x - 1.0, where=x > 1.0)


@pytest.mark.parametrize("mode", MODES)
def test_where(mode):
    wanted = np.divide(1.0, X - 1.0, where=X > 1.0, out=np.zeros(3))
    np.testing.assert_array_equal(MODES[mode](where_without_out, X), wanted)

    def into(x):
        return np.divide(1.0, x - 1.0, where=x > 1.0, out=np.full_like(x, 7.0))

    np.testing.assert_array_equal(MODES[mode](into, X), np.where(X > 1, wanted, 7.0))


def test_where_has_no_nan_gradient():
    np.testing.assert_array_equal(grad(lambda x: where_without_out(x).sum())(X), [0.0, -1.0, -0.25])


@pytest.mark.parametrize("mode", MODES)
def test_dtype_and_casting(mode):
    run = MODES[mode]
    assert run(lambda x: np.add(x, 1, dtype=np.float32), X).dtype == np.float32
    assert run(lambda x: np.sin(x, dtype="f4"), X).dtype == np.float32
    assert run(lambda x: np.add(x, x, signature="ff->f"), X).dtype == np.float32
    assert run(lambda x: np.add(x, x, order="F", subok=False), X).dtype == np.float64
    for function in (
        lambda x: np.add(x, x, dtype=np.int32),
        lambda x: np.add(x, np.float32(1), casting="no"),
        lambda x: np.add(x, x, out=np.zeros(3, np.int64, like=x)),
    ):
        with pytest.raises(TypeError, match="Cannot cast"):
            run(function, X)
    cut = run(lambda x: np.add(x, 0.6, out=np.zeros(3, np.int64, like=x), casting="unsafe"), X)
    np.testing.assert_array_equal(cut, [1, 2, 3])


@pytest.mark.parametrize("mode", MODES)
def test_two_outputs(mode):
    def program(x):
        fraction, whole = np.modf(x * 1.5)
        quotient, rest = divmod(x * 5, 2.0)
        return np.stack([fraction, whole, quotient, rest])

    np.testing.assert_array_equal(MODES[mode](program, X), program(X))


def test_ufunc_objects():
    assert fnp.add.nin == 2 and fnp.add.nout == 1 and fnp.add.identity == 0
    assert repr(fnp.sin) == "<function funcgrad.numpy.sin>"
    np.testing.assert_array_equal(fnp.add.reduce(X), 6.0)
    np.testing.assert_array_equal(fnp.maximum.accumulate([1, 3, 2]), [1, 3, 3])
    np.testing.assert_array_equal(fnp.multiply.outer(X, X), np.multiply.outer(X, X))
    buffer = np.zeros(3)
    fnp.add.at(buffer, [0, 0], 1.0)
    np.testing.assert_array_equal(buffer, [2.0, 0.0, 0.0])
    np.testing.assert_array_equal(fnp.add(X, 1.0, out=buffer), X + 1)
    assert jit(lambda x: fnp.add([x, 2 * x], 1.0))(X).shape == (2, 3)


class Kernel:
    def __init__(self, name):
        self.name = name


def test_cupy_hooks():
    def program(x):
        total = x.__cupy_override_reduction_kernel__(Kernel("cupy_sum"), 0, None, None, False)
        sine = x.__cupy_override_elementwise_kernel__(Kernel("cupy_sin"), x)
        scaled = x.__cupy_override_elementwise_kernel__(Kernel("cupy_multiply"), x, 2.0)
        for kernel in (Kernel("mine"), Kernel("cupy_unknown")):
            with pytest.raises(TypeError, match="funcgrad.numpy.function"):
                x.__cupy_override_elementwise_kernel__(kernel, x)
            with pytest.raises(TypeError, match="no counterpart"):
                x.__cupy_override_reduction_kernel__(kernel, 0, None, None, False)
        return total + np.sum(sine + scaled)

    np.testing.assert_allclose(jit(program)(X), X.sum() + np.sum(np.sin(X) + 2 * X))


def test_array_namespace():
    info = fnp.__array_namespace_info__()
    assert info.default_dtypes()["real floating"] == np.float32
    assert jit(lambda x: x.__array_namespace__().astype(x, np.float32))(X).dtype == np.float32
    assert funcgrad.numpy is fnp
