"""Matrices made of vectors or of blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.indexing import take
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.padding import pad
from funcgrad.ops.matrices import conj
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape


def block_diag(*arrs: Any) -> Any:
    """A matrix with these matrices along its diagonal, and zeros elsewhere.

    Args:
        arrs: arrays with at most two axes; a vector is a row.

    Returns:
        Array whose shape is the sum of the shapes.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import block_diag
        >>> block_diag(np.ones((1, 2)), 3.0)
        array([[1., 1., 0.],
               [0., 0., 3.]])
    """
    blocks = [as_matrix(block) for block in arrs]
    dtype = np.result_type(*[block.dtype for block in blocks]) if blocks else np.float64
    blocks = [block.astype(dtype) for block in blocks] or [np.zeros((1, 0))]
    widths = [shape_of(block)[1] for block in blocks]
    rows = [
        pad(block, ((0, 0), (sum(widths[:i]), sum(widths[i + 1 :]))))
        for i, block in enumerate(blocks)
    ]
    return concatenate(rows, 0)


def as_matrix(block: Any) -> Any:
    block = as_array(block)
    if ndim_of(block) > 2:
        raise ValueError(
            f"[block_diag] needs matrices, but got shape {shape_of(block)}. Use vmap for stacks of matrices."
        )
    return block if ndim_of(block) == 2 else reshape(block, (1, block.size))


def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrix whose diagonals are constant.

    Args:
        c: first column, of shape (m,).
        r: first row, of shape (n,), whose first element is not used; the conjugate of `c` by default.

    Returns:
        Array of shape (m, n).

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import toeplitz
        >>> toeplitz(np.array([1.0, 2.0]), np.array([1.0, 3.0, 4.0]))
        array([[1., 3., 4.],
               [2., 1., 3.]])
    """
    c = as_vector("toeplitz", c)
    r = conj(c) if r is None else as_vector("toeplitz", r)
    m, n = c.size, r.size
    values = concatenate([c[::-1], r[1:]], 0)
    return take(values, np.arange(m - 1, -1, -1)[:, None] + np.arange(n), 0)


def hankel(c: Any, r: Any = None) -> Any:
    """The matrix whose antidiagonals are constant.

    Args:
        c: first column, of shape (m,).
        r: last row, of shape (n,), whose first element is not used; zeros by default.

    Returns:
        Array of shape (m, n).

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import hankel
        >>> hankel(np.array([1.0, 2.0]), np.array([0.0, 3.0]))
        array([[1., 2.],
               [2., 3.]])
    """
    c = as_vector("hankel", c)
    r = c * 0 if r is None else as_vector("hankel", r)
    values = concatenate([c, r[1:]], 0)
    return take(values, np.arange(c.size)[:, None] + np.arange(r.size), 0)


def circulant(c: Any) -> Any:
    """The matrix whose columns are `c`, each moved down by one more place than the one before.

    Args:
        c: shape (n,).

    Returns:
        Array of shape (n, n).

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import circulant
        >>> circulant(np.array([1, 2, 3]))
        array([[1, 3, 2],
               [2, 1, 3],
               [3, 2, 1]])
    """
    c = as_vector("circulant", c)
    places = np.arange(c.size)
    return take(c, (places[:, None] - places) % c.size, 0)


def as_vector(name: str, x: Any) -> Any:
    x = as_array(x)
    if ndim_of(x) != 1:
        raise ValueError(
            f"[{name}] needs vectors, but got shape {shape_of(x)}. Use x.ravel(), or vmap for stacks."
        )
    return x
