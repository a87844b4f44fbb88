"""The exponential of matrices."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.control.while_loop import while_loop
from funcgrad.ops.arithmetic import add, multiply, subtract
from funcgrad.ops.compare import isfinite, less
from funcgrad.ops.exponential import exp2, log2
from funcgrad.ops.extrema import maximum
from funcgrad.ops.extremal_reduce import reduce_max
from funcgrad.ops.floats import absolute
from funcgrad.ops.matrices import check_matrix, identity, inexact
from funcgrad.ops.operands import shape_of
from funcgrad.ops.products import matmul
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.rounding import ceil
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.solve import solve
from funcgrad.transforms.stop_gradient import stop_gradient

DEGREE = 13
LARGEST_NORM = 5.37  # up to which the quotient of degree 13 is as exact as double precision
# The coefficients of its numerator, made whole; those of the denominator have alternating signs.
COEFFICIENTS = [
    float(math.factorial(2 * DEGREE - k) // (math.factorial(k) * math.factorial(DEGREE - k)))
    for k in range(DEGREE + 1)
]


def expm(A: Any) -> Any:
    """The exponential of square matrices, by a rational approximation of a part that is squared again and again.

    Args:
        A: shape (..., n, n).

    Returns:
        Array of the shape of `A`.

    Source: Higham, "The scaling and squaring method for the matrix exponential revisited", 2005.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import expm
        >>> expm(np.array([[0.0, 1.0], [0.0, 0.0]]))
        array([[1., 1.],
               [0., 1.]])
    """
    a = as_array(A)
    check_matrix("expm", a, square=True)
    (a,) = inexact("expm", a)
    if not a.size:
        return a
    times = stop_gradient(halvings(a))
    part = rational(multiply(a, exp2(-times)))
    _, out = while_loop(
        lambda state: less(state[0], times),
        lambda state: (add(state[0], 1.0), matmul(state[1], state[1])),
        (multiply(times, 0.0), part),
    )
    return out


def halvings(a: Any) -> Any:
    """How often to halve matrices until the largest is small enough; 0 if one is not finite."""
    norm = reduce_max(reduce_sum(absolute(a), -2))
    count = ceil(log2(maximum(multiply(norm, 1 / LARGEST_NORM), 1.0)))
    return select(isfinite(count), count, 0.0)


def rational(a: Any) -> Any:
    """The quotient of polynomials of degree 13 that is nearest to the exponential of small matrices."""
    second = matmul(a, a)
    fourth = matmul(second, second)
    sixth = matmul(second, fourth)
    one = identity(shape_of(a)[-1], a.dtype)

    def polynomial(first: int) -> Any:
        """The terms of every second power, without a factor `a` for the odd ones."""
        c = COEFFICIENTS[first::2]
        high = weighted((second, c[4]), (fourth, c[5]), (sixth, c[6]))
        low = weighted((one, c[0]), (second, c[1]), (fourth, c[2]), (sixth, c[3]))
        return add(matmul(sixth, high), low)

    odd, even = matmul(a, polynomial(1)), polynomial(0)
    return solve(subtract(even, odd), add(even, odd))


def weighted(*terms: tuple[Any, float]) -> Any:
    """The sum of matrices times numbers."""
    matrix, factor = terms[0]
    total = multiply(matrix, factor)
    for matrix, factor in terms[1:]:
        total = add(total, multiply(matrix, factor))
    return total
