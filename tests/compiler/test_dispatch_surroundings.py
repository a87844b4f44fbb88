"""The native dispatcher among threads, as a callable object, and in other processes and interpreters."""

import copy
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.calls import cpython, dispatch
from funcgrad.transforms import jit
from tests.compiler.dispatched import MARKS, CallbackProgram, X, warm, watched

pytestmark = MARKS


class TestThreads:
    def test_interpreter_lock_is_released(self, programs, monkeypatch):
        monkeypatch.setattr(CallbackProgram, "releases_gil", True)
        f, calls = warm(lambda x: x + 1, X)
        barrier = threading.Barrier(3)
        programs[0].before = lambda: barrier.wait(10) and None  # all three are inside at once
        found = []
        threads = [threading.Thread(target=lambda: found.append(f(X))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3 and calls == []
        for out in found:
            np.testing.assert_array_equal(out, X + 1)

    def test_many_threads_and_signatures(self):
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            f = fg.jit(lambda p, n: [x * n for x in p])
            failures = []

            def work(seed):
                rng = np.random.default_rng(seed)
                try:
                    for turn in range(150):
                        p = [rng.random(int(n), np.float32) for n in rng.integers(1, 4, 2)]
                        for x, y in zip(p, f(p, 2.0), strict=True):
                            np.testing.assert_array_equal(y, x * np.float32(2))
                        if seed == 0 and turn % 50 == 49:
                            f.clear_cache()
                except BaseException as error:
                    failures.append(error)

            threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == []
        finally:
            sys.setswitchinterval(interval)


class TestCallableObject:
    def test_plain_features_of_functions(self):
        f, _ = warm(lambda x: x + 1, 1.0)
        f.note = "kept"
        assert vars(f)["note"] == "kept" and weakref.ref(f)() is f and {f: 1}[f] == 1
        assert gc.is_tracked(f) and copy.copy(f)(1.0) == copy.deepcopy(f)(1.0) == 2.0

    def test_subclass_with_another_call(self):
        class Loud(jit.JitFunction):
            def __call__(self, *args, **kwargs):
                return "loud", super().__call__(*args, **kwargs)

        f = Loud(lambda x: x + 1)
        assert [f(1.0) for _ in range(4)] == [("loud", 2.0)] * 4

    def test_code_has_no_addresses(self):
        assert "inttoptr (i64 1 to ptr)" in dispatch.text()
        assert dispatch.text().count("inttoptr") == dispatch.text().count("inttoptr (i64 1 to ptr)")


def run_python(text, **environment):
    """Run a program in a process of its own; what it prints."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(text)]
    variables = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestElsewhere:
    def test_unknown_layout(self, monkeypatch):
        monkeypatch.setattr(cpython, "is_supported", lambda: False)
        f, calls = watched(lambda p: p["x"] * 2)
        for _ in range(4):
            np.testing.assert_array_equal(f({"x": X}), 2 * X)
        assert f._entry_point == 0 and len(calls) == 2  # then generated Python knows the call

    def test_another_interpreter(self):
        found = run_python("""
            import sys
            import numpy as np
            sys.implementation.name = "other"
            import funcgrad as fg
            f = fg.jit(lambda x: x + 1)
            print(*[f(2.0) for _ in range(4)], f._entry_point, type(f).__mro__[1].__name__)
        """)
        assert found == "3.0 3.0 3.0 3.0 0 PortableCallable"

    def test_calls_while_the_interpreter_ends(self):
        found = run_python("""
            import atexit
            import funcgrad as fg

            class Late:
                def __init__(self, f):
                    self.f = f

                def __del__(self):
                    print(self.f(2.0), flush=True)

            f = fg.jit(lambda x: x + 1)
            for _ in range(4):
                f(2.0)
            atexit.register(lambda: print(f(1.0), flush=True))
            late = Late(f)
            cycle = [late]
            cycle.append(cycle)
        """)
        assert found.split() == ["2.0", "3.0"]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_after_fork(self):
        found = run_python("""
            import os
            import funcgrad as fg
            f = fg.jit(lambda x: x + 1)
            for _ in range(4):
                f(2.0)
            if os.fork():
                os.wait()
            print(f(2.0), f(3), flush=True)
            os._exit(0)
        """)
        assert found.split() == ["3.0", "4"] * 2
