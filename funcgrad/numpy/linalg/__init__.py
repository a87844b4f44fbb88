"""`numpy.linalg`: factorizations, eigenvalues, systems, determinants, norms and products of matrices.

All functions work on stacks of matrices in the last two axes. Computed in float32, float64, complex64 or
complex128; integers become float64, and half precision is refused, as in NumPy.
"""

from numpy.linalg import LinAlgError

from funcgrad.numpy.linalg.eigenvalues import eig, eigh, eigvals, eigvalsh
from funcgrad.numpy.linalg.factorizations import cholesky, qr, svd, svdvals
from funcgrad.numpy.linalg.norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from funcgrad.numpy.linalg.products import (
    cross,
    diagonal,
    matmul,
    matrix_power,
    matrix_transpose,
    multi_dot,
    outer,
    tensordot,
    trace,
    vecdot,
)
from funcgrad.numpy.linalg.systems import (
    det,
    inv,
    lstsq,
    pinv,
    slogdet,
    solve,
    tensorinv,
    tensorsolve,
)
