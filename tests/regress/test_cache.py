"""R54, R55: what makes a jitted function compile again, and what must not."""

from __future__ import annotations

import functools
import math
import warnings

import numpy as np
import pytest

import funcgrad as fg

FACTOR = 2.0


class Counter:
    """A function that counts how often it is traced."""

    def __init__(self, fun):
        self.fun, self.count = fun, 0

    def __call__(self, *args):
        self.count += 1
        return self.fun(*args)


def counted(fun, **options):
    counter = Counter(fun)
    return counter, fg.jit(lambda *args: counter(*args), **options)


def test_R54_static_numbers_of_different_type_differ():
    counter, scaled = counted(lambda x, n: x * n, static_argnums=1)
    for n in (1, True, 1.0, 1, True, 1.0):
        out = scaled(np.ones(2, np.int32), n)
        assert out.dtype == (np.ones(2, np.int32) * n).dtype
    assert counter.count == 3


def test_R54_static_zeros_differ_by_sign():
    counter, scaled = counted(lambda x, n: x * n, static_argnums=1)
    assert not np.signbit(scaled(np.float64(1.0), 0.0))
    assert np.signbit(scaled(np.float64(1.0), -0.0))
    assert not np.signbit(scaled(np.float64(1.0), 0.0))
    assert counter.count == 2


def test_R54_static_nan_is_traced_once():
    counter, scaled = counted(lambda x, n: x * n, static_argnums=1)
    for nan in (math.nan, float("nan"), -math.inf + math.inf):
        assert np.isnan(scaled(np.float64(1.0), nan))
    assert counter.count == 1


@pytest.mark.parametrize("value", [[2.0], {"a": 1}, {1, 2}])
def test_R54_unhashable_static_arguments_are_refused(value):
    _, fun = counted(lambda x, n: x, static_argnums=1)
    with pytest.raises(ValueError, match="static.*hashable.*tuple"):
        fun(np.ones(2), value)


def test_R54_static_arrays_are_refused():
    _, fun = counted(lambda x, n: x, static_argnums=1)
    with pytest.raises(ValueError, match="static.*ndarray"):
        fun(np.ones(2), np.ones(2))


class Settings:
    def __init__(self, scale):
        self.scale = scale


def test_R54_a_static_object_that_changed_is_traced_again():
    settings = Settings(2.0)
    counter, fun = counted(lambda x, s: x * s.scale, static_argnums=1)
    assert fun(1.0, settings) == 2.0
    assert fun(1.0, settings) == 2.0
    assert counter.count == 1
    settings.scale = 5.0
    assert fun(1.0, settings) == 5.0
    settings.scale = 2.0
    assert fun(1.0, settings) == 2.0


def test_R54_static_leaves_inside_arguments():
    counter, fun = counted(lambda t: t["x"] * (2.0 if t["mode"] == "double" else 1.0))
    assert fun({"x": np.float64(1.0), "mode": "double"}) == 2.0
    assert fun({"x": np.float64(3.0), "mode": "double"}) == 6.0
    assert fun({"x": np.float64(1.0), "mode": "single"}) == 1.0
    assert counter.count == 2


def test_R55_fresh_lambdas_in_a_loop_warn_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(12):
            fg.jit(lambda x: x + 1.0)(1.0)
    messages = [str(w.message) for w in caught]
    assert len(messages) == 1
    assert "new function object" in messages[0] and "test_cache.py" in messages[0]
    assert caught[0].filename == __file__


class Model:
    def __init__(self, scale):
        self.scale = scale
        self.weight = np.ones(2)

    def predict(self, x):
        return np.sum(x * self.weight) * self.scale

    @fg.jit
    def decorated(self, x):
        return np.sum(x * self.weight) * self.scale


def test_R55_bound_methods_see_changed_fields():
    model = Model(2.0)
    predict = fg.jit(model.predict)
    assert predict(np.ones(2)) == 4.0
    model.scale = 3.0
    assert predict(np.ones(2)) == 6.0
    model.weight[:] = 10.0
    assert predict(np.ones(2)) == 60.0
    model.weight = np.zeros(2)
    assert predict(np.ones(2)) == 0.0


def test_R55_decorated_methods_see_changed_fields():
    model = Model(2.0)
    assert model.decorated(np.ones(2)) == 4.0
    model.scale = 3.0
    assert model.decorated(np.ones(2)) == 6.0
    assert Model(5.0).decorated(np.ones(2)) == 10.0


def test_R55_partial_functions():
    counter = Counter(lambda w, x: np.sum(w * x))
    fun = fg.jit(functools.partial(counter, np.ones(2)))
    assert fun(np.ones(2)) == 2.0 and fun(np.full(2, 2.0)) == 4.0
    assert counter.count == 1


def test_R55_globals_are_read_anew():
    global FACTOR
    fun = fg.jit(lambda x: x * FACTOR)
    try:
        assert fun(1.0) == 2.0
        FACTOR = 7.0
        assert fun(1.0) == 7.0
        FACTOR = np.full(2, 3.0)
        np.testing.assert_array_equal(fun(1.0), [3.0, 3.0])
    finally:
        FACTOR = 2.0


def test_R55_a_function_defined_again_is_new():
    namespace = {"fg": fg}
    exec("def f(x):\n    return x + 1.0\ng = fg.jit(lambda x: f(x))", namespace)
    assert namespace["g"](1.0) == 2.0
    exec("def f(x):\n    return x * 10.0", namespace)
    assert namespace["g"](1.0) == 10.0


def test_R55_the_reason_of_a_new_trace_is_told():
    fun = fg.jit(lambda x: x * 2.0)
    fun(np.ones(2)), fun(np.ones(3))
    assert "float64[2] -> float64[3]" in fun.explain_recompiles()
