"""Errors in and around native calls, and that the dispatcher loses and keeps no references."""

import contextlib
import ctypes
import gc
import sys
import tracemalloc
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.builder import Module as Code
from funcgrad.compiler.llvm.loading.load import load
from funcgrad.compiler.llvm.runtime import system
from funcgrad.compiler.llvm.types import constant
from funcgrad.transforms import dispatch as fast_calls
from funcgrad.tree.registry import register_pytree_node
from tests.compiler.dispatched import (
    MARKS,
    CallbackProgram,
    Layer,
    Pair,
    State,
    X,
    warm,
    watched,
)

pytestmark = MARKS


class TestErrors:
    def test_error_codes(self, programs):
        f, _ = warm(lambda x: {"y": [x + 1, x]}, X)
        before = sys.getrefcount(X)
        programs[0].before = lambda: 2
        for _ in range(10):
            with pytest.raises(IndexError, match="index 5"):
                f(X)
        programs[0].before = lambda: None
        np.testing.assert_array_equal(f(X)["y"][0], X + 1)
        assert sys.getrefcount(X) == before

    def test_exception_that_is_set(self, programs, monkeypatch):
        module = Code()
        f = module.function("fail", "i32", ["ptr", "ptr"])
        f.external("PyErr_NoMemory", "ptr", [])
        f.ret(constant("i32", 1))
        system.add_symbol(
            "PyErr_NoMemory", system.function_address(ctypes.pythonapi.PyErr_NoMemory)
        )
        code = load(module.text())
        monkeypatch.setattr(CallbackProgram, "compile", lambda self: None)
        monkeypatch.setattr(CallbackProgram, "address", code.address("fail"), raising=False)
        f, calls = watched(lambda x: {"y": [x + 1, x]})
        assert f(X)["y"] and f(X)["y"]
        before = sys.getrefcount(X)
        for _ in range(10):
            with pytest.raises(MemoryError):
                f(X)
        assert len(calls) == 2 and sys.getrefcount(X) == before

    def test_no_memory_for_outputs(self, monkeypatch):
        monkeypatch.setattr(fast_calls, "WORTHWHILE", 1)
        f, calls = watched(lambda x: [x + 1, np.broadcast_to(x[0], (1 << 50,)) * 2, x])
        for _ in range(3):
            with pytest.raises(MemoryError):
                f(X)
        assert len(calls) == 1

    def test_unflatten_that_raises(self):
        class Strict:
            fails = False

            def __init__(self, x):
                self.x = x

        def build(aux, children):
            del aux
            if Strict.fails:
                raise LookupError("no")
            return Strict(*children)

        register_pytree_node(Strict, lambda s: ((s.x,), None), build)
        f, _ = warm(lambda x: [Strict(x), x], X)
        Strict.fails = True
        for _ in range(5):
            with pytest.raises(LookupError, match="no"):
                f(X)

    def test_flatten_that_raises(self):
        class Moody:
            error = None

            def __init__(self, x):
                self.x = x

        def flatten(moody):
            if Moody.error:
                raise Moody.error
            return (moody.x,), None

        register_pytree_node(Moody, flatten, lambda _, children: Moody(*children))
        f, calls = warm(lambda m: m.x, Moody(X))
        Moody.error = LookupError("no")
        with pytest.raises(LookupError, match="no"):
            f(Moody(X))
        assert len(calls) == 1
        Moody.error = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            f(Moody(X))
        assert len(calls) == 1  # Ctrl-C is not swallowed
        Moody.error = None
        assert f(Moody(X)) is not None

    def test_keys_with_bad_equality(self):
        class Key(str):
            __hash__ = str.__hash__

            def __eq__(self, other):
                raise LookupError("no")

        f, calls = warm(lambda p: p["a"], {"a": X})
        with pytest.raises(LookupError):
            f({Key("a"): X})


class TestReferences:
    CASES = [
        (lambda x: x + 1, X.copy()),
        (lambda p: {"out": [p["a"] * 2, (p["b"], None)]}, {"a": X.copy(), "b": 2.5}),
        (lambda p: Pair(p, "text"), Pair(X.copy(), [1, np.float32(3)])),
        (lambda m: m, Layer(X.copy(), X + 1)),
        (lambda s: s, State(X.copy(), "some mode")),
        (lambda d: d, OrderedDict(a=X.copy())),
    ]

    @pytest.mark.parametrize(("fun", "value"), CASES)
    def test_counts_stay(self, fun, value):
        f, calls = warm(fun, value)
        objects = [None, True, np.ndarray, X.dtype, value, *fg.tree.leaves(value), tuple, Pair, ()]
        for arguments in ((value,), (value, value), ([value, X],)):  # taken, refused, refused late
            counts = []
            for _ in range(3):
                for _ in range(50):
                    with contextlib.suppress(Exception):
                        f(*arguments)
                gc.collect()
                counts.append([sys.getrefcount(x) for x in objects])
            changes = np.abs(np.subtract(counts[1], counts[2]))
            assert changes.max() < 20  # a reference per call would be 50

    def test_memory_stays(self):
        value = {"a": np.ones(1000), "b": [np.ones(1000), 2.5]}
        f, _ = warm(lambda p: fg.tree.map(lambda x: x + 1, p), value)
        tracemalloc.start()
        for _ in range(100):
            f(value)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(500):
            f(value)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert after - before < 4000

    def test_arguments_and_functions_die(self):
        w = np.ones(3, np.float32)
        f, _ = warm(lambda p: p["x"] * w, {"x": X})  # noqa: F821
        x = X.copy()
        f({"x": x})
        dead = weakref.ref(x), weakref.ref(f), weakref.ref(w), weakref.ref(f.fast.native)
        del x, f, w, _
        gc.collect()
        assert [ref() for ref in dead] == [None] * 4

    def test_stale_entries_die(self):
        w = np.ones(3, np.float32)
        f, _ = warm(lambda x: x * w, X)
        ref = weakref.ref(w)
        w = np.zeros(3, np.float32)
        f(X)
        gc.collect()
        assert ref() is None

    def test_cache_cleared_meanwhile(self, programs):
        f, calls = warm(lambda x: {"y": x + 1}, X)
        programs[0].before = f.clear_cache
        np.testing.assert_array_equal(f(X)["y"], X + 1)
        assert calls == [] and f._entry_point == 0
        programs[0].before = lambda: None
        for _ in range(4):
            np.testing.assert_array_equal(f(X)["y"], X + 1)

    def test_arguments_changed_meanwhile(self, programs):
        values = {"x": X.copy(), "y": [X + 1]}
        f, calls = warm(lambda p: p["x"] + p["y"][0], values)

        def change():
            values.clear()
            gc.collect()
            np.ones(3, np.float32)  # overwrites memory that was freed

        programs[0].before = change
        np.testing.assert_array_equal(f(values), 2 * X + 1)

    def test_recursive_call(self, programs):
        f, _ = warm(lambda x: x + 1, X)
        depth = []

        def again():
            if len(depth) < 5:
                depth.append(1)
                x = X + len(depth)
                np.testing.assert_array_equal(f(x), x + 1)

        programs[0].before = again
        np.testing.assert_array_equal(f(X), X + 1)
        assert len(depth) == 5
