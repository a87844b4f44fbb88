"""Which calls the native dispatcher takes, and that they give what Python would."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import funcgrad as fg
from tests.compiler.dispatched import (
    ARRAYS,
    MARKS,
    NUMBERS,
    TREES,
    Layer,
    Pair,
    Point,
    Stack,
    X,
    assert_trees_equal,
    warm,
    watched,
)

pytestmark = MARKS


class TestTaken:
    @pytest.mark.parametrize("value", [*NUMBERS, *ARRAYS], ids=repr)
    def test_numbers_and_arrays(self, value):
        f, calls = warm(lambda x: (x, x), value)
        first, second = f(value)
        assert calls == []
        expected = np.asarray(value)[()]
        assert type(first) is type(expected) and first.dtype == expected.dtype
        np.testing.assert_array_equal(first, expected)
        np.testing.assert_array_equal(second, expected)

    @pytest.mark.parametrize("value", TREES, ids=lambda tree: type(tree).__name__)
    def test_trees(self, value):
        f, calls = warm(lambda tree: (tree, "text", np.sin), value)
        found = f(value)
        assert calls == [] and found[1:] == ("text", np.sin)
        assert_trees_equal(found[0], fg.jit(lambda tree: tree)(value))

    def test_every_output_is_new(self):
        x = X.copy()
        f, _ = warm(lambda x: (x, x, x[1:]), x)
        outs = [*f(x), *f(x)]
        for i, out in enumerate(outs):
            assert out.flags.owndata and out.flags.writeable and out.flags.c_contiguous
            assert not any(np.shares_memory(out, other) for other in [x, *outs[:i]])

    def test_keywords_in_any_order(self):
        f, calls = watched(lambda a, b=0.0, *, c: a - 2 * b + 3 * c)
        for _ in range(3):
            assert f(1.0, b=2.0, c=3.0) == f(1.0, c=3.0, b=2.0) == f(c=3.0, a=1.0, b=2.0) == 6.0
        del calls[:]
        assert f(1.0, b=2.0, c=3.0) == f(1.0, c=3.0, b=2.0) == f(c=3.0, a=1.0, b=2.0) == 6.0
        assert f(1.0, **{"b": 2.0, "c": 3.0}) == 6.0
        assert calls == []

    def test_several_signatures(self):
        f, calls = watched(lambda x: x * 2)
        values = [np.ones(n, np.float32) for n in range(20)] + [1.0, 2, X > 1]
        for _ in range(2):
            for value in values:
                f(value)
        del calls[:]
        for value in values[::-1]:
            np.testing.assert_array_equal(f(value), value * 2)
        assert calls == []

    def test_pickled_arrays_have_a_dtype_of_their_own(self):
        f, calls = warm(lambda x: x + 1, X)
        copied = pickle.loads(pickle.dumps(X))
        assert copied.dtype is not X.dtype
        np.testing.assert_array_equal(f(copied), X + 1)
        assert calls == []

    def test_static_arguments_and_leaves(self):
        f, calls = watched(
            lambda x, n, mode: x * n if mode["kind"] == "on" else x, static_argnums=1
        )
        for n in (2, 1000, (1, 2), "text", None, np.float32, 2.5):
            for _ in range(3):
                if isinstance(n, int | float):
                    assert f(3.0, n, {"kind": "on", "act": np.tanh}) == 3.0 * n
                assert f(3.0, n, {"kind": "off", "act": np.tanh}) == 3.0
        del calls[:]
        assert f(3.0, int("1000"), {"kind": "".join(["o", "n"]), "act": np.tanh}) == 3000.0
        assert f(3.0, tuple([1, 2]), {"kind": "off", "act": np.tanh}) == 3.0
        assert calls == []
        assert f(3.0, True, {"kind": "on", "act": np.tanh}) == 3.0
        assert len(calls) == 1

    def test_tied_parameters(self):
        f, calls = warm(lambda p: (p["a"] + 1, p), {"a": X, "b": X, "c": X + 1})
        found, tree = f({"a": X, "b": X, "c": X * 2})
        np.testing.assert_array_equal(found, X + 1)
        assert tree["a"] is tree["b"] and tree["c"] is not tree["a"]
        assert calls == []
        tree = f({"a": X, "b": X.copy(), "c": X * 2})[1]
        assert len(calls) == 1 and tree["a"] is not tree["b"]

    def test_untied_parameters_that_become_tied(self):
        f, calls = warm(lambda p: p, [X + i for i in range(20)])
        values = [X + i for i in range(20)]
        assert len({id(x) for x in f(values)}) == 20 and calls == []
        values[17] = values[3]
        found = f(values)
        assert found[17] is found[3] and len(calls) == 1

    def test_modules_that_share_one(self):
        shared = Layer(X, X + 1)
        stack = Stack([shared, Layer(X + 2, X + 3)], shared)
        f, calls = warm(lambda stack: stack, stack)
        found = f(stack)
        assert calls == [] and found.layers[0] is found.shared
        np.testing.assert_array_equal(found.layers[1].b, X + 3)
        other = Stack([shared, Layer(X + 2, X + 3)], Layer(X, X + 1))
        assert f(other).layers[0] is not f(other).shared and calls

    def test_methods(self):
        class Scaler:
            def __init__(self, factor):
                self.factor = factor

            @fg.jit
            def scale(self, x):
                return x * self.factor

            @staticmethod
            @fg.jit
            def double(x):
                return x * 2

        scaler = Scaler(2.0)
        for _ in range(4):
            assert scaler.scale(3.0) == 6.0 and Scaler.double(3.0) == scaler.double(3.0) == 6.0
        assert Scaler.scale._entry_point and Scaler.double._entry_point
        scaler.factor = 5.0
        assert scaler.scale(3.0) == 15.0
        bound = fg.jit(scaler.scale)
        assert [bound(3.0) for _ in range(4)] == [15.0] * 4
        scaler.factor = 7.0
        assert bound(3.0) == 21.0

    def test_used_as_callback_and_through_partial(self):
        f, calls = warm(lambda x: x + 1, 1.0)
        assert [*map(f, [1.0, 2.0])] == [2.0, 3.0] and f(*[1.0]) == f.__call__(1.0) == 2.0
        assert type(f).__call__(f, 1.0) == 2.0


leaves = st.sampled_from([X, X + 1, np.ones((2, 2)), 1.5, 2, True, np.float32(3), None, "static"])
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        st.builds(Pair, inner, inner),
        st.builds(Point, inner, inner),
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(trees, trees)
def test_random_trees(first, second):
    """Calls that alternate between two signatures give what was passed."""
    f = fg.jit(lambda tree: tree)
    expected = [f(first), f(second)]
    for _ in range(3):
        assert_trees_equal(f(first), expected[0])
        assert_trees_equal(f(second), expected[1])
