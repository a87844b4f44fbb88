"""`primitive` of plain Python functions of arrays: every transformation, options, and what goes wrong."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.test_util import check_grads

X = np.array([0.5, -1.0, 2.0])


def calls_of(function):
    """The function, and the shapes it was called with."""
    shapes = []

    def noted(*args, **options):
        shapes.append([np.shape(a) for a in args])
        assert all(isinstance(a, np.ndarray | np.generic | float) for a in args)
        return function(*args, **options)

    return noted, shapes


def sine_with_vjp():
    return fg.primitive(
        lambda x: np.sin(x),
        out_shape=lambda x: x,
        vjp=lambda ct, out, x: ct * np.cos(x),
        name="my_sin",
    )


def sine_with_jvp():
    sine = fg.primitive(
        lambda x: np.sin(x),
        out_shape=lambda x: x,
        jvp=lambda primals, tangents: (sine(primals[0]), tangents[0] * np.cos(primals[0])),
    )
    return sine


@pytest.mark.parametrize("make", [sine_with_vjp, sine_with_jvp])
@pytest.mark.parametrize("transform", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_reverse_mode(make, transform):
    sine = make()
    np.testing.assert_allclose(transform(sine)(X), np.sin(X))
    np.testing.assert_allclose(transform(fg.grad(lambda x: np.sum(sine(x) ** 2)))(X), np.sin(2 * X))
    check_grads(sine, (X,), order=1, modes=("rev",))


def test_forward_mode_needs_a_jvp():
    out, tangent = fg.jvp(sine_with_jvp(), (X,), (np.ones(3),))
    np.testing.assert_allclose(tangent, np.cos(X))
    check_grads(sine_with_jvp(), (X,), order=2)
    with pytest.raises(TypeError, match="custom_vjp rule only"):
        fg.jvp(sine_with_vjp(), (X,), (np.ones(3),))


def test_second_derivatives_by_a_rule_of_primitives():
    cosine = fg.primitive(
        lambda x: np.cos(x), out_shape=lambda x: x, vjp=lambda ct, out, x: -ct * np.sin(x)
    )
    sine = fg.primitive(
        lambda x: np.sin(x), out_shape=lambda x: x, vjp=lambda ct, out, x: ct * cosine(x)
    )
    second = fg.grad(fg.grad(lambda x: sine(x)))
    np.testing.assert_allclose(second(0.3), -np.sin(0.3))


def test_as_a_decorator():
    @fg.primitive(out_shape=lambda x: fg.ShapeDtypeStruct((), x.dtype))
    def total(x):
        """The sum."""
        return np.sum(x)

    assert total.__name__ == "total" and total.__doc__ == "The sum." and "total" in repr(total)
    assert fg.jit(total)(X) == X.sum()
    assert "user_call" in str(fg.make_jaxpr(total)(X))


@pytest.mark.parametrize(
    ("method", "shapes"),
    [
        ("sequential", [[(3,), (3,)]] * 4),
        ("expand_dims", [[(4, 3), (1, 3)]]),
        ("broadcast_all", [[(4, 3), (4, 3)]]),
        ("elementwise", [[(4, 3), (3,)]]),
    ],
)
def test_vmap_methods(method, shapes):
    function, seen = calls_of(lambda x, y: x * y)
    product = fg.primitive(function, out_shape=lambda x, y: x, vmap=method)
    rows = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(fg.vmap(product, in_axes=(0, None))(rows, X), rows * X)
    assert seen == shapes


def test_ranks_line_up_in_elementwise_batches():
    product = fg.primitive(lambda x, y: x * y, out_shape=lambda x, y: x, vmap="elementwise")
    x, y = np.arange(24.0).reshape(4, 2, 3), np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(fg.vmap(product)(x, y), x * y[:, None, :])


def test_a_batch_rule():
    sizes = []

    def rule(size, axes, x, y):
        sizes.append((size, axes))
        return np.matmul(fnp.moveaxis(x, axes[0], 0), y), 0

    times = fg.primitive(
        np.matmul,
        out_shape=lambda x, y: fg.ShapeDtypeStruct((2,), x.dtype),
        vmap=rule,
        name="times",
    )
    x, y = np.arange(24.0).reshape(2, 3, 4), np.ones(3)
    out = fg.vmap(times, in_axes=(2, None))(x, y)
    np.testing.assert_array_equal(out, np.moveaxis(x, 2, 0) @ y)
    assert sizes == [(4, (2, None))]


def test_several_results_and_trees():
    both = fg.primitive(
        lambda tree: {"sum": tree["a"] + tree["b"], "first": tree["a"][:1]},
        out_shape=lambda tree: {"sum": tree["a"], "first": fg.ShapeDtypeStruct((1,), np.float64)},
        vjp=lambda ct, out, tree: {"a": ct["sum"], "b": ct["sum"]},
    )
    out = fg.jit(both)({"a": X, "b": X})
    np.testing.assert_array_equal(out["sum"], 2 * X)
    gradient = fg.grad(lambda tree: np.sum(both(tree)["sum"] ** 2))({"a": X, "b": X + 1})
    np.testing.assert_allclose(gradient["b"], 2 * (2 * X + 1))


def test_options_are_static():
    power = fg.primitive(
        lambda x, n=2: x**n,
        out_shape=lambda x, n=2: x,
        vjp=lambda ct, out, x, n=2: ct * n * x ** (n - 1),
    )
    np.testing.assert_allclose(fg.jit(lambda x: power(x, n=3))(X), X**3)
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(power(x, n=3)))(X), 3 * X**2)


def test_inside_loops():
    double = fg.primitive(lambda x: 2 * x, out_shape=lambda x: x, vjp=lambda ct, out, x: 2.0 * ct)

    def loss(x):
        final, _ = fg.lax.scan(lambda c, _: (double(c), None), x, None, length=3)
        return np.sum(final)

    np.testing.assert_array_equal(fg.jit(fg.grad(loss))(X), [8.0, 8.0, 8.0])


@pytest.mark.parametrize(
    ("function", "out_shape", "text"),
    [
        (lambda x: x[:1], lambda x: x, r"returned float64\[1\], but out_shape says float64\[3\]"),
        (
            lambda x: x.astype(np.float32),
            lambda x: x,
            r"returned float32\[3\], but out_shape says float64\[3\]",
        ),
        (lambda x: (x, x), lambda x: x, "the structure|another structure|returned"),
        (lambda x: x, None, "cannot be found out. Give out_shape"),
    ],
)
def test_results_that_differ_from_what_was_said(function, out_shape, text):
    with pytest.raises(TypeError, match=text):
        fg.primitive(function, out_shape=out_shape)(X)


def test_a_missing_derivative():
    with pytest.raises(TypeError, match=r"\[plain\] has no derivative.*vjp="):
        fg.grad(lambda x: np.sum(fg.primitive(np.sin, out_shape=lambda x: x, name="plain")(x)))(X)


def test_wrong_rules():
    with pytest.raises(ValueError, match="vjp or jvp, not both"):
        fg.primitive(np.sin, vjp=lambda: 0, jvp=lambda: 0)
    with pytest.raises(ValueError, match="vmap='rows' must be a function or one of"):
        fg.primitive(np.sin, vmap="rows")
    with pytest.raises(TypeError, match="expected a function"):
        fg.primitive(3.0)


def test_named_tuples_are_tuples():
    log_determinant = fg.primitive(
        np.linalg.slogdet,
        out_shape=lambda a: (fg.ShapeDtypeStruct((), a.dtype),) * 2,
        vjp=lambda ct, out, a: ct[1] * np.linalg.inv(a).T,
    )
    sign, value = fg.jit(log_determinant)(2 * np.eye(3))
    assert sign == 1.0 and value == pytest.approx(3 * np.log(2))
    np.testing.assert_allclose(
        fg.grad(lambda a: log_determinant(a)[1])(2 * np.eye(3)), np.eye(3) / 2
    )


def test_arrays_are_no_options():
    plain = fg.primitive(np.sin, out_shape=lambda x: x, name="plain")
    with pytest.raises(
        TypeError, match=r"\[plain\] .* must be hashable, but 'x' is a numpy.ndarray"
    ):
        plain(x=X)
