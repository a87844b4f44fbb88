"""Kernels that are divided among threads write the elements of their results, and nothing beside them."""

import numpy as np
import pytest

from funcgrad.compiler.lowering.schedule import LONG_CHUNK_WORK
from funcgrad.compiler.native import compile_native, pointers
from funcgrad.compiler.stages import fuse, lower, plan
from tests.compiler.programs import recorded

MARGIN = 4096


@pytest.mark.parametrize("size", [360_000, 262_144, 262_145, 300_001])
@pytest.mark.parametrize("terms", range(1, 13))
def test_no_element_beyond_the_end(size, terms):
    """Bodies of all lengths, for the number of vectors in a turn of the loop depends on that."""

    def f(*xs):
        total = xs[0]
        for k in range(terms):
            total = total * np.float32(0.5) - xs[k % len(xs)]
        return total, total + xs[-1]

    xs = [np.arange(size, dtype=np.float32) % (7 + k) for k in range(3)]
    compiled = compile_native(recorded(f, *xs))
    assert compiled is not None
    frames = [np.full(size + 2 * MARGIN, 12345, np.float32) for _ in range(2)]
    outputs = [frame[MARGIN:-MARGIN] for frame in frames]
    compiled.run(pointers(xs), pointers(outputs))
    for frame, found, expected in zip(frames, outputs, f(*xs), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert (frame[:MARGIN] == 12345).all() and (frame[-MARGIN:] == 12345).all()


@pytest.mark.parametrize("axis", [(), (0,), (1,), (0, 1)])
def test_ctrl_c_is_looked_for_in_long_kernels(axis):
    """Between chunks, so none may be long."""

    def f(x):
        for k in range(20):
            x = np.sin(x + k)
        return np.sum(x, axis)

    planned = plan(fuse(lower(recorded(f, np.broadcast_to(np.float32(1), (200_000, 1000))))))
    for schedule in planned.schedules.values():
        work = 200_000 * 1000 * max(1, schedule.cost)
        assert work > 100 * LONG_CHUNK_WORK
        assert schedule.chunk_count() * LONG_CHUNK_WORK * 1.1 > work
