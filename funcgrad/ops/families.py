"""Base classes that answer for whole families of primitives, so that an op says only what differs.

Elementwise: NumPy broadcasting, derivatives from `partials`, batching by aligning axes.
Linear: jointly linear in some inputs; the tangent is the op itself, the pullback its transpose.
Multilinear: linear in each of some inputs separately (products).
Reduction: over the param `axes`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.config import config, restraints
from funcgrad.ir.primitive import CONCRETE, LinearInput, Primitive
from funcgrad.ir.quiet import quiet
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import SCALAR_DTYPES, ArrayType, real_dtype
from funcgrad.ops.batching import align_batch
from funcgrad.ops.cotangents import pulled_back, scale, sum_terms, zeros_for
from funcgrad.ops.operands import (
    RULES,
    array_function,
    as_operand,
    broadcast_shapes,
    converted,
    operand_key,
    shape_of,
    ufunc_inputs,
)


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
