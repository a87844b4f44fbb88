"""Arguments of compiled functions in any place of memory, and results that belong to nobody else."""

import itertools

import numpy as np
import pytest

import funcgrad as fg
from tests.compiler.programs import bits
from tests.compiler.random_arrays import LAYOUTS, laid_out

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

SHAPES = [
    (),
    (0,),
    (1,),
    (3,),
    (7,),
    (17,),
    (1000,),
    (1003,),
    (0, 3),
    (3, 0),
    (7, 17),
    (3, 1, 5),
    (2, 3, 4, 5),
]
DTYPES = ["float32", "float64", "float16", "int8", "int64", "bool", "complex64"]


def values(shape, dtype):
    return np.random.default_rng(0).integers(-4, 9, shape).astype(dtype)


def assert_fresh(outs, *others):
    arrays = [x for x in outs if isinstance(x, np.ndarray)]
    for x in arrays:
        assert x.flags.owndata and x.flags.writeable and x.flags.c_contiguous and x.flags.aligned
        assert not any(np.shares_memory(x, other) for other in others)
    assert not any(np.shares_memory(x, y) for x, y in itertools.combinations(arrays, 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layouts(shape, dtype):
    """The bits of the results do not depend on where and how an argument lies, nor does it change."""
    f = fg.jit(
        lambda x: (x, x * x, np.sum(x, axis=-1) if x.ndim else x + x, x.T, np.ravel(x)[::-1])
    )
    x = values(shape, dtype)
    expected = [bits(out) for out in f(x)]
    assert expected[:2] == [bits(x), bits(x * x)]
    for layout in LAYOUTS:
        given = laid_out(x, layout)
        before = given.tobytes()
        for _ in range(3):
            outs = f(given)
            assert [bits(out) for out in outs] == expected, layout
            assert_fresh(outs, given)
        assert given.tobytes() == before


def test_overlapping_views_of_one_buffer():
    buffer = np.arange(40.0)
    f = fg.jit(lambda x, y, z: (x + y, y * z, z - x, np.sum(x * y)))
    for x, y, z in [
        (buffer[:20], buffer[1:21], buffer[20:0:-1]),
        (buffer[:20], buffer[:20], buffer[::2]),
        (np.broadcast_to(buffer[:1], (20,)), buffer[10:30], buffer[39:19:-1]),
        (np.lib.stride_tricks.sliding_window_view(buffer, 20)[3], buffer[5:25], buffer[:20]),
    ]:
        outs = f(x, y, z)
        for out, expected in zip(outs, (x + y, y * z, z - x), strict=False):
            np.testing.assert_array_equal(out, expected)
        assert_fresh(outs, buffer)
    np.testing.assert_array_equal(buffer, np.arange(40.0))


def test_overlapping_windows_as_one_argument():
    buffer = np.arange(10.0)
    windows = np.lib.stride_tricks.sliding_window_view(buffer, 4)
    f = fg.jit(lambda x: x * 2 + x[:, ::-1])
    np.testing.assert_array_equal(f(windows), windows * 2 + windows[:, ::-1])


def test_subclasses_and_scalars():
    f = fg.jit(lambda x: x * 2)
    for x in (3, 3.0, np.float32(3), np.array(3.0), np.int8(3)):
        assert f(x) == 6


def test_results_may_be_changed_without_harm():
    w = np.arange(5.0)
    f = fg.jit(lambda x: (x + w, w, x, np.zeros(5) if x.ndim else x))
    x = np.ones(5)
    first = f(x)
    expected = [out.copy() for out in first]
    for out in first:
        out[:] = -1
    assert x.tolist() == [1.0] * 5 and w.tolist() == list(range(5))
    for out, wanted in zip(f(x), expected, strict=True):
        np.testing.assert_array_equal(out, wanted)


def test_captured_arrays_are_read_at_every_call():
    w, strided = np.arange(6.0), np.arange(12.0)[::2]
    f = fg.jit(lambda x: np.sum(x * w) + np.sum(x[:3] * strided[:3]))
    x = np.ones(6)
    for k in range(5):
        w[:], strided[:] = k, k * k
        assert f(x) == 6 * k + 3 * k * k


def test_captured_arrays_in_loops_are_read_at_every_call():
    w = np.zeros((3, 3))
    f = fg.jit(lambda x: fg.lax.fori_loop(0, 3, lambda i, c: w @ c + i, x))
    for k in range(4):
        w[:] = np.eye(3) * k
        expected = np.ones(3)
        for i in range(3):
            expected = w @ expected + i
        np.testing.assert_array_equal(f(np.ones(3)), expected)


def test_donated_arguments_give_the_same_results():
    step = lambda x, y: (x * 2 + y, np.sum(x), x[::-1])
    donating, plain = fg.jit(step, donate_argnums=0), fg.jit(step)
    for n in (3, 17, 1003, 100_000):
        x, y = np.arange(float(n)), np.ones(n)
        expected = [bits(out) for out in plain(x, y)]
        outs = donating(x.copy(), y)
        assert [bits(out) for out in outs] == expected
        assert_fresh([out for out in outs[1:]], y)
