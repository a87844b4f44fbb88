"""Operations on the bits of integers, and greatest common divisors. They have no derivative."""

from __future__ import annotations

import numpy as np

from funcgrad.ops.families import Elementwise
from funcgrad.ops.public import binary, unary


class IntegerOperation(Elementwise):
    """Integers (or bools) to integers."""

    differentiable = False
    keeps_inputs = False


class BitwiseAnd(IntegerOperation):
    """Bits set in both operands; logical and for bools.

    Example:
        >>> bitwise_and(6, 3)
        np.int64(2)
    """

    ufunc = "bitwise_and"


class BitwiseOr(IntegerOperation):
    """Bits set in at least one operand; logical or for bools.

    Example:
        >>> bitwise_or(6, 3)
        np.int64(7)
    """

    ufunc = "bitwise_or"


class BitwiseXor(IntegerOperation):
    """Bits set in exactly one operand; exclusive or for bools.

    Example:
        >>> bitwise_xor(6, 3)
        np.int64(5)
    """

    ufunc = "bitwise_xor"


class Invert(IntegerOperation):
    """Every bit flipped; logical not for bools.

    Example:
        >>> invert(0)
        np.int64(-1)
    """

    ufunc = "invert"


class BitwiseCount(IntegerOperation):
    """How many bits of the absolute value are set, as uint8.

    Example:
        >>> bitwise_count(-6)
        np.uint8(2)
    """

    ufunc = "bitwise_count"

    def output_dtype(self, dtype: np.dtype) -> np.dtype:
        del dtype
        return np.dtype(np.uint8)


class LeftShift(IntegerOperation):
    """Bits of `x` moved to the left by `y` places; 0 if `y` is the width of the dtype or more.

    Example:
        >>> left_shift(1, 4)
        np.int64(16)
    """

    ufunc = "left_shift"


class RightShift(IntegerOperation):
    """Bits of `x` moved to the right by `y` places, keeping the sign.

    Example:
        >>> right_shift(-16, 2)
        np.int64(-4)
    """

    ufunc = "right_shift"


class Gcd(IntegerOperation):
    """Greatest common divisor.

    Example:
        >>> gcd(12, 18)
        np.int64(6)
    """

    ufunc = "gcd"


class Lcm(IntegerOperation):
    """Least common multiple.

    Example:
        >>> lcm(4, 6)
        np.int64(12)
    """

    ufunc = "lcm"


BITWISE_AND, BITWISE_OR, BITWISE_XOR, INVERT = BitwiseAnd(), BitwiseOr(), BitwiseXor(), Invert()
LEFT_SHIFT, RIGHT_SHIFT, GCD, LCM = LeftShift(), RightShift(), Gcd(), Lcm()
BITWISE_COUNT = BitwiseCount()

bitwise_and, bitwise_or, bitwise_xor = map(binary, (BITWISE_AND, BITWISE_OR, BITWISE_XOR))
invert, bitwise_count = unary(INVERT), unary(BITWISE_COUNT)
left_shift, right_shift, gcd, lcm = map(binary, (LEFT_SHIFT, RIGHT_SHIFT, GCD, LCM))
