"""Making arrays, looking at their shapes, views, single numbers, and the way to NumPy and back.

PyTorch: tensors, .view, .item(), .tolist(), .numpy(). Here arrays are NumPy arrays, so there is nothing to convert.
"""

import numpy as np

import funcgrad as fg
from funcgrad import random


def main():
    # Creation. NumPy's functions make float64; funcgrad.numpy and funcgrad.random make float32, as PyTorch does.
    a = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    b = fg.numpy.zeros((2, 3))
    c = random.normal(random.key(0), (2, 3))
    print(a.dtype, b.dtype, c.dtype)
    print("shape", a.shape, "axes", a.ndim, "elements", a.size)

    # Views share memory, also across transposes and slices; reshape copies only where it must.
    flat = a.reshape(-1)
    flat[0] = 10.0
    print("a[0, 0] after a change of the view:", a[0, 0])
    assert np.shares_memory(a, flat) and np.shares_memory(a, a.T)

    # Single numbers and lists.
    print(a[0, 0].item(), a.tolist())

    # What a compiled function takes and returns are ndarrays: nothing is copied on the way in, results are new.
    doubled = fg.jit(lambda x: 2 * x)(a)
    print(type(doubled).__name__, doubled.flags.owndata)

    # In-place code is fine inside of functions that are differentiated or compiled. It changes a copy there: the
    # caller's array stays as it is.
    def first_is_zero(x):
        x[0] = 0.0
        return x.sum()

    before = a.copy()
    print("gradient", fg.grad(first_is_zero)(a).tolist())
    np.testing.assert_array_equal(a, before)


if __name__ == "__main__":
    main()
