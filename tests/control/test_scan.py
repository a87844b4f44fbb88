"""`scan`: values, trees, types of the carry, derivatives, and what is kept for the backward pass."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.test_util import check_grads

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 2.0, -1.0])
eager_and_jit = pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])


def python_scan(f, init, xs, reverse=False):
    """The meaning of `scan` for one array xs and one array y."""
    carry, ys = init, []
    for x in xs[::-1] if reverse else xs:
        carry, y = f(carry, x)
        ys.append(y)
    return carry, np.stack(ys[::-1] if reverse else ys)


@eager_and_jit
class TestValues:
    @pytest.mark.parametrize("reverse", [False, True])
    def test_like_a_python_loop(self, wrap, reverse):
        f = lambda c, x: (2 * c + x, c * x)
        found = wrap(lambda c, xs: lax.scan(f, c, xs, reverse=reverse))(1.0, X)
        expected = python_scan(f, 1.0, X, reverse)
        np.testing.assert_allclose(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1])

    def test_trees(self, wrap):
        def body(carry, x):
            carry = {"a": carry["a"] + x["p"], "n": carry["n"] + 1}
            return carry, (x["q"][0] * carry["a"], {"n": carry["n"], "none": None})

        def f(a, p, q):
            return lax.scan(body, {"a": a, "n": 0}, {"p": p, "q": (q, None)})

        carry, (y, rest) = wrap(f)(np.zeros(2), np.ones((3, 2)), np.arange(3.0))
        np.testing.assert_allclose(carry["a"], [3.0, 3.0])
        assert carry["n"] == 3 and rest["none"] is None
        np.testing.assert_allclose(y, [[0, 0], [2, 2], [6, 6]])
        np.testing.assert_array_equal(rest["n"], [1, 2, 3])

    def test_length_without_xs(self, wrap):
        carry, ys = wrap(lambda c: lax.scan(lambda c, x: (c * 2, c), c, None, length=3))(1.0)
        assert carry == 8.0 and ys.tolist() == [1.0, 2.0, 4.0]

    def test_no_carry_and_no_result(self, wrap):
        assert wrap(lambda xs: lax.scan(lambda c, x: (c, x * 2), None, xs))(X)[0] is None
        assert wrap(lambda xs: lax.scan(lambda c, x: (c + x, None), 0.0, xs))(X)[1] is None
        assert wrap(lambda xs: lax.scan(lambda c, x: ((), {}), (), xs))(X) == ((), {})

    def test_length_zero(self, wrap):
        """R24."""
        f = lambda c, xs: lax.scan(lambda c, x: (c + x, (c, c > 0, x.astype(np.float32))), c, xs)
        carry, (y, flags, z) = wrap(f)(3.0, np.zeros((0,)))
        assert carry == 3.0
        assert y.shape == flags.shape == z.shape == (0,)
        assert (flags.dtype, z.dtype) == (np.bool_, np.float32)
        carry, ys = wrap(lambda c: lax.scan(lambda c, _: (c, c), c, None, length=0))(np.ones(2))
        assert ys.shape == (0, 2)

    def test_scanned_axis_is_the_first_of_any_rank(self, wrap):
        xs = np.arange(24.0).reshape(2, 3, 4)
        carry, ys = wrap(lambda xs: lax.scan(lambda c, x: (c + x, x.T), np.zeros((3, 4)), xs))(xs)
        np.testing.assert_allclose(carry, xs.sum(0))
        np.testing.assert_allclose(ys, np.swapaxes(xs, 1, 2))

    def test_constant_results_and_python_numbers(self, wrap):
        carry, ys = wrap(lambda xs: lax.scan(lambda c, x: (c, (1.0, 2, True)), 0, xs))(X)
        assert [y.dtype.name for y in ys] == ["float64", "int64", "bool"]
        np.testing.assert_array_equal(ys[0], np.ones(4))

    def test_closed_over_array_changed_in_place(self, wrap):
        w = np.ones(2)
        f = wrap(lambda xs: lax.scan(lambda c, x: (c + w * x, None), np.zeros(2), xs)[0])
        np.testing.assert_allclose(f(X), [2.5, 2.5])
        w[:] = [2.0, 4.0]
        np.testing.assert_allclose(f(X), [5.0, 10.0])

    def test_unroll_changes_nothing(self, wrap):
        f = lambda unroll: lambda xs: lax.scan(lambda c, x: (c + x, c), 0.0, xs, unroll=unroll)
        for unroll in (1, 2, 100, True, False):
            np.testing.assert_allclose(wrap(f(unroll))(X)[1], [0.0, 0.5, 1.5, 3.5])


class TestCarryTypes:
    """R36, R48: a Python number is promoted once; any other change is an error with before and after."""

    @eager_and_jit
    @pytest.mark.parametrize(
        ("init", "x", "dtype"),
        [
            (0, np.float32(1), np.float32),
            (0, np.float64(1), np.float64),
            (0.0, np.float32(1), np.float32),
            (0, np.int8(1), np.int8),
            (0.0, np.complex64(1), np.complex64),
            (np.float32(0), 1.0, np.float32),
            (np.float32(0), np.float32(1), np.float32),
            (False, True, np.bool_),
        ],
    )
    def test_python_numbers(self, wrap, init, x, dtype):
        xs = np.stack([np.asarray(x)] * 3) if not isinstance(x, float) else None
        body = (lambda c, y: (c + y, c)) if xs is not None else (lambda c, _: (c + x, c))
        found, ys = wrap(lambda xs: lax.scan(body, init, xs, length=3))(xs)
        assert found.dtype == ys.dtype == dtype
        assert found == 3 or dtype is np.bool_

    def test_number_that_is_replaced(self):
        assert lax.scan(lambda c, x: (x.astype(np.float32), None), 0, X)[0].dtype == np.float32

    def test_number_that_replaces(self):
        assert lax.scan(lambda c, x: (0.0, c), np.float32(5), X)[0].dtype == np.float32

    @pytest.mark.parametrize(
        ("init", "body", "pattern"),
        [
            (np.int64(0), lambda c, x: (c + x, None), r"int64\[\].*float64\[\].*np.float64"),
            (np.float32(0), lambda c, x: (c + x, None), r"float32\[\].*float64\[\]"),
            (np.zeros(2), lambda c, x: (np.ones(3), None), r"float64\[2\].*float64\[3\]"),
            (
                {"a": (np.zeros(2),)},
                lambda c, x: ({"a": (c["a"][0][:1],)}, None),
                r"a\.0 .*\[2\].*\[1\]",
            ),
            (0.0, lambda c, x: (np.ones(2), None), r"weak float64\[\].*float64\[2\]"),
        ],
        ids=["int to float", "float32 to float64", "shape", "path", "scalar to array"],
    )
    def test_carry_that_changes_its_type(self, init, body, pattern):
        with pytest.raises(TypeError, match=r"\[scan\] the carry must keep its type.*" + pattern):
            lax.scan(body, init, X)

    @pytest.mark.parametrize(
        ("init", "body"),
        [
            ((0.0, 0.0), lambda c, x: (c[0], None)),
            ({"a": 0.0}, lambda c, x: ({"b": x}, None)),
            (0.0, lambda c, x: ((c, c), None)),
            (None, lambda c, x: (x, None)),
        ],
    )
    def test_carry_that_changes_its_structure(self, init, body):
        with pytest.raises(TypeError, match=r"\[scan\].*same tree structure.*\(new_carry, y\)"):
            lax.scan(body, init, X)

    @pytest.mark.parametrize(
        "result", [lambda c, x: c, lambda c, x: (c, x, x), lambda c, x: [c, x]]
    )
    def test_body_must_return_a_pair(self, result):
        with pytest.raises(TypeError, match=r"pair \(carry, y\).*return carry, None"):
            lax.scan(result, 0.0, X)


class TestErrors:
    @pytest.mark.parametrize(
        ("xs", "length", "error", "pattern"),
        [
            ({"a": np.ones(2), "b": np.ones(3)}, None, ValueError, "a: 2, b: 3"),
            (np.ones(2), 3, ValueError, "length=3"),
            (None, None, ValueError, "needs xs or length"),
            (1.0, None, ValueError, "scalar.*leading axis"),
            ({"w": np.ones(3), "k": "text"}, None, TypeError, "k is str"),
            (None, 2.0, TypeError, "length must be a Python int.*fori_loop"),
        ],
    )
    def test_xs_and_length(self, xs, length, error, pattern):
        with pytest.raises(error, match=pattern):
            lax.scan(lambda c, x: (c, None), 0.0, xs, length=length)

    def test_traced_length(self):
        with pytest.raises(TypeError, match="length must be a Python int"):
            fg.jit(lambda n: lax.scan(lambda c, x: (c, None), 0.0, None, length=n))(3)

    def test_bad_unroll(self):
        with pytest.raises(ValueError, match="unroll"):
            lax.scan(lambda c, x: (c, None), 0.0, X, unroll=-1)

    def test_python_if_in_the_body(self):
        with pytest.raises(fg.TracerBoolConversionError, match=r"test_scan\.py"):
            lax.scan(lambda c, x: (c if x > 0 else -c, None), 0.0, X)


W = np.array([[0.3, -0.2], [0.1, 0.4]])
FUNCTIONS = {
    "carry only": lambda x: lax.scan(lambda c, y: (np.sin(c) * y, None), x[0], x)[0],
    "results only": lambda x: lax.scan(lambda c, y: (c, np.exp(y) * y), None, x)[1],
    "both": lambda x: lax.scan(lambda c, y: (np.tanh(c + y), c * y), x[1] ** 2, x),
    "reverse": lambda x: lax.scan(lambda c, y: (c * y + 1.0, np.sin(c)), x[0], x, reverse=True),
    "closure": lambda x: lax.scan(lambda c, y: (c * np.sum(x) + y, c * x[0]), 1.0, x),
    "matrix": lambda x: lax.scan(lambda c, y: (np.tanh(W @ c + y), c[0]), x[:2], x),
    "integer carry": lambda x: lax.scan(
        lambda c, y: ((c[0] + 1, c[1] * y * c[0]), c[1] + c[0]), (1, x[0]), x
    ),
    "counter selects": lambda x: lax.scan(
        lambda c, y: ((c[0] + 1, np.where(c[0] % 2 == 0, c[1] * y, c[1] + y)), None), (0, x[0]), x
    )[0][1],
    "unused carry": lambda x: lax.scan(lambda c, y: ((c[0] * y, c[1]), y), (x[0], x[1]), x)[1],
    "carry becomes active": lambda x: lax.scan(
        lambda c, y: ((c[1], c[2], c[0] * 1.0 + y), c[0]), (0.0, 0.0, 0.0), x
    ),
    "no derivative": lambda x: lax.scan(lambda c, y: (c + np.round(y + 0.2), y), 0.0, x)[0] * x[0],
    "length zero": lambda x: lax.scan(lambda c, y: (c * y, c), x[0], x[:0])[0] * x[1],
    "nested": lambda x: lax.scan(
        lambda c, y: (lax.scan(lambda d, z: (d * np.cos(z), None), c + y, x)[0], c), x[0], x
    ),
    "nested carry": lambda x: lax.scan(
        lambda c, y: (lax.scan(lambda d, _: (d * c + y, d), c, None, length=2)[1][-1], c), x[0], x
    ),
    "in place": lambda x: lax.scan(
        lambda c, y: (c.at[0].add(y * c[1]), c[0]), x[:2], x
    ),
}  # fmt: skip


def total(f):
    """A scalar function of the results of f."""
    return lambda x: sum(np.sum(np.sin(y)) for y in fg.tree.leaves(f(x)) if y.dtype.kind == "f")


@pytest.mark.parametrize("name", FUNCTIONS)
class TestDerivatives:
    def test_both_modes(self, name):
        check_grads(total(FUNCTIONS[name]), (X,), order=2)

    def test_third_order(self, name):
        f = lambda t: total(FUNCTIONS[name])(X * t)
        reverse, forward = f, f
        for _ in range(3):
            reverse = fg.grad(reverse)
            forward = (lambda g: lambda t: fg.jvp(g, (t,), (1.0,))[1])(forward)
        np.testing.assert_allclose(reverse(1.1), forward(1.1), rtol=1e-9, atol=1e-9)

    def test_jit(self, name):
        f = total(FUNCTIONS[name])
        np.testing.assert_allclose(fg.jit(f)(X), f(X))
        expected = fg.grad(f)(X)
        np.testing.assert_allclose(fg.jit(fg.grad(f))(X), expected, atol=1e-14)
        np.testing.assert_allclose(fg.grad(fg.jit(f))(X), expected, atol=1e-14)
        np.testing.assert_allclose(fg.jit(fg.hessian(f))(X), fg.jacfwd(fg.grad(f))(X), atol=1e-12)

    def test_vmap(self, name):
        xs = np.stack([X, X[::-1], X * 0.5])
        f = FUNCTIONS[name]
        found, looped = fg.vmap(f)(xs), [f(x) for x in xs]
        for index, out in enumerate(fg.tree.leaves(found)):
            np.testing.assert_allclose(out, np.stack([fg.tree.leaves(y)[index] for y in looped]))
        expected = np.stack([fg.grad(total(f))(x) for x in xs])
        np.testing.assert_allclose(fg.vmap(fg.grad(total(f)))(xs), expected, atol=1e-14)
        through = fg.grad(lambda xs: np.sum(fg.vmap(total(f))(xs)))(xs)
        np.testing.assert_allclose(through, expected, atol=1e-14)
        np.testing.assert_allclose(
            fg.jit(fg.vmap(fg.grad(total(f)), 1))(xs.T), expected, atol=1e-14
        )


class TestVmapAxes:
    def test_only_what_differs_is_batched(self):
        """Carry, constants and xs each with and without a batch axis."""

        def f(w, c, xs):
            return lax.scan(lambda c, x: (c * w + x, c), c, xs)

        w, c = np.array([2.0, 3.0]), np.array([1.0, -1.0])
        xs = np.stack([X, X * 2])
        for in_axes in [(0, None, None), (None, 0, None), (None, None, 0), (0, 0, 0), (None, 0, 0)]:
            args = [a if axis == 0 else a[0] for a, axis in zip((w, c, xs), in_axes, strict=True)]
            found = fg.vmap(f, in_axes)(*args)
            for i in range(2):
                one = [a[i] if axis == 0 else a for a, axis in zip(args, in_axes, strict=True)]
                np.testing.assert_allclose(found[0][i], f(*one)[0])
                np.testing.assert_allclose(found[1][i], f(*one)[1])

    def test_unbatched_counter_stays_unbatched(self):
        def f(x):
            return lax.scan(lambda c, _: ((c[0] + 1, c[1] * x), c[0]), (0, 1.0), None, length=3)

        (count, power), counts = fg.vmap(f, out_axes=((None, 0), None))(np.array([2.0, 3.0]))
        assert count == 3 and power.tolist() == [8.0, 27.0] and counts.tolist() == [0, 1, 2]


class TestResiduals:
    """What the backward pass keeps: nothing that is the same in every iteration is stacked."""

    @staticmethod
    def stacked_shapes(f, *args):
        """Shapes of the arrays that the linear loop of f scans over."""
        _, push = fg.linearize(f, *args)
        (equation,) = [e for e in push.program.equations if e.primitive.name == "scan"]
        head = equation.params["num_consts"] + equation.params["num_carry"]
        return sorted(atom.type.shape for atom in equation.inputs[head:])

    def test_constants_of_the_loop_are_not_stacked(self):
        w = np.ones((50, 50))

        def f(x):
            return np.sum(lax.scan(lambda c, _: (np.sin(w @ c), None), x, None, length=7)[0])

        assert self.stacked_shapes(f, np.ones(50)) == [(7, 50)]  # the cosines

    def test_differentiated_constants_are_not_stacked(self):
        def f(w):
            return np.sum(lax.scan(lambda c, _: (w @ c, None), np.ones(5), None, length=7)[0])

        assert self.stacked_shapes(f, np.ones((5, 5))) == [(7, 5)]  # the carries

    def test_what_is_computed_from_constants_is_computed_once(self):
        w = np.ones((5, 5))

        def f(x):
            return np.sum(lax.scan(lambda c, _: (np.exp(w) @ c, None), x, None, length=7)[0])

        assert self.stacked_shapes(f, np.ones(5)) == []

    def test_scanned_arrays_are_read_again(self):
        xs = np.ones((7, 5))
        stacked = []

        def f(x):
            return np.sum(lax.scan(lambda c, y: (c * y, None), x, xs)[0])

        stacked = self.stacked_shapes(f, np.ones(5))
        assert stacked == [(7, 5)]
        program = fg.make_jaxpr(lambda x: fg.linearize(f, x)[0])(np.ones(5))
        (forward,) = [e for e in program.equations if e.primitive.name == "scan"]
        assert len(forward.outputs) == 1  # the carry alone: xs itself is the residual

    def test_linear_loop_keeps_nothing(self):
        f = lambda x: np.sum(lax.scan(lambda c, y: (c * 2.0 + y, c), 0.0, x)[1])
        assert self.stacked_shapes(f, X) == [(4,)]  # the tangents of xs alone

    def test_forward_mode_stores_nothing_per_step(self):
        f = lambda c: lax.scan(lambda c, _: (np.sin(c), None), c, None, length=7)[0]
        program = fg.make_jaxpr(lambda c: fg.jvp(f, (c,), (1.0,)))(1.0)
        (loop,) = [e for e in program.equations if e.primitive.name == "scan"]
        assert all(variable.type.shape == () for variable in loop.outputs)


def test_reverse_of_a_linear_transpose():
    f = lambda xs: lax.scan(lambda c, x: (0.5 * c + x, c - x), 0.0, xs, reverse=True)
    transposed = fg.linear_transpose(f, X)
    cts = (2.0, np.array([1.0, -1.0, 0.5, 3.0]))
    (found,) = transposed(cts)
    rows = [f(row) for row in np.eye(4)]
    expected = [cts[0] * c + cts[1] @ ys for c, ys in rows]
    np.testing.assert_allclose(found, expected)
