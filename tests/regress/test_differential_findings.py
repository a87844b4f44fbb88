"""What comparing programs with JAX, Optax and plain NumPy has found: each was wrong once."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

X = np.array([1.5, -2.0, 0.5])
X32 = X.astype(np.float32)


# --- control flow and collectives ---


@pytest.mark.parametrize("bound", [3, np.int64(3), np.array(3)])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_index_of_fori_loop_is_as_weak_as_that_of_range(bound, compiled):
    def loop(x, n):
        return fg.lax.fori_loop(0, n, lambda i, y: np.cos(y) * i + y, x)

    expected = X32
    for i in range(bound):
        expected = np.cos(expected) * i + expected
    run = fg.jit(loop) if compiled else loop
    assert run(X32, bound).dtype == np.float32
    np.testing.assert_allclose(run(X32, bound), expected, rtol=1e-6)
    assert fg.grad(lambda x: run(x, bound).sum())(X32).dtype == np.float32
    assert fg.lax.fori_loop(0, bound, lambda i, y: y + i, np.int32(0)).dtype == np.int32


def test_psum_of_a_python_number_is_a_python_number():
    sizes = []

    def f(x):
        sizes.append(fg.lax.psum(1, "i"))
        return x * fg.lax.psum(0.5, "i")

    assert fg.vmap(f, axis_name="i")(X32).dtype == np.float32
    assert sizes == [3] and type(sizes[0]) is int


def test_collectives_along_several_axes():
    x = np.arange(6.0).reshape(2, 3)

    def over(collective):
        inner = fg.vmap(lambda v: collective(v, ("i", "j")) + v, axis_name="j")
        return fg.vmap(inner, axis_name="i")(x)

    np.testing.assert_array_equal(over(fg.lax.psum), x.sum() + x)
    np.testing.assert_array_equal(over(fg.lax.pmean), x.mean() + x)
    np.testing.assert_array_equal(over(fg.lax.pmax), x.max() + x)
    np.testing.assert_array_equal(over(fg.lax.pmin), x.min() + x)


@pytest.mark.parametrize(("axis", "expected"), [(0, (6,)), (-1, (6,))])
def test_tiled_all_gather_concatenates(axis, expected):
    x = np.arange(6.0).reshape(3, 2)
    out = fg.vmap(lambda v: fg.lax.all_gather(v, "i", axis=axis, tiled=True), axis_name="i")(x)
    assert out.shape == (3, *expected)
    np.testing.assert_array_equal(out[1], x.ravel())
    columns = fg.vmap(lambda m: fg.lax.all_gather(m, "i", axis=1, tiled=True), axis_name="i")(
        x.reshape(3, 2, 1)
    )
    np.testing.assert_array_equal(columns[0], x.T)


# --- random, nn ---


def test_key_data_of_several_keys():
    keys = fg.random.split(fg.random.key(0), 2)
    expected = [[1797259609, 2579123966], [928981903, 3453687069]]
    np.testing.assert_array_equal(fg.random.key_data(keys), expected)
    np.testing.assert_array_equal(fg.random.wrap_key_data(keys), expected)
    with pytest.raises(ValueError, match="takes one key"):
        fg.random.normal(keys)


def test_standardize_with_a_python_variance_keeps_the_dtype():
    out = fg.nn.standardize(X32, mean=0.0, variance=4)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, X32 / 2, rtol=1e-5)


# --- dtypes of compiled functions are those of NumPy ---

A32 = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
GRID = np.array([0.0, 1.0, 2.0])
DTYPES = {
    "quantile, array": lambda x: np.quantile(x, np.array([0.25, 0.5]), axis=1),
    "quantile, list": lambda x: np.quantile(x, [0.25, 0.5]),
    "quantile, number": lambda x: np.quantile(x, 0.3, axis=0),
    "quantile, lower": lambda x: np.quantile(x, np.array([0.25, 0.5]), axis=1, method="lower"),
    "percentile, array": lambda x: np.percentile(x, np.array([25.0, 50.0]), axis=1),
    "percentile, ints": lambda x: np.percentile(x, [25, 50], axis=1),
    "nanpercentile, array": lambda x: np.nanpercentile(x, np.array([25.0, 50.0]), axis=1),
    "median": lambda x: np.median(x, axis=1),
    "gradient": lambda x: np.gradient(x, axis=1),
    "gradient, number": lambda x: np.gradient(x, 0.5, axis=1),
    "gradient, positions": lambda x: np.gradient(x, GRID, axis=0),
    "gradient, edges": lambda x: np.gradient(x, axis=1, edge_order=2),
    "interp": lambda x: np.interp(x[0], np.arange(3, dtype=np.float32), x[:, 1]),
    "interp, period": lambda x: np.interp(x[0], GRID, x[:, 1], period=2.5),
    "histogram": lambda x: np.histogram(x, 5, range=(-1.0, 1.0)),
    "histogram, weights": lambda x: np.histogram(x, 5, range=(-1, 1), weights=x),
    "histogram, density": lambda x: np.histogram(x, 5, density=True),
    "bincount": lambda x: np.bincount(np.array([0, 2, 2]), x[:, 0]),
    "vander": lambda x: np.vander(x[0]),
    "choose": lambda x: np.choose(np.array([0, 1, 0, 1]), [x[0], 2.0]),
    "sort_complex": lambda x: np.sort_complex(x[0]),
    "real_if_close": lambda x: np.real_if_close(x),
    "bitwise_count": lambda x: np.bitwise_count((9 * x).astype(np.int16)),
}


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_compiled_functions_have_the_dtypes_of_numpy(name, dtype):
    x = A32.astype(dtype)
    found, expected = fg.jit(DTYPES[name])(x), DTYPES[name](x)
    for y, wanted in zip(fg.tree.leaves(found), fg.tree.leaves(expected), strict=True):
        assert y.dtype == wanted.dtype
        np.testing.assert_allclose(y, wanted, rtol=20 * np.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize("right", [False, True])
def test_digitize_finds_the_order_of_traced_bins(right):
    run = fg.jit(lambda bins: fnp.digitize(X, bins, right))
    for bins in (np.array([-1.0, 0.0, 1.0]), np.array([1.0, 0.0, -1.0]), np.zeros(1), np.zeros(0)):
        np.testing.assert_array_equal(run(bins), np.digitize(X, bins, right))
    both = np.array([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]])
    found = fg.vmap(lambda bins: fnp.digitize(X, bins, right))(both)
    np.testing.assert_array_equal(found, [np.digitize(X, bins, right) for bins in both])


def test_interp_refuses_complex_positions():
    with pytest.raises(TypeError, match="must be real"):
        fg.jit(lambda x: np.interp(x, X, X))(X + 1j)


def test_dtype_classes_name_their_dtypes():
    assert fnp.finfo(fnp.float32).eps == np.finfo(np.float32).eps
    assert fnp.finfo(X32).max == np.finfo(np.float32).max
    assert fnp.iinfo(fnp.int8).max == 127
    assert fg.jit(lambda x: x * fnp.can_cast(fnp.int8, fnp.int16))(X).tolist() == X.tolist()
    assert not fnp.can_cast(X, fnp.float32)


# --- transformations ---


def test_symbolic_zeros_tell_the_forward_rule_what_is_asked_for():
    seen = []

    @fg.custom_vjp
    def product(a, b):
        return a * b

    def forward(a, b):
        seen.append((a.perturbed, b.perturbed))
        return a.value * b.value, (a.value, b.value)

    product.defvjp(forward, lambda saved, ct: (ct * saved[1], ct * saved[0]), symbolic_zeros=True)

    def loss(a, b):
        return product(a, b).sum()

    np.testing.assert_array_equal(fg.grad(loss)(X, 2 * X), 2 * X)
    np.testing.assert_array_equal(fg.grad(loss, 1)(X, 2 * X), X)
    np.testing.assert_array_equal(fg.jit(fg.grad(loss))(X, 2 * X), 2 * X)
    np.testing.assert_array_equal(fg.vmap(fg.grad(product))(X, 2 * X), 2 * X)
    assert seen == [(True, False), (False, True), (True, False), (True, False)]


@pytest.mark.parametrize("transform", [fg.grad, fg.jacfwd, fg.jacrev, fg.hessian])
@pytest.mark.parametrize("argnums", ["x", 1.0, (0, None), None])
def test_argnums_must_be_ints(transform, argnums):
    with pytest.raises(TypeError, match="argnums must be an int or a tuple of ints"):
        transform(lambda x: (x * x).sum(), argnums)(X)


def test_out_axes_must_be_ints():
    with pytest.raises(TypeError, match="out_axes must hold ints or None, but got 0.0"):
        fg.vmap(lambda x: x, out_axes=0.0)(X)


def test_an_argument_is_not_static_and_donated():
    with pytest.raises(ValueError, match="both static and donated"):
        fg.jit(lambda x, n: x * n, static_argnums=(1,), donate_argnames=("n", "x"))


def test_linear_transpose_of_a_product_says_that_it_is_not_linear():
    with pytest.raises(TypeError, match="not linear.*funcgrad.vjp"):
        fg.linear_transpose(lambda x: x * x, X)(X)


def test_len_of_a_shape():
    assert len(fg.ShapeDtypeStruct((3, 2), np.float32)) == 3
    with pytest.raises(TypeError):
        len(fg.ShapeDtypeStruct((), np.float32))


def test_checkpoint_policies_that_combine_others():
    policies = fg.checkpoint_policies

    def block(x):
        a = fg.checkpoint_name(np.sin(x), "a")
        return fg.checkpoint_name(np.exp(a), "b") @ x

    expected = fg.grad(block)(X)
    for policy in (
        policies.save_any_names_but_these("a"),
        policies.checkpoint_dots,
        policies.checkpoint_dots_with_no_batch_dims,
        policies.save_from_both_policies(
            policies.dots_saveable, policies.save_only_these_names("b")
        ),
    ):
        found = fg.grad(fg.checkpoint(block, policy=policy))(X)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("copy", [np.copy, np.positive, lambda x: x.copy()])
def test_recorded_functions_write_to_their_copies_of_outer_values(copy):
    def outer(x):
        def body(i, c):
            y = copy(x)
            y[i] = c.sum()
            return c * 0.5 + y

        return fg.lax.fori_loop(0, 2, body, x).sum()

    def expected(x):
        c = x
        for i in range(2):
            y = x.copy()
            y[i] = c.sum()
            c = c * 0.5 + y
        return c.sum()

    np.testing.assert_allclose(fg.grad(outer)(X), fg.grad(expected)(X), rtol=1e-12)
    np.testing.assert_allclose(fg.jit(outer)(X), expected(X), rtol=1e-12)
    np.testing.assert_allclose(fg.vmap(outer)(X[None]), [expected(X)], rtol=1e-12)


def test_constants_made_inside_linearize_are_no_part_of_the_linear_function():
    def take(x):
        index = fnp.zeros(3, np.int64)
        index[1:] = fnp.array([2, 0])
        return x[index] * fnp.asarray([1.0, 2.0, 3.0])

    value, push = fg.linearize(take, X)
    assert type(value) is np.ndarray
    np.testing.assert_allclose(value, [1.5, 1.0, 4.5])
    np.testing.assert_allclose(push(2 * X), [3.0, 2.0, 9.0])
    hessian = fg.hessian(lambda x: (take(x) ** 2).sum())(X)
    np.testing.assert_allclose(hessian, np.diag([20.0, 0.0, 8.0]))


# --- derivatives of run-time loops inside loops ---


def grow(x, count):
    return fg.lax.while_loop(
        lambda s: s[0] < count, lambda s: (s[0] + 1, np.tanh(s[1]) + 0.2 * s[1] ** 2), (0, x)
    )[1]


def grow_plainly(x, count):
    for _ in range(count):
        x = np.tanh(x) + 0.2 * x**2
    return x


def unused(run, c, x):
    run(c, 2)
    return np.tanh(x - c)


def constant(run, c, x):
    return np.sin(c) * run(x[0], 1) + x[1]


@pytest.mark.parametrize("body", [unused, constant])
@pytest.mark.parametrize("order", [2, 3])
def test_second_derivatives_of_a_run_time_loop_inside_a_scan(body, order):
    def derivative(fun):
        for _ in range(order - 1):
            fun = (lambda f: lambda x: (fg.grad(f)(x) ** 2).sum())(fun)
        return fg.grad(fun)

    def scanned(x):
        y = x[0] if body is unused else x
        return fg.lax.scan(lambda c, _: (body(grow, c, y), None), x[2], None, length=3)[0]

    def plain(x):
        c = x[2]
        for _ in range(3):
            c = body(grow_plainly, c, x[0] if body is unused else x)
        return c

    expected = derivative(plain)(X / 3)
    np.testing.assert_allclose(derivative(scanned)(X / 3), expected, rtol=1e-9)
    np.testing.assert_allclose(fg.jit(derivative(scanned))(X / 3), expected, rtol=1e-9)
    np.testing.assert_allclose(fg.vmap(derivative(scanned))(X[None] / 3)[0], expected, rtol=1e-9)
    hessian = fg.jit(fg.jacrev(fg.jacrev(scanned)))(X / 3)
    np.testing.assert_allclose(hessian, fg.hessian(plain)(X / 3), rtol=1e-9, atol=1e-12)


# --- infinities, NaN and nothing ---

INF = np.inf


@pytest.mark.parametrize("x", [[1, 2, INF], [1, INF, INF, INF], [-INF, -INF, 1.0], [INF], [3, INF]])
def test_the_median_of_infinities(x):
    x = np.array(x)
    assert fg.jit(np.median)(x) == fg.jit(np.nanmedian)(x) == np.median(x)


def test_a_quantile_at_an_element_does_not_look_at_the_next():
    x = np.array([1.0, 2.0, INF])
    assert fg.jit(lambda x: np.quantile(x, 0.5))(x) == 2.0
    np.testing.assert_array_equal(fg.grad(lambda x: np.quantile(x, 0.5))(x), [0.0, 1.0, 0.0])


def test_the_gradient_of_det_is_nan_where_the_matrix_is():
    matrices = np.stack([np.eye(2), np.full((2, 2), np.nan), np.diag([2.0, 3.0])])
    with np.errstate(invalid="ignore"):
        gradient = fg.grad(lambda a: np.linalg.det(a).sum())(matrices)
    np.testing.assert_allclose(gradient[[0, 2]], [np.eye(2), np.diag([3.0, 2.0])])
    assert np.isnan(gradient[1]).all()


@pytest.mark.parametrize("order", [1, 2, INF])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_norms_of_nothing_are_zero(order, shape):
    x = np.zeros(shape)
    value, gradient = fg.value_and_grad(lambda x: np.linalg.norm(x, order))(x)
    assert value == np.linalg.norm(x, order) == 0.0
    assert gradient.shape == shape
    assert fg.value_and_grad(lambda x: fnp.linalg.vector_norm(x, ord=order))(x)[0] == 0.0


def test_weighted_logsumexp_of_nothing():
    x = np.zeros((2, 0))
    with np.errstate(divide="ignore"):
        found = fg.scipy.special.logsumexp(x, b=np.ones((2, 0)), axis=1)
    np.testing.assert_array_equal(found, [-INF, -INF])


def test_covariances_without_degrees_of_freedom_are_not_finite():
    with np.errstate(all="ignore"):
        assert np.isnan(fg.jit(lambda x: np.cov(x, ddof=3))(np.ones((2, 2)))).all()
        weights = np.array([1, 1])
        found = fg.jit(lambda x: np.cov(x, fweights=weights, ddof=3))(np.eye(2))
        assert not np.isfinite(found).any()


# --- optim ---


@pytest.mark.parametrize(
    "optimizer", [fg.optim.sgd(0.1, 0.9), fg.optim.adam(0.1), fg.optim.sgd(0.1)]
)
@pytest.mark.parametrize("shape", [(2,), (1,), (3, 1)])
def test_gradients_of_other_shapes_are_refused_with_their_path(optimizer, shape):
    params = {"layer": {"w": np.ones(3)}}
    with pytest.raises(ValueError, match=r"layer\.w: a parameter of shape \(3,\) got a"):
        updates, _ = optimizer.update({"layer": {"w": np.ones(shape)}}, optimizer.init(params))
        fg.optim.apply_updates(params, updates)


# --- bfloat16 ---


@pytest.mark.parametrize(
    "name",
    [
        "relu",
        "relu6",
        "sigmoid",
        "silu",
        "softplus",
        "log_sigmoid",
        "gelu",
        "elu",
        "celu",
        "selu",
        "leaky_relu",
        "hard_sigmoid",
        "hard_silu",
        "hard_tanh",
        "soft_sign",
        "mish",
        "squareplus",
        "tanh",
        "glu",
        "softmax",
        "log_softmax",
        "logsumexp",
        "standardize",
    ],
)
def test_activations_of_bfloat16_stay_bfloat16(name):
    function = getattr(fg.nn, name)
    x = np.array([[0.5, -1.0], [2.0, 3.0]], fnp.bfloat16)
    exact = function(x.astype(np.float64)).astype(np.float64)
    for out in (function(x), fg.jit(function)(x)):
        assert out.dtype == fnp.bfloat16
        np.testing.assert_allclose(out.astype(np.float64), exact, rtol=0.02, atol=0.01)
    assert fg.vmap(function)(x).dtype == fnp.bfloat16
    gradient = fg.grad(lambda x: function(x).astype(np.float32).sum())(x)
    assert gradient.dtype == fnp.bfloat16


def test_unravel_does_not_drop_imaginary_parts():
    flat, unravel = fg.flatten_util.ravel_pytree({"a": X, "b": X32})
    with pytest.raises(TypeError, match="Pass its real part"):
        unravel(flat + 1j)
    assert fg.flatten_util.ravel_pytree([X, 1j])[1](np.ones(4) + 0j)[0].dtype == np.float64


def test_the_derivative_of_a_forward_derivative_names_the_function_without_a_forward_rule():
    @fg.custom_vjp
    def double(x):
        return 2.0 * x

    double.defvjp(lambda x: (double(x), None), lambda _, ct: (2.0 * ct,))

    def pushed(x):
        return fg.linearize(double, x)[1](x).sum()

    for run in (pushed, fg.grad(pushed), fg.jit(fg.grad(pushed))):
        with pytest.raises(TypeError, match="double has a custom_vjp rule only"):
            run(X)


def no_loop(x):
    return (x * x).sum()


def one_loop(x):
    return grow(x, 1).sum()


def two_loops(x):
    return (grow(x, 2) * grow(np.sin(x), 3)).sum()


def loop_in_scan(x):
    return fg.lax.scan(lambda c, v: (grow(c * v, 2), None), 0.7, x)[0]


BRANCHES = {
    "first": [one_loop, no_loop],
    "last": [no_loop, one_loop],
    "each": [two_loops, no_loop, one_loop],
    "in a scan": [no_loop, loop_in_scan, one_loop],
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("order", [1, 2])
def test_run_time_loops_in_branches_that_examples_choose(name, order):
    branches = BRANCHES[name]
    xs = np.random.default_rng(0).normal(size=(4, 3)) / 2
    choices = np.array([0, 1, len(branches) - 1, 0])

    def chosen(x, i):
        return fg.lax.switch(i, branches, x)

    derivative = fg.grad(chosen)
    if order == 2:
        derivative = fg.grad(lambda x, i: (fg.grad(chosen)(x, i) ** 2).sum())
    expected = np.stack([derivative(x, i) for x, i in zip(xs, choices, strict=True)])
    np.testing.assert_allclose(fg.vmap(derivative)(xs, choices), expected, rtol=1e-9)
    np.testing.assert_allclose(fg.jit(fg.vmap(derivative))(xs, choices), expected, rtol=1e-9)
    same_x = np.stack([derivative(xs[0], i) for i in choices])
    np.testing.assert_allclose(fg.vmap(derivative, (None, 0))(xs[0], choices), same_x, rtol=1e-9)
    both = fg.vmap(fg.vmap(derivative, (0, None)), (None, 0))(xs[:2], choices[:3])
    np.testing.assert_allclose(both[:, 0], same_x[:3], rtol=1e-9)


def test_a_branch_that_all_examples_share_keeps_the_residuals_of_what_they_share():
    def f(x, y):
        return fg.lax.cond(y.sum() > 0, lambda: x.sum() * grow(y, 2).sum(), lambda: x.sum())

    xs = np.stack([X, 2 * X])
    expected = [fg.grad(f, (0, 1))(x, X + 1) for x in xs]
    for run in (
        fg.vmap(fg.grad(f, (0, 1)), (0, None)),
        fg.jit(fg.vmap(fg.grad(f, (0, 1)), (0, None))),
    ):
        for found, wanted in zip(run(xs, X + 1), zip(*expected, strict=True), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12)
