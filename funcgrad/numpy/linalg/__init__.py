"""`numpy.linalg`: factorizations, eigenvalues, systems, determinants, norms and products of matrices.

All functions work on stacks of matrices in the last two axes. Computed in float32, float64, complex64 or
complex128; integers become float64, and half precision is refused, as in NumPy.
"""

from numpy.linalg import (
    LinAlgError as LinAlgError,
)

from funcgrad.numpy.linalg.eigenvalues import (
    eig as eig,
    eigh as eigh,
    eigvals as eigvals,
    eigvalsh as eigvalsh,
)
from funcgrad.numpy.linalg.factorizations import (
    cholesky as cholesky,
    qr as qr,
    svd as svd,
    svdvals as svdvals,
)
from funcgrad.numpy.linalg.norms import (
    cond as cond,
    matrix_norm as matrix_norm,
    matrix_rank as matrix_rank,
    norm as norm,
    vector_norm as vector_norm,
)
from funcgrad.numpy.linalg.products import (
    cross as cross,
    diagonal as diagonal,
    matmul as matmul,
    matrix_power as matrix_power,
    matrix_transpose as matrix_transpose,
    multi_dot as multi_dot,
    outer as outer,
    tensordot as tensordot,
    trace as trace,
    vecdot as vecdot,
)
from funcgrad.numpy.linalg.systems import (
    det as det,
    inv as inv,
    lstsq as lstsq,
    pinv as pinv,
    slogdet as slogdet,
    solve as solve,
    tensorinv as tensorinv,
    tensorsolve as tensorsolve,
)
