"""Loops: what leaves them, what is dropped, and that results stay."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import funcgrad as fg
from funcgrad.compiler.passes import fission
from funcgrad.compiler.pipeline import run_stages
from funcgrad.ir.check import check_program
from funcgrad.ir.program import evaluate
from tests.compiler.programs import all_names, bits, names, recorded

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

RNG = np.random.default_rng(0)
W, R = RNG.normal(size=(2, 3, 3)) * 0.5
B = RNG.normal(size=3)
XS = RNG.normal(size=(6, 2, 3))
ROWS = XS[:, 0]


def simplified(f, *args, exact=True):
    """The simplified Program of a function that captures no array; its results are checked."""
    program = recorded(f, *args)
    found = run_stages(program)
    check_program(found)
    for result, expected in zip(evaluate(found, *args), evaluate(program, *args), strict=True):
        assert np.shape(result) == np.shape(expected)
        assert np.asarray(result).dtype == np.asarray(expected).dtype
        if exact:
            assert bits(result) == bits(expected)
        else:
            np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)
    return found


def loops(program, name="scan"):
    return [equation for equation in program.equations if equation.primitive.name == name]


def body(program, name="scan"):
    (loop,) = loops(program, name)
    return loop.params["body"]


class TestInvariantWork:
    def test_moves_before_a_scan(self):
        f = lambda x, w: fg.lax.scan(lambda c, z: (c * np.exp(w) + z, c), x[0], x)
        program = simplified(f, ROWS, B)
        assert names(program)[:2] == ["static_slice", "exp"]
        assert "exp" not in names(body(program))

    def test_moves_out_of_nested_loops(self):
        def f(x, w, s):
            inner = lambda c, z: (c + z * np.sin(w), None)
            return fg.lax.scan(lambda c, _: (fg.lax.scan(inner, c, x)[0], None), s, None, 5)[0]

        program = simplified(f, ROWS, B, B)
        assert names(program)[0] == "sin" and "sin" not in all_names(body(program))

    def test_chains_move_together(self):
        step = lambda w: lambda c, z: (c + np.sin(np.exp(w) * 2.0) * z, None)
        program = simplified(lambda x, w, s: fg.lax.scan(step(w), s, x)[0], ROWS, W[0], B)
        assert names(body(program)) == ["multiply", "add"]
        assert len(loops(program)[0].inputs) == 3

    def test_index_maps_and_constants_stay(self):
        step = lambda w: lambda c, z: (np.concatenate([c, w])[2:5] + z, fg.numpy.full(3, 2.0))
        program = simplified(lambda x, w, s: fg.lax.scan(step(w.T), s, x)[0], ROWS, B, B)
        assert names(program) == ["scan"]

    def test_large_cheap_work_stays(self):
        big = np.ones((100, 100))
        f = lambda c, w: fg.lax.scan(lambda c, _: (c * (w + 1.0), None), c, None, 5)[0]
        assert names(simplified(f, big, big)) == ["scan"]

    def test_large_matrices_are_turned_once(self):
        def f(w, h):
            return fg.lax.scan(lambda h, _: (np.tanh(h @ w.T), None), h, None, 5)[0]

        w, h = RNG.normal(size=(80, 80)), RNG.normal(size=(8, 80))
        program = simplified(f, w, h, exact=False)
        assert names(program) == ["transpose", "scan"]
        (dot,) = loops(body(program), "dot_general")
        assert dot.params["contract"] == ((1,), (0,))
        assert names(simplified(f, w, h[:1], exact=False)) == ["scan"]
        assert names(simplified(f, w[:9, :9], h[:, :9], exact=False)) == ["scan"]

    def test_effects_stay(self):
        def f(x, w):
            def step(c, z):
                fg.debug.callback(lambda v: None, w)
                return c + z, None

            return fg.lax.scan(step, B, x)[0]

        assert "debug_callback" in names(body(run_stages(recorded(f, ROWS, W))))

    def test_moves_before_a_while_but_never_warns(self):
        def f(x, w):
            step = lambda c: (c[0] + 1, c[1] + np.log(w))
            return fg.lax.while_loop(lambda c: c[0] < np.sum(x), step, (0, x))[1]

        program = run_stages(recorded(f, B, -B))
        assert "log" in names(program) and "log" not in names(body(program, "while"))
        (log,) = [e for e in program.equations if e.primitive.name == "log"]
        assert log.is_quiet
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(fg.jit(f)(-np.abs(B), -np.abs(B)), -np.abs(B))

    def test_what_may_fail_stays_in_a_while(self):
        def f(x, i):
            step = lambda c: (c[0] + 1, c[1] + fg.numpy.take(x, i))
            return fg.lax.while_loop(lambda c: c[0] < 0, step, (0, 0.0))[1]

        assert fg.jit(f)(B, 17) == 0.0


class TestProductsBefore:
    def test_products_of_xs_with_weights_become_one(self):
        f = lambda xs, w, h: fg.lax.scan(lambda h, x: (np.tanh(x @ w + h), h), h, xs)
        program = simplified(f, XS, W, XS[0], exact=False)
        assert names(program)[0] == "dot_general" and "dot_general" not in names(body(program))

    def test_the_bias_goes_along(self):
        f = lambda xs, w, b, h: fg.lax.scan(lambda h, x: (np.tanh(x @ w + b + h), None), h, xs)[0]
        program = simplified(f, XS, W, B, XS[0], exact=False)
        assert names(program) == ["dot_general", "add", "scan"]
        assert len(loops(program)[0].inputs) == 2

    def test_vectors_transposed_weights_and_what_comes_before(self):
        f = lambda xs, w, h: fg.lax.scan(lambda h, x: (w.T @ np.sin(x) + h, None), h, xs)[0]
        program = simplified(f, ROWS, W, B, exact=False)
        assert names(program) == ["sin", "dot_general", "scan"]

    def test_products_with_the_carry_stay(self):
        f = lambda xs, w, h: fg.lax.scan(lambda h, x: (np.tanh(h @ w + x), None), h, xs)[0]
        assert names(simplified(f, XS, W, XS[0])) == ["scan"]

    @pytest.mark.parametrize(("length", "is_moved"), [(2, False), (3, False), (4, True)])
    def test_short_loops_stay(self, length, is_moved):
        f = lambda xs, w, h: fg.lax.scan(lambda h, x: (np.tanh(x @ w + h), None), h, xs)[0]
        program = simplified(f, XS[:length], W, XS[0], exact=False)
        assert ("dot_general" in names(program)) == is_moved

    def test_memory_is_bounded(self, monkeypatch):
        monkeypatch.setattr(fission, "SPARE_BYTES", 0)
        wide = np.ones((3, 20))
        f = lambda xs, w, h: fg.lax.scan(lambda h, x: (np.tanh(x @ w + h), None), h, xs)[0]
        assert names(simplified(f, ROWS, wide, np.ones(20))) == ["scan"]


class TestProductsAfter:
    def test_products_that_only_ys_need(self):
        f = lambda xs, w, r, h: fg.lax.scan(
            lambda h, x: (lambda n: (n, np.sin(n @ w) + x))(np.tanh(x + h @ r)), h, xs
        )[1]
        program = simplified(f, XS, W, R, XS[0], exact=False)
        assert names(program) == ["scan", "dot_general", "sin", "add"]
        assert names(body(program)).count("dot_general") == 1

    def test_a_map_is_one_product(self):
        program = simplified(lambda xs, w: fg.lax.map(lambda x: x @ w, xs), XS, W, exact=False)
        assert names(program) == ["dot_general"]


def rnn(params, xs, reverse=False):
    w, r, b = params

    def cell(h, x):
        h = np.tanh(x @ w + h @ r + b)
        return h, h

    return np.sum(np.sin(fg.lax.scan(cell, np.zeros_like(xs[0]), xs, reverse=reverse)[1]))


class TestSums:
    @pytest.mark.parametrize("xs", [XS, ROWS], ids=["batch", "vectors"])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_weight_gradients_are_one_product_each(self, xs, reverse):
        f = lambda *args: fg.grad(lambda p, xs: rnn(p, xs, reverse), argnums=(0, 1))(args[:3], xs)
        program = run_stages(recorded(lambda *args: f(*args), W, R, B))
        forward, backward = loops(program)
        assert names(forward.params["body"]).count("dot_general") == 1
        assert names(backward.params["body"]).count("dot_general") == 1
        assert backward.params["num_carry"] == 1
        for found, expected in zip(
            fg.tree_util.tree_leaves(fg.jit(f)(W, R, B)),
            fg.tree_util.tree_leaves(f(W, R, B)),
            strict=True,
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)

    def test_start_sign_rearrangement_and_several_terms(self):
        def f(xs, start, h):
            def step(c, x):
                total, h = c
                h = np.sin(h) + x
                return (total - np.outer(h, x).T + (np.outer(x, h) + x[:, None] @ h[None]), h), None

            return fg.lax.scan(step, (start, h), xs)[0][0]

        program = simplified(f, ROWS, W, B, exact=False)
        (loop,) = loops(program)
        assert loop.params["num_carry"] in (1, 2)

    def test_sums_of_products_with_a_start(self):
        def f(xs, start, h):
            step = lambda c, x: ((c[0] + x.T @ np.sin(c[1]), np.sin(c[1]) + x), None)
            return fg.lax.scan(step, (start, h), xs)[0]

        program = simplified(f, XS, W, XS[0], exact=False)
        assert loops(program)[0].params["num_carry"] == 1
        assert names(program) == ["scan", "dot_general", "add"]

    def test_sums_that_are_read_stay(self):
        def f(xs, start, h):
            step = lambda c, x: ((c[0] + x.T @ np.sin(c[1]), c[1] @ c[0] + x), None)
            return fg.lax.scan(step, (start, h), xs)[0]

        assert loops(simplified(f, XS, W, XS[0]))[0].params["num_carry"] == 2

    def test_sums_that_the_user_wrote_keep_their_order(self):
        f = lambda xs, start: fg.lax.scan(lambda c, x: (c + x, None), start, xs)[0]
        assert names(simplified(f, ROWS, B)) == ["scan"]

    def test_sums_of_what_is_not_stacked_stay(self):
        def f(xs, h):
            step = lambda c, x: ((c[0] + np.sum(np.sin(c[1])), np.sin(c[1]) + x), None)
            return fg.lax.scan(step, (0.0, h), xs)[0]

        assert names(simplified(f, XS, XS[0])) == ["scan"]


class TestOperands:
    def test_equal_elements_are_no_stack(self):
        def f(x, v):
            xs = (x, fg.numpy.ones((6, 3)), np.broadcast_to(v, (6, 3)), x)
            step = lambda c, z: (c * z[1] + z[0] * z[2] - z[3], c)
            return fg.lax.scan(step, v, xs)

        program = simplified(f, ROWS, B)
        (loop,) = loops(program)
        assert loop.params["num_consts"] == 1 and len(loop.inputs) == 3

    def test_constants_go_in(self):
        inner = fg.jit(lambda c, x, s: fg.lax.scan(lambda c, z: (c + np.sin(s) * z, None), c, x)[0])
        program = simplified(lambda c, x: inner(c, x, 0.5), B, ROWS)
        assert loops(program)[0].params["num_consts"] == 0

    def test_carries_that_do_not_change_are_constants(self):
        f = lambda x, w: fg.lax.scan(lambda c, z: ((c[0] * c[1] + z, c[1]), None), (B, w), x)[0]
        program = recorded(f, ROWS, W[0])
        found = run_stages(program)
        assert loops(found)[0].params["num_carry"] == 1
        assert found.outputs[1] is found.inputs[-1]

    @pytest.mark.parametrize(
        "y",
        [lambda c, z, w: z, lambda c, z, w: w, lambda c, z, w: np.sin(w), lambda c, z, w: 2.0],
        ids=["element", "constant", "invariant", "number"],
    )
    def test_stacks_that_exist_are_not_written(self, y):
        f = lambda x, w, s: fg.lax.scan(lambda c, z: (np.sin(c) + z, y(c, z, w)), s, x)
        program = simplified(f, ROWS, W[0], B)
        assert len(loops(program)[0].outputs) == 1

    def test_equal_stacks_are_one(self):
        f = lambda x, s: fg.lax.scan(lambda c, z: (c + z, (np.sin(c), np.sin(c))), s, x)
        assert len(loops(simplified(f, ROWS, B))[0].outputs) == 2

    @pytest.mark.parametrize("length", [0, 1])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_loops_without_iterations_or_with_one_disappear(self, length, reverse):
        f = lambda c, x: fg.lax.scan(lambda c, z: (np.sin(c) + z, c * z), c, x, reverse=reverse)
        assert "scan" not in names(simplified(f, B, ROWS[:length]))
        f = lambda c, x: fg.lax.scan(lambda c, z: (c + z, 1), 0.0, x)
        assert "scan" not in names(simplified(f, B, ROWS[:length, 0]))


class TestDeadParts:
    def test_unused_stacks_and_carries(self):
        def f(x, s):
            step = lambda c, z: ((np.sin(c[0]) + z, c[1] * np.exp(c[0])), (np.cos(c[1]), c[0]))
            (first, _), (_, ys) = fg.lax.scan(step, (s, s), x)
            return first, ys

        program = simplified(f, ROWS, B)
        (loop,) = loops(program)
        assert loop.params["num_carry"] == 1 and names(body(program)) == ["sin", "add"]

    def test_carries_that_others_need_stay(self):
        f = lambda x, s: fg.lax.scan(lambda c, z: ((c[1] + z, np.sin(c[0])), None), (s, s), x)[0][0]
        assert loops(simplified(f, ROWS, B))[0].params["num_carry"] == 2

    def test_while(self):
        def f(x):
            step = lambda c: (c[0] + 1, np.sin(c[1]), np.exp(c[1]) + c[2])
            return fg.lax.while_loop(lambda c: c[0] < 4, step, (0, x, x))[1]

        program = simplified(f, B)
        assert names(body(program, "while")) == ["add", "sin"]

    def test_residuals_of_a_while_that_nobody_reads(self):
        def f(x):
            loop = lambda x: fg.lax.while_loop(lambda c: np.sum(c) < 9.0, lambda c: c * c + 1.0, x)
            return fg.vjp(loop, x)[0]

        (loop,) = loops(simplified(f, B), "while")
        assert not loop.params["collect"] and len(loop.outputs) == 1

    def test_branches(self):
        branch = lambda g: lambda x, y: (g(x), np.exp(y))
        f = lambda p, x, y: fg.lax.cond(p, branch(np.sin), branch(np.cos), x, y)[0]
        program = simplified(f, np.True_, B, B[::-1])
        (choice,) = loops(program, "cond")
        assert len(choice.inputs) == 2 and len(choice.outputs) == 1

    def test_the_branch_that_is_known_to_run(self):
        f = lambda x: fg.lax.cond(True, np.sin, np.cos, x)
        assert names(simplified(f, B)) == ["sin"]

    def test_rematerialised_calls_keep_what_they_need(self):
        f = lambda x: fg.checkpoint(lambda x: (np.sin(x), np.exp(x)))(x)[0]
        (call,) = loops(simplified(f, B), "remat")
        assert names(call.params["program"]) == ["sin"]


def test_cheap_residuals_are_computed_again():
    def f(x):
        step = lambda c, z: (np.tanh(c * z), None)
        return fg.grad(lambda s: np.sum(fg.lax.scan(step, s, x)[0]))(B)

    program = run_stages(recorded(f, ROWS))
    forward, _ = loops(program)
    # What tanh made is stacked; 1 - tanh**2 is not.
    assert len(forward.outputs) - forward.params["num_carry"] == 1
    np.testing.assert_array_equal(fg.jit(f)(ROWS), f(ROWS))


class TestProducers:
    """Elementwise work on stacks is done by the loop that reads them."""

    big = RNG.normal(size=(5, 100))

    def test_cheap_work_goes_in(self):
        f = lambda x, s: fg.lax.scan(lambda c, z: (np.sin(c) + z, None), s, 2.0 * x - s)[0]
        program = simplified(f, self.big, self.big[0])
        assert names(program) == ["scan"] and len(loops(program)[0].inputs) == 3

    @pytest.mark.parametrize(
        "xs",
        [lambda x: np.exp(x), lambda x: x * x[::-1] + x, lambda x: x[:, :3] * 2.0],
        ids=["dear", "several stacks", "small elements"],
    )
    def test_other_work_stays(self, xs):
        f = lambda x, s: fg.lax.scan(lambda c, z: (np.sin(c) + z, None), s, xs(x))[0]
        shape = xs(self.big).shape[1:]
        program = simplified(f, self.big, self.big[0, : shape[0]])
        assert "multiply" not in names(body(program))

    def test_what_others_read_stays(self):
        def f(x, s):
            scaled = 2.0 * x
            return fg.lax.scan(lambda c, z: (np.sin(c) + z, None), s, scaled)[0], scaled

        assert names(simplified(f, self.big, self.big[0])) == ["multiply", "scan"]


# --- random recurrent networks ---

TERMS = {
    "x @ w": lambda h, x, w, r, b: x @ w,
    "h @ r": lambda h, x, w, r, b: h @ r,
    "w.T @ x": lambda h, x, w, r, b: w.T @ x,
    "bias": lambda h, x, w, r, b: b,
    "invariant": lambda h, x, w, r, b: np.exp(b) @ w,
    "x": lambda h, x, w, r, b: np.sin(x),
    "gate": lambda h, x, w, r, b: np.tanh(x @ r) * h,
    "outer": lambda h, x, w, r, b: np.sum(np.outer(h, x) * w, axis=0),
    "choice": lambda h, x, w, r, b: fg.lax.cond(x[0] > 0, lambda: h @ w, lambda: x * b),
    "loop": lambda h, x, w, r, b: fg.lax.scan(lambda c, z: (c * z + b, None), h, w)[0],
}
terms = st.lists(st.sampled_from(sorted(TERMS)), min_size=1, max_size=3)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(terms, terms, st.booleans(), st.integers(0, 6), st.booleans())
def test_random_recurrences(state, output, reverse, length, differentiated):
    def run(xs, w, r, b):
        def step(h, x):
            new = np.tanh(sum(TERMS[name](h, x, w, r, b) for name in state))
            return new, sum(TERMS[name](new, x, w, r, b) for name in output)

        h, ys = fg.lax.scan(step, b, xs, reverse=reverse)
        return np.sum(np.sin(h)) + np.sum(np.cos(ys))

    f = fg.grad(run, argnums=(0, 1, 2, 3)) if differentiated else run
    args = (ROWS[:length], W, R, B)
    program = recorded(f, *args)
    found = run_stages(program)
    check_program(found)
    for result, expected in zip(evaluate(found, *args), evaluate(program, *args), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-12)
