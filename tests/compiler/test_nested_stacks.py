"""Stacks of unknown length that go in and out of loops and branches: machine code for gradients of nested loops."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.control.cond import COND
from funcgrad.control.scan import SCAN
from funcgrad.control.while_loop import WHILE
from funcgrad.ir.builder import close_program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.run_time import ADD_STACKS, MASK_STACK, REPEAT_STACK, SUM_STACK, empty_stack
from funcgrad.ops.shape import transpose
from funcgrad.test_util import check_grads
from tests.compiler.native import check
from tests.compiler.nestings import DERIVATIVES, NESTINGS, in_scan, newton, random_nesting

pytest.importorskip("llvmlite")
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

SCALAR = ArrayType((), np.int64)


class TestNestings:
    @pytest.mark.parametrize("derivative", DERIVATIVES)
    @pytest.mark.parametrize("name", NESTINGS)
    def test_machine_code_and_interpreter(self, name, derivative):
        f, x = NESTINGS[name]
        check(DERIVATIVES[derivative](f), x, rtol=1e-8)

    @pytest.mark.parametrize("name", NESTINGS)
    def test_finite_differences(self, name):
        f, x = NESTINGS[name]
        check_grads(fg.jit(f), (x,), order=1, rtol=1e-4, atol=1e-4)
        slope = fg.jit(fg.grad(f))(x)
        step = 1e-6 * np.ones_like(x)
        moved = (f(x + step) - f(x - step)) / 2e-6
        np.testing.assert_allclose(np.sum(slope), moved, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("name", NESTINGS)
    def test_examples_are_independent(self, name):
        f, x = NESTINGS[name]
        xs = np.stack([x, x * 1.4, x * 0.2])
        expected = np.stack([fg.grad(f)(x) for x in xs])
        np.testing.assert_allclose(fg.jit(fg.vmap(fg.grad(f)))(xs), expected, rtol=1e-8)
        twice = fg.jit(fg.vmap(fg.vmap(fg.grad(f))))(np.stack([xs, xs[::-1]]))
        np.testing.assert_allclose(twice, [expected, expected[::-1]], rtol=1e-8)
        second = fg.grad(lambda x: np.sum(np.sin(fg.grad(f)(x))))
        expected = np.stack([second(x) for x in xs])
        np.testing.assert_allclose(fg.jit(fg.vmap(second))(xs), expected, rtol=1e-7, atol=1e-9)

    @pytest.mark.parametrize("derivative", [name for name in DERIVATIVES if name.count("of") < 2])
    @pytest.mark.parametrize("seed", range(5))
    def test_random(self, seed, derivative):
        f, x = random_nesting(seed)
        check(DERIVATIVES[derivative](f), x, rtol=1e-7)

    @pytest.mark.parametrize("dtype", [np.float32, np.complex128])
    def test_dtypes(self, dtype):
        def f(x):
            step = lambda c, y: (np.sin(root(c)) + y.astype(dtype), c)
            c, ys = lax.scan(step, x, np.arange(1.0, 4.0))
            return np.real(c + np.sum(ys))

        def root(a):
            going = lambda s: np.abs(s * s - a) > 1e-3
            return lax.while_loop(going, lambda s: (s + a / s) * dtype(0.5), a)

        x = dtype(2.0)
        for g in (fg.grad(f), lambda x: fg.vmap(fg.grad(f))(np.stack([x, 3 * x]))):
            check(g, x, rtol=1e-4)

    def test_no_examples(self):
        check(fg.vmap(fg.grad(in_scan)), np.zeros(0))

    def test_inspection_shows_machine_code(self):
        found = fg.debug.inspect(fg.grad(in_scan), 4.3)
        assert found.llvm is not None and "fg_append_stack" in found.llvm
        assert found.kernels is not None and "while" in found.kernels

    def test_what_stays_in_python_is_one_step(self):
        """A loop that Python has to run, beside one that it has not."""

        def f(x):
            inner = lambda c, y: (fg.debug.callback(lambda v: None, c) or newton(c + y), None)
            return newton(lax.scan(inner, x, np.arange(3.0))[0])

        check(fg.grad(f), 4.3, rtol=1e-12, libraries=1)


# --- operations on stacks, also of stacks ---


def stacked(count, x, shape=(2, 3), scale=1.0):
    """A stack of `count` arrays, as a `while_loop` keeps them."""
    going = close_program(lambda count, i: [i < count], [SCALAR, SCALAR], "going")

    def step(x, i):
        row = fg.numpy.arange(np.prod(shape, dtype=int)).reshape(shape) * 0.1 + x * (i + 1)
        return [i + 1, np.sin(row * scale)]

    body = close_program(step, [ArrayType((), np.float64), SCALAR], "step")
    return WHILE(
        count, x, np.int64(0), cond=going, body=body, num_cond=1, num_body=1, collect=True
    )[1:]


def nested(x, shape=(2, 3), scale=1.0):
    """Stacks of 1, 2, ... 4 arrays, in a stack, and the lengths."""
    types = [ArrayType((), np.float64), SCALAR]
    make = lambda x, i: stacked(i % 5, x * (i + 1), shape, scale)
    body = close_program(make, types, "make")
    found = SCAN(
        x, np.array([1, 2, 0, 4]),
        body=body, num_consts=1, num_carry=0, length=4, reverse=False,
    )  # fmt: skip
    return found


def total(stack, count, shape):
    """A sum over a stack in which each element has its own weight."""
    types = [ArrayType((), np.float64), ArrayType(shape, np.float64)]
    weigh = lambda c, x: [c * 0.9 + np.sum(x * np.cos(fg.numpy.arange(x.size)).reshape(x.shape))]
    body = close_program(weigh, types, "weigh")
    return SCAN(
        count, 0.5, stack, body=body, num_consts=0, num_carry=1, length=None, reverse=False
    )[0]


def nested_total(stack, counts, shape):
    """The same for a stack of stacks."""
    types = [ArrayType((), np.float64), ArrayType((None, *shape), np.float64), SCALAR]
    inner = lambda c, x, count: [c * 1.1 + total(x, count, shape)]
    body = close_program(inner, types, "inner")
    params = {"num_consts": 0, "num_carry": 1, "length": 4, "reverse": False}
    return SCAN(np.float64(0.3), stack, counts, body=body, **params)[0]


COUNTS = (0, 1, 5, 100)


class TestOperations:
    @pytest.mark.parametrize("count", COUNTS)
    def test_axes_in_another_order(self, count):
        def f(x, count):
            stack, n = stacked(count, x)
            moved = transpose(transpose(stack, (1, 0, 2)), (1, 2, 0))
            return total(moved, n, (3, 2))

        def expected(x):
            found = 0.5
            for i in range(count):
                row = np.sin(np.arange(6).reshape(2, 3) * 0.1 + x * (i + 1)).T
                found = found * 0.9 + np.sum(row * np.cos(np.arange(6)).reshape(3, 2))
            return found

        check(f, 0.7, np.int64(count), rtol=1e-12)
        np.testing.assert_allclose(fg.jit(f)(0.7, np.int64(count)), expected(0.7))

    @pytest.mark.parametrize("count", COUNTS)
    @pytest.mark.parametrize("axis", [1, 2, 3])
    def test_repeated(self, count, axis):
        def f(x, count):
            stack, n = stacked(count, x)
            shape = [2, 3]
            shape.insert(axis - 1, 4)
            return total(REPEAT_STACK(stack, axis=axis, size=4), n, tuple(shape))

        check(f, 0.7, np.int64(count), rtol=1e-12)

    @pytest.mark.parametrize("count", COUNTS)
    @pytest.mark.parametrize("axis", [1, 2])
    def test_summed(self, count, axis):
        def f(x, count):
            stack, n = stacked(count, x)
            shape = (3,) if axis == 1 else (2,)
            return total(SUM_STACK(stack, axis=axis, size=5 - sum(shape)), n, shape)

        check(f, 0.7, np.int64(count), rtol=1e-12)

    @pytest.mark.parametrize("axes", [(), (1,), (2,), (2, 1)])
    @pytest.mark.parametrize("count", COUNTS)
    def test_masked(self, count, axes):
        def f(x, count, mask):
            stack, n = stacked(count, x)
            return total(MASK_STACK(mask, stack, axes=axes), n, (2, 3))

        shape = tuple((None, 2, 3)[axis] for axis in axes)
        mask = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2 == 1
        check(f, 0.7, np.int64(count), mask, rtol=1e-12)
        check(lambda *args: fg.grad(f)(*args), 0.7, np.int64(count), ~mask, rtol=1e-12)

    @pytest.mark.parametrize("axes", [(0,), (2,), (2, 0)])
    def test_stacks_of_stacks_masked(self, axes):
        def f(x, mask):
            stack, counts = nested(x)
            return nested_total(MASK_STACK(mask, stack, axes=axes), counts, (2, 3))

        shape = tuple((4, None, 2, 3)[axis] for axis in axes)
        mask = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3 != 1
        check(f, 0.7, mask, rtol=1e-12)

    @pytest.mark.parametrize("count", COUNTS)
    def test_added(self, count):
        def f(x, count):
            a, n = stacked(count, x)
            b, _ = stacked(count, x, scale=2.0)
            nothing = empty_stack(ArrayType((None, 2, 3), np.float64))
            whole = ADD_STACKS(ADD_STACKS(a, nothing), ADD_STACKS(nothing, b))
            return total(whole, n, (2, 3)) + total(ADD_STACKS(nothing, nothing), n, (2, 3))

        check(f, 0.7, np.int64(count), rtol=1e-12)

    def test_stacks_of_stacks_are_added(self):
        def f(x):
            a, counts = nested(x)
            b, _ = nested(x, scale=2.0)
            nothing = empty_stack(ArrayType((4, None, 2, 3), np.float64))
            whole = ADD_STACKS(ADD_STACKS(a, nothing), ADD_STACKS(nothing, b))
            return nested_total(whole, counts, (2, 3)) + nested_total(nothing, counts, (2, 3))

        check(f, 0.7, rtol=1e-12)

    def test_stacks_of_stacks_in_another_order(self):
        def f(x):
            stack, counts = nested(x)
            moved = transpose(transpose(stack, (0, 2, 3, 1)), (0, 3, 2, 1))
            return nested_total(moved, counts, (3, 2))

        check(f, 0.7, rtol=1e-12)

    def test_stacks_of_stacks_repeated_and_summed(self):
        def f(x):
            stack, counts = nested(x)
            first = REPEAT_STACK(stack, axis=1, size=3)
            last = REPEAT_STACK(transpose(first, (0, 2, 1, 3, 4)), axis=4, size=2)
            back = SUM_STACK(SUM_STACK(last, axis=4, size=2), axis=2, size=3)
            through = SUM_STACK(first, axis=1, size=3)
            return nested_total(back, counts, (2, 3)) + nested_total(through, counts, (2, 3))

        check(f, 0.7, rtol=1e-12)

    @pytest.mark.parametrize("count", COUNTS)
    @pytest.mark.parametrize("is_dynamic", [False, True])
    def test_carried(self, count, is_dynamic):
        """Stacks of which two change places, for some iterations."""
        stack = ArrayType((None, 2, 3), np.float64)
        turn = lambda a, b, c: [b, a, ADD_STACKS(a, c)]
        body = close_program(turn, [stack] * 3, "turn")
        length = None if is_dynamic else 5
        params = {"num_consts": 0, "num_carry": 3, "length": length, "reverse": False}

        def f(x, count):
            a, n = stacked(count, x)
            b, _ = stacked(count, x, scale=2.0)
            head = [np.int64(5)] if is_dynamic else []
            a, b, c = SCAN(*head, a, b, a, body=body, **params)
            return total(a, n, (2, 3)) + 2 * total(b, n, (2, 3)) + 3 * total(c, n, (2, 3))

        check(f, 0.7, np.int64(count), rtol=1e-12)

    def test_stacks_of_which_some_are_empty(self):
        """Also those with known axes before the one of unknown length."""
        kind = ArrayType((2, 3, None), np.float64)
        types = [ArrayType((), np.float64), SCALAR]
        branches = (
            close_program(lambda x, i: [transpose(stacked(i, x)[0], (1, 2, 0))], types, "some"),
            close_program(lambda x, i: [empty_stack(kind)], types, "none"),
        )
        body = close_program(lambda x, i: COND(i % 2, x, i, branches=branches), types, "body")

        def f(x, counts):
            params = {"num_consts": 1, "num_carry": 0, "length": 4, "reverse": False}
            (stack,) = SCAN(x, counts, body=body, **params)
            moved = transpose(stack, (0, 3, 2, 1))
            return nested_total(ADD_STACKS(moved, moved), counts, (3, 2))

        check(f, 0.7, np.array([2, 1, 4, 3]), rtol=1e-12)

    def test_arrays_without_elements_stand_for_zeros(self):
        """Such as the residuals of a loop that a branch of an earlier call did not run."""

        def f(x, count):
            types = [ArrayType((), np.float64), ArrayType((2, 3), np.float64)]
            body = close_program(lambda c, y: [c + np.cos(np.sum(y)), y + c], types, "body")
            params = {"num_consts": 0, "num_carry": 1, "length": None, "reverse": False}
            c, stack = SCAN(count, x, np.zeros((0, 2, 3)), body=body, **params)
            return c, total(stack, count, (2, 3))

        check(f, 0.7, np.int64(5), rtol=1e-12)

    def test_stacks_of_no_iterations(self):
        def f(x):
            types = [ArrayType((), np.float64), SCALAR]
            body = close_program(lambda x, i: stacked(i, x), types, "make")
            params = {"num_consts": 1, "num_carry": 0, "length": 0, "reverse": False}
            stack, _ = SCAN(x, np.zeros(0, np.int64), body=body, **params)
            whole = ADD_STACKS(transpose(stack, (0, 2, 3, 1)), transpose(stack, (0, 2, 3, 1)))
            counts = np.array([1, 2, 0, 3])
            return nested_total(transpose(whole, (0, 3, 1, 2)), counts, (2, 3))

        check(f, 0.7, rtol=1e-12)


# --- memory ---


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def long_inner_loop(a, limit=60.0):
    """Whose gradient keeps a few numbers for each of 60 iterations."""
    going = lambda s: s[0] < limit
    return lax.while_loop(going, lambda s: (s[0] + 1.0, np.sin(s[1] * a)), (0.0, a))[1]


def nested_gradient(a):
    inner = lambda b: lax.scan(
        lambda c, y: (long_inner_loop(c * y), None), b, np.array([0.5, 0.9])
    )[0]
    return fg.grad(inner)(a)


needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@needs_linux
class TestMemory:
    def test_a_loop_with_a_gradient_in_each_iteration(self):
        """It would grow by some 200 MB if each iteration left its stacks behind."""
        run = fg.jit(lambda x, n: lax.fori_loop(0, n, lambda i, c: 0.5 * c + nested_gradient(c), x))
        run(0.7, 10)
        before = resident_bytes()
        assert np.isfinite(run(0.7, 100_000))
        assert resident_bytes() - before < 20 << 20

    def test_calls_leave_nothing(self):
        slope = fg.jit(fg.vmap(fg.grad(lambda a: np.sum(in_scan(a)))))
        xs = np.linspace(1.0, 9.0, 1000)
        slope(xs)
        before = resident_bytes()
        for _ in range(100):
            slope(xs)
        assert resident_bytes() - before < 20 << 20

    def test_errors_leave_nothing(self):
        def stop(x):
            if np.isnan(x):
                raise RuntimeError("this is no number")

        def body(c, y):
            last = long_inner_loop(c * y, 40_000.0)
            fg.debug.callback(stop, last * y)
            return last, c

        f = fg.jit(fg.grad(lambda a, ys: lax.scan(body, a, ys)[0]))
        ys = np.array([0.5, 0.6, 0.7, np.nan])
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no number"):
                f(0.5, ys)
        before = resident_bytes()
        for _ in range(20):
            with pytest.raises(RuntimeError, match="no number"):
                f(0.5, ys)
        assert resident_bytes() - before < 20 << 20
        assert np.isfinite(f(0.5, ys[:3]))

    def test_interrupts_leave_nothing(self):
        f = fg.jit(fg.grad(lambda a, n: lax.scan(
            lambda c, y: (long_inner_loop(c * y, n), None), a, np.full(1000, 0.5)
        )[0]))  # fmt: skip
        expected = f(0.5, 10.0)
        growth = []
        for _ in range(4):
            threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()
            start = time.perf_counter()
            with pytest.raises(KeyboardInterrupt):
                f(0.5, 1e6)
            assert time.perf_counter() - start < 5
            growth.append(resident_bytes())
        assert growth[-1] - growth[0] < 50 << 20
        assert f(0.5, 10.0) == expected

    def test_too_little_memory(self):
        script = """
import resource
import numpy as np, pytest
import funcgrad as fg
from funcgrad import lax

def inner(c, n):
    return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, np.sin(s[1])), (0, c))[1]

def f(a, n):
    return np.sum(lax.scan(lambda c, y: (inner(c * y, n), None), a, np.array([0.5, 0.9]))[0])

slope = fg.jit(fg.grad(f))
x = np.linspace(0.1, 1.0, 10_000)
expected = slope(x, 3)
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
for _ in range(3):
    with pytest.raises(MemoryError, match="bytes"):
        slope(x, 1_000_000)
    np.testing.assert_array_equal(slope(x, 3), expected)
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
