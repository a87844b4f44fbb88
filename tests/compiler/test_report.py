"""Reports of compilations: each moment is counted once, and nothing is measured unasked."""

import threading
import time

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.report import Compilation, CompileReport, count, recording, timed


def test_stages_are_listed_in_the_order_in_which_they_began():
    with recording("float32[3]") as compilation:
        with timed("trace"):
            pass
        with timed("emit"), timed("llvm"):
            pass
        with timed("trace"):
            pass
    assert list(compilation.stages) == ["trace", "emit", "llvm"]


def test_time_of_inner_stages_is_not_counted_twice():
    start = time.perf_counter()
    with recording("") as compilation, timed("emit"):
        time.sleep(0.01)
        for _ in range(2):
            with timed("llvm"):
                with timed("load"):
                    time.sleep(0.01)
                time.sleep(0.01)
    elapsed = time.perf_counter() - start
    stages = compilation.stages
    assert 0.01 <= stages["emit"] < 0.02
    assert stages["llvm"] >= 0.02 and stages["load"] >= 0.02
    assert compilation.seconds <= elapsed


def test_stages_that_fail_are_counted():
    with recording("") as compilation:
        try:
            with timed("emit"), timed("llvm"):
                raise ValueError
        except ValueError:
            pass
        with timed("load"):
            pass
    assert list(compilation.stages) == ["emit", "llvm", "load"]
    assert all(seconds >= 0 for seconds in compilation.stages.values())


def test_without_a_recording_nothing_happens():
    with timed("fuse"):
        count("kernels")
    with recording("") as compilation:
        pass
    assert not compilation.stages and not compilation.counts


def test_recordings_nest_and_belong_to_their_thread():
    def other_thread():
        with timed("elsewhere"):
            count("kernels")

    with recording("outer") as outer:
        with recording("inner") as inner:
            count("kernels", 2)
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        count("kernels")
    assert inner.counts == {"kernels": 2}
    assert outer.counts == {"kernels": 1} and not outer.stages


def test_cache_in_words():
    def words(**counts):
        return Compilation("", counts=counts).cache

    assert words() == ""
    assert words(cache_hits=3) == "hit"
    assert words(cache_misses=1) == "miss"
    assert words(cache_hits=2, cache_misses=1) == "2 hits, 1 miss"
    assert words(cache_hits=1, cache_misses=2) == "1 hit, 2 misses"


def test_the_text_of_a_report():
    first = Compilation(
        "float32[3], float32[3]",
        stages={"trace": 0.001, "llvm": 0.004},
        counts={"kernels": 2, "cache_misses": 1, "text_bytes": 12345, "library_calls": 1},
    )
    second = Compilation("float32[4]", reason="float32[3] -> float32[4]", stages={"trace": 0.001})
    report = CompileReport("loss", [first, second])
    expected = [
        "loss: 2 signatures, 6.00 ms",
        "float32[3], float32[3]: 5.00 ms, cache miss",
        "  trace          1.00 ms  ######",
        "  llvm           4.00 ms  ########################",
        "  2 kernels, 12,345 bytes of LLVM text, 1 library calls",
        "float32[4]: 1.00 ms",
        "  float32[3] -> float32[4]",
        "  trace          1.00 ms  ##############################",
    ]
    assert str(report).splitlines() == expected
    assert repr(report) == str(report)
    assert str(CompileReport("f", [])) == "f: 0 signatures, 0.00 ms"


# --- jitted functions ---


def chain(x):
    for i in range(60):
        x = np.sin(x) * x + np.tanh(x[::-1]) * i
    return x.sum(0), x


def test_stages_add_up_to_the_first_call():
    f = fg.jit(fg.grad(lambda x: chain(x)[0].sum()))
    x = np.ones((5, 3), "float32")
    start = time.perf_counter()
    f(x)
    first = time.perf_counter() - start
    (compilation,) = f.compile_report().compilations
    assert compilation.stages["trace"] > 0 and "load" in compilation.stages
    assert 0.8 * first < compilation.seconds <= first


def test_reports_tell_why_and_what():
    @fg.jit
    def scaled(x, y, k=1.0):
        return {"sum": (x * k + y).sum()}

    for _ in range(3):
        scaled(np.ones(3), np.ones(3))
    scaled(np.ones(4), np.ones(4))
    scaled(np.ones(4), np.ones(4), k=np.float32(2))
    report = scaled.compile_report()
    assert [c.signature for c in report.compilations] == [
        "2 x float64[3]",
        "2 x float64[4]",
        "2 x float64[4], float32[]",
    ]
    assert report.compilations[0].reason == ""
    assert "float64[3] -> float64[4]" in report.compilations[1].reason
    assert "number of arguments" in report.compilations[2].reason
    assert str(report).startswith("scaled: 3 signatures, ")
    assert scaled.explain_recompiles().count("traced again") == 2


def test_what_was_compiled_before_is_a_hit():
    pytest.importorskip("llvmlite")
    number = time.time()  # no earlier run of this test has compiled it
    x = np.ones(3)
    reports = []
    for _ in range(2):
        f = fg.jit(lambda x: x * number)
        f(x)
        reports.append(f.compile_report().compilations[0])
    assert "miss" in reports[0].cache and reports[1].cache == "hit"
    assert "llvm" not in reports[1].stages and reports[0].counts["kernels"] >= 0
