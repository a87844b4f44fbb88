"""The subgradient of |x| at 0 is 0, and so is that of a norm at the origin.

PyTorch gives 0 for both as well; JAX gives 1 and NaN.
"""

import numpy as np

import funcgrad as fg


def main():
    slopes = fg.grad(lambda x: np.sum(np.abs(x)))(np.array([-2.0, 0.0, 3.0]))
    print("slopes of |x| at -2, 0, 3:", slopes)
    np.testing.assert_array_equal(slopes, [-1, 0, 1])
    origin = fg.grad(np.linalg.norm)(np.zeros(3))
    print("slope of the norm at 0:", origin)
    np.testing.assert_array_equal(origin, np.zeros(3))


if __name__ == "__main__":
    main()
