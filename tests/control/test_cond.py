"""`cond` and `switch`: values, trees, types of branches, derivatives, and predicates per example."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.test_util import check_grads

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 2.0])
eager_and_jit = pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])


@eager_and_jit
class TestCondValues:
    def test_one_branch_runs(self, wrap):
        seen = []
        note = lambda name: lambda x: (fg.debug.callback(lambda: seen.append(name)), x)[1]
        f = wrap(lambda p, x: lax.cond(p, note("true"), note("false"), x))
        f(True, 1.0)
        f(False, 1.0)
        assert seen == ["true", "false"]

    @pytest.mark.parametrize(
        ("predicate", "expected"),
        [
            (True, 1.0),
            (np.False_, 2.0),
            (np.array(True), 1.0),
            (0, 2.0),
            (-3, 1.0),
            (0.0, 2.0),
            (2.5, 1.0),
        ],
    )
    def test_predicates(self, wrap, predicate, expected):
        assert wrap(lambda p: lax.cond(p, lambda: 1.0, lambda: 2.0))(predicate) == expected

    def test_trees_in_and_out(self, wrap):
        f = lambda p, t, y: lax.cond(
            p,
            lambda t, y: {"a": t["w"] + y, "b": (y, None)},
            lambda t, y: {"a": t["w"] * y, "b": (-y, None)},
            t,
            y,
        )
        found = wrap(f)(True, {"w": X}, 2.0)
        np.testing.assert_allclose(found["a"], X + 2)
        assert found["b"] == (2.0, None)
        assert wrap(f)(False, {"w": X}, 2.0)["b"] == (-2.0, None)

    def test_empty_trees(self, wrap):
        assert wrap(lambda p: lax.cond(p, lambda t: t, lambda t: t, ()))(True) == ()
        assert wrap(lambda p: lax.cond(p, lambda: None, lambda: None))(True) is None

    def test_closures(self, wrap):
        f = wrap(lambda p, w: lax.cond(p, lambda x: x * w, lambda x: x + w * X, X))
        np.testing.assert_allclose(f(True, 3.0), 3 * X)
        np.testing.assert_allclose(f(False, 3.0), 4 * X)

    def test_integers_bools_and_empty_arrays(self, wrap):
        f = wrap(lambda p, n: lax.cond(p, lambda n: (n + 1, n > 0), lambda n: (n - 1, n < 0), n))
        assert f(True, 3) == (4, True) and f(False, 3) == (2, False)
        assert wrap(lambda p: lax.cond(p, np.sin, np.cos, np.zeros((0, 2))))(True).shape == (0, 2)

    def test_python_numbers_adopt_the_dtype_of_the_other_branch(self, wrap):
        x = X[0].astype(np.float32)
        found = wrap(lambda p, x: lax.cond(p, lambda x: x, lambda x: 0.0, x))(False, x)
        assert found == 0.0 and found.dtype == np.float32


class TestCondErrors:
    """R49."""

    @pytest.mark.parametrize(
        ("true_fun", "false_fun", "pattern"),
        [
            (lambda x: (x, x), lambda x: x, "same tree structure"),
            (lambda x: {"a": x}, lambda x: {"b": x}, r"(?s)same tree structure.*a.*b|'b'"),
            (
                lambda x: x,
                lambda x: x[:2],
                r"float64\[2\].*float64\[3\]|float64\[3\].*float64\[2\]",
            ),
            (lambda x: x.astype(np.float32), lambda x: x, r"float32.*astype|astype.*float32"),
            (lambda x: {"k": x > 0}, lambda x: {"k": x}, r"k is float64\[3\].*bool\[3\]"),
        ],
        ids=["pair", "keys", "shape", "dtype", "bool"],
    )
    def test_branches_that_differ(self, true_fun, false_fun, pattern):
        with pytest.raises(TypeError, match=pattern) as raised:
            lax.cond(True, true_fun, false_fun, X)
        assert "[cond]" in str(raised.value) and "lambda" in str(raised.value)

    def test_predicate_that_is_an_array(self):
        with pytest.raises(TypeError, match=r"predicate must be a scalar.*float64\[3\].*np.where"):
            lax.cond(X, lambda: 1, lambda: 2)

    def test_operand_that_is_no_array(self):
        with pytest.raises(
            TypeError, match=r"operand 0 must hold arrays, but kind is str.*Close over"
        ):
            lax.cond(True, lambda p: p, lambda p: p, {"kind": "text", "x": X})

    def test_not_a_function(self):
        with pytest.raises(TypeError, match="lax.cond.*expected a function"):
            lax.cond(True, 1.0, 2.0)

    def test_error_in_a_branch_that_is_not_taken_is_raised(self):
        with pytest.raises(ZeroDivisionError):
            lax.cond(True, lambda x: x, lambda x: 1 / 0, 1.0)


class TestSwitch:
    BRANCHES = [lambda x: x, lambda x: 10 * x, lambda x: x**2]

    @eager_and_jit
    @pytest.mark.parametrize("dtype", [int, np.int8, np.uint8, np.int64])
    def test_index_is_clamped(self, wrap, dtype):
        f = wrap(lambda i, x: lax.switch(i, self.BRANCHES, x))
        indices = [0, 1, 2, 3, 100] + ([] if dtype is np.uint8 else [-1, -100])
        expected = [3.0, 30.0, 9.0, 9.0, 9.0] + ([] if dtype is np.uint8 else [3.0, 3.0])
        assert [f(dtype(i), 3.0) for i in indices] == expected

    def test_per_example(self):
        f = fg.vmap(lambda i, x: lax.switch(i, self.BRANCHES, x))
        found = f(np.array([-5, 0, 1, 2, 9]), np.full(5, 3.0))
        np.testing.assert_allclose(found, [3.0, 3.0, 30.0, 9.0, 9.0])

    def test_derivatives_per_example(self):
        slope = fg.vmap(fg.grad(lambda x, i: lax.switch(i, self.BRANCHES, x)))
        np.testing.assert_allclose(slope(np.full(3, 3.0), np.arange(3)), [1.0, 10.0, 6.0])

    def test_one_branch(self):
        assert lax.switch(7, [np.sin], 0.0) == 0.0

    @pytest.mark.parametrize("index", [1.0, True, np.array([1])])
    def test_bad_index(self, index):
        with pytest.raises(TypeError, match="index must be an integer scalar"):
            lax.switch(index, self.BRANCHES, 1.0)

    def test_no_branches(self):
        with pytest.raises(ValueError, match="at least one branch"):
            lax.switch(0, [], 1.0)


FUNCTIONS = {
    "sin or exp": lambda p, x: lax.cond(p, np.sin, np.exp, x),
    "constant branch": lambda p, x: lax.cond(p, lambda x: x**3, lambda x: np.ones(3), x),
    "closure": lambda p, x: lax.cond(p, lambda: np.sum(x**3) * x, lambda: np.sin(x)),
    "different residuals": lambda p, x: lax.cond(
        p, lambda x: np.sin(x) * np.exp(x) * x, lambda x: np.sum(np.outer(x, x) ** 2, 0), x
    ),
    "tree": lambda p, x: lax.cond(
        p, lambda t: {"a": t[0] * t[1], "b": t[0]}, lambda t: {"a": t[1], "b": t[1] ** 2}, (x, np.cos(x))
    )["a"],
    "nested": lambda p, x: lax.cond(
        p, lambda x: lax.cond(np.sum(x) > 100.0, np.exp, np.sin, x), lambda x: lax.cond(p, np.cos, np.tanh, x), x
    ),
    "three": lambda p, x: lax.switch(p * 2, [np.sin, np.exp, lambda x: x * x[0]], x),
    "integer operand": lambda p, x: lax.cond(p, lambda x, n: x**n, lambda x, n: x * n, x, 3),
}  # fmt: skip


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
class TestDerivatives:
    def test_both_modes(self, name, taken):
        check_grads(lambda x: FUNCTIONS[name](np.bool_(taken), x), (X,), order=2)

    def test_under_jit_with_traced_predicate(self, name, taken):
        f = fg.jit(lambda p, x: FUNCTIONS[name](p, x))
        check_grads(lambda x: f(np.bool_(taken), x), (X,), order=2)
        loss = lambda x, p: np.sum(FUNCTIONS[name](p, x) ** 2)
        expected = fg.grad(loss)(X, np.bool_(taken))
        np.testing.assert_allclose(fg.jit(fg.grad(loss))(X, np.bool_(taken)), expected)

    def test_third_order(self, name, taken):
        plain = FUNCTIONS[name]
        third = fg.grad(lambda t: fg.grad(lambda t: fg.grad(
            lambda t: np.sum(plain(np.bool_(taken), X * t)))(t))(t))  # fmt: skip
        forward = lambda f: lambda t: fg.jvp(f, (t,), (1.0,))[1]
        expected = forward(forward(forward(lambda t: np.sum(plain(np.bool_(taken), X * t)))))(1.1)
        np.testing.assert_allclose(third(1.1), expected, atol=1e-12)

    def test_vmap_with_one_predicate(self, name, taken):
        xs = np.stack([X, X + 0.5])
        f = lambda x: FUNCTIONS[name](np.bool_(taken), x)
        np.testing.assert_allclose(fg.vmap(f)(xs), np.stack([f(x) for x in xs]))
        gradient = fg.grad(lambda x: np.sum(f(x) ** 2))
        np.testing.assert_allclose(fg.vmap(gradient)(xs), np.stack([gradient(x) for x in xs]))

    def test_vmap_with_a_predicate_per_example(self, name, taken):
        xs, flags = np.stack([X, X + 0.5, X[::-1]]), np.array([taken, not taken, taken])
        f = FUNCTIONS[name]
        expected = np.stack([f(p, x) for p, x in zip(flags, xs, strict=True)])
        np.testing.assert_allclose(fg.vmap(f)(flags, xs), expected)
        np.testing.assert_allclose(fg.jit(fg.vmap(f))(flags, xs), expected)
        gradient = fg.grad(lambda x, p: np.sum(f(p, x) ** 2))
        expected = np.stack([gradient(x, p) for p, x in zip(flags, xs, strict=True)])
        np.testing.assert_allclose(fg.vmap(gradient)(xs, flags), expected)
        through = fg.grad(lambda xs: np.sum(fg.vmap(f)(flags, xs) ** 2))(xs)
        np.testing.assert_allclose(through, expected)
        check_grads(lambda xs: fg.vmap(f)(flags, xs), (xs,), order=2)


class TestPerExample:
    """R46, R47: an example sees only the branch that it takes."""

    SAFE = staticmethod(lambda x: lax.cond(x > 0, np.log, lambda x: 0 * x, x))

    @eager_and_jit
    def test_no_nan_from_the_other_branch(self, wrap):
        xs = np.array([0.0, 2.0])
        with fg.debug_nans():
            np.testing.assert_allclose(wrap(fg.vmap(self.SAFE))(xs), [0.0, np.log(2)])
            np.testing.assert_allclose(wrap(fg.vmap(fg.grad(self.SAFE)))(xs), [0.0, 0.5])
            np.testing.assert_allclose(
                wrap(fg.grad(lambda xs: np.sum(fg.vmap(self.SAFE)(xs))))(xs), [0.0, 0.5]
            )
            np.testing.assert_allclose(wrap(fg.vmap(fg.grad(fg.grad(self.SAFE))))(xs), [0.0, -0.25])

    @eager_and_jit
    @pytest.mark.parametrize("xs", [[-1.0, -2.0], [1.0, 2.0], [3.0], []])
    def test_branch_that_no_example_takes(self, wrap, xs):
        xs = np.array(xs)
        np.testing.assert_allclose(
            wrap(fg.vmap(self.SAFE))(xs), [np.log(x) if x > 0 else 0.0 for x in xs]
        )

    def test_warnings_of_numpy_come_only_from_examples_that_take_the_branch(self):
        fg.vmap(self.SAFE)(np.array([0.0, 2.0]))  # warnings are errors here

    @eager_and_jit
    def test_loop_in_a_branch_ends(self, wrap):
        """The loop would run for ever on a negative number."""

        def f(x):
            loop = lambda x: lax.while_loop(lambda c: c < 100.0, lambda c: c * 2.0, x)
            return lax.cond(x > 0, loop, lambda x: x, x)

        xs = np.array([-1.0, 3.0, 50.0])
        np.testing.assert_allclose(wrap(fg.vmap(f))(xs), [-1.0, 192.0, 100.0])
        np.testing.assert_allclose(wrap(fg.vmap(fg.grad(f)))(xs), [1.0, 64.0, 2.0])
        np.testing.assert_allclose(
            wrap(fg.grad(lambda xs: np.sum(fg.vmap(f)(xs))))(xs), [1.0, 64.0, 2.0]
        )

    def test_nested_vmap(self):
        xs = np.array([[-1.0, 2.0], [0.0, 4.0]])
        expected = [[0.0, 0.5], [0.0, 0.25]]
        with fg.debug_nans():
            np.testing.assert_allclose(fg.vmap(fg.vmap(fg.grad(self.SAFE)))(xs), expected)

    def test_closure_over_batched_and_unbatched_values(self):
        def f(p, x, w):
            return lax.cond(p, lambda: x * w, lambda: w * X)

        flags, xs = np.array([True, False]), np.stack([X, 2 * X])
        loss = lambda w: np.sum(fg.vmap(f, in_axes=(0, 0, None))(flags, xs, w))
        np.testing.assert_allclose(fg.grad(loss)(3.0), 2 * np.sum(X))

    def test_batch_axis_anywhere(self):
        f = lambda p, x: lax.cond(p, np.sin, np.cos, x)
        flags, xs = np.array([True, False]), np.arange(6.0).reshape(3, 2)
        found = fg.vmap(f, in_axes=(0, 1), out_axes=1)(flags, xs)
        np.testing.assert_allclose(found, np.stack([np.sin(xs[:, 0]), np.cos(xs[:, 1])], 1))


def test_gradient_of_a_closed_over_value_that_only_one_branch_reads():
    def f(w, p):
        return lax.cond(p, lambda x: x * w, lambda x: x, 3.0)

    assert fg.grad(f)(2.0, True) == 3.0
    assert fg.grad(f)(2.0, False) == 0.0
    np.testing.assert_allclose(fg.vmap(fg.grad(f), (None, 0))(2.0, np.array([True, False])), [3, 0])


def test_predicate_that_depends_on_the_argument():
    f = lambda x: lax.cond(x > 1.0, lambda x: x**2, lambda x: 5 * x, x)
    assert fg.grad(f)(2.0) == 4.0 and fg.grad(f)(0.5) == 5.0
    assert fg.jvp(f, (2.0,), (1.0,)) == (4.0, 4.0)
    assert fg.hessian(f)(2.0) == 2.0
