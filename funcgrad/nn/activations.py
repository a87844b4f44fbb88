"""Activation functions, elementwise. Names and formulas are JAX's.

Their derivatives at corners are part of what they are, and tested: relu, relu6 and leaky functions are
written with `where`, so that the value at the corner says which branch it belongs to.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.ir.types import BFLOAT16
from funcgrad.ops.cast import convert
from funcgrad.ops.exponential import sigmoid as logistic
from funcgrad.ops.sequences import as_array
from funcgrad.scipy.special import erfc

# Constants of Klambauer et al., 2017.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
# Twice the argument of tanh in Hendrycks and Gimpel, 2016, as a polynomial.
GELU_LINEAR = math.sqrt(8 / math.pi)
GELU_CUBIC = 0.044715 * GELU_LINEAR


def keeps_bfloat16(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with results in bfloat16 for bfloat16, which NumPy widens beside Python floats."""

    @functools.wraps(function)
    def call(x: Any, *args: Any, **options: Any) -> Any:
        x = as_array(x)
        out = function(x, *args, **options)
        return convert(out, BFLOAT16) if x.dtype == BFLOAT16 else out

    return call


def identity(x: Any) -> Any:
    """The argument itself.

    Example:
        >>> identity(3.0)
        3.0
    """
    return x


def relu(x: Any) -> Any:
    """`max(x, 0)`, with derivative 0 at 0.

    Example:
        >>> relu([-1.0, 0.0, 2.0])
        array([0., 0., 2.])
    """
    x = as_array(x)
    return fnp.where(x <= 0, 0, x)


def relu6(x: Any) -> Any:
    """`min(max(x, 0), 6)`, with derivative 0 at 0 and at 6.

    Example:
        >>> relu6([-1.0, 3.0, 7.0])
        array([0., 3., 6.])
    """
    x = as_array(x)
    return fnp.where(x <= 0, 0, fnp.where(x >= 6, 6, x))


@keeps_bfloat16
def sigmoid(x: Any) -> Any:
    """`1 / (1 + exp(-x))`, without overflow.

    Example:
        >>> sigmoid([-1000.0, 0.0])
        array([0. , 0.5])
    """
    return logistic(as_array(x))


def tanh(x: Any) -> Any:
    """Hyperbolic tangent.

    Example:
        >>> tanh([0.0])
        array([0.])
    """
    return fnp.tanh(as_array(x))


@keeps_bfloat16
def softplus(x: Any) -> Any:
    """`log(1 + exp(x))`, without overflow.

    Example:
        >>> softplus([-1000.0, 1000.0])
        array([   0., 1000.])
    """
    return fnp.logaddexp(as_array(x), 0.0)


@keeps_bfloat16
def log_sigmoid(x: Any) -> Any:
    """`log(sigmoid(x))`, without rounding small values to -inf.

    Example:
        >>> log_sigmoid([-1000.0, 1000.0])
        array([-1000.,    -0.])
    """
    return -softplus(-as_array(x))


@keeps_bfloat16
def silu(x: Any) -> Any:
    """`x * sigmoid(x)` (Elfwing et al., 2017; also known as swish).

    Example:
        >>> silu([0.0, 100.0])
        array([  0., 100.])
    """
    x = as_array(x)
    return x * logistic(x)


@keeps_bfloat16
def gelu(x: Any, approximate: bool = True) -> Any:
    """`x` times the probability that a normal variable is below it (Hendrycks and Gimpel, 2016).

    Args:
        x: array.
        approximate: use the authors' approximation by tanh.

    Example:
        >>> gelu([0.0, 1.0]).round(4), gelu([0.0, 1.0], approximate=False).round(4)
        (array([0.    , 0.8412]), array([0.    , 0.8413]))
    """
    x = as_array(x)
    if not approximate:
        half = 0.5 * x
        return convert(half * erfc(x * -math.sqrt(0.5)), half.dtype)
    # (1 + tanh(z)) / 2 = sigmoid(2 z), which keeps its digits where tanh is near -1.
    return x * logistic(x * (GELU_LINEAR + GELU_CUBIC * (x * x)))


@keeps_bfloat16
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """`x` where positive, else `alpha * (exp(x) - 1)` (Clevert et al., 2015).

    Example:
        >>> elu([-1000.0, 2.0])
        array([-1.,  2.])
    """
    x = as_array(x)
    return fnp.where(x > 0, x, alpha * fnp.expm1(fnp.where(x > 0, 0, x)))


@keeps_bfloat16
def celu(x: Any, alpha: Any = 1.0) -> Any:
    """`x` where positive, else `alpha * (exp(x / alpha) - 1)` (Barron, 2017).

    Example:
        >>> celu([-1000.0, 2.0], alpha=0.5)
        array([-0.5,  2. ])
    """
    x = as_array(x)
    return fnp.where(x > 0, x, alpha * fnp.expm1(fnp.where(x > 0, 0, x) / alpha))


@keeps_bfloat16
def selu(x: Any) -> Any:
    """`elu` scaled so that layers keep mean 0 and variance 1 (Klambauer et al., 2017).

    Example:
        >>> selu([1.0]).round(4)
        array([1.0507])
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


@keeps_bfloat16
def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    """`x` where it is at least 0, else `negative_slope * x`.

    Example:
        >>> leaky_relu([-100.0, 2.0])
        array([-1.,  2.])
    """
    x = as_array(x)
    return fnp.where(x >= 0, x, negative_slope * x)


def hard_tanh(x: Any) -> Any:
    """`x` between -1 and 1, and these beyond; derivative 1 at -1 and 1.

    Example:
        >>> hard_tanh([-3.0, 0.5])
        array([-1. ,  0.5])
    """
    x = as_array(x)
    return fnp.where(x > 1, 1, fnp.where(x < -1, -1, x))


@keeps_bfloat16
def hard_sigmoid(x: Any) -> Any:
    """`relu6(x + 3) / 6`: a sigmoid of straight lines.

    Example:
        >>> hard_sigmoid([-4.0, 0.0])
        array([0. , 0.5])
    """
    return relu6(as_array(x) + 3.0) / 6.0


@keeps_bfloat16
def hard_silu(x: Any) -> Any:
    """`x * hard_sigmoid(x)` (Howard et al., 2019; also known as hard_swish).

    Example:
        >>> hard_silu([-4.0, 3.0])
        array([-0.,  3.])
    """
    x = as_array(x)
    return x * hard_sigmoid(x)


@keeps_bfloat16
def soft_sign(x: Any) -> Any:
    """`x / (1 + |x|)`.

    Example:
        >>> soft_sign([-1.0, 3.0])
        array([-0.5 ,  0.75])
    """
    x = as_array(x)
    return x / (fnp.abs(x) + 1)


@keeps_bfloat16
def mish(x: Any) -> Any:
    """`x * tanh(softplus(x))` (Misra, 2019).

    Example:
        >>> mish([0.0, 100.0])
        array([  0., 100.])
    """
    x = as_array(x)
    return x * fnp.tanh(softplus(x))


@keeps_bfloat16
def squareplus(x: Any, b: Any = 4.0) -> Any:
    """`(x + sqrt(x**2 + b)) / 2` (Barron, 2021).

    Example:
        >>> squareplus([0.0])
        array([1.])
    """
    x = as_array(x)
    return (x + fnp.sqrt(x * x + b)) / 2


@keeps_bfloat16
def glu(x: Any, axis: int = -1) -> Any:
    """The first half of an axis times the sigmoid of the second half (Dauphin et al., 2016).

    Example:
        >>> glu([4.0, 0.0])
        array([2.])
    """
    x = as_array(x)
    if not x.ndim or x.shape[axis] % 2:
        raise ValueError(
            f"[glu] axis {axis} must have an even length, to be split in two halves, but the array has "
            f"shape {x.shape}."
        )
    values, gates = fnp.split(x, 2, axis)
    return values * logistic(gates)


swish = silu
hard_swish = hard_silu
