"""Collectives over a named `vmap` axis: values, derivatives, and inside other transformations."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([1.0, 3.0])
A = np.arange(6.0).reshape(3, 2)


def over(f, **options):
    return fg.vmap(f, axis_name="i", **options)


class TestValues:
    def test_reductions(self):
        found = over(
            lambda x: (lax.psum(x, "i"), lax.pmean(x, "i"), lax.pmax(x, "i"), lax.pmin(x, "i"))
        )
        for out, expected in zip(found(A), (A.sum(0), A.mean(0), A.max(0), A.min(0)), strict=True):
            np.testing.assert_allclose(out, np.broadcast_to(expected, (3, 2)))

    def test_unvarying_value(self):
        found = over(lambda x: (lax.psum(1, "i"), lax.pmean(2.0, "i"), lax.pmax(5, "i")))(A)
        np.testing.assert_array_equal(found[0], [3, 3, 3])
        np.testing.assert_array_equal(found[1], [2.0, 2.0, 2.0])
        np.testing.assert_array_equal(found[2], [5, 5, 5])

    def test_tree(self):
        found = over(lambda x: lax.psum({"x": x, "y": (2 * x, None)}, "i"), out_axes=None)(A)
        np.testing.assert_allclose(found["x"], A.sum(0))
        np.testing.assert_allclose(found["y"][0], 2 * A.sum(0))

    def test_result_is_the_same_for_every_example(self):
        np.testing.assert_allclose(over(lambda x: lax.psum(x, "i"), out_axes=None)(A), A.sum(0))

    def test_all_gather(self):
        found = over(lambda x: lax.all_gather(x, "i"))(A)
        np.testing.assert_allclose(found, np.broadcast_to(A, (3, 3, 2)))
        found = over(lambda x: lax.all_gather(x, "i", axis=1), out_axes=None)(A)
        np.testing.assert_allclose(found, A.T)

    def test_axis_index(self):
        found = over(lambda x: x + lax.axis_index("i"))(np.zeros(3))
        np.testing.assert_array_equal(found, [0.0, 1.0, 2.0])
        assert over(lambda x: lax.axis_index("i"))(X).dtype == np.int64

    def test_ppermute(self):
        shift = [(0, 1), (1, 2), (2, 0)]
        np.testing.assert_allclose(over(lambda x: lax.ppermute(x, "i", shift))(A), np.roll(A, 1, 0))
        found = over(lambda x: lax.ppermute(x, "i", [(0, 2)]))(A)
        np.testing.assert_allclose(found, [[0, 0], [0, 0], A[0]])

    def test_two_axes(self):
        f = lambda x: (lax.psum(x, "rows"), lax.psum(x, "columns"))
        both = fg.vmap(fg.vmap(f, axis_name="columns"), axis_name="rows")
        rows, columns = both(A)
        np.testing.assert_allclose(rows, np.broadcast_to(A.sum(0), (3, 2)))
        np.testing.assert_allclose(columns, np.broadcast_to(A.sum(1)[:, None], (3, 2)))

    def test_unknown_axis(self):
        with pytest.raises(NameError, match=r"unbound axis name 'j'.*\['i'\].*axis_name='j'"):
            over(lambda x: lax.psum(x, "j"))(A)
        with pytest.raises(NameError, match="unbound axis name"):
            lax.psum(1.0, "i")

    def test_permutation_errors(self):
        for permutation in ([(0, 1), (0, 2)], [(0, 1), (2, 1)], [(0, 5)]):
            with pytest.raises(ValueError, match="at most once, from 0 to 2"):
                over(lambda x: lax.ppermute(x, "i", permutation))(A)


class TestGradientOfPsum:
    """R80: x = (1, 3), loss_i = w * x_i. The derivative of the total is 4, of the mean 2, never [2, 6]."""

    W = 2.0

    def test_gradient_outside_of_psum(self):
        total = lambda w: over(lambda x: lax.psum(w * x, "i"), out_axes=None)(X)
        assert fg.grad(total)(self.W) == 4.0

    def test_gradient_outside_of_pmean(self):
        mean = lambda w: over(lambda x: lax.pmean(w * x, "i"), out_axes=None)(X)
        assert fg.grad(mean)(self.W) == 2.0

    @pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jit"])
    def test_gradient_inside_of_psum(self, jitted):
        inner = fg.grad(lambda w, x: lax.psum(w * x, "i"))
        inner = fg.jit(inner) if jitted else inner
        found = over(inner, in_axes=(None, 0))(self.W, X)
        np.testing.assert_allclose(found, [4.0, 4.0])

    def test_gradient_inside_of_pmean(self):
        found = over(fg.grad(lambda w, x: lax.pmean(w * x, "i")), in_axes=(None, 0))(self.W, X)
        np.testing.assert_allclose(found, [2.0, 2.0])

    def test_local_gradients_then_sum_or_mean(self):
        local = fg.grad(lambda w, x: w * x)
        total = over(lambda w, x: lax.psum(local(w, x), "i"), in_axes=(None, 0), out_axes=None)
        mean = over(lambda w, x: lax.pmean(local(w, x), "i"), in_axes=(None, 0), out_axes=None)
        assert total(self.W, X) == 4.0 and mean(self.W, X) == 2.0

    def test_replicated_weights_that_vary(self):
        """Each example holds its own copy of w: the total derivative by that copy alone."""
        found = over(fg.grad(lambda w, x: lax.psum(w * x, "i")))(np.full(2, self.W), X)
        np.testing.assert_allclose(found, X)

    def test_nonlinear_total(self):
        inner = fg.grad(lambda w, x: lax.psum(w * x, "i") ** 2)
        found = over(inner, in_axes=(None, 0))(self.W, X)
        np.testing.assert_allclose(found, np.full(2, 2 * (self.W * 4) * 4))

    def test_forward_mode_agrees(self):
        f = lambda w: over(lambda x: lax.psum(np.sin(w * x), "i"), out_axes=None)(X)
        np.testing.assert_allclose(fg.jvp(f, (self.W,), (1.0,))[1], fg.grad(f)(self.W))


OPERATIONS = {
    "psum": lambda x: lax.psum(np.sin(x), "i") * x,
    "pmean": lambda x: lax.pmean(x**2, "i") * x,
    "pmax": lambda x: lax.pmax(x, "i") * x,
    "pmin": lambda x: lax.pmin(x * x, "i") * x,
    "all_gather": lambda x: lax.all_gather(x, "i") ** 2 * x,
    "ppermute": lambda x: lax.ppermute(np.sin(x), "i", [(0, 1), (1, 2), (2, 0)]) * x,
    "axis_index": lambda x: x ** (lax.axis_index("i") + 1.0),
    "centered": lambda x: (x - lax.pmean(x, "i")) / np.sqrt(lax.pmean(x**2, "i") + 1.0),
}


@pytest.mark.parametrize("name", OPERATIONS)
class TestDerivatives:
    def test_both_modes_against_finite_differences(self, name):
        fg.test_util.check_grads(over(OPERATIONS[name]), (A + 0.5,), order=2)

    def test_jit_inside_and_outside(self, name):
        f = OPERATIONS[name]
        expected = over(f)(A + 0.5)
        np.testing.assert_allclose(fg.jit(over(f))(A + 0.5), expected)
        np.testing.assert_allclose(over(fg.jit(f))(A + 0.5), expected)

    def test_gradient_of_the_jitted_function(self, name):
        total = lambda f: lambda x: np.sum(over(f)(x))
        expected = fg.grad(total(OPERATIONS[name]))(A + 0.5)
        found = fg.grad(total(fg.jit(OPERATIONS[name])))(A + 0.5)
        np.testing.assert_allclose(found, expected)
        np.testing.assert_allclose(fg.jit(fg.grad(total(OPERATIONS[name])))(A + 0.5), expected)

    def test_inside_scan(self, name):
        f = OPERATIONS[name]

        def looped(x):
            return lax.scan(lambda c, _: (c + 1.0, np.sum(f(x * c))), 0.5, None, length=2)[1]

        expected = np.stack(
            [np.stack([np.sum(y) for y in over(f)((A + 0.5) * c)]) for c in (0.5, 1.5)]
        )
        np.testing.assert_allclose(over(looped)(A + 0.5), expected.T)
        fg.test_util.check_grads(over(looped), (A + 0.5,), order=1)

    def test_inside_cond(self, name):
        f = OPERATIONS[name]
        chosen = lambda x: lax.cond(np.float64(1.0) > 0, f, lambda x: f(x) * 0.0, x)
        np.testing.assert_allclose(over(chosen)(A + 0.5), over(f)(A + 0.5))
        fg.test_util.check_grads(over(chosen), (A + 0.5,), order=1)


def test_ties_of_pmax_share_the_derivative():
    found = fg.grad(lambda x: over(lambda x: lax.pmax(x, "i"), out_axes=None)(x))(
        np.array([1.0, 3.0, 3.0])
    )
    np.testing.assert_allclose(found, [0.0, 0.5, 0.5])


def test_jitted_function_is_traced_per_axis_size():
    f = fg.jit(lambda x: x / lax.psum(1, "i"))
    np.testing.assert_allclose(over(f)(np.ones(2)), [0.5, 0.5])
    np.testing.assert_allclose(over(f)(np.ones(4)), np.full(4, 0.25))


def test_batch_of_collectives():
    """An unnamed vmap around and inside a named one."""
    x = np.arange(12.0).reshape(2, 3, 2)
    normalise = over(lambda x: x - lax.pmean(x, "i"))
    expected = x - x.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(fg.vmap(normalise)(x), expected)
    inner = over(fg.vmap(lambda x: x - lax.pmean(x, "i")), in_axes=1, out_axes=1)
    np.testing.assert_allclose(inner(x), expected)


@pytest.mark.parametrize("outer", [lambda f: f, fg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(
    "inner", [lambda f: f, fg.jit, fg.checkpoint], ids=["", "jit", "checkpoint"]
)
def test_inside_functions_with_rules_of_their_own(outer, inner):
    forward = fg.custom_jvp(lambda x: lax.psum(x, "i") * x)
    forward.defjvp(lambda p, t: (forward(*p), 10.0 * t[0]))
    reverse = fg.custom_vjp(lambda x: lax.psum(x, "i") * x)
    reverse.defvjp(lambda x: (reverse(x), x), lambda x, ct: (ct * lax.pmax(x, "i"),))
    for f, slope in ((forward, 10.0), (reverse, 3.0)):
        np.testing.assert_allclose(outer(over(inner(f)))(X), 4 * X)
        gradient = outer(fg.grad(lambda x: np.sum(over(inner(f))(x))))
        np.testing.assert_allclose(gradient(X), [slope, slope])
