"""The native dispatcher: which calls it takes, what it leaves to Python, and that it loses and keeps no references."""

import contextlib
import copy
import ctypes
import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import weakref
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import funcgrad as fg
from funcgrad.compiler.codegen import generate
from funcgrad.compiler.llvm.builder import Module as Code
from funcgrad.compiler.llvm.calls import cpython, dispatch
from funcgrad.compiler.llvm.calls.call_plan import MAX_WORDS
from funcgrad.compiler.llvm.loading.load import load
from funcgrad.compiler.llvm.runtime import system
from funcgrad.compiler.llvm.types import constant
from funcgrad.compiler.pipeline import simplified
from funcgrad.config import restraints
from funcgrad.nn import Module
from funcgrad.transforms import dispatch as fast_calls, jit
from funcgrad.tree.classes import register_dataclass, register_pytree_node_class
from funcgrad.tree.registry import register_pytree_node

pytestmark = [
    pytest.mark.skipif(not cpython.is_supported(), reason="not this interpreter"),
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
]

POINTERS = ctypes.POINTER(ctypes.c_void_p)
LOCKED = ctypes.PYFUNCTYPE(ctypes.c_int32, POINTERS, POINTERS)
UNLOCKED = ctypes.CFUNCTYPE(ctypes.c_int32, POINTERS, POINTERS)
X = np.array([1.0, 2.0, 3.0], np.float32)


def memory(address, type_):
    """The array of this type at an address."""
    size = type_.size * type_.dtype.itemsize
    data = (ctypes.c_char * max(size, 1)).from_address(address)
    return np.frombuffer(data, np.uint8)[:size].view(type_.dtype).reshape(type_.shape)


class CallbackProgram:
    """A Program behind the interface of machine code, run by generated Python."""

    releases_gil = False
    in_place = ()
    spared = np.zeros(1, np.uint64)

    def __init__(self, program):
        self.input_types = [variable.type for variable in program.inputs]
        self.output_types = list(program.output_types)
        self.function = generate(simplified(program), np)
        self.count = 0
        self.before = lambda: None
        self.error = None
        self.compile()

    def compile(self):
        self.code = (UNLOCKED if self.releases_gil else LOCKED)(self.enter)
        self.address = ctypes.cast(self.code, ctypes.c_void_p).value

    def enter(self, inputs, outputs):
        self.count += 1
        try:
            code = self.before()
            if code:
                return code
            given = [memory(inputs[i], type_).copy() for i, type_ in enumerate(self.input_types)]
            pairs = zip(given, self.input_types, strict=True)
            given = [x.item() if t.weak else x[()] if x.ndim == 0 else x for x, t in pairs]
            for i, (out, type_) in enumerate(
                zip(self.function(*given), self.output_types, strict=True)
            ):
                memory(outputs[i], type_)[...] = out
        except BaseException as error:
            self.error = error
            return 7
        return 0

    def handle(self, code):
        if code == 2:
            raise IndexError("index 5 is out of bounds")
        raise self.error


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    """All programs that are made in a test, in order."""
    made = []

    def native(self):
        if "test" not in self.program.memo:
            self.program.memo["test"] = CallbackProgram(self.program)
            made.append(self.program.memo["test"])
        return self.program.memo["test"]

    monkeypatch.setattr(jit.Compiled, "native", native)
    return made


def watched(fun, **options):
    """A jitted function, and the list that grows whenever Python code handles a call of it."""
    jitted, calls = fg.jit(fun, **options), []
    slowly = jitted._call_slowly

    def spy(args, kwargs):
        calls.append("slow")
        return slowly(args, kwargs)

    jitted._call_slowly = spy
    return jitted, calls


def warm(fun, *args, **kwargs):
    """A jitted function that takes calls like this one natively."""
    jitted, calls = watched(fun)
    for _ in range(2):
        jitted(*args, **kwargs)
    del calls[:]
    jitted(*args, **kwargs)
    assert calls == [], "the third call should be native"
    return jitted, calls


def assert_trees_equal(found, expected):
    leaves, structure = fg.tree.flatten(found)
    others, other = fg.tree.flatten(expected)
    assert structure == other
    for a, b in zip(leaves, others, strict=True):
        assert type(a) is type(b)
        if isinstance(a, np.ndarray | np.generic):
            assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)


class Pair(NamedTuple):
    a: object
    b: object


@register_dataclass
@dataclass
class State:
    x: object
    mode: str = field(default="plain", metadata={"static": True})


@register_pytree_node_class
class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def tree_flatten(self):
        return (self.x, self.y), "point"

    @classmethod
    def tree_unflatten(cls, aux, children):
        del aux
        return cls(*children)


class Layer(Module):
    w: np.ndarray
    b: np.ndarray
    name: str = "layer"


class Stack(Module):
    layers: list
    shared: Layer


NUMBERS = [
    *(2.5, 3, True, 1j, -(2**63), 2**63 - 1),
    *(np.float32(2), np.float16(2), np.float64(2), np.int8(-3), np.uint64(2**63), np.bool_(True)),
    *(np.complex64(1j), ml_dtypes.bfloat16(2), np.longlong(5)),
]
ARRAYS = [
    *(X, np.float64(X), np.arange(6).reshape(2, 3), np.zeros((0, 4)), np.array(4.0), X > 1),
    *(X.astype(ml_dtypes.bfloat16), np.ones((2, 1, 3), np.complex128)),
]
TREES = [
    {"b": X, "a": (X + 1, [2.0, None])},
    [(X, 1.0), (X * 2, 2.0)],
    Pair(X, {"z": (), "y": []}),
    OrderedDict(b=X, a=1.0),
    defaultdict(list, b=X, a=1.0),
    {1: X, (2, "k"): X + 1},
    State(X),
    State({"deep": [X]}, "other"),
    Point(X, 2.0),
    Layer(X, X + 1),
    (None, (), {}, []),
]


class TestTaken:
    @pytest.mark.parametrize("value", [*NUMBERS, *ARRAYS], ids=repr)
    def test_numbers_and_arrays(self, value):
        f, calls = warm(lambda x: (x, x), value)
        first, second = f(value)
        assert calls == []
        expected = np.asarray(value)[()]
        assert type(first) is type(expected) and first.dtype == expected.dtype
        np.testing.assert_array_equal(first, expected)
        np.testing.assert_array_equal(second, expected)

    @pytest.mark.parametrize("value", TREES, ids=lambda tree: type(tree).__name__)
    def test_trees(self, value):
        f, calls = warm(lambda tree: (tree, "text", np.sin), value)
        found = f(value)
        assert calls == [] and found[1:] == ("text", np.sin)
        assert_trees_equal(found[0], fg.jit(lambda tree: tree)(value))

    def test_every_output_is_new(self):
        x = X.copy()
        f, _ = warm(lambda x: (x, x, x[1:]), x)
        outs = [*f(x), *f(x)]
        for i, out in enumerate(outs):
            assert out.flags.owndata and out.flags.writeable and out.flags.c_contiguous
            assert not any(np.shares_memory(out, other) for other in [x, *outs[:i]])

    def test_keywords_in_any_order(self):
        f, calls = watched(lambda a, b=0.0, *, c: a - 2 * b + 3 * c)
        for _ in range(3):
            assert f(1.0, b=2.0, c=3.0) == f(1.0, c=3.0, b=2.0) == f(c=3.0, a=1.0, b=2.0) == 6.0
        del calls[:]
        assert f(1.0, b=2.0, c=3.0) == f(1.0, c=3.0, b=2.0) == f(c=3.0, a=1.0, b=2.0) == 6.0
        assert f(1.0, **{"b": 2.0, "c": 3.0}) == 6.0
        assert calls == []

    def test_several_signatures(self):
        f, calls = watched(lambda x: x * 2)
        values = [np.ones(n, np.float32) for n in range(20)] + [1.0, 2, X > 1]
        for _ in range(2):
            for value in values:
                f(value)
        del calls[:]
        for value in values[::-1]:
            np.testing.assert_array_equal(f(value), value * 2)
        assert calls == []

    def test_pickled_arrays_have_a_dtype_of_their_own(self):
        f, calls = warm(lambda x: x + 1, X)
        copied = pickle.loads(pickle.dumps(X))
        assert copied.dtype is not X.dtype
        np.testing.assert_array_equal(f(copied), X + 1)
        assert calls == []

    def test_static_arguments_and_leaves(self):
        f, calls = watched(
            lambda x, n, mode: x * n if mode["kind"] == "on" else x, static_argnums=1
        )
        for n in (2, 1000, (1, 2), "text", None, np.float32, 2.5):
            for _ in range(3):
                if isinstance(n, int | float):
                    assert f(3.0, n, {"kind": "on", "act": np.tanh}) == 3.0 * n
                assert f(3.0, n, {"kind": "off", "act": np.tanh}) == 3.0
        del calls[:]
        assert f(3.0, int("1000"), {"kind": "".join(["o", "n"]), "act": np.tanh}) == 3000.0
        assert f(3.0, tuple([1, 2]), {"kind": "off", "act": np.tanh}) == 3.0
        assert calls == []
        assert f(3.0, True, {"kind": "on", "act": np.tanh}) == 3.0
        assert len(calls) == 1

    def test_tied_parameters(self):
        f, calls = warm(lambda p: (p["a"] + 1, p), {"a": X, "b": X, "c": X + 1})
        found, tree = f({"a": X, "b": X, "c": X * 2})
        np.testing.assert_array_equal(found, X + 1)
        assert tree["a"] is tree["b"] and tree["c"] is not tree["a"]
        assert calls == []
        tree = f({"a": X, "b": X.copy(), "c": X * 2})[1]
        assert len(calls) == 1 and tree["a"] is not tree["b"]

    def test_untied_parameters_that_become_tied(self):
        f, calls = warm(lambda p: p, [X + i for i in range(20)])
        values = [X + i for i in range(20)]
        assert len({id(x) for x in f(values)}) == 20 and calls == []
        values[17] = values[3]
        found = f(values)
        assert found[17] is found[3] and len(calls) == 1

    def test_modules_that_share_one(self):
        shared = Layer(X, X + 1)
        stack = Stack([shared, Layer(X + 2, X + 3)], shared)
        f, calls = warm(lambda stack: stack, stack)
        found = f(stack)
        assert calls == [] and found.layers[0] is found.shared
        np.testing.assert_array_equal(found.layers[1].b, X + 3)
        other = Stack([shared, Layer(X + 2, X + 3)], Layer(X, X + 1))
        assert f(other).layers[0] is not f(other).shared and calls

    def test_methods(self):
        class Scaler:
            def __init__(self, factor):
                self.factor = factor

            @fg.jit
            def scale(self, x):
                return x * self.factor

            @staticmethod
            @fg.jit
            def double(x):
                return x * 2

        scaler = Scaler(2.0)
        for _ in range(4):
            assert scaler.scale(3.0) == 6.0 and Scaler.double(3.0) == scaler.double(3.0) == 6.0
        assert Scaler.scale._entry_point and Scaler.double._entry_point
        scaler.factor = 5.0
        assert scaler.scale(3.0) == 15.0
        bound = fg.jit(scaler.scale)
        assert [bound(3.0) for _ in range(4)] == [15.0] * 4
        scaler.factor = 7.0
        assert bound(3.0) == 21.0

    def test_used_as_callback_and_through_partial(self):
        f, calls = warm(lambda x: x + 1, 1.0)
        assert [*map(f, [1.0, 2.0])] == [2.0, 3.0] and f(*[1.0]) == f.__call__(1.0) == 2.0
        assert type(f).__call__(f, 1.0) == 2.0


class TestLeftToPython:
    @pytest.mark.parametrize(
        "other",
        [
            *(
                X.astype(np.float64),
                X[:2],
                X.reshape(3, 1),
                np.array(X[0]),
                X[::-1],
                X.astype(">f4"),
            ),
            *(np.asfortranarray(np.ones((3, 3), np.float32))[0], np.float32(1), 1.0, 2**70),
            np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32),
            np.broadcast_to(np.float32(2), 3),
            X.view(type("Sub", (np.ndarray,), {})),
        ],
        ids=repr,
    )
    def test_other_arguments(self, other):
        f, calls = warm(lambda x: x, X)
        try:
            found = f(other)
        except (TypeError, OverflowError):
            assert isinstance(other, int) or type(other) is not np.ndarray
        else:
            np.testing.assert_array_equal(found, np.asarray(other))
        assert len(calls) == 1
        np.testing.assert_array_equal(f(X), X)
        assert len(calls) == 1

    def test_large_python_integer(self):
        f, _ = warm(lambda x: x, 5)
        with pytest.raises(OverflowError):
            f(2**63)
        assert f(-(2**63)) == -(2**63)

    def test_other_structures(self):
        f, calls = warm(lambda p: fg.tree.leaves(p), {"a": X, "b": [X + 1, (X + 2,)]})
        for other in (
            {"a": X, "c": [X + 1, (X + 2,)]},
            {"a": X, "b": [X + 1, (X + 2,)], "c": X},
            {"a": X},
            {"a": X, "b": [X + 1, [X + 2]]},
            {"a": X, "b": [X + 1, (X + 2, X)]},
            {"a": X, "b": [X + 1, Pair(X, X + 2)]},
            {"a": X, "b": None},
            OrderedDict(a=X, b=[X + 1, (X + 2,)]),
            [X],
            X,
        ):
            before = len(calls)
            assert_trees_equal(f(other), fg.tree.leaves(other))
            assert len(calls) == before + 1

    def test_wrong_calls_are_python_errors(self):
        f, _ = warm(lambda x, *, k: x, X, k=1.0)
        for args, kwargs in [
            ((), {}),
            ((X, X), {"k": 1.0}),
            ((X,), {}),
            ((X,), {"k": 1.0, "j": 2}),
        ]:
            with pytest.raises(TypeError, match="argument"):
                f(*args, **kwargs)

    def test_traces(self):
        f, calls = warm(lambda x: x * x, X)
        g = fg.jit(lambda x: f(x) + f(X))
        np.testing.assert_array_equal(g(X), 2 * X * X)
        np.testing.assert_array_equal(fg.grad(lambda x: np.sum(f(x)))(X), 2 * X)
        np.testing.assert_array_equal(fg.vmap(f)(np.stack([X, X])), [X * X] * 2)
        assert "call" in str(fg.make_jaxpr(lambda x: f(x) + f(X))(X))

    def test_trace_in_another_thread(self):
        f, calls = warm(lambda x: x + 1, X)
        inside, done = threading.Event(), threading.Event()

        def slow(x):
            inside.set()
            done.wait(10)
            return x

        thread = threading.Thread(target=fg.jit(slow), args=(X,))
        thread.start()
        assert inside.wait(10) and restraints
        np.testing.assert_array_equal(f(X), X + 1)
        assert calls == []  # the other thread's business
        done.set()
        thread.join()
        assert not restraints

    def test_disabled(self):
        f, calls = warm(lambda x: x if isinstance(x, np.ndarray) else x + 1, X)
        with fg.disable_jit():
            assert f(X) is X
            with fg.disable_jit(False):
                np.testing.assert_array_equal(f(X), X + 1)
        assert not restraints

    @pytest.mark.filterwarnings("ignore:invalid value")
    def test_debug_nans(self):
        f, _ = warm(lambda x: np.log(x), X)
        with fg.debug_nans(), pytest.raises(FloatingPointError, match="log made a NaN"):
            f(-X)
        assert not restraints

    def test_tracing_error_leaves_no_restraint(self):
        with pytest.raises(KeyError):
            fg.jit(lambda x: {}[0])(X)
        assert not restraints

    def test_too_many_values(self):
        values = [1.0] * MAX_WORDS
        f, calls = watched(lambda values: values[0] + values[-1])
        assert [f(values) for _ in range(3)] == [2.0] * 3

    def test_donated_views(self):
        f, calls = watched(lambda x: x * 2, donate_argnums=0)
        for _ in range(4):
            with pytest.warns(UserWarning, match="view"):
                f(X.copy()[:])
        assert len(calls) == 4

    def test_static_objects_that_change(self):
        options = SimpleNamespace(scale=2.0)
        hashed = type("Options", (), {"scale": 2.0})()
        for value in (options, hashed):
            f, _ = watched(lambda x, o: x * o.scale, static_argnums=1)
            try:
                assert [f(3.0, value) for _ in range(4)] == [6.0] * 4
            except ValueError:
                continue  # not hashable
            value.scale = 5.0
            assert f(3.0, value) == 15.0

    def test_static_leaf_that_changes(self):
        holder = type("Holder", (), {})()
        holder.scale = 2.0
        f, _ = warm(lambda p: p["x"] * p["o"].scale, {"x": 3.0, "o": holder})
        holder.scale = 5.0
        assert f({"x": 3.0, "o": holder}) == 15.0


SCALE = 2.0
PARAMETERS = {"w": [np.ones(3, np.float32), (np.full(3, 2.0, np.float32),)]}


class TestWorldOutside:
    def test_globals(self, monkeypatch):
        f, calls = warm(lambda x: x * SCALE, X)
        monkeypatch.setitem(globals(), "SCALE", 3.0)
        np.testing.assert_array_equal(f(X), 3 * X)
        monkeypatch.setitem(globals(), "SCALE", 2.0)
        np.testing.assert_array_equal(f(X), 2 * X)
        monkeypatch.delitem(globals(), "SCALE")
        with pytest.raises(NameError):
            fg.jit(lambda x: x * SCALE)(X)

    def test_equal_value_is_learned_again(self, monkeypatch):
        f, calls = warm(lambda x: x * SCALE, X)
        monkeypatch.setitem(globals(), "SCALE", float("2.0"))
        f(X)
        del calls[:]
        np.testing.assert_array_equal(f(X), 2 * X)
        assert calls == [] and f.trace_count() == 1

    def test_closure(self):
        n = 2.0
        f, calls = watched(lambda x: x * n)
        found = []
        for value in (2.0, 2.0, 2.0, 3.0, 2.0, 2.0, 2.0, 3.0):
            n = value
            found.append(f(1.0))
        assert found == [2.0, 2.0, 2.0, 3.0, 2.0, 2.0, 2.0, 3.0]

    def test_closure_that_is_deleted(self):
        def make():
            n = 2.0
            f, _ = warm(lambda x: x * n, 1.0)  # noqa: F821
            del n
            return f

        with pytest.raises(NameError):
            make()(1.0)

    def test_captured_array_is_read_anew(self):
        w = np.ones(3, np.float32)
        f, calls = warm(lambda x: x * w, X)
        w[:] = 4.0
        np.testing.assert_array_equal(f(X), 4 * X)
        assert calls == []
        w.resize(1, refcheck=False)
        np.testing.assert_array_equal(f(X), 4 * X)
        assert len(calls) == 1 and "captured array" in f.explain_recompiles()
        w = np.full(3, 5.0, np.float32)
        np.testing.assert_array_equal(f(X), 5 * X)

    def test_captured_arrays_in_containers(self):
        saved = PARAMETERS["w"][:]
        f, calls = warm(lambda x: x * PARAMETERS["w"][0] + PARAMETERS["w"][1][0], X)
        PARAMETERS["w"].append("ignored")
        np.testing.assert_array_equal(f(X), X + 2)
        assert calls == []
        PARAMETERS["w"][0] = np.full(3, 10.0, np.float32)
        np.testing.assert_array_equal(f(X), 10 * X + 2)
        PARAMETERS["w"][1] = (np.full(3, 3.0, np.float32),)
        np.testing.assert_array_equal(f(X), 10 * X + 3)
        PARAMETERS["w"][:] = saved

    def test_captured_arrays_in_other_containers(self):
        layers = OrderedDict(w=X.copy())
        holder = [layers]
        f, calls = warm(lambda x: x * holder[0]["w"], X)
        np.testing.assert_array_equal(f(X), X * X)
        layers["w"] = X + 1
        np.testing.assert_array_equal(f(X), X * (X + 1))

    def test_captured_array_that_is_not_contiguous(self):
        w = np.ones((3, 2), np.float32)[:, 0]
        f, _ = watched(lambda x: x * w)
        for _ in range(3):
            np.testing.assert_array_equal(f(X), X)


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


leaves = st.sampled_from([X, X + 1, np.ones((2, 2)), 1.5, 2, True, np.float32(3), None, "static"])
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        st.builds(Pair, inner, inner),
        st.builds(Point, inner, inner),
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(trees, trees)
def test_random_trees(first, second):
    """Calls that alternate between two signatures give what was passed."""
    f = fg.jit(lambda tree: tree)
    expected = [f(first), f(second)]
    for _ in range(3):
        assert_trees_equal(f(first), expected[0])
        assert_trees_equal(f(second), expected[1])
