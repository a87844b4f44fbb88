"""Python operators on traced values: the hook that points up from `ir/tracer.py`.

An operator on Python scalars and weak values gives a weak value, as Python arithmetic does; functions give
strong ones. In-place operators on arrays rebind the tracer, as NumPy writes into the array; on values without
axes they make a new value, because NumPy's scalars are immutable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.devices import is_cupy_array
from funcgrad.ir.tracer import Tracer, rebind
from funcgrad.ir.types import PYTHON_SCALARS
from funcgrad.ops.arithmetic import ADD, DIVIDE, MULTIPLY, SUBTRACT, divide, multiply, negative
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, greater, greater_equal, less, less_equal, not_equal
from funcgrad.ops.floats import absolute
from funcgrad.ops.index import getitem, setitem
from funcgrad.ops.integer import (
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    invert,
    left_shift,
    right_shift,
)
from funcgrad.ops.operands import broadcast_shapes, shape_of
from funcgrad.ops.power import power
from funcgrad.ops.products import matmul
from funcgrad.ops.reduce import reduce_or
from funcgrad.ops.rounding import floor_divide, remainder, rint
from funcgrad.ops.shape import broadcast_to

OPERANDS = (Tracer, np.ndarray, np.generic, *PYTHON_SCALARS, list, tuple)


def is_operand(value: Any) -> bool:
    """Whether an operator may compute with `value`; types with their own NumPy protocol go first."""
    if isinstance(value, OPERANDS) or is_cupy_array(value):
        return True
    return hasattr(value, "__array__") and not hasattr(value, "__array_ufunc__")


def is_weak(value: Any) -> bool:
    return type(value) in PYTHON_SCALARS or (isinstance(value, Tracer) and value.weak)


def like_python(out: Any, *operands: Any) -> Any:
    """`out`, made weak if every operand of the operator was a Python scalar or weak."""
    for operand in operands:
        if not is_weak(operand):
            return out
    return out.as_weak() if isinstance(out, Tracer) and out.dtype.kind != "b" else out


def unary(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """The method of an operator with one operand."""

    def method(self: Tracer) -> Any:
        out = function(self)
        return like_python(out, self) if self.weak else out

    return method


def binary(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The method of an operator with the tracer on the left."""

    def method(self: Tracer, other: Any) -> Any:
        if not isinstance(other, OPERANDS) and not is_operand(other):
            return NotImplemented
        out = function(self, other)
        return like_python(out, self, other) if self.weak else out

    return method


def reflected(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The method of an operator with the tracer on the right."""

    def method(self: Tracer, other: Any) -> Any:
        if not is_operand(other):
            return NotImplemented
        out = function(other, self)
        return like_python(out, other, self) if self.weak else out

    return method


def in_place(name: str, function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The method of an operator such as `+=`."""

    def method(self: Tracer, other: Any) -> Any:
        if not is_operand(other):
            return NotImplemented
        out = function(self, other)
        if not self.shape:
            return like_python(out, self, other)
        rebind(self, fit_output(name, out, self.shape, self.dtype))
        return self

    return method


def fit_output(
    name: str, value: Any, shape: tuple, dtype: np.dtype, casting: Any = "same_kind"
) -> Any:
    """`value` in the shape and dtype of the array that it is written into, or NumPy's error."""
    found = np.dtype(value.dtype)
    if not np.can_cast(found, dtype, casting):
        raise TypeError(
            f"Cannot cast ufunc '{name}' output from {found!r} to {dtype!r} with casting rule "
            f"'{casting}'.\n  {source.where()}\nMake a new array instead of writing in place: "
            f"x = x + y, or x = x.astype({found.name!r}) before."
        )
    if broadcast_shapes(name, [shape_of(value), shape]) != shape:
        raise ValueError(
            f"[{name}] non-broadcastable output operand with shape {shape} doesn't match the broadcast "
            f"shape {shape_of(value)}. Make a new array (x = x + y) instead of writing in place."
        )
    return broadcast_to(convert(value, dtype), shape)


def divide_with_remainder(x: Any, y: Any) -> tuple[Any, Any]:
    """Floor quotient and remainder."""
    return floor_divide(x, y), remainder(x, y)


def divmod_operator(self: Tracer, other: Any) -> Any:
    if not is_operand(other):
        return NotImplemented
    return tuple(like_python(out, self, other) for out in divide_with_remainder(self, other))


def reflected_divmod(self: Tracer, other: Any) -> Any:
    if not is_operand(other):
        return NotImplemented
    return tuple(like_python(out, other, self) for out in divide_with_remainder(other, self))


def power_operator(self: Tracer, other: Any, modulus: Any = None) -> Any:
    if modulus is not None or not is_operand(other):
        return NotImplemented
    out = power(self, other)
    return like_python(out, self, other) if self.weak else out


def copied(self: Tracer) -> Any:
    """Unary plus: NumPy makes a new array."""
    return self.new_copy()


def length(self: Tracer) -> int:
    if not self.shape:
        raise TypeError(f"len() of unsized object: {self!r} has no axes")
    return self.shape[0]


def iterate(self: Any) -> Iterator[Any]:
    if not self.shape:
        raise TypeError(f"iteration over a 0-d array: {self!r} has no axes")
    return (self[i] for i in range(self.shape[0]))


def contains(self: Tracer, value: Any) -> bool:
    return bool(reduce_or(equal(self, value)))


def rounded(self: Tracer, digits: int | None = None) -> Any:
    if digits is None:
        return self._refuse_scalar("round")
    scale = 10.0**digits
    return like_python(divide(rint(multiply(self, scale)), scale), self)


def formatted(self: Tracer, spec: str) -> str:
    """A traced value prints its type; with a format its number, where there is one."""
    if not spec:
        return repr(self)
    value = self.concrete()
    if value is None:
        raise errors.ConcretizationTypeError(
            errors.compose(
                f"The format {spec!r} needs a concrete number, but got {self!r}.",
                where=source.where(),
                why="The value is known only when the compiled function runs.",
                fix='funcgrad.debug.print("x = {}", x)    # prints at run time\n'
                'f"{x}"                               # prints shape and dtype while tracing',
                page="concretization",
            )
        )
    return format(value, spec)


ARITHMETIC = {
    "add": ADD.apply,
    "sub": SUBTRACT.apply,
    "mul": MULTIPLY.apply,
    "truediv": DIVIDE.apply,
    "floordiv": floor_divide,
    "mod": remainder,
    "matmul": matmul,
    "and": bitwise_and,
    "or": bitwise_or,
    "xor": bitwise_xor,
    "lshift": left_shift,
    "rshift": right_shift,
    "pow": power,
}
COMPARISONS = {
    "eq": equal,
    "ne": not_equal,
    "lt": less,
    "le": less_equal,
    "gt": greater,
    "ge": greater_equal,
}
UNARY = {"neg": negative, "pos": copied, "abs": absolute, "invert": invert}
OTHERS = {
    "pow": power_operator,
    "divmod": divmod_operator,
    "rdivmod": reflected_divmod,
    "getitem": getitem,
    "setitem": setitem,
    "len": length,
    "iter": iterate,
    "contains": contains,
    "round": rounded,
    "format": formatted,
}


def install() -> None:
    """Give every Tracer its operators."""
    methods: dict[str, Callable[..., Any]] = {}
    for name, function in ARITHMETIC.items():
        methods[name] = binary(function)
        methods[f"r{name}"] = reflected(function)
        methods[f"i{name}"] = in_place(name, function)
    methods.update({name: binary(function) for name, function in COMPARISONS.items()})
    methods.update({name: unary(function) for name, function in UNARY.items()})
    methods.update(OTHERS)
    for name, method in methods.items():
        setattr(Tracer, f"__{name}__", method)


install()
