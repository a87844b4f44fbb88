"""Clamping values, and what that does to gradients.

PyTorch: x.clamp(min=0). Here: np.clip or np.maximum. A gradient passes where the value was kept, bounds included.
"""

import numpy as np

import funcgrad as fg


def main():
    x = np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
    print("clip(x, -1, 1) =", np.clip(x, -1.0, 1.0))

    slope = fg.grad(lambda x: np.sum(np.clip(x, -1.0, 1.0)))(x)
    print("its gradient   =", slope)
    np.testing.assert_array_equal(slope, [0, 1, 1, 1, 1, 0])

    # maximum is another matter: where both arguments are equal, each gets half.
    half = fg.grad(lambda x: np.sum(np.maximum(x, 0.0)))(x)
    print("of maximum     =", half)
    np.testing.assert_array_equal(half, [0, 0, 0.5, 1, 1, 1])


if __name__ == "__main__":
    main()
