"""scipy.special: values, derivatives, batches, and SciPy's own ufuncs on traced values."""

import numpy as np
import pytest
import scipy.special

from funcgrad.config import config
from funcgrad.scipy import special
from funcgrad.test_util import check_grads
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap

P = np.array([0.2, 0.45, 0.7])
Q = np.array([0.6, 0.3, 0.25])
A = np.array([[0.5, -1.0, 2.0], [1.5, 0.0, -0.5]])

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

UNARY = [
    "cbrt", "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "exp10",
    "expit", "expm1", "gamma", "gammaln", "i0", "i0e", "i1", "i1e",
    "log1p", "log_expit", "log_ndtr", "logit", "ndtr", "ndtri", "psi",
]  # fmt: skip
BINARY = ["beta", "betaln", "huber", "kl_div", "pseudo_huber", "rel_entr", "xlog1py", "xlogy"]
PYTHON_LEVEL = {
    "logsumexp": lambda module, x: module.logsumexp(x, axis=1),
    "logsumexp, all": lambda module, x: module.logsumexp(x, keepdims=True),
    "logsumexp, weights": lambda module, x: module.logsumexp(x, axis=0, b=np.array([[2.0], [0.5]])),
    "softmax": lambda module, x: module.softmax(x, axis=1),
    "softmax, all": lambda module, x: module.softmax(x),
    "log_softmax": lambda module, x: module.log_softmax(x, axis=0),
    "multigammaln": lambda module, x: module.multigammaln(x[0, 2] + 3.0, 3),
    "polygamma": lambda module, x: module.polygamma(2, x**2 + 1.0),
}


def cases():
    for name in UNARY:
        yield name, lambda module, x, f=name: getattr(module, f)(x), (P,)
    for name in BINARY:
        yield name, lambda module, x, y, f=name: getattr(module, f)(x, y), (P, Q)
    for name, call in PYTHON_LEVEL.items():
        yield name, call, (A,)


@pytest.mark.parametrize(
    ("name", "call", "args"), list(cases()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_matches_scipy(name, call, args):
    wanted = call(scipy.special, *args)
    np.testing.assert_allclose(call(special, *args), wanted, rtol=1e-10)
    np.testing.assert_allclose(jit(lambda *xs: call(special, *xs))(*args), wanted, rtol=1e-10)
    stacked = [np.stack([x, x]) for x in args]
    np.testing.assert_allclose(
        vmap(lambda *xs: call(special, *xs))(*stacked)[1], wanted, rtol=1e-10
    )
    check_grads(lambda *xs: call(special, *xs), args, order=2)


@pytest.mark.parametrize("name", sorted(set(UNARY + BINARY) - {"digamma"}))
def test_scipys_ufuncs_on_traced_values(name):
    args = (P, Q) if name in BINARY else (P,)
    ufunc = getattr(scipy.special, name)
    np.testing.assert_allclose(jit(lambda *xs: ufunc(*xs))(*args), ufunc(*args), rtol=1e-10)
    ours, theirs = (
        grad(lambda *xs, f=f: np.sum(f(*xs)))(*args) for f in (getattr(special, name), ufunc)
    )
    np.testing.assert_array_equal(ours, theirs)


def test_edges():
    inf = np.inf
    np.testing.assert_array_equal(
        special.rel_entr([0.0, 1.0, -1.0], [0.0, 0.0, 1.0]), [0.0, inf, inf]
    )
    np.testing.assert_array_equal(special.kl_div([0.0, 0.0], [2.0, 0.0]), [2.0, 0.0])
    assert grad(special.rel_entr)(0.0, 1.0) == 0.0
    assert special.huber(-1.0, 2.0) == inf
    value, sign = special.logsumexp([1.0, 2.0], b=[1.0, -1.0], return_sign=True)
    assert sign == -1.0
    np.testing.assert_allclose(value, np.log(np.e**2 - np.e))
    np.testing.assert_array_equal(grad(special.logsumexp)(np.array([inf, 1.0])), [1.0, 0.0])
    np.testing.assert_array_equal(grad(special.logsumexp)(np.array([-inf, -inf])), [0.0, 0.0])
    weighted = grad(lambda a: special.logsumexp(a, b=np.array([0.0, 1.0])))
    np.testing.assert_array_equal(weighted(np.array([1000.0, 1.0])), [0.0, 1.0])


@pytest.mark.parametrize("name", ["entr", "rel_entr", "kl_div"])
@pytest.mark.parametrize("native", [True, False])
def test_entropies_at_edges(name, native):
    """Zeros, infinities, NaN and negative numbers, with the signs of zeros of one argument."""
    edges = np.array([0.0, -0.0, 1.0, 0.5, 2.0, np.inf, -np.inf, np.nan, -1.0])
    args = [edges] if name == "entr" else [np.repeat(edges, len(edges)), np.tile(edges, len(edges))]
    ufunc = getattr(scipy.special, name)
    wanted = ufunc(*args)
    with config.override(native=native), np.errstate(all="ignore"):
        found = jit(lambda *xs: ufunc(*xs))(*args)
    np.testing.assert_allclose(found, wanted, rtol=1e-15)
    if name == "entr":
        known = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(wanted)[known])


def test_dtypes():
    for dtype in (np.bool_, np.int8, np.int32, np.float16, np.float64):
        x = np.array([0, 1]).astype(dtype)
        for name in ("entr", "erf", "xlogy"):
            args = (x, x) if name == "xlogy" else (x,)
            wanted = getattr(scipy.special, name)(*args).dtype
            assert jit(getattr(special, name))(*args).dtype == wanted
    x = P.astype(np.float32)
    for name in UNARY:
        assert getattr(special, name)(x).dtype == np.float32
        assert jit(getattr(special, name))(x).dtype == np.float32
    assert special.softmax(np.array([1, 2])).dtype == np.float64
