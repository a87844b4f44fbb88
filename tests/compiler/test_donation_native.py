"""Which outputs may lie in the memory of donated inputs, and that compiled code computes the same there."""

import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import funcgrad as fg
from benchmarks.rows import ROWS
from funcgrad import lax, nn
from funcgrad.compiler import stages
from funcgrad.compiler.native import compile_native, pointers
from funcgrad.ir.program import evaluate
from funcgrad.ir.quiet import quiet
from funcgrad.transforms import jit
from tests.compiler.programs import recorded

RNG = np.random.default_rng(0)
W = RNG.normal(size=(33, 17)).astype(np.float32)
V = RNG.normal(size=(33, 17)).astype(np.float32)
SQUARE = RNG.normal(size=(17, 17)).astype(np.float32)
ROW = RNG.normal(size=17).astype(np.float32)


def pairs(f, *args, donated=(0,)):
    """The pairs (output, input) of a function of arrays; first its compiled form is compared with the interpreter,
    with outputs in the memory of inputs and without."""
    program = recorded(f, *args)
    compiled = compile_native(program, donated)
    assert compiled is not None
    with quiet():
        expected = evaluate(program, *args)
    for in_place in ((), compiled.in_place):
        inputs = [np.array(x) for x in args]
        outputs = [np.empty(t.shape, t.dtype) for t in compiled.output_types]
        for output, number in in_place:
            outputs[output] = inputs[number]
        assert compiled.run(pointers(inputs), pointers(outputs)) == 0
        for found, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
        for number, (given_up, x) in enumerate(zip(inputs, args, strict=True)):
            if number not in dict(map(reversed, in_place)):
                np.testing.assert_array_equal(given_up, x)
    return compiled.in_place


class TestWhatMayBeOverwritten:
    def test_update(self):
        assert pairs(lambda w, g: w - np.float32(0.1) * g, W, V) == ((0, 0),)

    def test_only_donated_inputs(self):
        assert pairs(lambda w, g: w - g, W, V, donated=()) == ()
        assert pairs(lambda w, g: w - g, W, V, donated=(1,)) == ((0, 1),)

    def test_several_outputs_of_one_kernel(self):
        def momentum(w, m, g):
            m = np.float32(0.9) * m + g
            return w - m, m

        assert pairs(momentum, W, V, W * 3, donated=(0, 1)) == ((0, 0), (1, 1))
        assert pairs(momentum, W, V, W * 3, donated=(0,)) == ((0, 0),)
        assert len(pairs(momentum, W, V, W * 3, donated=(0, 1, 2))) == 2

    def test_broadcasting_and_reshaping(self):
        assert pairs(lambda w, b: w + b, W, ROW) == ((0, 0),)
        assert pairs(lambda w: (w.reshape(-1) * 2).reshape(33, 17) + 1, W) == ((0, 0),)
        assert pairs(lambda w: np.tile(w, (2, 1)) + 1, W) == ()  # another shape

    def test_other_elements(self):
        assert pairs(lambda w: w + w[::-1], W) == ()
        assert pairs(lambda w: w + w.T, SQUARE) == ()
        assert pairs(lambda w: w + np.roll(w, 1, 0), W) == ()
        assert pairs(lambda w: w + np.pad(w, ((1, 0), (0, 0)))[:-1], W) == ()
        assert pairs(lambda w, i: w + w[i], W, np.arange(33)[::-1].copy()) == ()
        assert pairs(lambda w: w + np.concatenate([w[3:], w[:3]]), W) == ()
        assert pairs(lambda w: w.reshape(17, 33).T + 1, W.copy()) == ()

    def test_rows(self):
        assert pairs(lambda w: nn.softmax(w, axis=1), W) == ((0, 0),)
        assert pairs(lambda w: w - np.mean(w, axis=1, keepdims=True), W) == ((0, 0),)
        assert pairs(lambda w: (w - np.max(w)) * 2, W) == ((0, 0),)  # the maximum is there before
        assert pairs(lambda w: w - w[:, :1], W) == ()

    def test_sums_beside_the_update(self):
        assert pairs(lambda w, g: (w - g, np.sum(w, axis=0)), W, V) in (((0, 0),), ())
        assert pairs(lambda w, g: (w - g, np.sum(w, axis=1)), W, V) in (((0, 0),), ())
        assert pairs(lambda w, g: (w - g, np.sum(w * g)), W, V) == ((0, 0),)

    def test_bias_from_a_sum(self):
        assert pairs(lambda b, g: b - np.sum(g, axis=0), ROW, W) == ((0, 0),)
        assert pairs(lambda b, g: b - np.sum(g * b, axis=0), ROW, W) in (((0, 0),), ())

    def test_half_precision_and_integers(self):
        half = W.astype(np.float16)
        assert pairs(lambda w, g: w - g, half, V.astype(np.float16)) == ((0, 0),)
        assert pairs(lambda n: n + 1, np.arange(5)) == ((0, 0),)
        assert pairs(lambda w: w > 0, W) == ()

    def test_small_arrays(self):
        small = np.arange(3.0)
        assert pairs(lambda x: x[::-1] + x, small) == ((0, 0),)  # computed in registers
        assert pairs(lambda x: (x + 1, x[::-1].copy()), small) in (((0, 0),), ((1, 0),))

    def test_numbers_are_not_worth_it(self):
        assert pairs(lambda n, x: (n + 1, x * n), np.float32(3), W, donated=(0, 1)) == ((1, 1),)

    def test_empty_arrays(self):
        assert pairs(lambda w: w * 2, np.ones((0, 3))) == ()

    def test_returned_as_it_is(self):
        assert pairs(lambda w, g: (w, w + g), W, V) == ((0, 0),)
        assert pairs(lambda w, g: (w, w, g), W, V, donated=(0, 1)) == ((0, 0), (2, 1))

    def test_memory_that_is_no_longer_read(self):
        assert pairs(lambda w, x: (x @ w) @ w.T @ w, SQUARE, SQUARE * 2) == ()
        assert pairs(lambda w, x: np.sin(x @ w) @ x, SQUARE, SQUARE * 2) == ((0, 0),)

    def test_one_output_for_each_input(self):
        assert len(pairs(lambda w, g: (w - g, w + g), W, V)) == 1
        assert len(pairs(lambda w, g: (w - g, w + g), W, V, donated=(0, 1))) == 1  # two kernels
        assert len(pairs(lambda w, g: (w - (s := w + g), s), W, V, donated=(0, 1))) == 2


class TestOrder:
    def test_a_writer_waits_for_other_readers(self):
        assert pairs(lambda w, x, g: (w - g, x @ w), SQUARE, SQUARE * 2, SQUARE + 1) == ((0, 0),)
        assert pairs(lambda w, x, g: (x @ (w - g), w - g, x @ w), SQUARE, W[:5], SQUARE + 1) == (
            (1, 0),
        )

    def test_not_for_those_that_need_it(self):
        def f(w, g):
            new = w - g
            return new, (new @ w) @ new

        assert pairs(f, SQUARE, SQUARE + 1)[:1] in ((), ((1, 0),))

    def test_effects_stay_in_order(self):
        seen = []

        def f(w, x):
            new = w * 2
            fg.debug.callback(lambda v: seen.append(float(v)), new[0, 0])
            return new, x @ w

        pairs(f, SQUARE, W[:5])
        assert seen and all(v == 2 * float(SQUARE[0, 0]) for v in seen)


class TestSteps:
    def test_window(self):
        def f(x, u, i):
            return lax.dynamic_update_slice(x, u, (i, 0))

        assert pairs(f, W, V[:2], np.int64(3)) == ((0, 0),)

    def test_scatter(self):
        index = np.array([3, 5, 3])
        assert pairs(lambda x, i, u: x.at[i].add(u), W, index, V[:3]) == ((0, 0),)
        assert pairs(lambda x, i: x.at[i].set(x[:3] * 2), W, index[:3]) in ((), ((0, 0),))

    def test_read_afterwards(self):
        index = np.array([3, 5])

        def f(x, i, u):
            new = x.at[i].set(u)
            return new, new @ x.T

        assert pairs(f, W, index, V[:2]) == ()

    def test_loop(self):
        def f(x, rows):
            def body(state, row):
                i, x = state
                return (i + 1, x.at[i].set(row)), row[0]

            return lax.scan(body, (np.int64(0), x), rows)

        found = pairs(lambda x, rows: f(x, rows)[0][1], W, V)
        assert found in (((0, 0),), ())


def plan_of_row(name, monkeypatch):
    """The Program of one step of a benchmark, and its donated inputs."""
    made = []
    create = jit.Compiled.__init__
    monkeypatch.setattr(
        jit.Compiled, "__init__", lambda self, *args: (made.append(self), create(self, *args))[1]
    )
    row = ROWS[name]
    row = row() if isinstance(row, type) else row
    row.funcgrad(*row.data(np.random.default_rng(0))).step()
    return made[-1].program, made[-1].donated


@pytest.mark.parametrize("name", ["W1", "W2"])
def test_training_steps_are_done_in_place(name, monkeypatch):
    program, donated = plan_of_row(name, monkeypatch)
    large = [i for i in donated if program.input_types[i].shape]
    found = stages.run_stages(program, donated)["plan"].in_place
    assert sorted(number for _, number in found) == large


def test_cached_code_knows_its_pairs(tmp_path, monkeypatch):
    program = recorded(lambda w, g: w * 3 - g, W, V)
    first = compile_native(program, (0,))
    again = compile_native(recorded(lambda w, g: w * 3 - g, W, V), (0,))
    assert first.in_place == again.in_place == ((0, 0),)
    assert compile_native(program).in_place == ()
    assert json.dumps(first.in_place) == "[[0, 0]]"


# Parts of random programs: each makes a matrix of two.
PARTS = (
    lambda a, b: a + b,
    lambda a, b: a * np.float32(0.5) - b,
    lambda a, b: a @ b * np.float32(0.1),
    lambda a, b: np.where(a > b, a, b.T),
    lambda a, b: a - np.sum(b, axis=0),
    lambda a, b: nn.softmax(a, axis=1) + b[:1],
    lambda a, b: np.tanh(a)[::-1] + b,
    lambda a, b: a.at[2].set(b[1]),
    lambda a, b: np.concatenate([a[2:], b[:2]]),
    lambda a, b: np.cumsum(a, axis=0) * np.float32(0.1) + b,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99)), max_size=7),
    st.lists(st.integers(0, 99), min_size=1, max_size=4),
)
def test_random_programs(steps, results):
    def f(*inputs):
        values = list(inputs)
        for part, a, b in steps:
            values.append(PARTS[part](values[a % len(values)], values[b % len(values)]))
        return [values[-1 - i % len(values)] for i in results]

    inputs = [RNG.normal(size=(6, 6)).astype(np.float32) for _ in range(3)]
    pairs(f, *inputs, donated=(0, 1, 2))
