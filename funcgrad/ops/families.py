"""Base classes that answer for whole families of primitives, so that an op says only what differs.

Elementwise: NumPy broadcasting, derivatives from `partials`, batching by aligning axes.
Linear: jointly linear in some inputs; the tangent is the op itself, the pullback its transpose.
Multilinear: linear in each of some inputs separately (products).
Reduction: over the param `axes`.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.config import config, restraints
from funcgrad.ir.devices import is_cupy_array
from funcgrad.ir.primitive import CONCRETE, LinearInput, Primitive
from funcgrad.ir.quiet import quiet
from funcgrad.ir.tracer import Tracer, type_of
from funcgrad.ir.types import BOOL, PYTHON_SCALARS, SCALAR_DTYPES, ArrayType, real_dtype

# Filled by the files that define them; the families need these few linear ops in their rules.
RULES: dict[str, Callable[..., Any]] = {}


def shape_of(value: Any) -> tuple:
    return getattr(value, "shape", ())


def ndim_of(value: Any) -> int:
    return len(getattr(value, "shape", ()))


def sum_terms(terms: Sequence[Any]) -> Any:
    """Sum of the terms that are not None; None (zero) if there are none."""
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else RULES["add"](total, term)
    return total


def scale(tangent: Any, factor: Any) -> Any:
    """`tangent * factor`: the local step of every derivative. `factor` may be None (zero) or a callable.

    While cotangents come from a branch that `select` did not take, zero times anything is zero.
    """
    if type(factor) is Staged:
        return scale(RULES["divide"](tangent, factor.divisor), factor.factor)
    if callable(factor):
        factor = factor()
    if factor is None:
        return None
    if type(factor) is float:
        if factor == 1.0:
            return tangent
        if factor == -1.0:
            return RULES["negative"](tangent)
    term = RULES["masked_multiply" if RULES_STATE.masked else "multiply"](tangent, factor)
    # Beside a Python float NumPy widens bfloat16; a derivative keeps its dtype.
    dtype = tangent.dtype
    if term.dtype is dtype or term.dtype == dtype or term.dtype.kind == "c":
        return term
    return RULES["convert"](term, dtype)


class Staged:
    """A partial derivative `factor / divisor` for an operand of the shape of `divisor`, which was stretched.

    The tangent is divided before it is stretched, and a cotangent after it is summed: divisions are dear.
    """

    __slots__ = ("divisor", "factor")

    def __init__(self, factor: Any, divisor: Any) -> None:
        self.factor = factor
        self.divisor = divisor

    def pull_back(self, cotangent: Any, shape: tuple) -> Any:
        """The cotangent of the operand."""
        return RULES["divide"](unbroadcast(scale(cotangent, self.factor), shape), self.divisor)


class RulesState(threading.local):
    """Whether the cotangents that are being pulled back passed a `select` (set by the backward loops)."""

    masked = False


RULES_STATE = RulesState()


def unbroadcast(cotangent: Any, shape: tuple) -> Any:
    """Sum a cotangent over the axes along which an operand of this shape was stretched."""
    if cotangent is None:
        return None
    found = getattr(cotangent, "shape", ())
    if found == shape:
        return cotangent
    if len(found) < len(shape):
        return RULES["broadcast_to"](cotangent, shape)
    stretched = stretched_axes(found, shape)
    if stretched:
        cotangent = RULES["reduce_sum"](cotangent, axes=stretched)
        if cotangent.shape == shape:
            return cotangent
    return RULES["reshape"](cotangent, shape)


@functools.lru_cache(maxsize=1024)
def stretched_axes(found: tuple, shape: tuple) -> tuple[int, ...]:
    """The axes of a result along which an operand of this shape was stretched."""
    extra = len(found) - len(shape)
    return tuple(i for i, n in enumerate(found) if i < extra or (shape[i - extra] == 1 and n != 1))


def pulled_back(cotangent: Any, partial: Any, operand: Any) -> Any:
    """The cotangent of an operand, from its partial derivative."""
    shape = getattr(operand, "shape", ())
    if type(partial) is Staged:
        return partial.pull_back(cotangent, shape)
    is_one = type(partial) is float and partial == 1.0
    term = cotangent if is_one else scale(cotangent, partial)
    return term if getattr(term, "shape", ()) == shape else unbroadcast(term, shape)


def broadcast_shapes(name: str, shapes: Sequence[tuple]) -> tuple:
    """NumPy's broadcasting, with an error that names the operation and shows all shapes."""
    if shapes.count(shapes[0]) == len(shapes):
        return shapes[0]
    if len(shapes) == 2 and () in shapes:
        return shapes[0] or shapes[1]
    rank = max(map(len, shapes))
    result = []
    for axis in range(-rank, 0):
        lengths = {shape[axis] for shape in shapes if len(shape) >= -axis}
        lengths.discard(1)
        if len(lengths) > 1:
            shown = " and ".join(str(shape) for shape in shapes)
            raise ValueError(
                f"[{name}] shapes {shown} do not broadcast: axis {axis} has lengths "
                f"{sorted(lengths, key=str)}. Lengths must be equal or 1; use x[:, None] or "
                "np.expand_dims(x, axis) to line the axes up."
            )
        result.append(lengths.pop() if lengths else 1)
    return tuple(result)


class Elementwise(Primitive):
    """One output element from the elements at the same place of each operand, with NumPy broadcasting.

    Attributes:
        ufunc: the NumPy ufunc that gives its meaning and its dtypes ("scipy.special:erf" for SciPy's).
        result: 'same' dtype as the operands, 'bool', or 'real' (part of a complex operand's dtype).
        differentiable: False for predicates and other integer-valued results.
    """

    kind = "elementwise"
    ufunc = ""
    result = "same"
    differentiable = True

    def __init__(self) -> None:
        self.casts: dict[tuple, tuple | None] = {}
        is_plain = type(self).numpy is Elementwise.numpy and self.ufunc and ":" not in self.ufunc
        self.direct = getattr(np, self.ufunc) if is_plain else None

    def numpy(self, xp: Any, *xs: Any) -> Any:
        return array_function(xp, self.ufunc)(*xs)

    def __call__(self, *args: Any, **params: Any) -> Any:
        if self.direct is not None and not restraints:
            for arg in args:
                if type(arg) not in CONCRETE:
                    break
            else:
                return self.direct(*args)
        return Primitive.__call__(self, *args, **params)

    def execute(self, *args: Any, **params: Any) -> Any:
        if self.direct is not None and "cupy" not in sys.modules and not config.checks_values:
            return self.direct(*args)
        return super().execute(*args, **params)

    def implementation(self, xp: Any, **params: Any) -> Callable[..., Any]:
        if type(self).numpy is Elementwise.numpy:
            return array_function(xp, self.ufunc)
        return super().implementation(xp, **params)

    def partials(self, out: Any, *xs: Any) -> Sequence[Any]:
        """Derivative with respect to each operand: an array, 1.0, None for zero, or a callable for one
        that is dear to compute."""
        raise NotImplementedError(f"{self.name} has no derivative")

    def output_dtype(self, dtype: np.dtype) -> np.dtype:
        if self.result == "bool":
            return np.dtype(np.bool_)
        return real_dtype(dtype) if self.result == "real" else dtype

    def type_rule(self, *types: ArrayType, **params: Any) -> ArrayType:
        del params
        strong = [type for type in types if not type.weak]
        dtype = strong[0].dtype if strong else np.result_type(*[type.dtype for type in types])
        for type in strong:
            if type.dtype != dtype:
                raise TypeError(f"[{self.name}] needs equal dtypes, but got {types}")
        shape = broadcast_shapes(self.name, [type.shape for type in types])
        return ArrayType(shape, self.output_dtype(dtype))

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        out = self(*primals, **params)
        if not self.differentiable:
            return out, None
        with quiet():
            terms = [
                None if t is None else scale(t, d)
                for t, d in zip(tangents, self.partials(out, *primals, **params), strict=True)
            ]
            tangent = sum_terms(terms)
        if tangent is not None and shape_of(tangent) != shape_of(out):
            tangent = RULES["broadcast_to"](tangent, shape_of(out))
        return out, tangent

    def vjp(self, primals: Sequence, active: Sequence[bool], **params: Any) -> tuple[Any, Any]:
        out = self(*primals, **params)
        if not self.differentiable:
            return out, None

        def pullback(cotangent: Any) -> list[Any]:
            partials = self.partials(out, *primals, **params)
            if len(primals) == 1:
                return [scale(cotangent, partials[0])]
            return [
                pulled_back(cotangent, d, x) if wanted else None
                for wanted, d, x in zip(active, partials, primals, strict=True)
            ]

        return out, pullback

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        del size
        return self(*align_batch(args, axes), **params), 0

    def lower(self, emit: Any, *values: Any, **params: Any) -> Any:
        return emit.elementwise(self, values, params)

    def scalar(self, emit: Any, *xs: Any) -> Any:
        """One element of the result from one element of each operand, in the emitter's terms."""
        return emit.math(self.name, *xs)

    def apply(self, *args: Any) -> Any:
        """Call with operands of any dtypes, promoted as NumPy's ufunc does."""
        if self.direct is not None and not restraints:
            for arg in args:
                if type(arg) not in CONCRETE:
                    break
            else:
                return self.direct(*args)
        keys: list[Any] = []
        owner = None
        for arg in args:
            if isinstance(arg, Tracer):
                keys.append(arg.promotion)
                trace = arg.owner
                if owner is None or trace.level >= owner.level:
                    owner = trace
            elif type(arg) is np.ndarray:
                keys.append(arg.dtype)
            elif type(arg) is float or type(arg) is int:
                keys.append(type(arg))
            else:
                args = tuple([as_operand(arg) for arg in args])
                keys, owner = [operand_key(arg) for arg in args], None
                break
        key = tuple(keys)
        try:
            casts = self.casts[key]
        except KeyError:
            casts = self.casts[key] = self.resolve(key)
        if casts is not None:
            args = tuple(converted(args, casts))
        elif owner is not None and not restraints and owner.is_running:
            return owner.process(self, args, {})  # what `__call__` would find out anew
        return Primitive.__call__(self, *args)

    def resolve(self, key: tuple) -> tuple | None:
        """The dtype each operand is converted to (None: as it is), for operand keys of `operand_key`."""
        dtypes = ufunc_inputs(self.name, array_function(np, self.ufunc), key)
        strong = any(isinstance(k, np.dtype) for k in key)
        casts = []
        for k, dtype in zip(key, dtypes, strict=True):
            if isinstance(k, type):
                casts.append(None if strong or SCALAR_DTYPES[k] == dtype else dtype)
            else:
                found = k[1] if isinstance(k, tuple) else k
                casts.append(None if found == dtype else dtype)
        return None if all(cast is None for cast in casts) else tuple(casts)


class SpecialFunction(Elementwise):
    """Elementwise, but computed by SciPy (CuPy's copy of it on a GPU) where generated code has no function for it."""

    kind = "library"


def array_function(xp: Any, name: str) -> Callable[..., Any]:
    """`xp.name`, or a SciPy (CuPy: cupyx.scipy) function for a name such as "scipy.special:erf"."""
    if ":" not in name:
        return getattr(xp, name)
    module, _, attribute = name.partition(":")
    prefix = "" if xp is np else "cupyx."
    return getattr(importlib.import_module(prefix + module), attribute)


ARRAY_CLASSES = (np.ndarray, np.generic)


def as_operand(value: Any) -> Any:
    """An array, tracer or Python scalar; lists become arrays, everything else is refused."""
    if isinstance(value, Tracer):
        return value
    if isinstance(value, ARRAY_CLASSES) or type(value) in PYTHON_SCALARS:
        if type(value) is np.ndarray or not isinstance(value, np.ndarray):
            return value
        if isinstance(value, np.matrix | np.ma.MaskedArray):
            raise TypeError(
                f"funcgrad computes with plain arrays, but got a {type(value).__name__}. "
                "Pass np.asarray(x), or x.filled(0.0) for a masked array."
            )
        return np.asarray(value)
    if isinstance(value, list | tuple):
        return RULES["asarray"](value)
    if is_cupy_array(value):
        return value
    if hasattr(value, "__array__"):
        return np.asarray(value)
    if isinstance(value, LinearInput):
        raise TypeError(
            "[linear_transpose] the function is not linear: it multiplies values that all depend on its "
            f"arguments, one of them {value.type}. Use funcgrad.vjp(fun, x), which transposes its derivative."
        )
    raise TypeError(
        f"Expected an array or a number, but got {type(value).__name__}: {value!r:.60}. "
        "Pass an array, or mark the argument static: funcgrad.jit(fun, static_argnames=(...,))."
    )


def converted(args: Sequence[Any], dtypes: Sequence[np.dtype | None]) -> list[Any]:
    """Operands in these dtypes; None for one that stays as it is."""
    return [
        arg if dtype is None else RULES["convert"](arg, dtype)
        for arg, dtype in zip(args, dtypes, strict=True)
    ]


def operand_key(value: Any) -> Any:
    """What promotion depends on: a dtype; a Python type for a Python scalar; both for a weak tracer."""
    if isinstance(value, Tracer):
        return value.promotion
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return BOOL if type(value) is bool else type(value)
    return dtype


def ufunc_inputs(name: str, ufunc: Any, key: tuple) -> Sequence[np.dtype]:
    """The dtypes that the loop of a NumPy ufunc reads for these operands."""
    kinds = [k[0] if isinstance(k, tuple) else k for k in key]
    if all(isinstance(k, type) for k in kinds):
        kinds = [SCALAR_DTYPES[k] for k in kinds]
    kinds = [k.newbyteorder("=") if isinstance(k, np.dtype) else k for k in kinds]
    try:
        return ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))[: len(key)]
    except TypeError as error:
        shown = ", ".join(k.__name__ if isinstance(k, type) else str(k) for k in kinds)
        raise TypeError(f"[{name}] is not defined for ({shown}): {error}") from None


def align_batch(args: Sequence, axes: Sequence) -> list[Any]:
    """Bring operands to a common leading batch axis so that they broadcast example by example."""
    rank = max(ndim_of(arg) - (axis is not None) for arg, axis in zip(args, axes, strict=True))
    aligned = []
    for arg, axis in zip(args, axes, strict=True):
        if axis is None:
            aligned.append(arg)
            continue
        arg = RULES["moveaxis"](arg, axis, 0)
        shape = shape_of(arg)
        missing = rank - (len(shape) - 1)
        if missing:
            arg = RULES["reshape"](arg, (shape[0], *(1,) * missing, *shape[1:]))
        aligned.append(arg)
    return aligned


def zeros_like_type(type: ArrayType) -> Any:
    """Zeros of this type; an empty stack if a length is known only at run time."""
    if None in type.shape:
        return RULES["empty_stack"](type)
    return RULES["full"](type.shape, 0, type.dtype)


def zeros_for(value: Any) -> Any:
    return zeros_like_type(type_of(value))


class Linear(Primitive):
    """Jointly linear in the inputs `linear_args` (None: all of them)."""

    kind = "index_map"
    linear_args: tuple[int, ...] | None = (0,)
    keeps_inputs = False

    def is_linear_in(self, index: int) -> bool:
        return self.linear_args is None or index in self.linear_args

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        out = self(*primals, **params)
        operands = [
            (zeros_for(x) if t is None else t) if self.is_linear_in(i) else x
            for i, (x, t) in enumerate(zip(primals, tangents, strict=True))
        ]
        if all(t is None for i, t in enumerate(tangents) if self.is_linear_in(i)):
            return out, None
        return out, self(*operands, **params)

    def vjp(self, primals: Sequence, active: Sequence[bool], **params: Any) -> tuple[Any, Any]:
        out = self(*primals, **params)
        inputs, moves = list(primals), False
        for i, wanted in enumerate(active):
            if wanted and (self.linear_args is None or i in self.linear_args):
                inputs[i], moves = LinearInput(primals[i]), True
        if not moves:
            return out, None
        return out, lambda cotangent: self.transpose(cotangent, *inputs, **params)


class Multilinear(Primitive):
    """Linear in each of the first `factors` inputs separately, as a product is."""

    factors = 2

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        out = self(*primals, **params)
        with quiet():
            terms = [
                self(*primals[:i], tangent, *primals[i + 1 :], **params)
                for i, tangent in enumerate(tangents[: self.factors])
                if tangent is not None
            ]
            return out, sum_terms(terms)

    def vjp(self, primals: Sequence, active: Sequence[bool], **params: Any) -> tuple[Any, Any]:
        out = self(*primals, **params)

        def pullback(cotangent: Any) -> list[Any]:
            cotangents: list[Any] = [None] * len(primals)
            for i in range(self.factors):
                if active[i]:
                    linear = LinearInput(primals[i])
                    inputs = (*primals[:i], linear, *primals[i + 1 :])
                    cotangents[i] = self.transpose(cotangent, *inputs, **params)[i]
            return cotangents

        return out, pullback


class Reduction(Primitive):
    """Combines the elements along the axes in the param `axes` (sorted, non-negative)."""

    kind = "reduction"
    combine = "add"

    def output_dtype(self, dtype: np.dtype, **params: Any) -> np.dtype:
        del params
        return dtype

    def type_rule(self, x: ArrayType, *, axes: tuple[int, ...], **params: Any) -> ArrayType:
        shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        return ArrayType(shape, self.output_dtype(x.dtype, **params))

    def batch(self, size: int, args: Sequence, axes: Sequence, /, **params: Any) -> tuple[Any, Any]:
        del size
        (x,), (axis,) = args, axes
        reduced = tuple(a + (a >= axis) for a in params.pop("axes"))
        out = self(x, axes=reduced, **params)
        return out, axis - sum(a < axis for a in reduced)

    def lower(self, emit: Any, *values: Any, **params: Any) -> Any:
        return emit.reduce(self.combine, *values, **params)


def move_batch_first(args: Sequence, axes: Sequence) -> list[Any]:
    """Move the batch axis of every batched operand to the front; others stay as they are."""
    return [
        arg if axis is None or axis == 0 else RULES["moveaxis"](arg, axis, 0)
        for arg, axis in zip(args, axes, strict=True)
    ]


def all_batched(size: int, args: Sequence, axes: Sequence) -> list[Any]:
    """Like `move_batch_first`, with operands that are the same for every example repeated."""
    return [
        RULES["broadcast_to"](arg, (size, *shape_of(arg)))
        if axis is None
        else RULES["moveaxis"](arg, axis, 0)
        for arg, axis in zip(args, axes, strict=True)
    ]
