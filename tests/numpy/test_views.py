"""Random programs of views and writes: what NumPy shares, traced values share (A6)."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from funcgrad.transforms.grad import grad, vjp
from funcgrad.transforms.jit import jit
from tests.numpy.modes import MODES

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

SHAPE = (2, 3, 4)
START = np.arange(24.0).reshape(SHAPE)


@st.composite
def slices(draw, rank):
    steps = st.sampled_from([None, 1, 2, -1, -2])
    bounds = st.sampled_from([None, None, 0, 1, -1])
    entry = st.builds(slice, bounds, bounds, steps) | st.sampled_from([0, -1])
    return (
        *draw(st.lists(entry, max_size=rank)),
        *draw(st.sampled_from([(), (Ellipsis,), (None,)])),
    )


@st.composite
def view_steps(draw, array):
    """A function that makes a view (or a copy) of an array of this shape."""
    kind = draw(
        st.sampled_from(
            ["slice", "transpose", "reshape", "ravel", "flip", "swap", "expand", "F", "copy"]
        )
    )
    if not array.size:
        return np.copy
    if kind == "slice":
        key = draw(slices(array.ndim))
        return lambda x: x[key] if x.ndim else x
    if kind == "transpose":
        order = draw(st.permutations(range(array.ndim)))
        return lambda x: x.transpose(order)
    if kind == "reshape":
        rows = draw(st.sampled_from([n for n in range(1, 25) if array.size % n == 0] or [1]))
        return lambda x: x.reshape(rows, -1)
    if kind == "expand":
        place = draw(st.integers(0, array.ndim))
        return lambda x: np.expand_dims(x, place)
    if kind == "swap":
        return lambda x: np.swapaxes(x, 0, -1) if x.ndim else x
    return {
        "ravel": lambda x: x.ravel(),
        "flip": np.flip,
        "F": lambda x: x.reshape(-1, order="F"),
        "copy": lambda x: x.copy(),
    }[kind]


def assign(x, value):
    x[...] = value


def assign_first(x, value):
    if x.ndim and len(x):
        x[0] = value


def add_in_place(x, value):
    if x.ndim:
        x += value


def scale_out(x, value):
    np.multiply(x, value, out=x)


WRITES = [assign, assign_first, add_in_place, scale_out]


@st.composite
def programs(draw):
    """Steps (source, function) that append to a list of arrays, and steps (target, write, value)."""
    arrays = [START.copy()]
    steps = []
    for number in range(draw(st.integers(2, 8))):
        chosen = draw(st.integers(0, len(arrays) - 1))
        if draw(st.booleans()):
            make = draw(view_steps(arrays[chosen]))
            steps.append((chosen, make, None))
            arrays.append(np.asarray(make(arrays[chosen])))
        elif isinstance(arrays[chosen], np.ndarray) and arrays[chosen].ndim:
            steps.append((chosen, draw(st.sampled_from(WRITES)), float(number + 2)))
    return steps


def run(steps, x):
    arrays = [x.copy()]
    for chosen, function, value in steps:
        if value is None:
            arrays.append(function(arrays[chosen]))
        else:
            function(arrays[chosen], value)
    return np.concatenate([np.ravel(array) * (i + 1.0) for i, array in enumerate(arrays)])


@settings(max_examples=200)
@given(programs())
def test_random_views_and_writes(steps):
    wanted = run(steps, START)
    out, _ = vjp(lambda x: run(steps, x), START)
    np.testing.assert_array_equal(out, wanted)


@settings(max_examples=30)
@given(programs())
def test_random_views_and_writes_compiled(steps):
    np.testing.assert_array_equal(jit(lambda x: run(steps, x))(START), run(steps, START))
    gradient = grad(lambda x: run(steps, x).sum())(START)
    step = run(steps, START + 1.0).sum() - run(steps, START).sum()
    assert np.isclose(gradient.sum(), step)


@pytest.mark.parametrize("mode", MODES)
def test_reshape_of_a_transposed_array_is_a_copy(mode):
    def program(x):
        y = x.copy()
        y.T.reshape(-1)[0] = 100.0
        y.T.ravel()[:] = 100.0
        y[:, ::2].reshape(-1)[0] = 100.0
        np.flip(y).ravel()[0] = 100.0
        number = y[0, 0]
        number.reshape(1)[0] = 100.0
        y[0, 0] = number + 1.0
        np.flip(y).reshape(-1)[2] = 6.0
        y.T.flat[1] = 7.0
        y.T[:, None].reshape(4, 3)[0, 1] = 8.0
        return y

    matrix = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(MODES[mode](program, matrix), program(matrix))


@pytest.mark.parametrize("mode", MODES)
def test_views_without_a_way_back(mode):
    def read_later(x):
        y = x.copy()
        diagonal, wide = np.diagonal(y), np.broadcast_to(y[0], (2, 4))
        y[0] = -1.0
        return diagonal.sum() + wide.sum()

    matrix = np.arange(12.0).reshape(3, 4)
    assert MODES[mode](read_later, matrix) == read_later(matrix)
    for view in (np.diagonal, lambda x: np.broadcast_to(x, (2, 3, 4))):

        def write(x, view=view):
            view(x.copy())[0] = 0.0

        with pytest.raises(ValueError, match="view|read-only"):
            MODES[mode](write, matrix)
