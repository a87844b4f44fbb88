"""Complex numbers and their parts.

Derivatives follow JAX: the cotangent of `z` is the `c` with `df = Re(c * dz)`, so nothing is
conjugated when a holomorphic function is transposed, and the gradient of `|z|**2` is `2 * conj(z)`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir.primitive import is_linear
from funcgrad.ir.types import FLOAT64, ArrayType, is_complex
from funcgrad.ops.arithmetic import multiply, negative
from funcgrad.ops.cotangents import unbroadcast
from funcgrad.ops.create import full_beside
from funcgrad.ops.families import Elementwise, Linear
from funcgrad.ops.operands import broadcast_shapes, shape_of
from funcgrad.ops.sequences import as_array
from funcgrad.ops.trigonometry import arctan2


class Real(Linear, Elementwise):
    """Real part of complex elements."""

    kind = "elementwise"
    ufunc = "real"
    result = "real"

    def transpose(self, cotangent: Any, x: Any) -> list[Any]:
        del x
        return [COMPLEX(cotangent, 0.0)]


class Imag(Linear, Elementwise):
    """Imaginary part of complex elements."""

    kind = "elementwise"
    ufunc = "imag"
    result = "real"

    def transpose(self, cotangent: Any, x: Any) -> list[Any]:
        del x
        return [COMPLEX(0.0, negative(cotangent))]


class Conjugate(Linear, Elementwise):
    """Complex conjugate of each element."""

    kind = "elementwise"
    ufunc = "conjugate"

    def transpose(self, cotangent: Any, x: Any) -> list[Any]:
        del x
        return [conjugate(cotangent)]


class Complex(Linear, Elementwise):
    """The complex number with real part `x` and imaginary part `y`."""

    kind = "elementwise"
    linear_args = None
    ufunc = "hypot"  # for its dtypes: real floating ones

    def type_rule(self, *types: ArrayType, **params: Any) -> ArrayType:
        found = super().type_rule(*types, **params)
        return found.update(dtype=np.result_type(found.dtype, np.complex64))

    def numpy(self, xp: Any, x: Any, y: Any) -> Any:
        shape = broadcast_shapes(self.name, [shape_of(x), shape_of(y)])
        dtypes = [v.dtype for v in (x, y) if hasattr(v, "dtype")] or [FLOAT64]
        out = xp.empty(shape, np.result_type(dtypes[0], np.complex64))
        out.real, out.imag = x, y
        return out[()]

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        out = self(*primals)
        if all(tangent is None for tangent in tangents):
            return out, None
        parts = [0.0 if tangent is None else tangent for tangent in tangents]
        return out, self(*parts)

    def transpose(self, cotangent: Any, x: Any, y: Any) -> list[Any]:
        return [
            unbroadcast(real(cotangent), x.shape) if is_linear(x) else None,
            unbroadcast(negative(imag(cotangent)), y.shape) if is_linear(y) else None,
        ]


REAL, IMAG, CONJUGATE, COMPLEX = Real(), Imag(), Conjugate(), Complex()


def real(x: Any, /) -> Any:
    """Real part of each element; `x` itself if it is real.

    Args:
        x: array or number.

    Returns:
        An array of the shape of `x`, in the dtype of its real part.

    Example:
        >>> real(1 + 2j)
        np.float64(1.0)
    """
    x = as_array(x)
    return REAL(x) if is_complex(x.dtype) else x


def imag(x: Any, /) -> Any:
    """Imaginary part of each element; zeros if `x` is real.

    Args:
        x: array or number.

    Returns:
        An array of the shape of `x`, in the dtype of its real part.

    Example:
        >>> imag(1 + 2j)
        np.float64(2.0)
    """
    x = as_array(x)
    return IMAG(x) if is_complex(x.dtype) else full_beside(x, x.shape, 0, x.dtype)


def conjugate(x: Any, /) -> Any:
    """Complex conjugate of each element.

    Args:
        x: array or number.

    Returns:
        An array of the shape and dtype of `x`.

    Example:
        >>> conjugate(1 + 2j)
        np.complex128(1-2j)
    """
    return CONJUGATE.apply(x)


def make_complex(x: Any, y: Any, /) -> Any:
    """The complex number with real part `x` and imaginary part `y`.

    Args:
        x, y: real arrays or numbers, broadcast against each other.

    Returns:
        An array of the broadcast shape; complex64 for dtypes up to float32, else complex128.

    Example:
        >>> make_complex(1.0, 2.0)
        np.complex128(1+2j)
    """
    return COMPLEX.apply(x, y)


def angle(x: Any, /, deg: bool = False) -> Any:
    """Angle of each element in the complex plane; its derivative at 0 is 0.

    Args:
        x: array or number.
        deg: whether the result is in degrees instead of radians.

    Returns:
        A real array of the shape of `x`, between -pi and pi.

    Example:
        >>> angle(1j)
        np.float64(1.5707963)
    """
    x = as_array(x)
    out = arctan2(imag(x), real(x)) if is_complex(x.dtype) else arctan2(0, x)
    return multiply(out, 180.0 / math.pi) if deg else out
