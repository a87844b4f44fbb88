"""`vmap`: axes as tree prefixes, sizes, and errors that say which argument is meant."""

import numpy as np
import pytest

import funcgrad as fg

A = np.arange(6.0).reshape(2, 3)


class TestInAxes:
    def test_default_is_the_leading_axis_of_everything(self):
        found = fg.vmap(lambda x, y: x @ y)(A, A + 1)
        np.testing.assert_allclose(found, np.sum(A * (A + 1), axis=1))

    @pytest.mark.parametrize("axis", [1, -1])
    def test_other_axis(self, axis):
        np.testing.assert_allclose(fg.vmap(np.sum, in_axes=axis)(A), A.sum(axis=0))

    def test_one_entry_per_argument(self):
        found = fg.vmap(np.dot, in_axes=(0, None))(A, np.arange(3.0))
        np.testing.assert_allclose(found, A @ np.arange(3.0))
        found = fg.vmap(np.dot, in_axes=[1, 0])(A, A.T)
        np.testing.assert_allclose(found, np.sum(A * A, axis=0))

    def test_prefix_of_a_tree(self):
        f = lambda p, x: np.sum(p["w"] * x) + p["b"][0] * p["b"][1]
        params = {"w": A, "b": (np.arange(2.0), 3.0)}
        axes = ({"w": 0, "b": (0, None)}, None)
        x = np.ones(3)
        found = fg.vmap(f, in_axes=axes)(params, x)
        np.testing.assert_allclose(found, A.sum(axis=1) + 3 * np.arange(2.0))
        found = fg.vmap(f, in_axes=({"w": 0, "b": None}, None))({"w": A, "b": (1.0, 2.0)}, x)
        np.testing.assert_allclose(found, A.sum(axis=1) + 2)

    def test_none_for_a_whole_tree(self):
        f = lambda p, x: p["w"] * x
        found = fg.vmap(f, in_axes=(None, 0))({"w": np.ones(3)}, A)
        np.testing.assert_allclose(found, A)

    def test_keywords_are_batched_along_axis_0(self):
        found = fg.vmap(lambda x, *, y: x + y)(A, y=2 * A)
        np.testing.assert_allclose(found, 3 * A)

    def test_leaves_that_are_no_arrays_pass_through(self):
        f = lambda p: p["act"](p["w"])
        np.testing.assert_allclose(fg.vmap(f)({"act": np.tanh, "w": A, "n": None}), np.tanh(A))

    def test_integer_and_bool_batches(self):
        found = fg.vmap(lambda n, flag: np.where(flag, n, -n))(
            np.arange(3), np.array([1, 0, 1]) > 0
        )
        np.testing.assert_array_equal(found, [0, -1, 2])

    def test_axis_size_alone(self):
        found = fg.vmap(lambda: np.float32(2), axis_size=3)()
        np.testing.assert_array_equal(found, [2, 2, 2])
        assert found.dtype == np.float32
        found = fg.vmap(lambda x: x * 2, in_axes=None, axis_size=2)(1.0)
        np.testing.assert_array_equal(found, [2.0, 2.0])

    def test_name_is_kept(self):
        def f(x):
            """Doc."""
            return x

        assert fg.vmap(f).__name__ == "vmap_f" and fg.vmap(f).__doc__ == "Doc."


class TestSharedArrays:
    """One array given twice: two arguments, but one leaf inside one argument."""

    SQUARE = np.arange(9.0).reshape(3, 3)

    @pytest.mark.parametrize("outer", [lambda f: f, fg.jit], ids=["eager", "jit"])
    def test_one_array_for_two_arguments_with_different_axes(self, outer):
        a = self.SQUARE
        f = outer(lambda a: fg.vmap(np.dot, in_axes=(0, 1))(a, a))
        np.testing.assert_allclose(f(a), np.sum(a * a.T, axis=1))
        f = outer(lambda a: fg.vmap(lambda x, y: y @ x, in_axes=(0, None))(a, a))
        np.testing.assert_allclose(f(a), a @ a.T)

    def test_tied_arrays_of_one_argument_stay_tied(self):
        loss = lambda p: np.sum(p["a"] * 2 + p["b"] * 3)
        found = fg.vmap(fg.grad(loss))({"a": A, "b": A})
        assert found["a"] is found["b"]
        np.testing.assert_allclose(found["a"], np.full((2, 3), 5.0))

    def test_result_returned_twice_with_different_axes(self):
        found = fg.vmap(lambda x: (x, x), out_axes=(0, 1))(A)
        np.testing.assert_array_equal(found[0], A)
        np.testing.assert_array_equal(found[1], A.T)


class TestOutAxes:
    def test_positions(self):
        f = lambda x: np.ones((4, 5)) * x
        assert fg.vmap(f, out_axes=1)(np.arange(2.0)).shape == (4, 2, 5)
        assert fg.vmap(f, out_axes=-1)(np.arange(2.0)).shape == (4, 5, 2)
        assert fg.vmap(f, out_axes=-3)(np.arange(2.0)).shape == (2, 4, 5)

    def test_tree_prefix(self):
        f = lambda x: {"a": x, "b": (x * 2, np.sum(x))}
        found = fg.vmap(f, out_axes={"a": 1, "b": 0})(A)
        np.testing.assert_allclose(found["a"], A.T)
        np.testing.assert_allclose(found["b"][0], 2 * A)
        np.testing.assert_allclose(found["b"][1], A.sum(axis=1))

    def test_none_for_a_result_that_is_the_same_everywhere(self):
        found = fg.vmap(lambda x: (x, np.ones(2)), out_axes=(0, None))(A)
        assert found[1].shape == (2,)

    def test_constant_result_is_repeated(self):
        """R59: the repeated constant is no view of the captured one."""
        constant = np.arange(3.0)
        found = fg.vmap(lambda x: constant)(A)
        np.testing.assert_array_equal(found, [constant, constant])
        found[0, 0] = 7.0
        assert constant[0] == 0.0 and found[1, 0] == 0.0

    def test_static_results_pass_through(self):
        assert fg.vmap(lambda x: (x, "label", None))(A)[1:] == ("label", None)

    def test_dtypes(self):
        found = fg.vmap(lambda x: (x > 0, np.argmax(x), x.astype(np.float16)))(A)
        assert [y.dtype.name for y in found] == ["bool", "int64", "float16"]


class TestErrors:
    def test_sizes_that_differ_list_every_argument(self):
        def f(params, x):
            return x

        with pytest.raises(ValueError) as error:
            fg.vmap(f)({"w": np.ones((4, 2)), "b": np.ones(2)}, A)
        text = str(error.value)
        assert "argument 'params' at w: axis 0 has length 4" in text
        assert "argument 'params' at b: axis 0 has length 2" in text
        assert "argument 'x': axis 0 has length 2" in text

    def test_axis_size_that_differs(self):
        with pytest.raises(ValueError, match=r"(?s)'x': axis 0 has length 2.*axis_size=3"):
            fg.vmap(lambda x: x, axis_size=3)(A)

    def test_keyword_is_named(self):
        with pytest.raises(ValueError, match=r"keyword argument 'y': axis 0 has length 3"):
            fg.vmap(lambda x, y: x)(A, y=np.ones(3))

    def test_scalar_cannot_be_mapped(self):
        with pytest.raises(ValueError, match=r"argument 'y' has shape \(\).*None means the same"):
            fg.vmap(lambda x, y: x * y)(A, 2.0)

    @pytest.mark.parametrize("axis", [2, -3])
    def test_axis_out_of_range(self, axis):
        with pytest.raises(ValueError, match=rf"in_axes = {axis}, but argument 'x'.*\(2, 3\)"):
            fg.vmap(lambda x: x, in_axes=axis)(A)

    def test_nothing_batched(self):
        with pytest.raises(ValueError, match="needs at least one batched array.*axis_size"):
            fg.vmap(lambda x: x, in_axes=None)(A)
        with pytest.raises(ValueError, match="needs at least one batched array"):
            fg.vmap(lambda: 1.0)()

    def test_number_of_entries(self):
        with pytest.raises(ValueError, match="in_axes has 3 entries.*2 positional"):
            fg.vmap(np.dot, in_axes=(0, 0, 0))(A, A)

    def test_in_axes_that_do_not_fit_the_tree(self):
        with pytest.raises(ValueError, match="in_axes"):
            fg.vmap(lambda p: p["w"], in_axes=({"v": 0},))({"w": A})

    @pytest.mark.parametrize("axis", ["0", 1.0, True])
    def test_axis_of_a_wrong_type(self, axis):
        with pytest.raises(TypeError, match="ints or None"):
            fg.vmap(lambda x: x, in_axes=axis)(A)

    def test_out_axis_out_of_range(self):
        with pytest.raises(ValueError, match="out_axes = 3.*2 axes"):
            fg.vmap(lambda x: x, out_axes=3)(A)

    def test_out_axis_none_for_a_result_that_differs(self):
        with pytest.raises(ValueError, match="out_axes is None.*pmean"):
            fg.vmap(lambda x: x, out_axes=None)(A)

    def test_out_axes_that_do_not_fit_the_tree(self):
        with pytest.raises(ValueError, match="out_axes"):
            fg.vmap(lambda x: {"a": x}, out_axes={"b": 0})(A)

    def test_python_if_names_the_alternatives(self):
        with pytest.raises(
            fg.TracerBoolConversionError, match=r"(?s)vmap \(2 examples\).*np.where"
        ):
            fg.vmap(lambda x: x if x.sum() > 0 else -x)(A)


class TestLengthZero:
    """R24."""

    def test_values_and_dtypes(self):
        found = fg.vmap(np.sin)(np.zeros((0, 3), np.float32))
        assert found.shape == (0, 3) and found.dtype == np.float32
        assert fg.vmap(lambda x: (x.sum(), np.argmax(x)))(np.zeros((0, 3)))[1].dtype == np.int64

    def test_gradient(self):
        found = fg.grad(lambda x: np.sum(fg.vmap(np.sin)(x)))(np.zeros((0, 3)))
        assert found.shape == (0, 3)


class TestComposition:
    def test_nested_over_different_axes(self):
        x = np.arange(24.0).reshape(2, 3, 4)
        f = lambda row, y: np.sum(row) * y
        y = np.arange(8.0).reshape(4, 2)
        inner = fg.vmap(f, in_axes=(1, 0))  # over 4
        found = fg.vmap(inner, in_axes=(0, 1))(x, y)
        np.testing.assert_allclose(found, x.sum(axis=1) * y.T)

    def test_per_example_gradients(self):
        loss = lambda w, x, y: (np.dot(w, x) - y) ** 2
        w, x, y = np.ones(3), A, np.array([1.0, 2.0])
        found = fg.vmap(fg.grad(loss), in_axes=(None, 0, 0))(w, x, y)
        np.testing.assert_allclose(found, 2 * (x @ w - y)[:, None] * x)

    def test_gradient_through_an_unbatched_argument_sums(self):
        loss = lambda w: np.sum(fg.vmap(lambda x: np.dot(w, x))(A))
        np.testing.assert_allclose(fg.grad(loss)(np.ones(3)), A.sum(axis=0))

    def test_loop_over_examples_is_the_meaning(self):
        f = lambda m, v: (np.linalg.solve(m + 5 * np.eye(3), v), np.sort(v)[::-1], np.cumsum(m, 1))
        rng = np.random.default_rng(0)
        m, v = rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 3))
        found = fg.vmap(f)(m, v)
        looped = [f(a, b) for a, b in zip(m, v, strict=True)]
        for out, column in zip(found, zip(*looped, strict=True), strict=True):
            np.testing.assert_allclose(out, np.stack(column))

    def test_captured_traced_value(self):
        """A value of an outer transformation inside an inner vmap."""
        found = fg.grad(lambda w: np.sum(fg.vmap(lambda x: w * x**2)(A)))(2.0)
        np.testing.assert_allclose(found, np.sum(A**2))

    def test_in_place_writes_inside(self):
        def f(x):
            buffer = np.zeros(2, like=x)
            buffer[0] = x
            buffer[1:] += 2 * x
            return buffer

        np.testing.assert_allclose(fg.vmap(f)(np.arange(3.0)), [[0, 0], [1, 2], [2, 4]])
