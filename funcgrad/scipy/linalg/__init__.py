"""`scipy.linalg`: systems, factorizations and special matrices, with SciPy's names and arguments.

All functions but those of special matrices work on stacks of matrices in the last two axes. Arguments that only
save memory or look at values (`overwrite_a`, `check_finite`) are accepted and change nothing.
"""

from numpy.linalg import LinAlgError as LinAlgError

from funcgrad.scipy.linalg.eigenvalues import (
    eig as eig,
    eigh as eigh,
    eigvals as eigvals,
    eigvalsh as eigvalsh,
)
from funcgrad.scipy.linalg.exponential import expm as expm
from funcgrad.scipy.linalg.factorizations import (
    qr as qr,
    svd as svd,
    svdvals as svdvals,
)
from funcgrad.scipy.linalg.lu import (
    lu as lu,
    lu_factor as lu_factor,
    lu_solve as lu_solve,
)
from funcgrad.scipy.linalg.positive import (
    cho_factor as cho_factor,
    cho_solve as cho_solve,
    cholesky as cholesky,
)
from funcgrad.scipy.linalg.special_matrices import (
    block_diag as block_diag,
    circulant as circulant,
    hankel as hankel,
    toeplitz as toeplitz,
)
from funcgrad.scipy.linalg.systems import (
    det as det,
    inv as inv,
    solve as solve,
    solve_triangular as solve_triangular,
)
