"""Launches on the emulated device: addresses, loops, branches, and what the device reports."""

import numpy as np
import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cuda.launches import (  # noqa: E402
    Choose,
    Copy,
    Fill,
    Launch,
    Launches,
    Loop,
    Repeat,
    Slot,
    Source,
    Stack,
    Task,
)
from funcgrad.compiler.cuda.runtime.callable import CudaProgram  # noqa: E402
from funcgrad.ir.builder import trace_flat  # noqa: E402
from funcgrad.ir.types import ArrayType  # noqa: E402
from tests.gpu.emulator.device import EmulationError, emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

X, Y = Slot(("input", 0)), Slot(("input", 1))
OUT = Slot(("output", 0))
ARENA = Slot(("arena", 0))


def kernel(name, body, **options):
    text = f'extern "C" __global__ void {name}(Pointers<3> p) {{\n{body}\n}}\n'
    return Source(name, text, frozenset({"core"}), block=(32, 1, 1), **options)


FLOATS = "float *a = (float *)p.at[0], *b = (float *)p.at[1], *c = (float *)p.at[2];\n"
ADD = kernel("test_add", FLOATS + "int i = threadIdx.x; if (i < 8) c[i] = a[i] + b[i];")
BELOW = kernel("test_below", FLOATS + "if (threadIdx.x == 0) *(bool *)c = a[0] < b[0];")


def program_of(items, arena=0, inputs=2, outputs=1, in_place=(), shape=(8,)):
    """A Program that does these things, on arrays of eight float32."""
    types = [ArrayType(shape, np.float32)] * inputs
    program, _ = trace_flat(lambda *xs: [xs[i % inputs] + 1 for i in range(outputs)], types)
    items = list(items)
    task = Task(len(items), frozenset(), frozenset())
    launches = Launches(items, [task], inputs, outputs, arena, tuple(in_place), None)
    return program, launches


def run(items, *arrays, order=0, **options):
    """The results, as NumPy arrays, on the emulated device."""
    program, launches = program_of(items, inputs=len(arrays), **options)
    with emulated(order) as device:
        function = CudaProgram(program, device, lambda unaligned: launches)
        return [host(out) for out in function(*[put(x) for x in arrays])]


def numbers(start=0):
    return np.arange(start, start + 8, dtype=np.float32)


def add(a, b, c):
    return Launch(ADD, (a, b, c))


def test_a_launch_reads_and_writes_what_its_slots_name():
    (out,) = run([add(X, Y, ARENA), add(ARENA, X, OUT)], numbers(), numbers(10), arena=256)
    np.testing.assert_array_equal(out, 3 * numbers() + 10)


def test_copies_and_fills():
    items = [Fill(ARENA, 32, 0), Copy(ARENA.at(8), X, 24), Copy(OUT, ARENA, 32)]
    (out,) = run(items, numbers(1), arena=256)
    np.testing.assert_array_equal(out, [0, 0, 1, 2, 3, 4, 5, 6])


def test_numbers_of_the_host_are_arguments():
    program, launches = program_of([add(X, Y, OUT)], inputs=2, shape=())
    with emulated() as device:
        only_first = kernel("test_add_first", FLOATS + "if (threadIdx.x == 0) c[0] = a[0] + b[0];")
        launches.items[:] = [Launch(only_first, (X, Y, OUT))]
        function = CudaProgram(program, device, lambda unaligned: launches)
        (out,) = function(np.float32(2), put(np.float32(0.5)))
        assert out.shape == ()
        assert host(out) == 2.5


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_loop_carries_and_moves(order):
    """Prefix sums of the rows of x: out[i] = out[i - 1] + x[i]."""
    loop = Loop()
    now, following = loop.carry(ARENA, ARENA.at(256))
    rows = [slot.moving(loop, 32) for slot in (X, OUT)]
    body = [add(now, rows[0], following), Copy(rows[1], following, 32)]
    x = np.arange(24, dtype=np.float32).reshape(3, 8)
    program, launches = program_of(
        [Fill(ARENA, 32), Repeat(loop, body, 3)], 512, inputs=1, shape=(3, 8)
    )
    with emulated(order) as device:
        function = CudaProgram(program, device, lambda unaligned: launches)
        (out,) = function(put(x))
        np.testing.assert_array_equal(host(out), np.cumsum(x, 0))


def test_after_a_loop_now_is_what_was_written_last():
    for count in (0, 1, 2, 3):
        loop = Loop()
        now, following = loop.carry(ARENA, ARENA.at(256))
        items = [Copy(ARENA, X, 32), Repeat(loop, [add(now, Y, following)], count)]
        (out,) = run([*items, Copy(OUT, now, 32)], numbers(), numbers(), arena=512)
        np.testing.assert_array_equal(out, numbers() * (1 + count))


def test_a_loop_of_unknown_length_pushes_and_counts():
    """x is added to a sum until its first element reaches that of y; a reversed loop adds up what was pushed."""
    loop, back, stack = Loop(), Loop(is_reversed=True), Stack(32)
    now, following = loop.carry(ARENA, ARENA.at(256))
    pushed = Slot(("stack", stack))
    forward = Repeat(
        loop,
        [add(now, X, following), Copy(pushed.moving(loop, 32), following, 32)],
        None,
        condition=ARENA.at(512),
        condition_items=[Launch(BELOW, (now, Y, ARENA.at(512)))],
        counter=ARENA.at(768),
        stacks=[stack],
    )
    total, next_total = back.carry(ARENA.at(1024), ARENA.at(1280))
    backward = Repeat(back, [add(total, pushed.moving(back, 32), next_total)], count=ARENA.at(768))
    items = [Fill(ARENA, 32), Fill(ARENA.at(1024), 32), forward, backward, Copy(OUT, total, 32)]
    x, y = np.ones(8, np.float32), np.full(8, 40, np.float32)
    (out,) = run(items, x, y, arena=2048)
    np.testing.assert_array_equal(out, np.full(8, sum(range(1, 41))))


@pytest.mark.parametrize(("number", "expected"), [(-3, 0), (0, 0), (1, 1), (2, 2), (7, 2)])
def test_a_branch_is_chosen_by_a_clamped_number(number, expected):
    index = np.zeros(8, np.float32)
    index[:2] = np.array([number], np.int64).view(np.float32)
    branches = [[Fill(OUT, 32, value)] for value in range(3)]
    (out,) = run([Choose(X, np.dtype(np.int64), branches)], index)
    np.testing.assert_array_equal(out.view(np.uint8), np.full(32, expected))


def test_what_nobody_writes_is_nan():
    (out,) = run([Copy(OUT, X, 16)], numbers())
    assert np.isnan(out[4:]).all()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("c[threadIdx.x + 8] = 0;", "access outside of an array"),
        ("c[0] = 2 * *(float *)((char *)p.at[0] + 1);", "misaligned access"),
        ("if (threadIdx.x < 3) __syncthreads(); else __syncwarp();", "barrier divergence"),
        ("if (threadIdx.x < 40) FG_GRID_SYNC();", "not cooperative"),
    ],
)
def test_the_emulator_finds_mistakes(body, problem):
    name = f"test_mistake_{problem.split()[0]}"
    with pytest.raises(EmulationError, match=problem):
        run([Launch(kernel(name, FLOATS + body), (X, X, OUT))], numbers())
    (out,) = run([add(X, X, OUT)], numbers())  # the process lives on
    np.testing.assert_array_equal(out, 2 * numbers())


SHARED = (
    FLOATS
    + """
FG_SHARED(float, s, 32);
int i = threadIdx.x;
s[i] = a[i % 8];
BARRIER
if (i < 8) c[i] = s[31 - i];
"""
)


def test_orders_of_threads_show_a_missing_barrier():
    right = kernel("test_with_barrier", SHARED.replace("BARRIER", "__syncthreads();"))
    wrong = kernel("test_without_barrier", SHARED.replace("BARRIER", ""))
    for order in (0, 1, 2):
        (out,) = run([Launch(right, (X, X, OUT))], numbers(), order=order)
        np.testing.assert_array_equal(out, numbers()[::-1])
    found = [run([Launch(wrong, (X, X, OUT))], numbers(), order=order)[0] for order in (0, 1, 2)]
    assert any(np.isnan(out).any() for out in found)
