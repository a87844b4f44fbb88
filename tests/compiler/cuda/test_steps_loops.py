"""Loops and branches on the emulated device: repeated by the host, or whole in one block of threads."""

import numpy as np
import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

import funcgrad as fg  # noqa: E402
from funcgrad import lax  # noqa: E402
from funcgrad.compiler.cuda.steps import blocks  # noqa: E402
from funcgrad.ops import gather, scatter  # noqa: E402
from tests.compiler.cuda.step_rows import check, numbers, pulled, row  # noqa: E402
from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


def recurrent(w, h, xs):
    def step(h, x):
        h = np.tanh(h @ w + x)
        return h, h.sum(-1)

    return lax.scan(step, h, xs)


def shrink(x):
    return lax.while_loop(lambda c: np.sum(c * c) > 1.0, lambda c: np.sin(c) * 0.9, x)


def counted(x):
    test = lambda c: np.logical_and(np.sum(c[0] ** 2) > 1.0, c[1] < 9)
    return lax.while_loop(test, lambda c: (c[0] * 0.7, c[1] + 1), (x, np.int64(0)))


def counting(x):
    """How often the loop of `shrink` runs is asked for, but none of what it computes on the way."""
    grown = lambda c: lax.while_loop(
        lambda c: c[1].sum() < 50.0, lambda c: (c[0] + 1, c[1] + 2.0), c
    )
    out, pull = fg.vjp(lambda x: grown((x, abs(x)))[0], x)
    return out, pull(out)


def remembering(c, xs):
    """What is carried is stacked as well, before and after it is changed."""

    def step(c, x):
        changed = np.sin(c) + x
        return changed, (c, changed)

    return lax.scan(step, c, xs)


def updating(c):
    step = lambda c, i: (lax.dynamic_update_slice(c, c[:1] + 1.0, (i,)), c)
    return lax.scan(step, c, fg.numpy.arange(5))


def chosen(p, x):
    return lax.cond(p.sum() > 0, lambda x: np.sin(x) @ x, lambda x: x * 2 @ x, x)


def swapping(a, b, xs):
    return lax.scan(lambda c, x: ((c[1], c[0] + x), c[0]), (a, b), xs)


def backward(c, xs):
    return lax.scan(lambda c, x: (c * 0.9 + x, c), c, xs, reverse=True)


def windows(c):
    def step(c, i):
        part = lax.dynamic_slice(c, (i,), (2,)) * 2.0
        return lax.dynamic_update_slice(c, part, (i,)), None

    return lax.scan(step, c, fg.numpy.arange(5))[0]


def changing(c, indices):
    ways = {"labels": (0,), "drop": True, "unique": False}

    def step(c, index):
        zeros = fg.numpy.zeros(9, np.float32)
        added = gather.SCATTER_ADD(zeros, c[:5] * 0.5, index, **ways)
        c = scatter.SCATTER_SET(c, added[:5], index, **ways)
        return gather.SCATTER_ADD(c, c[:1], index[:1], **ways), added

    return lax.scan(step, c, indices)


def nested(w, x):
    def outer(c, x):
        c, _ = lax.scan(lambda c, _: (np.tanh(c @ w), None), c + x, None, length=3)
        return c, shrink(c)

    return lax.scan(outer, x[0], x)


def inverses(c, eye):
    return lax.scan(lambda c, x: (np.linalg.inv(c + x), None), c, eye)[0]


def rows():
    w, h, xs = numbers((8, 8)), numbers((3, 8), seed=1), numbers((5, 3, 8), seed=2)
    yield row("recurrent", recurrent, w, h, xs)
    yield row("its gradient", pulled(recurrent, 0, 1, 2), w, h, xs, tolerance=2e4)
    line = numbers(30, scale=3.0)
    yield row("while", shrink, line)
    yield row("while, two carried", counted, line)
    yield row("while, tangent", lambda x: fg.jvp(shrink, (x,), (x,)), line, tolerance=2e4)
    yield row("while, counted", counting, line)
    yield row("while, gradient", pulled(shrink, 0), line, tolerance=2e4)
    square = numbers((4, 4))
    for sign in (1, -1):
        yield row(f"branch {sign}", chosen, np.float32([sign]), square)
        yield row(f"its gradient {sign}", pulled(chosen, 1), np.float32([sign]), square)
    yield row("swapping", swapping, numbers(4), numbers(4, seed=1), numbers((6, 4)))
    yield row("swapping, odd", swapping, numbers(4), numbers(4, seed=1), numbers((7, 4)))
    yield row("backward", backward, numbers(4), numbers((7, 4)))
    yield row("no iterations", backward, numbers(4), numbers((0, 4)))
    yield row("windows", windows, numbers(8))
    yield row("carried and stacked", remembering, numbers((5, 7)), numbers((6, 5, 7)))
    yield row("changed in place and stacked", updating, numbers(8))
    indices = np.random.default_rng(0).integers(-10, 9, (6, 5))
    yield row("changed elements", changing, numbers(9), indices)
    yield row("nested", nested, numbers((6, 6)), numbers((4, 6)))
    yield row("library", inverses, numbers((3, 3)), np.stack([np.eye(3, dtype="f4") * 5] * 3))


@pytest.mark.parametrize("order", [0, 1])
def test_loops_in_a_block(order):
    check(rows(), order)


def test_loops_of_the_host(monkeypatch):
    monkeypatch.setattr(blocks, "MOST_POINTS", -1)
    check(rows(), 1)


def test_larger_products_in_a_block():
    """Threads compute tiles, or share long sums; sizes that tiles do not divide."""

    def step(c, w):
        h = np.maximum(c @ w, 0)
        return h @ w.T * 0.1, (h[:, :1].T @ h).sum()

    args = numbers((33, 50), scale=0.3), numbers((2, 50, 65), scale=0.3)
    check([row("tiles", lambda c, ws: lax.scan(step, c, ws), *args, tolerance=2e4)], 1)


def launches(f, *args):
    with emulated() as device:
        jitted = fg.jit(f)
        arrays = [put(x) for x in args]
        jitted(*arrays)
        before = device.launches
        jitted(*arrays)
        return device.launches - before


def test_a_small_loop_is_one_launch():
    w, h, xs = numbers((8, 8)), numbers((3, 8)), numbers((5, 3, 8))
    assert launches(recurrent, w, h, xs) == 1
    assert launches(pulled(recurrent, 0, 1, 2), w, h, xs) == 1
    assert launches(shrink, numbers(30)) == 1
    indices = np.random.default_rng(0).integers(-10, 9, (6, 5))
    assert launches(changing, numbers(9), indices) == 1
    assert launches(nested, numbers((6, 6)), numbers((4, 6))) == 1


def test_what_is_carried_and_stacked_is_written_twice_by_one_kernel(monkeypatch):
    monkeypatch.setattr(blocks, "MOST_POINTS", -1)
    assert launches(remembering, numbers((5, 7)), numbers((6, 5, 7))) == 6 + 1


def test_what_is_large_is_launched_for_each_iteration():
    w, h, xs = numbers((8, 8)), numbers((3000, 8)), numbers((4, 3000, 8))
    assert launches(recurrent, w, h, xs) > 4
