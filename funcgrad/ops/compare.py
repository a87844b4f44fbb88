"""Predicates: comparisons, tests of special values, and logic.

Their results are bool and have no derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import BOOL, ArrayType
from funcgrad.ops.families import Elementwise
from funcgrad.ops.operands import broadcast_shapes
from funcgrad.ops.public import binary, unary


class Predicate(Elementwise):
    """A bool for each element. The dtypes may differ: NumPy compares int64 with uint64."""

    result = "bool"
    differentiable = False
    keeps_inputs = False

    def type_rule(self, *types: ArrayType, **params: Any) -> ArrayType:
        del params
        return ArrayType(broadcast_shapes(self.name, [type.shape for type in types]), np.bool_)


# --- comparisons ---


class Equal(Predicate):
    """Whether the elements of two arrays are equal.

    Example:
        >>> equal(2, 2.0)
        np.True_
    """

    ufunc = "equal"


class NotEqual(Predicate):
    """Whether the elements of two arrays differ.

    Example:
        >>> not_equal(2, 3)
        np.True_
    """

    ufunc = "not_equal"


class Less(Predicate):
    """Whether `x < y`.

    Example:
        >>> less(2, 3)
        np.True_
    """

    ufunc = "less"


class LessEqual(Predicate):
    """Whether `x <= y`.

    Example:
        >>> less_equal(3, 3)
        np.True_
    """

    ufunc = "less_equal"


class Greater(Predicate):
    """Whether `x > y`.

    Example:
        >>> greater(2, 3)
        np.False_
    """

    ufunc = "greater"


class GreaterEqual(Predicate):
    """Whether `x >= y`.

    Example:
        >>> greater_equal(3, 3)
        np.True_
    """

    ufunc = "greater_equal"


# --- special values ---


class Isnan(Predicate):
    """Whether each element is NaN.

    Example:
        >>> isnan(float("nan"))
        np.True_
    """

    ufunc = "isnan"


class Isinf(Predicate):
    """Whether each element is infinite.

    Example:
        >>> isinf(float("-inf"))
        np.True_
    """

    ufunc = "isinf"


class Isfinite(Predicate):
    """Whether each element is neither infinite nor NaN.

    Example:
        >>> isfinite(1.0)
        np.True_
    """

    ufunc = "isfinite"


class Signbit(Predicate):
    """Whether the sign bit of each element is set, also that of -0.0.

    Example:
        >>> signbit(-0.0)
        np.True_
    """

    ufunc = "signbit"


# --- logic ---


class Logic(Predicate):
    """Logic of truth values."""

    def __init__(self) -> None:
        super().__init__()
        self.direct = getattr(np, self.ufunc)

    def numpy(self, xp: Any, *xs: Any) -> Any:
        if xp is not np:  # CuPy's logic knows no complex numbers
            xs = tuple([x != 0 if getattr(x, "dtype", BOOL).kind == "c" else x for x in xs])
        return super().numpy(xp, *xs)


class LogicalAnd(Logic):
    """Whether both elements are true (not zero).

    Example:
        >>> logical_and(True, 2)
        np.True_
    """

    ufunc = "logical_and"


class LogicalOr(Logic):
    """Whether at least one of the elements is true (not zero).

    Example:
        >>> logical_or(False, 2)
        np.True_
    """

    ufunc = "logical_or"


class LogicalXor(Logic):
    """Whether exactly one of the elements is true (not zero).

    Example:
        >>> logical_xor(True, 2)
        np.False_
    """

    ufunc = "logical_xor"


class LogicalNot(Logic):
    """Whether each element is false (zero).

    Example:
        >>> logical_not(0.0)
        np.True_
    """

    ufunc = "logical_not"


EQUAL, NOT_EQUAL, LESS, LESS_EQUAL = Equal(), NotEqual(), Less(), LessEqual()
GREATER, GREATER_EQUAL = Greater(), GreaterEqual()
ISNAN, ISINF, ISFINITE, SIGNBIT = Isnan(), Isinf(), Isfinite(), Signbit()
LOGICAL_AND, LOGICAL_OR = LogicalAnd(), LogicalOr()
LOGICAL_XOR, LOGICAL_NOT = LogicalXor(), LogicalNot()

equal, not_equal, less, less_equal = map(binary, (EQUAL, NOT_EQUAL, LESS, LESS_EQUAL))
greater, greater_equal = binary(GREATER), binary(GREATER_EQUAL)
isnan, isinf, isfinite, signbit = map(unary, (ISNAN, ISINF, ISFINITE, SIGNBIT))
logical_and, logical_or, logical_xor = map(binary, (LOGICAL_AND, LOGICAL_OR, LOGICAL_XOR))
logical_not = unary(LOGICAL_NOT)
