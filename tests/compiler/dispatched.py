"""Jitted functions whose native calls are watched, and what to call them with: what tests of the dispatcher share."""

import ctypes
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.codegen import generate
from funcgrad.compiler.llvm.calls import cpython
from funcgrad.compiler.pipeline import simplified
from funcgrad.nn import Module
from funcgrad.transforms import jit
from funcgrad.tree.classes import register_dataclass, register_pytree_node_class

POINTERS = ctypes.POINTER(ctypes.c_void_p)
LOCKED = ctypes.PYFUNCTYPE(ctypes.c_int32, POINTERS, POINTERS)
UNLOCKED = ctypes.CFUNCTYPE(ctypes.c_int32, POINTERS, POINTERS)
MARKS = [
    pytest.mark.skipif(not cpython.is_supported(), reason="not this interpreter"),
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.usefixtures("programs"),
]
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


def record_programs(monkeypatch):
    """Replace machine code by callbacks, and return all programs that are made from now on, in order."""
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
