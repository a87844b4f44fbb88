"""When `jit` traces again, when it does not, and how it says why."""

import functools
import gc
import warnings
import weakref

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.config import config
from funcgrad.transforms.recompile import RecompilationWarning

X = np.array([1.0, 2.0, 3.0])
FACTOR = 2.0
TABLE = np.array([1.0, 2.0])
CONFIG = {"scale": np.array([2.0])}


def helper(x):
    return x * FACTOR


def counted(f):
    """The jitted function, and the list that grows at every trace."""
    traces = []

    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        traces.append(1)
        return f(*args, **kwargs)

    return fg.jit(wrapper), traces


class TestTraceCounts:
    """R37."""

    def test_python_floats_share_one_trace(self):
        f, traces = counted(lambda x: x * 2)
        for x in (1.0, 2.0, -3.5, float("inf")):
            f(x)
        assert len(traces) == 1
        f(np.float64(3))
        f(np.ones(()))
        assert len(traces) == 2

    def test_training_loop_with_python_learning_rate(self):
        f, traces = counted(lambda w, lr: w - lr * w)
        w = X
        for step in range(5):
            w = f(w, 0.1 / (step + 1))
        assert len(traces) == 1

    def test_shape_and_dtype_make_a_new_trace(self):
        f, traces = counted(lambda x: x + 1)
        for x in (X, X[:2], X.astype(np.float32), X, X[:2], np.ones((3, 1))):
            f(x)
        assert len(traces) == 4 and f.trace_count() == 4

    def test_layout_does_not(self):
        f, traces = counted(lambda x: x + 1)
        x = np.ones((3, 3))
        for y in (x, x.T, np.asfortranarray(x), x[::-1]):
            f(y)
        assert len(traces) == 1

    def test_keyword_order_does_not(self):
        f, traces = counted(lambda a, b: a - b)
        assert f(a=3.0, b=1.0) == f(b=1.0, a=3.0) == 2.0
        assert len(traces) == 1

    def test_dict_order_does_not(self):
        f, traces = counted(lambda p: p["a"] - p["b"])
        assert f({"a": 3.0, "b": 1.0}) == f({"b": 1.0, "a": 3.0}) == 2.0
        assert len(traces) == 1

    def test_other_structure_does(self):
        f, traces = counted(lambda p: sum(fg.tree.leaves(p)))
        assert f([1.0, 2.0]) == f((1.0, 2.0)) == f({"a": 1.0, "b": 2.0}) == 3.0
        assert len(traces) == 3

    def test_clear_cache(self):
        f, traces = counted(lambda x: x)
        f(1.0)
        f.clear_cache()
        assert f.trace_count() == 0
        f(1.0)
        assert len(traces) == 2

    def test_transformations_of_one_jitted_function_share_its_trace(self):
        f, traces = counted(lambda x: np.sum(x**2))
        for _ in range(3):
            fg.grad(f)(X)
            fg.jvp(f, (X,), (X,))
        assert len(traces) == 1

    def test_vmap_sees_the_type_of_one_example(self):
        f, traces = counted(lambda x: x**2)
        for size in (2, 3, 4):
            fg.vmap(f)(np.ones((size, 3)))
        assert len(traces) == 1


class TestCaptured:
    """A3: captured arrays are inputs by reference; names that are bound again are seen."""

    def test_large_array_changed_in_place(self):
        w = np.ones(100_000)
        f = fg.jit(lambda x: (x * w)[:2])
        assert f(1.0).tolist() == [1.0, 1.0]
        w[:] = 100.0
        assert f(1.0).tolist() == [100.0, 100.0]
        assert f(np.float32(1)).tolist() == [100.0, 100.0]
        assert f.trace_count() == 2

    def test_zero_dimensional_array_changed_in_place(self):
        w = np.array(2.0)
        f = fg.jit(lambda x: x * w)
        assert f(3.0) == 6.0
        w[...] = 5.0
        assert f(3.0) == 15.0

    def test_closure_bound_again(self):
        w = np.ones(3)
        f = fg.jit(lambda x: x + w)
        np.testing.assert_allclose(f(X), X + 1)
        w = np.full(3, 2.0)
        np.testing.assert_allclose(f(X), X + 2)
        w = 10.0
        np.testing.assert_allclose(f(X), X + 10)

    def test_global_number_of_a_helper(self, monkeypatch):
        f = fg.jit(lambda x: helper(x))
        assert f(3.0) == 6.0 and f(3.0) == 6.0
        monkeypatch.setitem(globals(), "FACTOR", 5.0)
        assert f(3.0) == 15.0
        assert "FACTOR" in f.explain_recompiles()

    def test_helper_defined_again(self, monkeypatch):
        """R55: a function redefined in a notebook cell."""
        f = fg.jit(lambda x: helper(x))
        assert f(3.0) == 6.0
        monkeypatch.setitem(globals(), "helper", lambda x: x + 100.0)
        assert f(3.0) == 103.0

    def test_global_array_and_container(self, monkeypatch):
        f = fg.jit(lambda x: x * TABLE * CONFIG["scale"])
        np.testing.assert_allclose(f(1.0), [2.0, 4.0])
        monkeypatch.setitem(CONFIG, "scale", np.array([3.0]))
        np.testing.assert_allclose(f(1.0), [3.0, 6.0])
        monkeypatch.setitem(globals(), "TABLE", np.array([1.0, 10.0]))
        np.testing.assert_allclose(f(1.0), [3.0, 30.0])

    def test_value_that_comes_back(self):
        """The fast path must not outlive the values it was made for."""
        n = 2.0
        f = fg.jit(lambda x: x * n)
        found = []
        for value in (2.0, 3.0, 2.0, 2.0, 3.0):
            n = value
            found.append(f(1.0))
        assert found == [2.0, 3.0, 2.0, 2.0, 3.0]

    def test_captured_array_is_not_written_to_or_kept_read_only(self):
        w = np.ones(3)
        fg.jit(lambda x: x + w)(X)
        w[0] = 5.0

    def test_gradient_reads_the_captured_array_anew(self):
        w = np.ones(3)
        g = fg.jit(fg.grad(lambda x: np.sum(w * x**2)))
        np.testing.assert_allclose(g(X), 2 * X)
        w[:] = 3.0
        np.testing.assert_allclose(g(X), 6 * X)


class TestExplanations:
    def test_reasons_are_collected(self):
        f = fg.jit(lambda x, p: x)
        f(X, {"a": 1.0})
        assert f.explain_recompiles() == ""
        f(X.astype(np.float32), {"a": 1.0})
        f(X[:2], {"a": 1.0})
        f(X, {"b": 1.0})
        f(X, {"a": "text"})
        lines = f.explain_recompiles().splitlines()
        assert len(lines) == 4
        assert "float64[3] -> float32[3]" in lines[0]
        assert "float64[3] -> float64[2]" in lines[1] or "float32[3] -> float64[2]" in lines[1]
        assert "'b'" in lines[2]
        assert "text" in lines[3]

    def test_printed_on_request(self, capsys):
        f = fg.jit(lambda x: x)
        with config.override(explain_recompiles=True):
            f(X)
            f(X[:2])
        assert "[jit] lambda is traced again: float64[3] -> float64[2]" in capsys.readouterr().err

    def test_static_argument_is_shown(self):
        f = fg.jit(lambda x, n: x * n, static_argnums=1)
        f(X, 2)
        f(X, 3)
        assert "static 2 -> static 3" in f.explain_recompiles()


class TestFreshFunctions:
    """R55: the same source compiled again and again as a new function object."""

    def test_warning_after_many(self):
        with pytest.warns(
            RecompilationWarning, match=r"test_jit_cache.py:\d+\) was compiled 6 times"
        ):
            for _ in range(8):
                fg.jit(lambda x: x + 1)(1.0)

    def test_warned_once(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(20):
                fg.jit(lambda x: x - 1)(1.0)
        assert len(caught) == 1

    def test_few_are_fine(self):
        for _ in range(5):
            fg.jit(lambda x: x + 2)(1.0)

    def test_a_recursive_function_is_no_fresh_function(self):
        power = fg.jit(lambda x, n: x * power(x, n - 1) if n else x, static_argnums=1)
        assert power(2.0, 10) == 2.0**11

    def test_calls_that_fail_make_no_fresh_function(self):
        f = fg.jit(lambda x: x @ x)
        for n in range(2, 10):
            with pytest.raises(ValueError, match="matmul"):
                f(np.ones((1, n)))

    def test_one_function_with_many_signatures_is_no_fresh_function(self):
        f = fg.jit(lambda x: x + 3)
        for n in range(1, 10):
            f(np.ones(n))


class TestLifetime:
    """L8: nothing is kept alive longer than the function."""

    def test_function_dies(self):
        def make():
            w = np.ones(1000)
            f = fg.jit(lambda x: x + w.sum())
            f(1.0)
            return weakref.ref(f), weakref.ref(w)

        refs = make()
        gc.collect()
        assert all(ref() is None for ref in refs)

    def test_arguments_die(self):
        f = fg.jit(lambda p: np.sum(p["x"]))
        x = np.ones(1000)
        f({"x": x})
        f({"x": x})
        ref = weakref.ref(x)
        del x
        gc.collect()
        assert ref() is None

    def test_gradient_keeps_no_arguments(self):
        x = np.ones(1000)
        found = fg.grad(lambda x: np.sum(np.sin(x)))(x)
        ref = weakref.ref(x)
        del x
        gc.collect()
        assert ref() is None and found.shape == (1000,)
