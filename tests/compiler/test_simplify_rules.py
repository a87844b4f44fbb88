"""The algebra of primitives: what each rule makes of an expression, and that no bit changes."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.pipeline import run_stages
from funcgrad.ir.program import Literal, evaluate
from tests.compiler.programs import bits, names, recorded

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, 1e308])
X = np.arange(24.0).reshape(2, 3, 4) - 7.0
M = X[0]

# name: (function, its operands, the operations that remain)
RULES = {
    # --- arithmetic ---
    "times one": (lambda x: x * 1.0, [SPECIAL], []),
    "one times": (lambda x: fg.numpy.ones(9) * x, [SPECIAL], []),
    "times minus one": (lambda x: x * -1.0, [SPECIAL], ["negative"]),
    "plus minus zero": (lambda x: x + -0.0, [SPECIAL], []),
    "plus zero": (lambda x: x + 0.0, [SPECIAL], ["add"]),
    "integer plus zero": (lambda x: x + 0, [np.arange(3)], []),
    "minus zero": (lambda x: x - 0.0, [SPECIAL], []),
    "minus minus zero": (lambda x: x - -0.0, [SPECIAL], ["subtract"]),
    "minus zero minus": (lambda x: -0.0 - x, [SPECIAL], ["negative"]),
    "zero minus": (lambda x: 0.0 - x, [SPECIAL], ["subtract"]),
    "plus negative": (lambda x: x + -(x[::-1]), [SPECIAL], ["static_slice", "subtract"]),
    "negative plus": (lambda x: -x + x[::-1], [SPECIAL], ["static_slice", "subtract"]),
    "minus negative": (lambda x: x - -(x[::-1]), [SPECIAL], ["static_slice", "add"]),
    "negative twice": (lambda x: np.negative(-x), [SPECIAL], []),
    "over eight": (lambda x: x / 8.0, [SPECIAL], ["multiply"]),
    "over minus two": (lambda x: x / -2, [SPECIAL], ["multiply"]),
    "over three": (lambda x: x / 3.0, [SPECIAL], ["divide"]),
    "over a half": (lambda x: x / 0.5, [SPECIAL], ["divide"]),
    "integer over two": (lambda x: x / 2, [np.arange(3)], ["convert", "multiply"]),
    "power one": (lambda x: x**1.0, [SPECIAL], []),
    "power two": (lambda x: x ** np.float64(2), [SPECIAL], ["square"]),
    "maximum with minus infinity": (lambda x: np.maximum(x, -np.inf), [SPECIAL], []),
    "minimum with infinity": (lambda x: np.minimum(np.inf, x), [SPECIAL], []),
    "maximum with infinity": (lambda x: np.maximum(x, np.inf), [SPECIAL], ["maximum"]),
    "maximum with itself": (lambda x: np.maximum(x, x), [SPECIAL], []),
    "complex times one": (lambda x: x * 1.0, [SPECIAL * (1 + 1j)], ["multiply"]),
    "sum in another order": (lambda x, y: (x + y) - (y + x), [M, M], ["add", "subtract"]),
    # --- choice ---
    "where true": (lambda x: np.where(fg.numpy.ones(9, bool), x, 0.0), [SPECIAL], []),
    "where both the same": (lambda x: np.where(x > 0, x, x), [SPECIAL], []),
    "where not": (
        lambda x: np.where(np.logical_not(x > 0), x, 1.0), [SPECIAL], ["greater", "select"]
    ),
    # --- dtypes ---
    "there and back": (
        lambda x: x.astype(np.float64).astype(np.float32), [SPECIAL[:8].astype(np.float32)], []
    ),
    "narrow and back": (
        lambda x: x.astype(np.float32).astype(np.float64), [SPECIAL], ["convert", "convert"]
    ),
    "wider twice": (
        lambda x: x.astype(np.int32).astype(np.float64), [np.arange(3, dtype=np.int8)], ["convert"]
    ),
    "large integers are not exact": (
        lambda x: x.astype(np.float64).astype(np.int64), [np.array([2**60 + 1])],
        ["convert", "convert"],
    ),
    # --- constants of all elements ---
    "splat and array": (lambda x: fg.numpy.full((3, 4), 2.0) * x, [M], ["multiply"]),
    "splats alone": (lambda x: x * (fg.numpy.full(4, 2.0) + fg.numpy.full(4, 3.0)), [M], ["multiply"]),
    "splat in another shape": (lambda x: x * fg.numpy.full(12, 2.0).reshape(3, 4), [M], ["multiply"]),
    "stretched operand": (
        lambda x: x * np.broadcast_to(np.sin(x[:, :1]), (3, 4)), [M],
        ["static_slice", "sin", "multiply"],
    ),
    "function of a stretched operand": (
        lambda x: np.sin(np.broadcast_to(x, (5, 3, 4))), [M], ["sin", "broadcast_to"]
    ),
    # --- index maps ---
    "reshaped twice": (lambda x: x.reshape(12).reshape(4, 3), [M], ["reshape"]),
    "reshaped and back": (lambda x: x.reshape(12).reshape(3, 4), [M], []),
    "reshaped, computed and back": (
        lambda x: (np.sin(x.reshape(12)) * 2.0).reshape(3, 4), [M], ["sin", "multiply"]
    ),
    "stretched twice": (
        lambda x: np.broadcast_to(np.broadcast_to(x, (2, 3, 4)), (5, 2, 3, 4)), [M],
        ["broadcast_to"],
    ),
    "transposed twice": (lambda x: x.T.T, [X], []),
    "transposed by two": (lambda x: np.swapaxes(x.T, 0, 1), [X], ["transpose"]),
    "unit axis moved": (lambda x: np.moveaxis(x[:, :, None], 2, 0), [M], ["reshape"]),
    "slice of slice": (lambda x: x[1:, ::-1][1, 1:3], [M], ["static_slice"]),
    "all of it": (lambda x: x[:, 0:4], [M], []),
    "slice of one part": (
        lambda x: np.concatenate([x, np.sin(x)])[1:3], [M], ["static_slice"]
    ),
    "parts put together": (lambda x: np.concatenate(np.split(x, 3)), [M], []),
    "some parts put together": (
        lambda x: np.concatenate([x[:1], x[1:2], np.sin(x)]), [M],
        ["sin", "static_slice", "concatenate"],
    ),
    "sum over an axis of length 1": (
        lambda x: np.sum(x[:, :1], axis=1), [M], ["static_slice", "reshape", "add"]
    ),
    # --- products ---
    "product of a transposed matrix": (lambda x: x.T @ x, [M], ["dot_general"]),
    "transposed product": (lambda x: (x @ x.T).T, [M], ["dot_general"]),
    "product of stacks with axes swapped": (
        lambda x: x @ np.swapaxes(x, 1, 2), [X], ["dot_general"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_rule(name):
    f, args, remaining = RULES[name]
    program = recorded(f, *args)
    simplified = run_stages(program)
    assert names(simplified) == remaining
    (expected,), (found,) = evaluate(program, *args), evaluate(simplified, *args)
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    assert np.shape(found) == np.shape(expected)
    if "dot_general" in remaining:  # a product may be summed in another order
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    else:
        assert bits(found) == bits(expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint8, np.bool_])
@pytest.mark.parametrize("name", ["times one", "minus zero", "splat and array", "over eight"])
def test_rules_keep_dtypes(name, dtype):
    f = RULES[name][0]
    x = np.ones((3, 4), dtype)
    if dtype is np.bool_ and name == "minus zero":
        pytest.skip("NumPy does not subtract booleans")
    found = fg.jit(f)(x)
    assert found.dtype == np.asarray(f(x)).dtype
    np.testing.assert_array_equal(found, f(x))


def test_lines_and_quietness_follow_the_operation():
    def f(x):
        y = np.sin(x).reshape(12)  # the sine
        return y.reshape(3, 4)

    (equation,) = run_stages(recorded(f, M)).equations
    assert equation.source.text.endswith("# the sine") and not equation.is_quiet


def test_products_used_elsewhere_are_not_computed_twice():
    f = lambda x: (lambda y: (y, np.sin(y.T)))(x @ x.T)
    assert names(run_stages(recorded(f, M))).count("dot_general") == 1


def test_derivative_of_a_quotient_stays_in_single_precision():
    x = np.ones((3, 4), np.float32)
    for divisor in (1024.0, 3.0, 5):
        program = recorded(fg.grad(lambda x, d=divisor: np.sum(np.sin(x) / d)), x)
        assert all(v.type.dtype == np.float32 for e in program.equations for v in e.outputs)


class TestJoining:
    """Cotangents of an array that was taken apart are joined, not added."""

    @pytest.mark.parametrize(
        "f",
        [
            lambda x: np.sum(np.prod(np.stack([np.sin(p) for p in np.split(x, 3)]), axis=0)),
            lambda x: np.sum(x[0] * np.sin(x[1]) * x[2]),
            lambda x: np.sum(x[1:2] * np.sin(x[2:])),
        ],
    )
    def test_no_sum_remains(self, f):
        x = M[:, :3] * np.array([1.0, -1.0, 0.0])
        program = recorded(fg.grad(f), x)
        simplified = run_stages(program)
        assert "place" in names(program) and "place" not in names(simplified)
        assert names(simplified).count("concatenate") >= 1
        (expected,), (found,) = evaluate(program, x), evaluate(simplified, x)
        assert bits(found) == bits(expected)

    def test_parts_that_overlap_are_added(self):
        f = lambda x: np.sum(x[1:] * x[:-1])
        program = run_stages(recorded(fg.grad(f), M))
        assert names(program).count("place") == 2

    def test_negative_zeros_become_zeros_as_in_the_sum(self):
        f = lambda x, ct: fg.vjp(lambda x: tuple(np.split(x, 2)), x)[1](tuple(np.split(ct, 2)))[0]
        zeros = np.array([-0.0, -0.0, 0.0, -0.0])
        program = recorded(f, zeros, zeros)
        simplified = run_stages(program)
        (expected,), (found,) = (evaluate(p, zeros, zeros) for p in (program, simplified))
        assert bits(found) == bits(expected)


def test_literals_of_equal_value_stay_apart():
    program = recorded(lambda x: (x + 0.0, x + -0.0, x * np.float64(1)), SPECIAL)
    simplified = run_stages(program)
    for found, expected in zip(
        evaluate(simplified, SPECIAL), evaluate(program, SPECIAL), strict=True
    ):
        assert bits(found) == bits(expected)
    assert not any(isinstance(atom, Literal) for atom in simplified.outputs)
