"""Tangents and cotangents: scaled by partial derivatives, summed, and brought back to the shape of an operand.

One that is certainly zero is None.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.operands import RULES


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


def zeros_like_type(type: ArrayType) -> Any:
    """Zeros of this type; an empty stack if a length is known only at run time."""
    if None in type.shape:
        return RULES["empty_stack"](type)
    return RULES["full"](type.shape, 0, type.dtype)


def zeros_for(value: Any) -> Any:
    return zeros_like_type(type_of(value))
