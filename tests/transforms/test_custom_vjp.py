"""`custom_vjp`, `custom_gradient` and `stop_gradient`."""

import numpy as np
import pytest

import funcgrad as fg

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 2.0])


@fg.custom_vjp
def hundred(x):
    """A sine whose derivative is always 100."""
    return np.sin(x)


hundred.defvjp(lambda x: (np.sin(x), None), lambda _, ct: (100.0 * ct,))


@fg.custom_vjp
def product(x, y):
    return x * y


product.defvjp(lambda x, y: (x * y, (x, y)), lambda res, ct: (ct * res[1] * 10, ct * res[0] * 20))


class TestRuleIsUsed:
    @pytest.mark.parametrize(
        "slope",
        [
            lambda f, x: fg.grad(lambda x: np.sum(f(x)))(x),
            lambda f, x: fg.vjp(f, x)[1](np.ones(3))[0],
            lambda f, x: np.diag(fg.jacrev(f)(x)),
            lambda f, x: fg.vmap(fg.grad(f))(x),
            lambda f, x: fg.jit(fg.grad(lambda x: np.sum(f(x))))(x),
            lambda f, x: fg.grad(fg.jit(lambda x: np.sum(f(x))))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.vmap(f)(x)))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.checkpoint(f)(x)))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.jit(fg.vmap(fg.jit(f)))(x)))(x),
            lambda f, x: fg.jit(fg.vmap(fg.grad(fg.jit(f))))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.lax.map(f, x)))(x),
            lambda f, x: fg.grad(lambda x: np.sum(fg.lax.cond(True, f, np.sin, x)))(x),
            lambda f, x: fg.vmap(fg.grad(lambda x: fg.lax.cond(x > 0, f, np.sin, x)))(x),
        ],
        ids=[
            "grad", "vjp", "jacrev", "vmap of grad", "jit of grad", "grad of jit", "grad of vmap",
            "checkpoint", "jit vmap jit", "jit vmap grad jit", "map", "cond", "vmap of cond",
        ],
    )  # fmt: skip
    def test_in_every_setting(self, slope):
        np.testing.assert_allclose(slope(hundred, X), [100.0, 100.0, 100.0])

    def test_value_and_doc(self):
        np.testing.assert_allclose(hundred(X), np.sin(X))
        assert hundred.__name__ == "hundred" and "always 100" in hundred.__doc__

    def test_rules_run_once(self):
        calls = []
        f = fg.custom_vjp(lambda x: x)
        f.defvjp(
            lambda x: (calls.append("fwd"), (x * 2, x))[1],
            lambda x, ct: (calls.append("bwd"), (ct * x,))[1],
        )
        assert fg.value_and_grad(f)(3.0) == (6.0, 3.0)
        assert calls == ["fwd", "bwd"]

    def test_in_loops(self):
        f = lambda x: fg.lax.fori_loop(0, 3, lambda i, c: hundred(c) / 100.0, x)
        assert fg.grad(f)(0.5) == 1.0
        assert fg.jit(fg.grad(f))(0.5) == 1.0
        loop = lambda x: fg.lax.while_loop(lambda c: c < 10.0, lambda c: product(c, 2.0), x)
        assert fg.grad(loop)(2.0) == 20.0**3

    def test_second_order_differentiates_the_backward_rule(self):
        f = fg.custom_vjp(lambda x: x**3)
        f.defvjp(lambda x: (x**3, x), lambda x, ct: (ct * np.sin(x),))
        np.testing.assert_allclose(fg.grad(fg.grad(f))(0.7), np.cos(0.7))
        np.testing.assert_allclose(fg.jit(fg.grad(fg.jit(fg.grad(f))))(0.7), np.cos(0.7))
        np.testing.assert_allclose(fg.jacfwd(fg.grad(f))(0.7), np.cos(0.7))
        np.testing.assert_allclose(fg.vmap(fg.grad(fg.grad(f)))(X), np.cos(X))
        third = fg.grad(fg.grad(fg.grad(f)))
        np.testing.assert_allclose(third(0.7), -np.sin(0.7))

    def test_forward_mode_is_refused_with_a_cure(self):
        for forward in (
            lambda f: fg.jvp(f, (1.0,), (1.0,)),
            lambda f: fg.jacfwd(f)(1.0),
            lambda f: fg.jvp(fg.jit(f), (1.0,), (1.0,)),
            lambda f: fg.linearize(f, 1.0)[1](1.0),
        ):
            with pytest.raises(TypeError, match="hundred has a custom_vjp rule only.*custom_jvp"):
                forward(hundred)


class TestArguments:
    def test_trees_and_residuals_of_any_kind(self):
        @fg.custom_vjp
        def f(p, x):
            return {"y": p["a"] * x}, p["b"]

        def forward(p, x):
            return f(p, x), {"p": p, "x": x, "note": "text", "none": None, "n": 3}

        def backward(res, ct):
            assert res["note"] == "text" and res["n"] == 3
            dy, db = ct
            return {"a": dy["y"] * res["x"], "b": db * 5.0, "tag": None}, None

        f.defvjp(forward, backward)
        loss = lambda p, x: np.sum(f(p, x)[0]["y"]) + f(p, x)[1]
        dp, dx = fg.grad(loss, (0, 1))({"a": X, "b": 2.0, "tag": "t"}, 3.0)
        np.testing.assert_allclose(dp["a"], [3.0, 3.0, 3.0])
        assert dp["b"] == 5.0 and dp["tag"] is None and dx == 0.0

    def test_none_for_a_whole_argument_or_a_leaf_is_zero(self):
        f = fg.custom_vjp(lambda p, x: p["a"] * p["b"] * x)
        f.defvjp(
            lambda p, x: (p["a"] * p["b"] * x, x), lambda x, ct: ({"a": ct * x, "b": None}, None)
        )
        dp, dx = fg.grad(f, (0, 1))({"a": 2.0, "b": 3.0}, 5.0)
        assert (dp, dx) == ({"a": 5.0, "b": 0.0}, 0.0)

    @pytest.mark.parametrize(
        "options", [{"nondiff_argnums": (0, 2)}, {"nondiff_argnames": ("g", "n")}]
    )
    def test_nondiff_arguments(self, options):
        def f(g, x, n):
            return g(x) * n

        f = fg.custom_vjp(f, **options)
        f.defvjp(lambda g, x, n: (g(x) * n, x), lambda g, n, x, ct: (ct * n * x * 7.0,))
        assert fg.grad(f, 1)(np.sin, 2.0, 3) == 42.0
        np.testing.assert_allclose(fg.vmap(fg.grad(lambda x: f(np.sin, x, 2)))(X), 14.0 * X)
        assert fg.jit(fg.grad(lambda x: f(np.sin, x, 2)))(1.0) == 14.0

    def test_integer_argument_has_no_cotangent(self):
        f = fg.custom_vjp(lambda x, n: x * n)
        f.defvjp(lambda x, n: (x * n, n), lambda n, ct: (ct * 50.0, None))
        assert fg.grad(f)(2.0, 3) == 50.0

    def test_several_outputs_of_which_one_is_used(self):
        f = fg.custom_vjp(lambda x: (x, 2 * x, np.argmax(x)))

        def backward(_, cts):
            assert cts[0].shape == (3,)
            return (cts[0] + 10 * cts[1],)

        f.defvjp(lambda x: ((x, 2 * x, np.argmax(x)), None), backward)
        np.testing.assert_allclose(fg.grad(lambda x: np.sum(f(x)[1]))(X), [10.0] * 3)
        np.testing.assert_allclose(fg.jit(fg.grad(lambda x: np.sum(f(x)[0])))(X), [1.0] * 3)

    def test_unbatched_argument_gets_the_sum_over_examples(self):
        loss = lambda w: np.sum(fg.vmap(product, in_axes=(None, 0))(w, X))
        np.testing.assert_allclose(fg.grad(loss)(2.0), 10 * np.sum(X))
        np.testing.assert_allclose(fg.jit(fg.grad(loss))(2.0), 10 * np.sum(X))

    def test_same_array_twice_in_one_argument(self):
        f = fg.custom_vjp(lambda p: np.sum(p[0] + p[1]))
        f.defvjp(lambda p: (np.sum(p[0] + p[1]), None), lambda _, ct: ((ct * np.ones(3), ct * X),))
        np.testing.assert_allclose(fg.grad(lambda x: f((x, x)))(X), 1 + X)

    def test_dtype_of_the_cotangent_is_that_of_the_argument(self):
        f = fg.custom_vjp(lambda x: np.sum(x))
        f.defvjp(lambda x: (np.sum(x), None), lambda _, ct: (np.ones(3) * ct,))
        assert fg.grad(f)(X.astype(np.float32)).dtype == np.float32

    def test_scipy_function(self):
        """The reason why custom_vjp exists: code that funcgrad cannot see into."""
        from math import gamma

        @fg.custom_vjp
        def value(x):
            return fg.pure_callback(lambda v: gamma(v), fg.ShapeDtypeStruct((), np.float64), x,
                                    vmap_method="sequential")  # fmt: skip

        def backward(x, ct):
            step = 1e-6
            return (ct * (value(x + step) - value(x - step)) / (2 * step),)

        value.defvjp(lambda x: (value(x), x), backward)
        expected = (gamma(3 + 1e-6) - gamma(3 - 1e-6)) / 2e-6
        np.testing.assert_allclose(fg.grad(value)(3.0), expected)
        np.testing.assert_allclose(fg.jit(fg.grad(value))(3.0), expected)
        np.testing.assert_allclose(fg.vmap(fg.grad(value))(np.array([3.0, 3.0])), [expected] * 2)


class TestErrors:
    """R49."""

    def test_no_rules(self):
        @fg.custom_vjp
        def unruly(x):
            return x

        with pytest.raises(
            AttributeError, match=r"unruly has no rules yet.*unruly.defvjp\(fwd, bwd\)"
        ):
            unruly(1.0)

    @pytest.mark.parametrize(
        ("backward", "message"),
        [
            (lambda _, ct: ct, "must return a tuple with 2 cotangents, one per argument"),
            (lambda _, ct: (ct,), "tuple with 2 cotangents.*returned 1"),
            (lambda _, ct: (ct, ct, ct), "tuple with 2 cotangents.*returned 3"),
            (lambda _, ct: None, "tuple with 2 cotangents.*returned NoneType"),
            (
                lambda _, ct: (ct[:2], ct),
                r"cotangent of shape \(2,\), but argument 0 has shape \(3,\)",
            ),
            (lambda _, ct: (ct, {"b": ct}), "argument 1 a cotangent with its structure.*a"),
        ],
        ids=["bare", "short", "long", "None", "shape", "tree"],
    )
    @pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
    def test_wrong_cotangents(self, backward, message, wrap):
        @fg.custom_vjp
        def faulty(x, p):
            return x * p["a"]

        faulty.defvjp(lambda x, p: (x * p["a"], None), backward)
        with pytest.raises(TypeError, match=message) as raised:
            fg.grad(wrap(lambda x, p: np.sum(faulty(x, p))))(X, {"a": X})
        assert "[custom_vjp]" in str(raised.value) and "faulty" in str(raised.value)

    @pytest.mark.parametrize("result", [None, 1.0, (1.0,), (1.0, 2.0, 3.0)])
    def test_forward_rule_must_return_a_pair(self, result):
        f = fg.custom_vjp(lambda x: x)
        f.defvjp(lambda x: result, lambda _, ct: (ct,))
        with pytest.raises(TypeError, match=r"forward rule .* must return \(output, residuals\)"):
            fg.grad(f)(1.0)

    def test_forward_rule_with_another_result(self):
        f = fg.custom_vjp(lambda x: {"y": x})
        f.defvjp(lambda x: ({"z": x}, None), lambda _, ct: (ct["y"],))
        with pytest.raises(TypeError, match="(?s)custom_vjp.*structure of the function's.*y.*z"):
            fg.grad(fg.jit(lambda x: f(x)["y"]))(1.0)

    def test_differentiated_closure(self):
        def outer(w):
            f = fg.custom_vjp(lambda x: x * w)
            f.defvjp(lambda x: (x * w, None), lambda _, ct: (ct,))
            return fg.jit(lambda x: f(x))(1.0)

        with pytest.raises(TypeError, match="closes over a traced value"):
            fg.grad(outer)(2.0)


class TestCustomGradient:
    def test_value_and_gradient(self):
        @fg.custom_gradient
        def f(x):
            """Doc."""
            return x**2, lambda ct: 7.0 * ct * x

        assert f(3.0) == 9.0 and fg.grad(f)(3.0) == 21.0 and f.__doc__ == "Doc."
        np.testing.assert_allclose(fg.vmap(fg.grad(f))(X), 7 * X)
        assert fg.jit(fg.grad(fg.jit(f)))(3.0) == 21.0

    def test_several_arguments(self):
        f = fg.custom_gradient(lambda x, y: (x * y, lambda ct: (2 * ct * y, 3 * ct * x)))
        assert fg.grad(f, (0, 1))(5.0, 7.0) == (14.0, 15.0)

    def test_one_argument_and_a_tuple(self):
        f = fg.custom_gradient(lambda x: (x * 2, lambda ct: (5.0 * ct,)))
        assert fg.grad(f)(1.0) == 5.0

    def test_second_order_goes_through_the_closure(self):
        f = fg.custom_gradient(lambda x: (x**2, lambda ct: ct * np.sin(x)))
        np.testing.assert_allclose(fg.grad(fg.grad(f))(0.7), np.cos(0.7))

    def test_tree_output(self):
        f = fg.custom_gradient(
            lambda x: ({"a": x, "b": 2 * x}, lambda ct: ct["a"] * 3 + ct["b"] * 5)
        )
        assert fg.grad(lambda x: f(x)["a"])(1.0) == 3.0
        assert fg.grad(lambda x: f(x)["b"])(1.0) == 5.0

    def test_gradient_clipping(self):
        clip = fg.custom_gradient(lambda x: (x, lambda ct: np.clip(ct, -1.0, 1.0)))
        found = fg.grad(lambda x: np.sum(clip(x) * np.array([0.5, 5.0, -5.0])))(X)
        np.testing.assert_allclose(found, [0.5, 1.0, -1.0])


class TestStopGradient:
    def test_product_with_itself(self):
        """R50."""
        f = lambda x: x * fg.stop_gradient(x)
        assert fg.grad(f)(3.0) == 3.0
        assert fg.jit(fg.grad(f))(3.0) == fg.grad(fg.jit(f))(3.0) == 3.0
        assert fg.jvp(f, (3.0,), (1.0,)) == (9.0, 3.0)
        np.testing.assert_allclose(fg.vmap(fg.grad(f))(X), X)

    def test_tree_and_static_leaves(self):
        found = fg.stop_gradient({"x": X, "tag": "t", "none": None})
        np.testing.assert_array_equal(found["x"], X)
        assert found["tag"] == "t" and found["none"] is None

    def test_integers_pass(self):
        assert fg.stop_gradient(3) == 3

    def test_gives_a_concrete_number_outside_jit(self):
        assert fg.grad(lambda x: x * float(fg.stop_gradient(x)))(3.0) == 3.0

    def test_straight_through_estimator(self):
        f = lambda x: x + fg.stop_gradient(np.round(x) - x)
        value, slope = fg.value_and_grad(f)(1.7)
        assert (value, slope) == (2.0, 1.0)

    def test_inside_loops(self):
        f = lambda x: fg.lax.fori_loop(0, 3, lambda i, c: c + fg.stop_gradient(c), x)
        assert fg.value_and_grad(f)(1.0) == (8.0, 1.0)

    def test_all_levels_of_differentiation(self):
        f = lambda x: fg.grad(lambda y: fg.stop_gradient(x) * y**2)(x)
        assert fg.grad(f)(3.0) == 6.0  # 2 x y with y = x, x held
