"""Traced values that outlive their trace: the error names function, operation and line (R51)."""

import functools
import threading

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.config import config

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([1.0, 2.0])

TRANSFORMS = {
    "jit": lambda f: fg.jit(f)(X),
    "vmap": lambda f: fg.vmap(f)(X),
    "grad": lambda f: fg.grad(lambda x: np.sum(f(x)))(X),
    "jvp": lambda f: fg.jvp(f, (X,), (X,)),
    "linearize": lambda f: fg.linearize(f, X),
    "scan": lambda f: fg.lax.scan(lambda c, x: (f(c), None), X, None, length=2),
    "while": lambda f: fg.lax.while_loop(lambda c: c[0] < 1.5, f, X),
    "cond": lambda f: fg.lax.cond(True, f, f, X),
    "checkpoint": lambda f: fg.checkpoint(f)(X),
    "make_jaxpr": lambda f: fg.make_jaxpr(f)(X),
}


@pytest.mark.parametrize("name", TRANSFORMS)
class TestUseAfterTheTrace:
    def leaked(self, name):
        kept = []
        TRANSFORMS[name](lambda x: (kept.append(x * 2), x + 1.0)[1])
        return kept[0]

    def test_in_an_operation(self, name):
        value = self.leaked(name)
        for use in (
            lambda: np.sin(value),
            lambda: value + 1,
            lambda: -value,
            lambda: value * value,
        ):
            with pytest.raises(fg.UnexpectedTracerError) as raised:
                use()
            assert "test_leaks.py" in str(raised.value)

    def test_in_another_transformation(self, name):
        value = self.leaked(name)
        for use in (
            lambda: fg.jit(lambda x: x * value)(X),
            lambda: fg.grad(lambda x: np.sum(x * value))(X),
            lambda: fg.vmap(lambda x: x * value)(X),
            lambda: fg.jit(np.sin)(value),
            lambda: fg.jvp(lambda x: x * value, (X,), (X,)),
        ):
            with pytest.raises(fg.UnexpectedTracerError):
                use()

    def test_printing_is_allowed(self, name):
        assert "float64" in repr(self.leaked(name))


class TestWaysToLeak:
    """Each program of R51."""

    def test_global_list(self):
        kept = []
        fg.jit(lambda x: (kept.append(x), x)[1])(X)
        with pytest.raises(fg.UnexpectedTracerError, match=r"add got .*jit\(lambda\)"):
            kept[0] + 1

    def test_attribute_of_self(self):
        class Model:
            @fg.jit
            def __call__(self, x):
                self.last = x * 2
                return x

        model = Model()
        model(X)
        with pytest.raises(fg.UnexpectedTracerError):
            np.sum(model.last)

    def test_generator(self):
        def values(x):
            yield x
            yield np.sin(x)

        kept = []

        def f(x):
            kept.append(values(x))
            return next(kept[0])

        fg.jit(f)(X)
        with pytest.raises(fg.UnexpectedTracerError):
            next(kept[0])

    def test_cache(self):
        @functools.lru_cache
        def table(n):
            return np.sin(fg.numpy.arange(n) * 1.0)

        fg.jit(lambda x: x + table(2))(X)
        with pytest.raises(fg.UnexpectedTracerError):
            fg.jit(lambda x: x * table(2))(X)

    def test_exception(self):
        def f(x):
            raise ValueError("carries", x * 2)

        with pytest.raises(ValueError) as raised:
            fg.jit(f)(X)
        with pytest.raises(fg.UnexpectedTracerError):
            raised.value.args[1] + 1

    def test_inner_value_written_into_an_outer_array(self):
        def outer(x):
            y = x * 1.0

            def inner(z):
                y[0] = z
                return z

            fg.grad(inner)(2.0)
            return y

        with pytest.raises(fg.UnexpectedTracerError, match="(?s)In-place write.*inside the inner"):
            fg.jit(outer)(X)

    def test_value_of_the_inner_function_used_in_the_outer_one(self):
        def outer(x):
            kept = []
            fg.vmap(lambda y: (kept.append(y), y)[1])(x)
            return x + kept[0]

        for transform in (fg.jit, lambda f: fg.grad(lambda x: np.sum(f(x)))):
            with pytest.raises(fg.UnexpectedTracerError):
                transform(outer)(X)

    def test_another_thread(self):
        caught = []

        def f(x):
            def use():
                with pytest.raises(fg.UnexpectedTracerError) as raised:
                    np.sin(x)
                caught.append(str(raised.value))

            thread = threading.Thread(target=use, name="worker")
            thread.start()
            thread.join()
            return x

        fg.jit(f)(X)
        assert "MainThread" in caught[0] and "worker" in caught[0]

    def test_returned_values_are_no_leak(self):
        found = fg.jit(lambda x: {"x": x, "y": [x * 2]})(X)
        np.testing.assert_allclose(found["y"][0] + 1, 2 * X + 1)


class TestCheckingLeaks:
    def test_leak_is_found_at_the_end_of_the_trace(self):
        kept = []
        with (
            config.override(checking_leaks=True),
            pytest.raises(fg.UnexpectedTracerError) as raised,
        ):
            fg.jit(lambda x: (kept.append(np.sin(x)), x)[1])(X)
        assert "sin" in str(raised.value) and "test_leaks.py" in str(raised.value)

    @pytest.mark.parametrize("name", TRANSFORMS)
    def test_nothing_is_found_where_nothing_leaks(self, name):
        with config.override(checking_leaks=True):
            TRANSFORMS[name](lambda x: np.sin(x) * 2 + x[..., None][..., 0])


class TestSources:
    def test_line_of_an_error_inside_nested_functions(self):
        def inner(x):
            return x if x > 0 else -x  # this line

        def outer(x):
            return inner(x)

        with pytest.raises(fg.TracerBoolConversionError) as raised:
            fg.jit(outer)(1.0)
        assert "return x if x > 0 else -x  # this line" in str(raised.value)
        assert f"test_leaks.py:{inner.__code__.co_firstlineno + 1}" in str(raised.value)

    def test_equations_of_derivatives_know_the_line_of_the_operation(self):
        def f(x):
            y = np.sin(x)  # first
            return np.sum(y)

        program = fg.make_jaxpr(fg.grad(f))(X)
        (sine,) = [e for e in program.equations if e.primitive.name == "sin"]
        assert sine.source.text.endswith("# first")
        assert sine.source.function == "f"
