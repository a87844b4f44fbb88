"""Static arguments of `jit`: how they are chosen, compared and refused."""

import dataclasses

import numpy as np
import pytest

import funcgrad as fg

# Rows of a table compile the same function of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


def recording(**options):
    """A jitted x * n that lists the values of n it was traced for."""
    seen = []

    def f(x, n, m=0):
        seen.append(n)
        return x * n + m

    return fg.jit(f, **options), seen


class TestChoice:
    @pytest.mark.parametrize(
        "options",
        [
            {"static_argnums": 1},
            {"static_argnums": (1,)},
            {"static_argnums": -2},
            {"static_argnames": "n"},
            {"static_argnames": ("n", "m")},
        ],
    )
    def test_by_position_or_name_and_passed_either_way(self, options):
        f, seen = recording(**options)
        assert f(2.0, 3) == 6.0 and f(2.0, n=3) == 6.0 and f(x=2.0, n=4) == 8.0
        assert {type(n) for n in seen} == {int}

    def test_python_control_flow_on_it(self):
        @fg.jit(static_argnames=("n", "negate"))
        def f(x, n, negate=False):
            for _ in range(n):
                x = x * 2
            return -x if negate else x

        assert f(1.0, 3) == 8.0 and f(1.0, n=2, negate=True) == -4.0

    def test_position_in_rest_arguments(self):
        f = fg.jit(lambda *xs: xs[0] * (1 if xs[1] == "one" else 2), static_argnums=1)
        assert f(3.0, "two") == 6.0

    def test_default_that_is_not_passed_is_python(self):
        f = fg.jit(lambda x, n=3: x * n if n > 2 else x, static_argnames="n")
        assert f(2.0) == 6.0

    def test_name_that_does_not_exist(self):
        with pytest.raises(ValueError, match=r"static_argnames names 'k', but f has the arguments"):
            recording(static_argnames="k")

    def test_position_that_does_not_exist(self):
        with pytest.raises(ValueError, match=r"static_argnums=3, but f has 3 positional"):
            recording(static_argnums=3)

    def test_gradient_of_a_function_with_static_arguments(self):
        f, _ = recording(static_argnums=1)
        assert fg.grad(f)(2.0, 3) == 3.0
        np.testing.assert_allclose(fg.vmap(lambda x: f(x, 3))(np.arange(2.0)), [0.0, 3.0])


class TestEquality:
    """R54."""

    def test_one_true_and_one_point_zero_differ(self):
        f, seen = recording(static_argnums=1)
        found = [f(np.ones(()), n) for n in (1, True, 1.0, 1, True, 1.0)]
        assert [type(n) for n in seen] == [int, bool, float]
        assert all(y == 1.0 for y in found)

    def test_signed_zeros_differ(self):
        f, seen = recording(static_argnums=1)
        assert not np.signbit(f(1.0, 0.0, -0.0)) and not np.signbit(f(1.0, 0.0))
        g = fg.jit(lambda x, n: x * n, static_argnums=1)
        assert not np.signbit(g(1.0, 0.0))
        assert np.signbit(g(1.0, -0.0))

    def test_nan_equals_itself(self):
        f, seen = recording(static_argnums=1)
        for _ in range(3):
            assert np.isnan(f(1.0, float("nan")))
        assert len(seen) == 1

    def test_tuples_by_value(self):
        @fg.jit(static_argnames="shape")
        def f(x, shape):
            return np.reshape(x, shape)

        x = np.arange(6.0)
        assert f(x, shape=(2, 3)).shape == (2, 3) and f(x, shape=tuple([2, 3])).shape == (2, 3)
        assert f.trace_count() == 1
        assert f(x, shape=(3, 2)).shape == (3, 2) and f.trace_count() == 2

    def test_frozen_dataclass_by_value(self):
        @dataclasses.dataclass(frozen=True)
        class Options:
            scale: float

        f = fg.jit(lambda x, o: x * o.scale, static_argnums=1)
        assert f(2.0, Options(3.0)) == 6.0 and f(2.0, Options(3.0)) == 6.0
        assert f.trace_count() == 1
        assert f(2.0, Options(4.0)) == 8.0

    @pytest.mark.parametrize(
        "change",
        [
            lambda o: setattr(o, "scale", 5.0),
            lambda o: o.nested["scale"].append(1.0),
            lambda o: setattr(o, "array", np.array([3.0])),
        ],
        ids=["number", "container", "array"],
    )
    def test_object_that_changes_after_the_first_call(self, change):
        class Options:
            def __init__(self):
                self.scale, self.nested, self.array = 3.0, {"scale": [2.0]}, np.array([1.0])

            def total(self):
                return self.scale + sum(self.nested["scale"]) + self.array[0]

        options = Options()
        f = fg.jit(lambda x, o: x * o.total(), static_argnums=1)
        assert f(2.0, options) == 2.0 * options.total()
        change(options)
        assert f(2.0, options) == 2.0 * options.total()
        assert f(2.0, options) == 2.0 * options.total()

    def test_object_whose_equality_changes(self):
        class Options:
            def __init__(self, scale):
                self.scale = scale

            def __eq__(self, other):
                return self.scale == other.scale

            def __hash__(self):
                return hash(self.scale)

        options = Options(3.0)
        f = fg.jit(lambda x, o: x * o.scale, static_argnums=1)
        assert f(2.0, options) == 6.0
        options.scale = 5.0
        assert f(2.0, options) == 10.0
        options.scale = 3.0
        assert f(2.0, options) == 6.0


class TestRefused:
    @pytest.mark.parametrize(
        "value", [[2.0], {"a": 1}, np.ones(2), {1, 2}, ([1],)], ids=lambda v: type(v).__name__
    )
    def test_not_hashable(self, value):
        f = fg.jit(lambda x, o: x, static_argnums=1)
        with pytest.raises(
            ValueError, match=r"argument 'o' of lambda is static, so it must be hashable"
        ):
            f(1.0, value)

    def test_objects_that_are_no_trees(self):
        @dataclasses.dataclass
        class Pair:
            first: float

        with pytest.raises(ValueError, match=r"a leaf of 'x' is static.*Pair.*register_dataclass"):
            fg.jit(lambda x: x)(Pair(1.0))

    def test_records(self):
        with pytest.raises(TypeError, match="argument 'x' of lambda is an array of dtype .*'a'"):
            fg.jit(lambda x: x * 2)(np.zeros(2, [("a", "f4")]))

    def test_tracer(self):
        f = fg.jit(lambda x, n: x * n, static_argnums=1)
        with pytest.raises(ValueError, match="is static.*hashable"):
            fg.jit(lambda n: f(1.0, n))(2)
