"""`custom_jvp`: the user's rule is used in every mode, and faults in it are named."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.test_util import check_grads

X = np.array([0.5, 1.0, 2.0])


@fg.custom_jvp
def hundred(x):
    """A sine whose derivative is always 100."""
    return np.sin(x)


@hundred.defjvp
def hundred_rule(primals, tangents):
    (x,), (dx,) = primals, tangents
    return hundred(x), 100.0 * dx


@fg.custom_jvp
def log1pexp(x):
    return np.log1p(np.exp(x))


@log1pexp.defjvp
def log1pexp_rule(primals, tangents):
    (x,), (dx,) = primals, tangents
    return log1pexp(x), dx * (1 - 1 / (1 + np.exp(x)))


class TestRuleIsUsed:
    @pytest.mark.parametrize(
        "slope",
        [
            lambda f, x: fg.grad(lambda x: np.sum(f(x)))(x),
            lambda f, x: fg.jvp(f, (x,), (np.ones(3),))[1],
            lambda f, x: fg.vjp(f, x)[1](np.ones(3))[0],
            lambda f, x: fg.linearize(f, x)[1](np.ones(3)),
            lambda f, x: np.diag(fg.jacfwd(f)(x)),
            lambda f, x: np.diag(fg.jacrev(f)(x)),
            lambda f, x: fg.vmap(fg.grad(f))(x),
            lambda f, x: fg.jit(fg.grad(lambda x: np.sum(f(x))))(x),
            lambda f, x: fg.grad(fg.jit(lambda x: np.sum(f(x))))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.vmap(f)(x)))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.checkpoint(f)(x)))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.jit(fg.vmap(fg.jit(f)))(x)))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.lax.map(f, x)))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.lax.cond(True, f, np.sin, x)))(x),
        ],
        ids=[
            "grad", "jvp", "vjp", "linearize", "jacfwd", "jacrev", "vmap of grad", "jit of grad",
            "grad of jit", "grad of vmap", "checkpoint", "jit vmap jit", "map", "cond",
        ],
    )  # fmt: skip
    def test_in_every_setting(self, slope):
        np.testing.assert_allclose(slope(hundred, X), [100.0, 100.0, 100.0])

    def test_value_and_doc(self):
        np.testing.assert_allclose(hundred(X), np.sin(X))
        assert hundred.__name__ == "hundred" and "always 100" in hundred.__doc__

    def test_rule_is_not_used_without_derivative(self):
        f = fg.custom_jvp(lambda x: x * 2)
        f.defjvp(lambda primals, tangents: 1 / 0)
        assert f(3.0) == fg.jit(f)(3.0) == 6.0
        np.testing.assert_allclose(fg.vmap(f)(X), 2 * X)

    def test_through_while_and_scan(self):
        f = lambda x: fg.lax.fori_loop(0, 3, lambda i, c: hundred(c) / 100.0, x)
        assert fg.grad(f)(0.5) == 1.0 and fg.jvp(f, (0.5,), (1.0,))[1] == 1.0
        loop = lambda x: fg.lax.while_loop(lambda c: c > 0.4, hundred, x)
        assert fg.grad(loop)(0.5) == fg.jvp(loop, (0.5,), (1.0,))[1] == 1e2**7

    def test_second_order_differentiates_the_rule(self):
        second = fg.grad(fg.grad(log1pexp))
        s = 1 / (1 + np.exp(-0.3))
        np.testing.assert_allclose(second(0.3), s * (1 - s))
        check_grads(log1pexp, (X,), order=3)


class TestArguments:
    def test_several_arguments_and_trees(self):
        @fg.custom_jvp
        def f(p, x):
            return {"y": p["a"] * x, "z": p["b"]}

        @f.defjvp
        def rule(primals, tangents):
            (p, x), (dp, dx) = primals, tangents
            out = f(p, x)
            return out, {"y": 10.0 * dp["a"] * x + 7.0 * p["a"] * dx, "z": dp["b"]}

        loss = lambda p, x: np.sum(f(p, x)["y"]) + f(p, x)["z"]
        dp, dx = fg.grad(loss, (0, 1))({"a": X, "b": 2.0, "tag": "t"}, 3.0)
        np.testing.assert_allclose(dp["a"], [30.0, 30.0, 30.0])
        assert dp["b"] == 1.0 and dp["tag"] is None
        np.testing.assert_allclose(dx, 7.0 * np.sum(X))

    def test_keywords_and_defaults(self):
        @fg.custom_jvp
        def f(x, scale=2.0):
            return x * scale

        f.defjvp(lambda p, t: (f(*p), 5.0 * t[0] + 0.0 * t[1]))
        assert fg.grad(f)(1.0) == 5.0
        assert fg.grad(lambda x: f(x, scale=3.0))(1.0) == 5.0
        assert f(x=2.0, scale=3.0) == 6.0

    def test_ufunc_takes_positions_only(self):
        f = fg.custom_jvp(np.exp)
        f.defjvp(lambda p, t: (f(*p), t[0]))
        assert f(0.0) == 1.0
        with pytest.raises(
            TypeError, match=r"exp takes positional arguments only, but got \['x'\]"
        ):
            f(x=0.0)

    def test_keyword_only_arguments_are_refused(self):
        f = fg.custom_jvp(lambda x, *, n: x)
        f.defjvp(lambda p, t: (p, t))
        with pytest.raises(TypeError, match=r"keyword-only arguments \['n'\].*by position"):
            f(1.0, n=2)

    @pytest.mark.parametrize(
        "options", [{"nondiff_argnums": (0, 2)}, {"nondiff_argnames": ("g", "n")}]
    )
    def test_nondiff_arguments_come_first(self, options):
        seen = []

        def f(g, x, n):
            return g(x) * n

        f = fg.custom_jvp(f, **options)

        @f.defjvp
        def rule(g, n, primals, tangents):
            seen.append((g, n))
            return f(g, *primals, n), tangents[0] * 7.0 * n

        assert fg.grad(f, 1)(np.sin, 1.0, 3) == 21.0
        assert seen[0] == (np.sin, 3)
        np.testing.assert_allclose(fg.vmap(fg.grad(lambda x: f(np.sin, x, 2)))(X), [14.0] * 3)
        assert fg.jit(fg.grad(lambda x: f(np.sin, x, 2)))(1.0) == 14.0

    def test_integer_arguments_have_no_tangent(self):
        @fg.custom_jvp
        def f(x, n):
            return x * n

        @f.defjvp
        def rule(primals, tangents):
            assert tangents[1] is None
            return f(*primals), tangents[0] * 50.0

        assert fg.grad(f)(2.0, 3) == 50.0

    def test_tangents_that_are_zero(self):
        seen = []

        def rule(primals, tangents):
            seen.append([t is None for t in tangents])
            total = sum(t for t in tangents if t is not None)
            return primals[0] * primals[1], total

        for symbolic in (False, True):
            f = fg.custom_jvp(lambda x, y: x * y)
            f.defjvp(rule, symbolic_zeros=symbolic)
            assert fg.grad(f)(2.0, 3.0) == 1.0
        assert seen == [[False, False], [False, True]]

    def test_zero_tangents_have_the_shape_of_the_argument(self):
        f = fg.custom_jvp(lambda x, y: x * y)

        @f.defjvp
        def rule(primals, tangents):
            assert tangents[1].shape == (3,) and tangents[1].dtype == np.float32
            return f(*primals), tangents[0] * primals[1] + tangents[1] * primals[0]

        fg.grad(lambda x: np.sum(f(x, X.astype(np.float32))))(2.0)

    def test_method(self):
        class Line:
            slope = 3.0

            @fg.custom_jvp
            def value(self, x):
                return self.slope * x

            @value.defjvp
            def rule(primals, tangents):
                (self, x), (_, dx) = primals, tangents
                return self.value(x), dx * 11.0

        assert Line().value(2.0) == 6.0
        assert fg.grad(Line().value)(2.0) == 11.0


class TestDefjvps:
    def test_one_rule_per_argument(self):
        f = fg.custom_jvp(lambda x, y: x * y)
        f.defjvps(lambda t, out, x, y: 10 * t * y, lambda t, out, x, y: 20 * t * x)
        assert fg.grad(f, (0, 1))(2.0, 3.0) == (30.0, 40.0)
        assert fg.jvp(f, (2.0, 3.0), (1.0, 1.0))[1] == 70.0

    def test_none_is_zero(self):
        f = fg.custom_jvp(lambda x, y: x * y)
        f.defjvps(None, lambda t, out, x, y: t * out)
        assert fg.grad(f, (0, 1))(2.0, 3.0) == (0.0, 6.0)

    def test_second_order(self):
        f = fg.custom_jvp(np.exp)
        f.defjvps(lambda t, out, x: t * out)
        np.testing.assert_allclose(fg.grad(fg.grad(fg.grad(f)))(0.5), np.exp(0.5))


class TestClosures:
    def test_concrete_values_may_be_captured(self):
        scale = np.array([2.0])
        f = fg.custom_jvp(lambda x: x * scale)
        f.defjvp(lambda p, t: (f(*p), t[0] * 9.0 * scale))
        np.testing.assert_allclose(fg.grad(lambda x: np.sum(f(x)))(X), [18.0] * 3)

    def test_value_that_is_differentiated_must_be_an_argument(self):
        def outer(w):
            f = fg.custom_jvp(lambda x: x * w)
            f.defjvp(lambda p, t: (f(*p), t[0]))
            return fg.jit(lambda x: f(x))(1.0)

        with pytest.raises(TypeError, match="closes over a traced value.*as an argument"):
            fg.grad(outer)(2.0)

    def test_batched_value_may_be_captured(self):
        def outer(w):
            f = fg.custom_jvp(lambda x: x * w)
            f.defjvp(lambda p, t: (f(*p), t[0] * 3.0 * w))
            return fg.grad(f)(1.0)

        np.testing.assert_allclose(fg.vmap(outer)(X), 3 * X)
        np.testing.assert_allclose(fg.vmap(fg.jit(outer))(X), 3 * X)


class TestErrors:
    """R49."""

    def make(self, rule):
        f = fg.custom_jvp(lambda x: {"y": x * 2, "z": x})
        f.defjvp(rule)
        return lambda x: fg.jvp(f, (x,), (np.ones_like(x),))

    def test_no_rule(self):
        @fg.custom_jvp
        def unruly(x):
            return x

        with pytest.raises(AttributeError, match="unruly has no rule yet.*@unruly.defjvp"):
            unruly(1.0)

    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            (lambda p, t: t[0], r"must return \(output, output tangent\), but returned"),
            (lambda p, t: None, r"must return \(output, output tangent\), but returned NoneType"),
            (lambda p, t: (1, 2, 3), r"must return \(output, output tangent\)"),
            (lambda p, t: ({"y": p[0], "z": p[0]}, {"y": t[0]}), "structure of the output.*z"),
            (
                lambda p, t: ({"y": p[0], "z": p[0]}, {"y": t[0][:2], "z": t[0]}),
                r"tangent of shape \(2,\).*the output has shape \(3,\)",
            ),
        ],
        ids=["bare", "None", "triple", "tree", "shape"],
    )
    def test_wrong_result(self, rule, message):
        with pytest.raises(TypeError, match=message) as raised:
            self.make(rule)(X)
        assert "[custom_jvp]" in str(raised.value) and "lambda" in str(raised.value)

    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            (
                lambda p, t: ({"y": p[0][:2], "z": p[0]}, {"y": t[0][:2], "z": t[0]}),
                r"float64\[2\].*but the function returns \[float64\[3\]",
            ),
            (lambda p, t: ({"y": p[0]}, {"y": t[0]}), "(?s)structure of the function's.*z"),
        ],
        ids=["shape", "tree"],
    )
    def test_output_that_differs_from_the_recorded_function(self, rule, message):
        f = fg.custom_jvp(lambda x: {"y": x * 2, "z": x})
        f.defjvp(rule)
        with pytest.raises(TypeError, match=message):
            fg.jvp(fg.jit(lambda x: f(x)), (X,), (X,))

    def test_tangent_of_a_wider_dtype_is_converted(self):
        f = fg.custom_jvp(lambda x: x * 2)
        f.defjvp(lambda p, t: (f(*p), t[0].astype(np.float64)))
        assert fg.jvp(f, (X.astype(np.float32),), (X.astype(np.float32),))[1].dtype == np.float32

    def test_none_is_a_zero_tangent(self):
        moved = self.make(lambda p, t: ({"y": p[0], "z": p[0]}, {"y": None, "z": t[0]}))(X)[1]
        np.testing.assert_allclose(moved["y"], np.zeros(3))
        np.testing.assert_allclose(moved["z"], np.ones(3))

    def test_not_a_function(self):
        with pytest.raises(TypeError, match="custom_jvp.*expected a function"):
            fg.custom_jvp(3)


def test_rule_with_an_array_from_outside():
    scale = np.arange(3.0)

    @fg.custom_jvp
    def f(x):
        return np.sin(x)

    f.defjvp(lambda primals, tangents: (np.sin(primals[0]), scale * tangents[0]))
    total = lambda x: f(x).sum()
    np.testing.assert_array_equal(fg.jit(fg.grad(total))(np.ones(3)), scale)
    with pytest.raises(NotImplementedError, match=r"jit\(grad\(f\)\)"):
        fg.grad(fg.jit(total))(np.ones(3))
    with pytest.raises(NotImplementedError, match=r"float64\[3\]"):
        fg.jvp(fg.jit(total), (np.ones(3),), (np.ones(3),))
