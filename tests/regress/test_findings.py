"""Programs of a new user that once failed, each with what it should do."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import nn

X = np.array([1.0, 2.0, 3.0])


def write_into_views(x):
    out = np.zeros(4, like=x)
    part = out[1:3]
    part[:] = x[:2]
    part += 1.0
    out[0] = 9.0
    grid = out.reshape(2, 2)
    grid[1] = x[0]
    grid.T[0, 0] = x[1] * 3.0
    return out


@pytest.mark.parametrize(
    "derivative",
    [
        fg.jacfwd,
        lambda f: fg.jit(fg.jacfwd(f)),
        lambda f: lambda x: fg.vmap(fg.jacfwd(f))(x[None])[0],
        lambda f: lambda x: np.stack([fg.linearize(f, x)[1](e) for e in np.eye(3)], axis=1),
    ],
)
def test_forward_mode_sees_writes_of_traced_values_into_views_of_buffers(derivative):
    np.testing.assert_array_equal(
        fg.jvp(write_into_views, (X,), (X,))[0], write_into_views(X.copy())
    )
    expected = [[0.0, 3.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    np.testing.assert_array_equal(derivative(write_into_views)(X), expected)


def test_bfloat16_stays_bfloat16():
    x = np.array([-0.26, 0.26, 3.0], ml_dtypes.bfloat16)
    for f in (
        lambda x: np.clip(x, None, 1),
        lambda x: np.clip(x, 0, None),
        lambda x: np.round(x, 1),
        lambda x: np.percentile(x, 50),
    ):
        assert fg.jit(f)(x).dtype == x.dtype
        np.testing.assert_allclose(fg.jit(f)(x).astype(float), np.asarray(f(x), float), rtol=1e-2)
    drawn = fg.random.truncated_normal(0, -1.0, 1.0, (100,), dtype=x.dtype)
    assert drawn.dtype == x.dtype and (abs(drawn) < 1).all()
    quartiles = fg.jit(lambda x: np.percentile(x, [25, 75]))(x)
    np.testing.assert_allclose(quartiles, [0.0, 1.63], atol=0.01)


def test_percentile_of_a_traced_array_checks_a_known_percentage():
    with pytest.raises(ValueError, match=r"\[percentile\] quantiles must be in the range"):
        fg.jit(lambda x: np.percentile(x, 120))(X)


def test_one_written_element_needs_no_search_for_the_last_write():
    program = fg.make_jaxpr(fg.grad(lambda v: np.sum(fnp.asarray(X).at[1].set(v))))(2.0)
    assert "scatter_set" not in str(program)


NOT_A_FUNCTION = r"expected a function, got .* Pass the function itself"


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (lambda: fg.hvp(np.sum, X, X), TypeError, r"\[hvp\] primals must be a tuple.*\(x,\)"),
        (lambda: fg.checkpoint(np.sin, policy="dots"), TypeError, r"\[checkpoint\] policy must be"),
        (
            lambda: fg.grad(np.sum, has_aux=True)(X),
            TypeError,
            r"but it returned float64\[\] traced",
        ),
        (
            lambda: fg.grad(lambda s: 1.0)("abc"),
            TypeError,
            r"\[grad\] needs arrays .*'s' .* is 'abc'",
        ),
        (lambda: fg.lax.scan(lambda c, x: c, 0.0, X), TypeError, "but returned one array"),
        (
            lambda: fg.lax.scan(lambda c, x: (c, x, x), 0.0, X),
            TypeError,
            r"returned \(\*, \*, \*\)",
        ),
        (lambda: fg.lax.cond(True, 1.0, 2.0), TypeError, r"\[lax.cond\] " + NOT_A_FUNCTION),
        (lambda: fg.lax.map(X, np.sin), TypeError, r"\[lax.map\] " + NOT_A_FUNCTION),
        (lambda: fg.lax.switch(0, np.sin, X), TypeError, r"\[switch\] needs a list of functions"),
        (lambda: fg.random.normal((2,), np.zeros(2, int)), TypeError, r"\[normal\] a shape is"),
        (lambda: fg.random.normal(0, ("a",)), TypeError, r"\[normal\] a shape is"),
        (lambda: fnp.linalg.matrix_power(np.eye(2), 1.5), TypeError, "exponent must be an integer"),
        (lambda: fg.save({"x": X}, "x"), TypeError, r"\[save\] the first argument is the path"),
        (lambda: fg.save("/no/such/file", {}), FileNotFoundError, r"directory /no/such does not"),
        (
            lambda: fg.apply_updates({"w": X}, {"w": np.ones((3, 1))}),
            ValueError,
            r"\[apply_updates\] w: a parameter of shape \(3,\) got an update of shape \(3, 1\)",
        ),
    ],
)
def test_the_message_says_what_is_wrong(wrong, kind, message):
    with pytest.raises(kind, match=message):
        wrong()


@pytest.mark.parametrize(
    "product",
    [
        lambda x: x @ x,
        lambda x: np.dot(x, x),
        lambda x: np.inner(x, x),
        lambda x: np.einsum("ij,jk->ik", x, x),
    ],
    ids=["matmul", "dot", "inner", "einsum"],
)
def test_traced_products_of_bfloat16_stay_bfloat16(product):
    x = np.full((2, 300), 0.1, ml_dtypes.bfloat16)[:, :2]
    out = fg.jit(product)(x)
    assert out.dtype == x.dtype == fg.eval_shape(product, x).dtype
    exact = product(x.astype(np.float64))
    np.testing.assert_allclose(out.astype(np.float64), exact, rtol=2**-7)


def test_a_bfloat16_network_stays_bfloat16():
    model = nn.MLP(3, 2, width_size=4, depth=1, dtype=ml_dtypes.bfloat16, key=0)
    x = np.ones((5, 3), ml_dtypes.bfloat16)
    assert model(x).dtype == fg.jit(model)(x).dtype == x.dtype
