"""Random vectors and matrices. Derivatives flow through their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.devices import beside_arguments
from funcgrad.random.continuous import exponential, normal
from funcgrad.random.keys import as_key, as_shape, split_key
from funcgrad.random.transformed import generalized_normal
from funcgrad.random.uniform import floating_dtype


@beside_arguments
def multivariate_normal(
    key: Any,
    mean: Any,
    cov: Any,
    shape: Any = None,
    dtype: Any = None,
    method: str = "cholesky",
) -> Any:
    """Normally distributed vectors.

    Args:
        key: key or seed.
        mean: (..., n).
        cov: covariance matrices (..., n, n).
        shape: of the result without its last axis, by default that of the parameters.
        dtype: floating dtype, float32 by default.
        method: factorization of the covariances: "cholesky", "eigh" or "svd". The last two take singular ones.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.multivariate_normal(0, fg.numpy.zeros(2), fg.numpy.eye(2), (5,)).shape
        (5, 2)
    """
    dtype = floating_dtype("multivariate_normal", dtype)
    mean, cov = (fnp.asarray(x).astype(dtype) for x in (mean, cov))
    if mean.ndim < 1 or cov.ndim < 2 or cov.shape[-2:] != (mean.shape[-1],) * 2:
        raise ValueError(
            f"[multivariate_normal] a mean of shape {mean.shape} needs covariances of shape (..., n, n) with n "
            f"= {mean.shape[-1:]}, but got {cov.shape}."
        )
    if method not in _FACTORS:
        raise ValueError(
            f"[multivariate_normal] method must be one of {sorted(_FACTORS)}, but got {method!r}."
        )
    if shape is None:
        shape = np.broadcast_shapes(mean.shape[:-1], cov.shape[:-2])
    drawn = normal(key, (*as_shape("multivariate_normal", shape), mean.shape[-1]), dtype)
    return mean + fnp.matmul(_FACTORS[method](cov), drawn[..., None])[..., 0]


def _by_eigenvalues(cov: Any) -> Any:
    values, vectors = fnp.linalg.eigh(cov)
    return vectors * fnp.sqrt(fnp.maximum(values, 0.0))[..., None, :]


def _by_singular_values(cov: Any) -> Any:
    left, values, _ = fnp.linalg.svd(cov)
    return left * fnp.sqrt(values)[..., None, :]


_FACTORS: dict[str, Any] = {
    "cholesky": fnp.linalg.cholesky,
    "eigh": _by_eigenvalues,
    "svd": _by_singular_values,
}


@beside_arguments
def orthogonal(key: Any, n: int, shape: Any = (), dtype: Any = None, m: int | None = None) -> Any:
    """Orthogonal matrices, uniformly distributed (Mezzadri, 2007).

    Args:
        key: key or seed.
        n: number of rows.
        shape: of the stack of matrices.
        dtype: floating dtype, float32 by default.
        m: number of columns, n by default.

    Returns:
        Array of shape (*shape, n, m) with orthonormal rows or columns.

    Example:
        >>> import funcgrad as fg
        >>> q = fg.random.orthogonal(fg.random.key(0), 3)
        >>> (abs(q @ q.T).round(3)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    m, dtype = n if m is None else m, floating_dtype("orthogonal", dtype)
    sizes = (max(n, m), min(n, m))
    drawn = normal(key, (*as_shape("orthogonal", shape), *sizes), dtype)
    q, r = fnp.linalg.qr(drawn)
    signs = fnp.sign(fnp.diagonal(r, axis1=-2, axis2=-1))
    q = q * signs[..., None, :]
    return fnp.swapaxes(q, -1, -2) if n < m else q


@beside_arguments
def ball(key: Any, d: int, p: float = 2, shape: Any = (), dtype: Any = None) -> Any:
    """Vectors uniformly distributed in the unit ball of the p-norm (Barthe et al., 2005).

    Args:
        key: key or seed.
        d: dimension.
        p: of the norm.
        shape: of the result without its last axis.
        dtype: floating dtype, float32 by default.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.numpy.linalg.norm(fg.random.ball(fg.random.key(0), 3)) < 1)
        True
    """
    dtype, shape = floating_dtype("ball", dtype), as_shape("ball", shape)
    pair = split_key(as_key(key, "ball"))
    drawn = generalized_normal(pair[0], p, (*shape, d), dtype)
    extra = exponential(pair[1], shape, dtype)
    size = fnp.sum(fnp.abs(drawn) ** p, axis=-1) + extra
    return drawn / (size ** (1 / p))[..., None]
