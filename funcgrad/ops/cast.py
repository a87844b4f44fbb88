"""Change of dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, Operation
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import PYTHON_SCALARS, ArrayType, is_inexact
from funcgrad.ops.batching import move_batch_first
from funcgrad.ops.families import Linear
from funcgrad.ops.identities import is_lossless
from funcgrad.ops.operands import RULES


class Convert(Linear):
    """Each element in another dtype; a complex number becomes its real part."""

    kind = "elementwise"

    def type_rule(self, x: ArrayType, *, dtype: np.dtype) -> ArrayType:
        return ArrayType(x.shape, dtype)

    def numpy(self, xp: Any, x: Any, *, dtype: np.dtype) -> Any:
        if type(x) in PYTHON_SCALARS:
            return xp.asarray(x, dtype)[()]
        if x.dtype.kind == "c" and dtype.kind not in "cb":
            x = x.real
        return x.astype(dtype)

    def jvp(self, primals: Any, tangents: Any, *, dtype: np.dtype) -> tuple[Any, Any]:
        out = self(*primals, dtype=dtype)
        if tangents[0] is None or not is_inexact(dtype):
            return out, None
        return out, self(tangents[0], dtype=dtype)

    def vjp(self, primals: Any, active: Any, *, dtype: np.dtype) -> tuple[Any, Any]:
        if not is_inexact(dtype):
            return self(*primals, dtype=dtype), None
        return super().vjp(primals, active, dtype=dtype)

    def transpose(self, cotangent: Any, x: LinearInput, *, dtype: np.dtype) -> list[Any]:
        return [convert(cotangent, x.dtype)]

    def batch(self, size: int, args: Any, axes: Any, *, dtype: np.dtype) -> tuple[Any, Any]:
        del size
        return self(*move_batch_first(args, axes), dtype=dtype), 0

    def simplify(self, known: Any, x: Any, *, dtype: np.dtype) -> Any:
        if x.type.dtype == dtype and not x.type.weak:
            return x
        maker = known.made_by(x, self)
        if maker and is_lossless(maker.inputs[0].type.dtype, x.type.dtype):
            return Operation(self, *maker.inputs, dtype=dtype)
        return None

    def lower(self, emit: Any, *values: Any, **params: Any) -> Any:
        return emit.elementwise(self, values, params)

    def scalar(self, emit: Any, x: Any, *, dtype: np.dtype) -> Any:
        return emit.convert(x, dtype)


CONVERT = Convert()


def convert(x: Any, dtype: Any) -> Any:
    """`x` with this dtype; `x` itself if it has it already."""
    found = getattr(x, "dtype", None)
    if found is not dtype:
        dtype = np.dtype(dtype)
        if found is None or found != dtype:
            return CONVERT(x, dtype=dtype)
    return CONVERT(x, dtype=dtype) if isinstance(x, Tracer) and x.weak else x


RULES["convert"] = convert
