"""Calling NumPy's ufuncs on traced values: `out=`, `where=`, `dtype=`, `casting=` and the five methods."""

from __future__ import annotations

import dis
import importlib
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.config import config
from funcgrad.ir import source
from funcgrad.ir.tracer import UFUNC_METHODS, UFUNCS, Tracer, rebind, state
from funcgrad.ir.types import SCALAR_DTYPES
from funcgrad.numpy.register import copy_of, has_gpu_array
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import as_operand, operand_key, shape_of
from funcgrad.ops.operators import fit_output
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to

FIRST_IN_PLACE, LAST_IN_PLACE = 13, 25  # NB_INPLACE_ADD to NB_INPLACE_XOR of BINARY_OP
IGNORED = ("order", "subok")
IN_PLACE_OPTIONS = {"out", "where"}


class Ufunc:
    """An element-by-element function with NumPy's calling convention and methods.

    Where nothing is traced it calls the NumPy ufunc; elsewhere the operation that stands for it.
    """

    def __init__(self, ufunc: np.ufunc, function: Callable[..., Any]) -> None:
        self.ufunc = ufunc
        self.__name__ = ufunc.__name__
        self.__doc__ = function.__doc__
        self.__module__ = "funcgrad.numpy"
        UFUNCS[ufunc] = function

    def __call__(self, *args: Any, **options: Any) -> Any:
        if (
            state.stack
            or config.checks_values
            or (has_gpu_array(args) and not options.keys() & IN_PLACE_OPTIONS)
        ):
            return call_with_positional_out(self.ufunc, args, options)
        return self.ufunc(*args, **options)

    def reduce(self, array: Any, axis: Any = 0, *args: Any, **options: Any) -> Any:
        """Combine the elements along an axis; see `np.ufunc.reduce`."""
        return self.method("reduce", array, axis, *args, **options)

    def accumulate(self, array: Any, axis: int = 0, *args: Any, **options: Any) -> Any:
        """All running results along an axis; see `np.ufunc.accumulate`."""
        return self.method("accumulate", array, axis, *args, **options)

    def reduceat(self, array: Any, indices: Any, axis: int = 0, *args: Any, **options: Any) -> Any:
        """Reduce slices that start at `indices`; see `np.ufunc.reduceat`."""
        return self.method("reduceat", array, indices, axis, *args, **options)

    def outer(self, x: Any, y: Any, /, **options: Any) -> Any:
        """The function on all pairs of elements; see `np.ufunc.outer`."""
        return self.method("outer", x, y, **options)

    def at(self, a: Any, indices: Any, *args: Any) -> None:
        """Apply in place at some elements, repeated ones repeatedly; see `np.ufunc.at`."""
        self.method("at", a, indices, *args)

    def method(self, name: str, *args: Any, **options: Any) -> Any:
        if state.stack or config.checks_values or has_gpu_array(args):
            return UFUNC_METHODS[name](self.ufunc, *args, **options)
        return getattr(self.ufunc, name)(*args, **options)

    @property
    def nin(self) -> int:
        return self.ufunc.nin

    @property
    def nout(self) -> int:
        return self.ufunc.nout

    @property
    def identity(self) -> Any:
        return self.ufunc.identity

    def __repr__(self) -> str:
        return f"<function funcgrad.numpy.{self.__name__}>"


def call_with_positional_out(ufunc: Any, args: tuple, options: dict) -> Any:
    """A call whose arguments after the inputs are outputs."""
    if len(args) > ufunc.nin:
        options = {**options, "out": args[ufunc.nin :]}
        args = args[: ufunc.nin]
    return call_ufunc(ufunc, args, options)


def implementation_of(ufunc: Any) -> Callable[..., Any]:
    """The operation that stands for a ufunc, or TypeError."""
    try:
        return UFUNCS[ufunc]
    except KeyError:
        pass
    found = find_special(ufunc)
    if found is None:
        raise TypeError(
            errors.compose(
                f"The ufunc {ufunc.__name__!r} has no counterpart for traced values.",
                where=source.where(),
                why="It would need its own derivative and batch rule.",
                fix="compose it from functions of funcgrad.numpy, or call it with\n"
                "funcgrad.pure_callback(ufunc, funcgrad.ShapeDtypeStruct(shape, dtype), x)",
                page="no-counterpart",
            )
        )
    UFUNCS[ufunc] = found
    return found


# What stands for a ufunc of scipy.special, by its name; filled by `funcgrad.scipy.special`.
SPECIAL: dict[str, Callable[..., Any]] = {}


def find_special(ufunc: Any) -> Callable[..., Any] | None:
    """SciPy's ufuncs are known by name, so that SciPy need not be imported before the user does."""
    special = sys.modules.get("scipy.special")
    if special is None or getattr(special, ufunc.__name__, None) is not ufunc:
        return None
    importlib.import_module("funcgrad.scipy.special")  # fills the table
    return SPECIAL.get(ufunc.__name__)


def call_ufunc(ufunc: Any, inputs: tuple, options: dict, frame: FrameType | None = None) -> Any:
    """Call a ufunc on traced values.

    Args:
        ufunc: NumPy's or SciPy's.
        inputs: its inputs.
        options: its keyword arguments; `order` and `subok` have no effect.
        frame: the frame that called NumPy, where that is known; an in-place operator in it may have a
            real array as `out`.
    """
    function = implementation_of(ufunc)
    if not options:
        return new_value(function(*inputs), inputs)
    options = {name: value for name, value in options.items() if name not in IGNORED}
    outs = options.pop("out", None)
    where = options.pop("where", True)
    casting = options.pop("casting", "same_kind")
    loop = {name: options.pop(name) for name in ("dtype", "signature", "sig") if name in options}
    if loop or casting != "same_kind":
        inputs = cast_inputs(ufunc, inputs, loop, casting)
    if where is not True:
        inputs = tuple([select(where, x, harmless_input(ufunc, x)) for x in inputs])
    results = function(*inputs, **options)
    outs = outs if isinstance(outs, tuple) else (outs,) * 1
    if ufunc.nout == 1:
        return finish(ufunc, results, outs[0], where, casting, inputs, frame)
    outs = outs if len(outs) == ufunc.nout else (None,) * ufunc.nout
    return tuple(
        finish(ufunc, result, out, where, casting, inputs, frame)
        for result, out in zip(results, outs, strict=True)
    )


def harmless_input(ufunc: Any, x: Any) -> Any:
    """What takes the place of elements that `where=` leaves out, so that they neither warn nor become NaN."""
    return np.asarray(0 if ufunc is np.arctanh else 1, as_array(x).dtype)[()]


def new_value(result: Any, inputs: tuple) -> Any:
    """A ufunc never returns one of its inputs."""
    for x in inputs:
        if result is x:
            return copy_of(result)
    return result


def finish(
    ufunc: Any, result: Any, out: Any, where: Any, casting: str, inputs: tuple, frame: Any
) -> Any:
    """Apply `where=` and write into `out=`."""
    if out is not None:
        return write_output(ufunc.__name__, result, out, where, casting, frame)
    if where is not True:
        # NumPy leaves the other elements unwritten; here they are zero.
        return select(where, result, np.zeros((), result.dtype))
    return new_value(result, inputs)


def cast_inputs(ufunc: Any, inputs: tuple, loop: dict, casting: str) -> tuple:
    """The inputs in the dtypes of the loop that `dtype=` or `signature=` asks for."""
    operands = [as_operand(x) for x in inputs]
    kinds = [k[0] if isinstance(k, tuple) else k for k in map(operand_key, operands)]
    if all(isinstance(k, type) for k in kinds):
        kinds = [SCALAR_DTYPES[k] for k in kinds]
    signature = loop.get("signature", loop.get("sig"))
    if "dtype" in loop and loop["dtype"] is not None:
        signature = (*(None,) * ufunc.nin, *(np.dtype(loop["dtype"]),) * ufunc.nout)
    if isinstance(signature, str):
        left, _, right = signature.partition("->")
        signature = tuple(map(np.dtype, left + right))
    wanted = {} if signature is None else {"signature": signature}
    found = ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout), casting=casting, **wanted)
    return tuple(convert(x, dtype) for x, dtype in zip(operands, found, strict=False))


def write_output(
    name: str,
    value: Any,
    out: Any,
    where: Any = True,
    casting: Any = "same_kind",
    frame: Any = None,
) -> Any:
    """Write a result into the array given as `out=`, and return that array.

    A traced `out` takes on the new value. A real array cannot hold a traced one: only an in-place operator
    may have it, because Python then binds the name to what is returned.
    """
    fitted = fit_output(name, value, shape_of(out), out.dtype, casting)
    if where is not True:
        fitted = select(where, fitted, out)
        fitted = broadcast_to(fitted, shape_of(out))
    if isinstance(out, Tracer):
        rebind(out, fitted)
        return out
    if not isinstance(fitted, Tracer):
        out[...] = fitted
        return out
    if frame is not None and runs_in_place_operator(frame):
        return fitted
    raise errors.TracerArrayConversionError(
        errors.compose(
            f"out= is an ndarray of shape {out.shape}, but the result of {name} is traced: {value!r}.",
            where=source.where(),
            why="A real array cannot hold a value that has none yet, and would silently stay unwritten.",
            fix=f"y = np.{name}(...)                    # use the result\n"
            f"out = np.zeros({out.shape}, like=x)    # or make the output an array that can hold it",
            page="tracer-array",
        )
    )


def runs_in_place_operator(frame: FrameType) -> bool:
    """Whether a frame is executing `+=` or one of its relatives right now."""
    code = frame.f_code.co_code
    opcode, argument = code[frame.f_lasti], code[frame.f_lasti + 1]
    name = dis.opname[opcode]
    if name == "BINARY_OP":
        return FIRST_IN_PLACE <= argument <= LAST_IN_PLACE
    return name.startswith("INPLACE_")
