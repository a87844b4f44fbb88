"""`checkpoint`: the same derivatives, with intermediates computed again instead of kept."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import checkpoint_policies as policies
from funcgrad.compiler.passes.dead_code import eliminate_dead_code
from funcgrad.ir.program import subprograms
from funcgrad.test_util import check_grads

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 2.0])
W = np.arange(9.0).reshape(3, 3) / 10


class Counter:
    """A sine that counts how often it is computed, in compiled code too."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        @fg.custom_jvp
        def sine(x):
            return fg.pure_callback(self.compute, x, x, vmap_method="broadcast_all")

        @sine.defjvp
        def rule(primals, tangents):
            return sine(*primals), tangents[0] * np.cos(primals[0])

        return sine(x)

    def compute(self, x):
        self.calls += 1
        return np.sin(x)


def residual_names(f, *args):
    """The primitives of the linear half: what is computed again shows up there."""
    _, push = fg.linearize(f, *args)
    return [equation.primitive.name for equation in push.program.equations]


def count(program, name):
    """How often a primitive occurs among what a Program needs to compute."""
    equations = eliminate_dead_code(program).equations
    inner = [count(part, name) for equation in equations for part in subprograms(equation)]
    return sum(equation.primitive.name == name for equation in equations) + sum(inner)


class TestRecomputation:
    def test_once_without_twice_with(self):
        plain, again = Counter(), Counter()
        f = lambda sine: lambda x: np.sum(sine(x) ** 2)
        expected = fg.grad(f(plain))(X)
        found = fg.grad(fg.checkpoint(f(again)))(X)
        np.testing.assert_allclose(found, expected)
        assert (plain.calls, again.calls) == (1, 2)

    def test_value_alone_is_computed_once(self):
        sine = Counter()
        fg.checkpoint(lambda x: sine(x) ** 2)(X)
        assert sine.calls == 1

    def test_under_jit(self):
        sine = Counter()
        f = fg.jit(fg.value_and_grad(fg.checkpoint(lambda x: np.sum(sine(x) ** 2))))
        np.testing.assert_allclose(f(X)[1], 2 * np.sin(X) * np.cos(X))
        before = sine.calls
        f(X)
        assert sine.calls - before == 2  # the two computations are not merged

    def test_each_segment_is_computed_again_once(self):
        sine = Counter()
        segment = fg.checkpoint(lambda x: sine(x) * x)
        found = fg.grad(lambda x: np.sum(segment(segment(segment(x)))))(X)
        assert sine.calls == 6
        plain = lambda x: np.sin(x) * x
        np.testing.assert_allclose(found, fg.grad(lambda x: np.sum(plain(plain(plain(x)))))(X))

    def test_nested(self):
        sine = Counter()
        inner = fg.checkpoint(lambda x: sine(x) * x)
        fg.grad(fg.checkpoint(lambda x: np.sum(inner(inner(x)))))(X)
        # Forward; again for the outer backward pass, which needs no last value; again for the inner ones.
        assert sine.calls == 2 + 1 + 2

    def test_inside_scan(self):
        sine = Counter()
        body = fg.checkpoint(lambda c, x: (sine(c) * c * x, c))
        f = lambda c: np.sum(fg.lax.scan(body, c, X)[0])
        found = fg.grad(f)(X)
        assert sine.calls == 6
        step = lambda c, x: np.sin(c) * c * x
        plain = lambda c: np.sum(step(step(step(c, X[0]), X[1]), X[2]))
        np.testing.assert_allclose(found, fg.grad(plain)(X))

    def test_scan_inside(self):
        sine = Counter()

        @fg.checkpoint
        def f(c):
            return np.sum(fg.lax.scan(lambda c, x: (sine(c) * x, None), c, X)[0])

        found = fg.grad(f)(X)
        assert sine.calls == 6
        plain = lambda c: np.sum(np.sin(np.sin(np.sin(c) * X[0]) * X[1]) * X[2])
        np.testing.assert_allclose(found, fg.grad(plain)(X))

    def test_keeps_only_inputs(self):
        f = lambda x: np.sum(np.sin(np.exp(x)))
        assert "exp" not in residual_names(f, X)
        names = residual_names(fg.checkpoint(f), X)
        assert any("checkpoint" in name or "remat" in name for name in names)


class TestPolicies:
    @pytest.mark.parametrize(
        ("policy", "calls"),
        [
            (None, 2),
            (policies.nothing_saveable, 2),
            (policies.everything_saveable, 1),
            (policies.save_only_these_names("sine"), 1),
            (policies.save_only_these_names("other"), 2),
            (policies.save_anything_except_these_names("other"), 1),
            (policies.dots_saveable, 2),
        ],
        ids=["None", "nothing", "everything", "this name", "other name", "all but other", "dots"],
    )
    @pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jit"])
    def test_what_is_computed_again(self, policy, calls, jitted):
        sine = Counter()

        @lambda f: fg.checkpoint(f, policy=policy)
        def f(x):
            y = fg.checkpoint_name(sine(x), "sine")
            return np.sum(fg.checkpoint_name(y**2, "other"))

        gradient = fg.value_and_grad(f)
        gradient = fg.jit(gradient) if jitted else gradient
        np.testing.assert_allclose(gradient(X)[1], np.sin(2 * X))
        sine.calls = 0
        gradient(X)
        assert sine.calls == calls

    def test_dots(self):
        """The product under tanh is needed again; the other one is not."""
        f = lambda w: np.sum(np.tanh(X @ w) @ w)
        counts = {}
        for policy in (policies.dots_saveable, policies.nothing_saveable):
            gradient = fg.value_and_grad(fg.checkpoint(f, policy=policy))
            np.testing.assert_allclose(gradient(W)[1], fg.grad(f)(W))
            counts[policy] = count(fg.make_jaxpr(gradient)(W), "dot_general")
        assert counts[policies.nothing_saveable] == counts[policies.dots_saveable] + 1

    def test_unbatched_dots(self):
        f = lambda w: np.sum(np.sin(np.einsum("bij,bjk->bik", w, w)))
        w = np.stack([W, W + 1])
        policy = policies.dots_with_no_batch_dims_saveable
        np.testing.assert_allclose(fg.grad(fg.checkpoint(f, policy=policy))(w), fg.grad(f)(w))

    def test_policy_sees_primitive_types_and_params(self):
        seen = []

        def policy(primitive, *types, **params):
            seen.append((primitive.name, [str(t) for t in types]))
            return False

        fg.grad(fg.checkpoint(lambda x: np.sum(np.sin(x)), policy=policy))(X)
        assert ("sin", ["float64[3]"]) in seen


class TestCall:
    def test_decorator_with_and_without_options(self):
        @fg.checkpoint
        def f(x):
            """Doc."""
            return x**2

        @fg.checkpoint(prevent_cse=False, policy=policies.everything_saveable)
        def g(x):
            return x**2

        assert fg.grad(f)(3.0) == fg.grad(g)(3.0) == 6.0
        assert f.__doc__ == "Doc."
        assert fg.remat is fg.checkpoint

    def test_trees_keywords_and_static_results(self):
        @fg.checkpoint
        def f(p, *, scale):
            return {"y": p["w"] * scale, "kind": p["kind"], "none": None}

        found = f({"w": X, "kind": "k"}, scale=2.0)
        np.testing.assert_allclose(found["y"], 2 * X)
        assert found["kind"] == "k" and found["none"] is None
        gradient = fg.grad(lambda p, s: np.sum(f(p, scale=s)["y"]), (0, 1))(
            {"w": X, "kind": "k"}, 2.0
        )
        np.testing.assert_allclose(gradient[0]["w"], [2.0, 2.0, 2.0])
        assert gradient[1] == np.sum(X)

    def test_static_argnums(self):
        @lambda f: fg.checkpoint(f, static_argnums=(1,))
        def f(x, n):
            return x**n if n > 1 else x

        assert fg.grad(f)(3.0, 3) == 27.0

    def test_closure_over_traced_values(self):
        def outer(w, x):
            return np.sum(fg.checkpoint(lambda x: np.sin(w * x))(x))

        for found, expected in zip(
            fg.grad(outer, (0, 1))(2.0, X),
            (np.sum(np.cos(2 * X) * X), 2 * np.cos(2 * X)),
            strict=True,
        ):
            np.testing.assert_allclose(found, expected)

    def test_integer_arguments_and_results(self):
        f = fg.checkpoint(lambda x, n: (x * n, n + 1))
        assert f(2.0, 3) == (6.0, 4)
        assert fg.grad(lambda x: f(x, 3)[0])(2.0) == 3.0


FUNCTIONS = {
    "elementwise": lambda x: np.sin(x) * np.exp(-x),
    "matmul": lambda x: np.tanh(W @ x),
    "scan": lambda x: fg.lax.scan(lambda c, y: (np.sin(c) * y, c), x, X)[1],
    "cond": lambda x: fg.lax.cond(x[0] > 0, np.sin, np.cos, x),
    "while": lambda x: fg.lax.while_loop(lambda c: np.sum(c) < 20.0, lambda c: c * 1.5, x),
    "nested": lambda x: fg.checkpoint(np.sin)(x) * fg.checkpoint(np.exp)(x),
    "jit": lambda x: fg.jit(lambda x: np.sin(x) * x)(x),
    "in place": lambda x: (lambda y: (y.__setitem__(0, y[1] * 2), y * x)[1])(x * 1.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
class TestDerivatives:
    @pytest.mark.parametrize(
        "policy",
        [None, policies.everything_saveable, policies.dots_saveable],
        ids=["inputs", "everything", "dots"],
    )
    def test_both_modes_to_second_order(self, name, policy):
        check_grads(fg.checkpoint(FUNCTIONS[name], policy=policy), (X,), order=2)

    def test_third_order(self, name):
        f = lambda g: lambda x: np.sum(g(x * np.array([1.0, 1.1, 0.9])))
        third = lambda g: fg.jacfwd(fg.jacfwd(fg.jacrev(f(g))))(X)
        expected = third(FUNCTIONS[name])
        np.testing.assert_allclose(third(fg.checkpoint(FUNCTIONS[name])), expected, atol=1e-12)

    def test_vmap(self, name):
        xs = np.stack([X, X[::-1]])
        f = fg.checkpoint(FUNCTIONS[name])
        np.testing.assert_allclose(fg.vmap(f)(xs), np.stack([f(x) for x in xs]))
        gradient = fg.grad(lambda x: np.sum(f(x) ** 2))
        np.testing.assert_allclose(fg.vmap(gradient)(xs), np.stack([gradient(x) for x in xs]))

    def test_jit(self, name):
        f = FUNCTIONS[name]
        gradient = fg.grad(lambda x: np.sum(f(x) ** 2))
        found = fg.jit(fg.grad(lambda x: np.sum(fg.checkpoint(f)(x) ** 2)))(X)
        np.testing.assert_allclose(found, gradient(X))
