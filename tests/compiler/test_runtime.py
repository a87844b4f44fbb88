"""The thread pool: every chunk runs once, whoever runs it, also nested, from many threads and after a fork."""

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.loading.load import load
from funcgrad.compiler.llvm.runtime import limits, runtime
from funcgrad.compiler.llvm.runtime.runtime import Abilities

pytest.importorskip("llvmlite")

POINTER, INTEGER = ctypes.c_void_p, ctypes.c_int64

# Tasks get the address of counters, one for each chunk. `nested` runs 8 chunks for each of its own.
TASKS = """
declare void @fg_parallel(ptr, ptr, i64)
declare i64 @fg_threads()
declare i32 @usleep(i32)

define void @count(ptr %counters, i64 %chunk) {
  %where = getelementptr i64, ptr %counters, i64 %chunk
  %before = atomicrmw add ptr %where, i64 1 seq_cst
  ret void
}

define void @slow(ptr %counters, i64 %chunk) {
  %status = call i32 @usleep(i32 2000)
  call void @count(ptr %counters, i64 %chunk)
  ret void
}

define void @nested(ptr %counters, i64 %chunk) {
  %first = mul i64 %chunk, 8
  %where = getelementptr i64, ptr %counters, i64 %first
  call void @fg_parallel(ptr @count, ptr %where, i64 8)
  ret void
}
"""

VARIANTS = {
    "this system": runtime.abilities(),
    "condition variables": Abilities(threads=True, mapping=True, futex=None),
    "no threads": Abilities(threads=False, mapping=False, futex=None),
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    if request.param == "this system":
        return runtime.ensure()
    given = VARIANTS[request.param]
    if given.threads and not runtime.abilities().threads:
        pytest.skip("no POSIX threads here")
    return _variant(given)


KEPT = []  # what was loaded stays loaded: workers sleep in it


def _variant(given):
    KEPT.append(runtime.Runtime(given))
    return KEPT[-1]


@pytest.fixture(scope="module")
def tasks():
    runtime.ensure()
    KEPT.append(load(TASKS))
    return KEPT[-1]


def parallel(variant, task, chunks, counters):
    function = variant.function("fg_parallel", None, POINTER, POINTER, INTEGER)
    function(task, counters.ctypes.data, chunks)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("chunks", [0, 1, 2, 3, 17, 10_000])
def test_every_chunk_runs_once(variant, tasks, chunks, count):
    with fg.threads(count):
        variant.function("fg_forget_threads")()
        counters = np.zeros(chunks + 1, np.int64)
        for _ in range(5):
            parallel(variant, tasks.address("count"), chunks, counters)
    assert counters[:-1].tolist() == [5] * chunks
    assert counters[-1] == 0


def test_short_regions_one_after_the_other(variant, tasks):
    counters = np.zeros(3, np.int64)
    with fg.threads(4):
        variant.function("fg_forget_threads")()
        for turn in range(3000):
            parallel(variant, tasks.address("count"), 3, counters)
            assert counters.tolist() == [turn + 1] * 3


def test_chunks_of_workers_are_waited_for(variant, tasks):
    counters = np.zeros(6, np.int64)
    with fg.threads(3):
        variant.function("fg_forget_threads")()
        for turn in range(5):
            parallel(variant, tasks.address("slow"), 6, counters)
            assert counters.tolist() == [turn + 1] * 6


def test_regions_inside_regions(tasks):
    counters = np.zeros(80, np.int64)
    with fg.threads(3):
        for _ in range(50):
            parallel(runtime.ensure(), tasks.address("nested"), 10, counters)
    assert counters.tolist() == [50] * 80


def test_many_python_threads_at_once(variant, tasks):
    counters = [np.zeros(7, np.int64) for _ in range(6)]

    def work(mine):
        for _ in range(300):
            parallel(variant, tasks.address("count"), 7, mine)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in counters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine.tolist() == [300] * 7 for mine in counters)


def test_ensure_is_idempotent():
    found = []
    threads = [threading.Thread(target=lambda: found.append(runtime.ensure())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one is runtime.ensure() for one in found)


# --- how many threads ---


def thread_count():
    return runtime.ensure().function("fg_threads", INTEGER)()


def test_thread_count_follows_the_setting():
    with fg.threads(3):
        assert thread_count() == 3
        with fg.threads(1):
            assert thread_count() == 1
        assert thread_count() == 3


def test_thread_count_belongs_to_a_thread():
    found = []
    with fg.threads(3):
        thread = threading.Thread(target=lambda: found.append(thread_count()))
        thread.start()
        thread.join()
    with fg.config.override(num_threads=0):
        assert found == [thread_count()] == [limits.available_cpus()]


def test_thread_count_must_be_positive():
    with pytest.raises(
        ValueError, match=r"\[threads\] count is 0, expected at least 1. Write threads"
    ):
        fg.threads(0)
    with pytest.raises(ValueError, match="count is -1"):
        fg.threads(-1)


@pytest.mark.parametrize("count", [1.5, "a", None, np.float64(2.0)])
def test_thread_count_must_be_a_whole_number(count):
    with pytest.raises(
        TypeError, match=r"\[threads\] count is .*expected a whole number. Write threads"
    ):
        fg.threads(count)


def test_thread_count_may_be_of_numpy():
    with fg.threads(np.int64(3)):
        assert type(fg.config.num_threads) is int


def run(script, **environment):
    """The output of a script in a new process."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_thread_count_from_the_environment():
    script = """
        import ctypes
        from funcgrad.compiler.llvm.runtime import runtime
        print(runtime.ensure().function("fg_threads", ctypes.c_int64)())
    """
    assert run(script, FUNCGRAD_NUM_THREADS="5") == "5\n"


def test_thread_count_from_the_environment_must_be_a_number():
    with pytest.raises(AssertionError, match="FUNCGRAD_NUM_THREADS is 'many'"):
        run("import funcgrad", FUNCGRAD_NUM_THREADS="many")


# --- workers ---


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_workers_block_signals(tasks):
    with fg.threads(3):
        parallel(runtime.ensure(), tasks.address("slow"), 6, np.zeros(6, np.int64))
    blocked = [int(status["SigBlk"], 16) >> (signal.SIGINT - 1) & 1 for status in statuses()]
    assert sum(blocked) >= 2


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_workers_may_run_where_the_process_may(tasks):
    with fg.threads(3):
        for _ in range(300):
            parallel(runtime.ensure(), tasks.address("count"), 6, np.zeros(6, np.int64))
    time.sleep(0.1)  # a worker may just be moving
    assert len({status["Cpus_allowed"] for status in statuses()}) == 1


def statuses():
    """What the system says about each thread."""
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as file:
            yield dict(line.split(":\t", 1) for line in file if ":\t" in line)


FORK = """
    import ctypes, os, sys, threading
    import numpy as np
    import funcgrad as fg
    from funcgrad.compiler.llvm.runtime import runtime, memory
    from funcgrad.compiler.llvm.loading.load import load
    from tests.compiler.test_runtime import TASKS, parallel

    tasks = load(TASKS) if runtime.ensure() else None

    def work(count=100):
        counters = np.zeros(7, np.int64)
        for _ in range(count):
            parallel(runtime.ensure(), tasks.address("count"), 7, counters)
            memory.allocate_output((1 << 18,), "float32")[:] = 1
        assert counters.tolist() == [count] * 7

    def others():
        while not stop.is_set():
            work(5)

    stop = threading.Event()
    with fg.threads(3):
        work()
        threads = [threading.Thread(target=others) for _ in range(int(sys.argv[1]))]
        for thread in threads:
            thread.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                work()
                os._exit(0)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            work(5)
        stop.set()
        for thread in threads:
            thread.join()
    print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", [0, 3])
def test_a_forked_child_has_its_own_pool(threads):
    script = f"import sys; sys.argv.append('{threads}')\n" + textwrap.dedent(FORK)
    assert run(script, PYTHONWARNINGS="ignore", PYTHONPATH=os.getcwd()) == "done\n"


def test_arrays_survive_the_end_of_the_interpreter():
    script = """
        import os, sys
        from funcgrad.compiler.llvm.runtime import memory
        class Late:
            def __del__(self, write=os.write):
                self.array.fill(2)
                write(1, b"freed")
        sys.late = Late()
        sys.late.array = memory.allocate_output((1 << 20,), "float64")
        late = memory.allocate_output((1 << 20,), "float64")
    """
    assert run(script) == "freed"
