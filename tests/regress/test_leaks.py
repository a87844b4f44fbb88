"""R51, R61: traced values that are used after their trace, or in another thread."""

from __future__ import annotations

import functools
import multiprocessing
import re
import threading

import numpy as np
import pytest

import funcgrad as fg

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

TRANSFORMS = {
    "jit": lambda fun: fg.jit(fun)(np.ones(3)),
    "grad": lambda fun: fg.grad(fun)(np.ones(3)),
    "vmap": lambda fun: fg.vmap(fun)(np.ones((2, 3))),
    "jvp": lambda fun: fg.jvp(fun, (np.ones(3),), (np.ones(3),)),
    "linearize": lambda fun: fg.linearize(fun, np.ones(3)),
    "scan": lambda fun: fg.lax.scan(lambda c, x: (c, fun(x * np.ones(3))), 0.0, np.ones(2)),
}
KEPT = []


def keep(x):
    y = x * 2.0
    KEPT.append(y)
    return np.sum(y)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_R51_use_after_the_trace(name):
    KEPT.clear()
    TRANSFORMS[name](keep)
    with pytest.raises(fg.UnexpectedTracerError) as caught:
        np.sin(KEPT[0])
    message = str(caught.value)
    assert "sin" in message and "np.sin(KEPT[0])" in message
    assert "docs/errors.md#leaked-tracer" in message
    if name not in ("jit", "scan"):
        assert "keep" in message or name in ("vmap", "jvp", "linearize")
    with pytest.raises(fg.UnexpectedTracerError):
        KEPT[0] + 1.0
    with pytest.raises(fg.UnexpectedTracerError):
        fg.jit(lambda x: x + KEPT[0])(np.ones(3))
    with pytest.raises(fg.UnexpectedTracerError):
        fg.jit(lambda x: x)(KEPT[0])
    KEPT.clear()


@pytest.mark.parametrize("name", ["jit", "scan"])
def test_R51_the_message_names_the_function_and_the_line_that_made_it(name):
    KEPT.clear()
    TRANSFORMS[name](keep)
    with pytest.raises(fg.UnexpectedTracerError) as caught:
        np.sin(KEPT[0])
    message = str(caught.value)
    assert re.search(r"made by multiply at test_leaks\.py:\d+  in keep +y = x \* 2\.0", message)
    KEPT.clear()


def test_R51_cached_function_inside_a_trace():
    @functools.lru_cache
    def table(n):
        return np.ones(n, like=KEPT[0])

    def fun(x):
        KEPT[:] = [x]
        return np.sum(x * table(3))

    fg.jit(fun)(np.ones(3))
    with pytest.raises(fg.UnexpectedTracerError):
        fg.jit(lambda x: fun(x))(np.ones(3))
    KEPT.clear()


def test_R51_generators_that_outlive_the_trace():
    def rows(x):
        for i in range(3):
            yield x * i

    held = []

    def fun(x):
        generator = rows(x)
        held.append(generator)
        return np.sum(next(generator))

    fg.jit(fun)(np.ones(3))
    with pytest.raises(fg.UnexpectedTracerError):
        next(held[0])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_R51_checking_leaks_raises_at_the_end_of_the_trace(name):
    KEPT.clear()
    with fg.checking_leaks(), pytest.raises(fg.UnexpectedTracerError) as caught:
        TRANSFORMS[name](keep)
    message = str(caught.value)
    assert re.search(r"test_leaks\.py:\d+  in keep +y = x \* 2\.0", message)
    assert "docs/errors.md#leaked-tracer" in message
    KEPT.clear()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_R51_checking_leaks_is_silent_without_a_leak(name):
    def harmless(x):
        y = x * 2.0
        z = y[1:]
        z *= 3.0
        return np.sum(np.sort(y)) + np.max(z)

    with fg.checking_leaks():
        TRANSFORMS[name](harmless)
        TRANSFORMS[name](lambda x: np.sum(fg.grad(harmless)(x) * x))
        TRANSFORMS[name](lambda x: fg.lax.cond(x[0] > 0, harmless, harmless, x))


def test_R51_checking_leaks_does_not_hide_the_users_error():
    def fails(x):
        KEPT.append(x * 2.0)
        raise KeyError("mine")

    with fg.checking_leaks(), pytest.raises(KeyError, match="mine"):
        fg.jit(fails)(np.ones(3))
    KEPT.clear()


def test_R61_a_tracer_in_another_thread_names_both():
    caught = []

    def fun(x):
        def work():
            try:
                x + 1.0
            except fg.UnexpectedTracerError as error:
                caught.append(str(error))

        thread = threading.Thread(target=work, name="helper")
        thread.start()
        thread.join()
        return np.sum(x)

    for transform in (fg.grad, fg.jit):
        transform(fun)(np.ones(3))
    assert len(caught) == 2
    for message in caught:
        assert "'helper'" in message and "'MainThread'" in message


def test_R61_eight_threads_call_one_function():
    count = []

    @fg.jit
    def fun(x):
        count.append(1)
        return np.sum(x * 2.0)

    results = [None] * 8
    barrier = threading.Barrier(8)

    def work(i):
        barrier.wait()
        results[i] = [fun(np.full(4, float(i))) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[8.0 * i] * 50 for i in range(8)]
    assert len(count) == 1


def test_R61_threads_differentiate_independently():
    results = {}

    def work(n):
        slope = fg.grad(lambda x: np.sum(x**n))
        results[n] = [slope(np.full(2, 2.0)) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, found in results.items():
        np.testing.assert_array_equal(found, np.full((20, 2), n * 2.0 ** (n - 1)))


def child(queue):
    queue.put(float(fg.jit(lambda x: np.sum(x) * 2.0)(np.ones(3))))


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_R61_fork_while_another_thread_compiles():
    context = multiprocessing.get_context("fork")
    inside, leave = threading.Event(), threading.Event()

    @fg.jit
    def slow(x):
        inside.set()
        leave.wait(10.0)
        return x * 3.0

    compiling = threading.Thread(target=slow, args=(np.ones(2),))
    compiling.start()
    inside.wait(10.0)
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=20.0) == 6.0
    process.join(20.0)
    leave.set()
    compiling.join()
    assert process.exitcode == 0
