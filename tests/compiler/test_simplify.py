"""The stages of simplification: what they remove, and that they never change a value."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import funcgrad as fg
from funcgrad.compiler.passes.dead_code import eliminate_dead_code
from funcgrad.compiler.passes.simplify import inline_calls, merge_common
from funcgrad.compiler.pipeline import run_stages
from funcgrad.ir.check import check_program
from funcgrad.ir.program import Literal, evaluate
from tests.compiler.programs import all_names, bits, names, recorded
from tests.transforms.programs import points, programs, run

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 2.0])


class TestDeadCode:
    def test_unused_equations_go(self):
        def f(x):
            np.exp(np.sin(x))
            return np.cos(x)

        assert names(eliminate_dead_code(recorded(f, X))) == ["cos"]

    def test_chains_and_unused_results_of_loops(self):
        def f(x):
            carry, _ = fg.lax.scan(lambda c, y: (c + y, np.sin(y)), 0.0, x)
            return np.cos(x)

        assert names(eliminate_dead_code(recorded(f, X))) == ["cos"]

    def test_effects_stay_with_what_they_need(self):
        def f(x):
            fg.debug.callback(lambda v: None, np.sin(x))
            fg.lax.cond(True, lambda v: fg.debug.print("{}", v), lambda v: None, x)
            return x

        assert {"sin", "debug_callback", "cond"} <= set(names(eliminate_dead_code(recorded(f, X))))

    def test_inputs_stay(self):
        program = eliminate_dead_code(recorded(lambda x, y: y, X, X))
        assert len(program.inputs) == 2


class TestInline:
    def test_calls_disappear_at_every_depth(self):
        inner = fg.jit(lambda x: np.sin(x))
        middle = fg.jit(lambda x: inner(x) + inner(x + 1))
        program = recorded(lambda x: middle(x) * 2, X)
        assert "call" in names(program)
        flat = inline_calls(program)
        check_program(flat)
        assert "call" not in names(flat)
        np.testing.assert_array_equal(evaluate(flat, X)[0], evaluate(program, X)[0])

    def test_call_that_returns_its_argument_a_constant_and_one_value_twice(self):
        inner = fg.jit(lambda x: (x, 2.0, x, np.sin(x)))
        program = recorded(lambda x: inner(x), X)
        found = evaluate(inline_calls(program), X)
        np.testing.assert_array_equal(found[0], X)
        assert found[1] == 2.0
        np.testing.assert_array_equal(found[3], np.sin(X))

    def test_source_lines_survive(self):
        inner = fg.jit(lambda x: np.sin(x))  # the line of the operation
        flat = inline_calls(recorded(lambda x: inner(x), X))
        assert flat.equations[0].source.text.endswith("# the line of the operation")


class TestCommon:
    def test_equal_equations_are_merged(self):
        program = recorded(lambda x: np.sin(x) * np.sin(x) + np.sin(x), X)
        assert names(merge_common(program)).count("sin") == 1

    def test_chains_are_merged(self):
        f = lambda x: np.exp(np.sin(x) + 1.0) - np.exp(np.sin(x) + 1.0)
        assert names(merge_common(recorded(f, X))) == ["sin", "add", "exp", "subtract"]

    def test_equal_loops_are_kept_or_merged_but_right(self):
        loop = lambda x: fg.lax.scan(lambda c, y: (c + y, None), 0.0, x)[0]
        program = recorded(lambda x: loop(x) + loop(x), X)
        np.testing.assert_allclose(evaluate(merge_common(program), X)[0], 2 * np.sum(X))

    @pytest.mark.parametrize(
        "f",
        [
            lambda x: (x + 0.0, x + -0.0),
            lambda x: (x * 1, x * 1.0),
            lambda x: (np.sum(x, axis=0), np.sum(x, axis=1)),
            lambda x: (x.astype(np.float32), x.astype(np.float16)),
            lambda x: (x - x.T, x.T - x),
            lambda x: tuple(fg.numpy.full((2,), value) for value in (1, 1.0, True)),
            lambda x: (np.where(x > 0, x, 1), np.where(x > 0, x, True)),
        ],
    )
    def test_what_only_looks_equal_is_not_merged(self, f):
        x = np.array([[0.0, -0.0], [1.0, -2.0]])
        program = recorded(f, x)
        simplified = run_stages(program)
        for found, expected in zip(evaluate(simplified, x), evaluate(program, x), strict=True):
            assert np.asarray(found).dtype == np.asarray(expected).dtype
            np.testing.assert_array_equal(found, expected)
            if np.asarray(found).dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))

    def test_effects_are_not_merged(self):
        f = lambda x: (fg.debug.print("{}", x), fg.debug.print("{}", x), x)[2]
        assert names(run_stages(recorded(f, X))).count("debug_callback") == 2

    @pytest.mark.parametrize(
        ("first", "second", "quiet_result"),
        [(True, False, False), (False, True, False), (True, True, True), (False, False, False)],
    )
    def test_what_the_user_wrote_stays_loud_when_merged_with_a_quiet_operation(
        self, first, second, quiet_result
    ):
        """NumPy's warning would be lost."""
        program = recorded(lambda x: (np.exp(x), np.exp(x)), X)
        for equation, quiet in zip(program.equations, (first, second), strict=True):
            equation.is_quiet = quiet
        merged = merge_common(program)
        assert names(merged) == ["exp"]
        assert merged.equations[0].is_quiet == quiet_result

    def test_warning_of_the_user_survives_the_derivative(self):
        f = lambda x: (fg.grad(lambda y: np.sum(y**3.5))(x), x**2.5)
        for g in (f, fg.jit(f)):
            with pytest.warns(RuntimeWarning, match="overflow"):
                g(np.array([1e200]))


class TestFolding:
    def test_constants_are_computed_once(self):
        inner = fg.jit(lambda x, s: x * np.sin(s))
        program = run_stages(recorded(lambda x: inner(x, 0.5), X))
        assert names(program) == ["multiply"]
        literals = [a for a in program.equations[0].inputs if isinstance(a, Literal)]
        assert literals[0].value == np.sin(0.5)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
    def test_folded_python_numbers_stay_weak(self, dtype):
        inner = fg.jit(lambda x, s: x * (s * 3 + 1))
        f = lambda x: inner(x, 2)
        found = fg.jit(f)(X.astype(dtype))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, X.astype(dtype) * 7)

    def test_folded_numpy_numbers_stay_strong(self):
        inner = fg.jit(lambda x, s: x * (s * 3))
        found = fg.jit(lambda x: inner(x, np.float64(2)))(X.astype(np.float32))
        assert found.dtype == np.float64

    def test_constants_of_two_kinds_are_folded(self):
        """-1 * 0.25, a float32 and a Python number: no rule for factors of -1 may be in the way."""
        program = run_stages(recorded(fg.grad(lambda x: -np.mean(x)), X.astype(np.float32)))
        assert names(program) == ["broadcast_to"]
        (literal,) = program.equations[0].inputs
        assert literal.value == np.float32(-1 / 3) and literal.type.dtype == np.float32

    def test_warnings_are_not_folded_away(self):
        inner = fg.jit(lambda x, s: x + np.log(s))
        f = fg.jit(lambda x: inner(x, 0.0))
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match="divide by zero"):
                assert f(1.0) == -np.inf


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, 1e308])
ALGEBRA = {
    "plus zero": lambda x: x + 0.0,
    "plus negative zero": lambda x: x + -0.0,
    "zero minus": lambda x: 0.0 - x,
    "minus zero": lambda x: x - 0.0,
    "times one": lambda x: x * 1.0,
    "times zero": lambda x: x * 0.0,
    "times minus one": lambda x: x * -1.0,
    "over itself": lambda x: x / x,
    "minus itself": lambda x: x - x,
    "double negation": lambda x: np.negative(-x),
    "power one": lambda x: x**1.0,
    "power zero": lambda x: x**0.0,
    "half of double": lambda x: (x * 2.0) / 2.0,
    "log of exp": lambda x: np.log(np.exp(x)),
    "same type": lambda x: x.astype(np.float64) + x,
    "through float32": lambda x: x.astype(np.float32).astype(np.float64),
    "reshaped twice": lambda x: np.reshape(np.reshape(x, (3, 3)), (9,)),
    "transposed twice": lambda x: np.reshape(x, (3, 3)).T.T,
    "broadcast to itself": lambda x: np.broadcast_to(x, (9,)),
    "where both the same": lambda x: np.where(x > 0, x, x),
    "maximum with itself": lambda x: np.maximum(x, x),
    "comparison with itself": lambda x: x == x,
    "associated": lambda x: (x + 1e16) - 1e16,
    "distributed": lambda x: x * 3.0 + x * 5.0,
}


@pytest.mark.parametrize("name", ALGEBRA)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_algebra_keeps_every_bit(name, dtype):
    x = SPECIAL.astype(dtype)
    f = ALGEBRA[name]
    (found,) = evaluate(run_stages(recorded(f, x)), x)
    expected = f(x)
    assert found.dtype == expected.dtype
    assert bits(found) == bits(expected)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs, points, st.booleans())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_programs_keep_every_bit(steps, x, differentiated):
    f = lambda x: run(steps, x)
    f = fg.grad(lambda x: np.sum(run(steps, x))) if differentiated else f
    program = recorded(f, x)
    captured = len(program.inputs) - 1
    closed, values = fg.closure_convert(f, x)
    assert len(values) == captured
    simplified = run_stages(program)
    check_program(simplified)
    assert len(simplified.equations) <= len(inline_calls(program).equations)
    (expected,), (found,) = evaluate(program, *values, x), evaluate(simplified, *values, x)
    if "dot_general" in all_names(program):  # a product may be summed in another order
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    else:
        assert bits(found) == bits(expected)
