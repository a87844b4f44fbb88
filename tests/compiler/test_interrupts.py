"""Ctrl-C reaches native loops soon, as an exception, whether they hold the interpreter lock or not."""

import ctypes
import signal
import sys
import threading
import time

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.loading.load import load
from funcgrad.compiler.llvm.runtime import interrupts, runtime
from funcgrad.compiler.llvm.types import constant

pytest.importorskip("llvmlite")
pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")

POINTER, INTEGER = ctypes.c_void_p, ctypes.c_int64

# Endless loops. `unlocked` lets other Python threads run meanwhile, `region` works off chunks of a millisecond.
LOOPS = """
declare i32 @fg_tick(ptr)
declare i32 @fg_parallel_interruptible(ptr, ptr, i64)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @usleep(i32)

define i32 @locked() {
entry:
  %ticks = alloca [3 x i64]
  store [3 x i64] zeroinitializer, ptr %ticks
  br label %loop
loop:
  %stop = call i32 @fg_tick(ptr %ticks)
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %leave, label %loop
leave:
  ret i32 %stop
}

define i32 @unlocked() {
  %state = call ptr @PyEval_SaveThread()
  %stop = call i32 @locked()
  call void @PyEval_RestoreThread(ptr %state)
  ret i32 %stop
}

define void @chunk(ptr %data, i64 %number) {
  %status = call i32 @usleep(i32 1000)
  ret void
}

define i32 @region() {
  %state = call ptr @PyEval_SaveThread()
  %stop = call i32 @fg_parallel_interruptible(ptr @chunk, ptr null, i64 1000000)
  call void @PyEval_RestoreThread(ptr %state)
  ret i32 %stop
}
"""

KEPT = []


@pytest.fixture(scope="module")
def loops():
    runtime.ensure()
    for name in ("PyEval_SaveThread", "PyEval_RestoreThread"):
        runtime.system.add_symbol(name, runtime.system.address(name))
    KEPT.append(load(LOOPS))
    return KEPT[-1]


@pytest.fixture
def alarm():
    """A signal that comes like Ctrl-C, after some time, without another thread or process."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["locked", "unlocked", "region"])
def test_interrupt_leaves_an_endless_loop(loops, alarm, name):
    loop = ctypes.PYFUNCTYPE(ctypes.c_int)(loops.address(name))
    delays = []
    for _ in range(10):
        alarm(0.02)
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            loop()
        delays.append(time.monotonic() - start - 0.02)
    assert sorted(delays)[5] < 0.05, delays


def test_interrupt_while_another_thread_runs_python(loops, alarm):
    loop = ctypes.PYFUNCTYPE(ctypes.c_int)(loops.address("unlocked"))
    stop = threading.Event()

    def work():
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(3):
            alarm(0.02)
            with pytest.raises(KeyboardInterrupt):
                loop()
    finally:
        stop.set()
        thread.join()


def test_poll_without_a_signal(loops):
    assert runtime.ensure().function("fg_poll", ctypes.c_int, locked=True)() == 0


def test_handlers_that_do_not_raise_go_on(loops, alarm):
    calls = []
    signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    alarm(0.0)
    signal.raise_signal(signal.SIGALRM)
    assert runtime.ensure().function("fg_poll", ctypes.c_int, locked=True)() == 0
    assert calls == [1]


def test_poll_in_another_thread_does_nothing(loops):
    found = []
    poll = runtime.ensure().function("fg_poll", ctypes.c_int)
    thread = threading.Thread(target=lambda: found.append(poll()))
    thread.start()
    thread.join()
    assert found == [0]


def counting_loop():
    """`i64 count(i64 n)`: how many of n iterations ran before an interrupt."""
    module = Module()
    function = module.function("count", "i64", ["i64"])
    state = interrupts.tick_state(function)
    leave = function.new_block("leave")
    with function.loop(constant("i64", 0), function.arguments[0]) as loop:
        following = function.new_block("go_on")
        function.branch_if(interrupts.tick(function, state), leave, following)
        function.block = following
    function.ret(function.arguments[0])
    leave.terminator = f"ret i64 {loop.index.text}"
    return module.text()


def test_tick_written_into_a_loop(alarm):
    runtime.ensure()
    KEPT.append(load(counting_loop()))
    count = ctypes.PYFUNCTYPE(INTEGER, INTEGER)(KEPT[-1].address("count"))
    assert count(1000) == 1000
    alarm(0.05)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        count(sys.maxsize)
    assert time.monotonic() - start < 5


LONG = {
    "product": lambda x: (x[:, None] * x) @ (x[:, None] + x),
    "product and kernel": lambda x: np.tanh((x[:, None] * x) @ (x[:, None] + x)).sum(),
    "running sums": lambda x: np.cumsum(np.cumsum(np.zeros(60_000_000, like=x) + x[0])),
    "convolution": lambda x: fg.lax.conv(
        np.zeros((128, 64, 56, 56), like=x) + x[0],
        np.zeros((64, 64, 3, 3), like=x) + x[1],
        (1, 1),
        "SAME",
    ),
}


@pytest.mark.parametrize("name", LONG)
def test_interrupt_ends_a_program_where_it_is(alarm, name):
    calls = []

    def record(y):
        calls.append(1)
        return y

    @fg.jit
    def program(x):
        y = LONG[name](x)
        return fg.pure_callback(record, fg.ShapeDtypeStruct((), y.dtype), y.ravel()[0])

    x = np.linspace(-1, 1, 3000, dtype=np.float32)
    expected = program(x)
    assert len(calls) == 1
    alarm(0.02)
    with pytest.raises(KeyboardInterrupt):
        program(x)
    assert len(calls) == 1, "what comes after the interruption has run"
    assert program(x) == expected
