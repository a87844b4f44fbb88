"""Elementwise, matrix and inner products, in batches too.

PyTorch: *, @, torch.dot, torch.bmm, torch.einsum. Here: *, @, np.vdot, @ again, np.einsum.
"""

import numpy as np

import funcgrad as fg
from funcgrad import random


def main():
    keys = random.split(random.key(0), 4)
    a, b = random.normal(keys[0], (3, 4)), random.normal(keys[1], (3, 4))
    batch, other = random.normal(keys[2], (10, 3, 4)), random.normal(keys[3], (10, 4, 5))

    print("elementwise", (a * b).shape, "matrix", (a @ b.T).shape, "inner", float(np.vdot(a, b)))
    print("batch of matrices", (batch @ other).shape)
    np.testing.assert_allclose(np.einsum("nij,njk->nik", batch, other), batch @ other, rtol=1e-5)

    # All of them have derivatives, and compile.
    slope = fg.jit(fg.grad(lambda a: np.vdot(a, b)))(a)
    np.testing.assert_allclose(slope, b, rtol=1e-6)
    trace = fg.grad(lambda a: np.trace(a @ b.T))(a)
    np.testing.assert_allclose(trace, b, rtol=1e-6)


if __name__ == "__main__":
    main()
