"""R28-R32: gather and scatter, repeated and wrong indices, masks."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.ops.at import at
from tests.regress.everywhere import check_gradient, check_gradients, check_value

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

TWICE = np.array([0, 0])


def test_R28_repeated_gather_indices():
    check_gradient(lambda x: np.sum(x[[0, 0, 1]]), np.zeros(3), [2.0, 1.0, 0.0])
    check_gradient(lambda x: np.sum(np.take(x, [0, 0, 1])), np.zeros(3), [2.0, 1.0, 0.0])
    index = np.array([[0, 0, 1]])
    check_gradient(
        lambda x: np.sum(np.take_along_axis(x, index, axis=1)), np.zeros((1, 3)), [[2.0, 1.0, 0.0]]
    )


def test_R29_last_of_repeated_updates_is_set():
    update = lambda v: at(np.zeros(2)).__getitem__(TWICE).set(v)
    check_value(update, np.array([1.0, 2.0]), expected=[2.0, 0.0])
    check_gradient(lambda v: np.sum(update(v)), np.array([1.0, 2.0]), [0.0, 1.0])


def test_R29_repeated_updates_add():
    check_gradient(
        lambda v: np.sum(at(np.zeros(2))[TWICE].add(v)), np.array([1.0, 2.0]), [1.0, 1.0]
    )


def test_R29_repeated_updates_multiply_and_take_the_maximum():
    check_gradient(lambda v: np.sum(at(np.ones(1))[TWICE].mul(v)), np.array([0.0, 5.0]), [5.0, 0.0])
    check_gradient(
        lambda v: np.sum(at(np.zeros(1))[TWICE].max(v)), np.array([5.0, 5.0]), [0.5, 0.5]
    )


def test_R29_gradient_of_what_is_overwritten():
    x, v = np.array([3.0, 4.0]), np.array([1.0, 2.0])
    check_gradients(
        lambda x, v: np.sum(at(x)[TWICE].set(v) * np.array([1.0, 10.0])),
        x,
        v,
        expected=([0.0, 10.0], [0.0, 1.0]),
    )


X = np.arange(5.0)
OUT_OF_BOUNDS = {
    "integer": (lambda x, i: x[i], 7),
    "negative": (lambda x, i: x[i], -8),
    "array": (lambda x, i: x[i[None] if hasattr(i, "shape") else [i]], 7),
    "take": (lambda x, i: fnp.take(x, fnp.stack([0, i])), 7),
    "at set": (lambda x, i: at(x)[i].set(1.0), 7),
    "at add": (lambda x, i: at(x)[i].add(1.0), 7),
    "dynamic_slice": (lambda x, i: fg.lax.dynamic_slice(x, (i,), (3,)), 4),
}


@pytest.mark.parametrize("name", OUT_OF_BOUNDS)
def test_R30_out_of_bounds_eager(name):
    fun, index = OUT_OF_BOUNDS[name]
    with pytest.raises(IndexError, match=f"{index}.*axis 0.*size 5"):
        fun(X, index)


@pytest.mark.parametrize("name", OUT_OF_BOUNDS)
def test_R31_out_of_bounds_compiled(name):
    fun, index = OUT_OF_BOUNDS[name]
    compiled = fg.jit(fun)
    assert compiled(X, 1) is not None
    with pytest.raises(IndexError, match=f"index {index} is out of bounds for axis 0 with size 5"):
        compiled(X, index)
    assert compiled(X, 1) is not None


def test_R31_the_compiled_error_names_the_users_line():
    def pick(x, i):
        y = x * 2.0
        return fg.lax.scan(lambda c, j: (c, y[i + j]), 0.0, np.arange(2))[1]

    batched = fg.jit(fg.vmap(pick, (None, 0)))
    for fun, index in [(fg.jit(pick), 9), (fg.jit(lambda x, i: pick(x, i)), 9), (batched, [9])]:
        with pytest.raises(IndexError) as caught:
            fun(X, np.array(index))
        notes = caught.value.__notes__
        assert any("in compiled code for" in note and "y[i + j]" in note for note in notes)


@pytest.mark.parametrize("name", OUT_OF_BOUNDS)
def test_R31_out_of_bounds_batched_and_differentiated(name):
    fun, index = OUT_OF_BOUNDS[name]
    with pytest.raises(IndexError, match=f"index {index} is out of bounds for axis 0 with size 5"):
        fg.vmap(fun)(np.stack([X, X]), np.array([1, index]))
    with pytest.raises(IndexError, match=f"index {index} is out of bounds for axis 0 with size 5"):
        fg.grad(lambda x, i: np.sum(fun(x, i)))(X, index)


def test_R31_constant_index_out_of_bounds_while_tracing():
    for wrap in (fg.jit, fg.grad, lambda f: lambda x: fg.vmap(f)(x[None])):
        with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 5"):
            wrap(lambda x: x[7])(X)


@pytest.mark.parametrize(
    ("mode", "value", "gradient"),
    [
        ("fill", np.nan, [0.0, 0.0, 0.0, 0.0, 0.0]),
        ("clip", 4.0, [0.0, 0.0, 0.0, 0.0, 1.0]),
        ("wrap", 2.0, [0.0, 0.0, 1.0, 0.0, 0.0]),
    ],
)
def test_R31_modes_of_reading(mode, value, gradient):
    read = lambda x, i: at(x)[i].get(mode=mode)
    check_value(read, X, 7, expected=value)
    check_gradient(lambda x: read(x, 7), X, gradient)
    check_gradient(lambda x: np.sum(read(x, np.array([7, 7]))), X, 2 * np.array(gradient))


@pytest.mark.parametrize(
    ("mode", "changed", "gradient"),
    [("drop", None, [0.0, 1.0]), ("clip", 4, [1.0, 1.0]), ("wrap", 2, [1.0, 1.0])],
)
def test_R31_modes_of_writing(mode, changed, gradient):
    write = lambda v: at(X)[np.array([7, 0])].set(v, mode=mode)
    expected = X.copy()
    expected[0] = 9.0
    if changed is not None:
        expected[changed] = 8.0
    check_value(write, np.array([8.0, 9.0]), expected=expected)
    check_gradient(lambda v: np.sum(write(v)), np.array([8.0, 9.0]), gradient)


def test_R32_mask_in_eager_code_and_in_grad():
    x = np.array([-1.0, 2.0, 3.0])
    fun = lambda x: np.sum(x[x > 0] ** 2)
    np.testing.assert_array_equal(fg.grad(fun)(x), [0.0, 4.0, 6.0])
    np.testing.assert_array_equal(fg.jvp(fun, (x,), (np.ones(3),))[1], 10.0)


@pytest.mark.parametrize(
    "transform", [fg.jit, lambda f: lambda x: fg.vmap(f)(x[None]), lambda f: fg.jit(fg.grad(f))]
)
def test_R32_mask_in_compiled_and_batched_code(transform):
    fun = lambda x: np.sum(x[x > 0])
    with pytest.raises(fg.NonConcreteBooleanIndexError) as caught:
        transform(fun)(np.array([-1.0, 2.0]))
    message = str(caught.value)
    assert "np.where" in message and "size=" in message
    assert "fun = lambda x: np.sum(x[x > 0])" in message
    assert "docs/errors.md#boolean-index" in message


def test_R32_writing_through_a_mask_works_everywhere():
    def clipped(x):
        x = x * 1.0
        x[x < 0] = 0.0
        return np.sum(x**2)

    check_gradient(clipped, np.array([-1.0, 2.0]), [0.0, 4.0])
