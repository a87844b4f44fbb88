"""The methods and properties of ndarray on traced values."""

import copy

import numpy as np
import pytest

from funcgrad.transforms.jit import jit
from tests.numpy.modes import MODES

X = np.array([[3.0, -1.0, 2.0], [0.5, 4.0, -2.0]])

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

METHODS = {
    "sum": lambda x: x.sum(axis=0),
    "prod": lambda x: x.prod(1),
    "mean": lambda x: x.mean(axis=1, keepdims=True),
    "var": lambda x: x.var(ddof=1),
    "std": lambda x: x.std(0),
    "max": lambda x: x.max(1),
    "min": lambda x: x.min(),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(),
    "any": lambda x: (x > 3).any(0),
    "all": lambda x: (x > -3).all(),
    "cumsum": lambda x: x.cumsum(),
    "cumprod": lambda x: x.cumprod(1),
    "reshape": lambda x: x.reshape(3, -1),
    "reshape tuple": lambda x: x.reshape((6,)),
    "reshape order": lambda x: x.reshape(3, 2, order="F"),
    "ravel": lambda x: x.ravel(),
    "flatten": lambda x: x.flatten(),
    "flat": lambda x: x.flat[2:4],
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "transpose": lambda x: x.transpose(),
    "transpose axes": lambda x: x.transpose(1, 0),
    "transpose tuple": lambda x: x.transpose((1, 0)),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "squeeze": lambda x: x[None].squeeze(0),
    "astype": lambda x: x.astype(np.float32),
    "astype int": lambda x: x.astype("i8", casting="unsafe"),
    "copy": lambda x: x.copy(),
    "clip": lambda x: x.clip(0.0, 2.5),
    "clip max": lambda x: x.clip(max=2.5),
    "round": lambda x: (x / 3).round(2),
    "dot": lambda x: x.dot(x.T),
    "take": lambda x: x.take([0, 2], axis=1),
    "repeat": lambda x: x.repeat(2, axis=0),
    "argsort": lambda x: x.argsort(axis=1),
    "diagonal": lambda x: x.diagonal(),
    "conj": lambda x: (x + 1j).conj(),
    "conjugate": lambda x: (x + 1j).conjugate(),
    "real": lambda x: (x + 1j).real,
    "imag": lambda x: (x + 2j).imag,
    "searchsorted": lambda x: x[0].cumsum().searchsorted(3.0),
    "choose": lambda x: np.choose((x > 0).astype(int), [x, -x]),
    "compress": lambda x: x.compress([True, False, True], axis=1),
    "copy module": lambda x: copy.copy(x) + copy.deepcopy(x),
    "size": lambda x: x * x.size + x.ndim + x.nbytes + x.itemsize + len(x.shape),
    "device": lambda x: x * len(x.to_device(x.device)),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", METHODS)
def test_same_as_ndarray(name, mode):
    function = METHODS[name]
    out, wanted = MODES[mode](function, X.copy()), function(X)
    np.testing.assert_allclose(out, wanted, rtol=1e-12)
    assert out.dtype == wanted.dtype


def test_nonzero_of_known_values():
    out = MODES["grad"](lambda x: x[(x > 1).nonzero()], X)
    np.testing.assert_array_equal(out, X[X > 1])


@pytest.mark.parametrize("mode", MODES)
def test_methods_that_write(mode):
    def program(x):
        y = x.copy()
        y.sort(axis=1)
        z = x.copy()
        z.fill(y[0, 0])
        w = x.copy()
        w.partition(1)
        v = x.copy()
        v.put([0, 5], [8.0, 9.0])
        return y + z + np.sort(w) + v

    np.testing.assert_array_equal(MODES[mode](program, X), program(X))


def test_at():
    out = jit(lambda x: x.at[0].set(1.0).at[1, [0, 0]].add(2.0))(X)
    np.testing.assert_array_equal(out, [[1.0, 1.0, 1.0], [4.5, 4.0, -2.0]])


def test_casting_is_checked():
    with pytest.raises(TypeError, match="according to the rule 'safe'"):
        jit(lambda x: x.astype(np.float32, casting="safe"))(X)
    with pytest.raises(ValueError, match="fill"):
        jit(lambda x: x.fill(x))(X)
    with pytest.raises(TypeError, match="reshape"):
        jit(lambda x: x.reshape())(X)
    with pytest.raises(ValueError, match="device"):
        jit(lambda x: x.to_device("gpu"))(X)
