"""Which dtype comes out.

PyTorch: float32 unless torch.set_default_dtype says otherwise. Here NumPy's rules hold for what goes in, and the
functions that make arrays from nothing (funcgrad.numpy, funcgrad.random, funcgrad.nn) make float32 and int64.
"""

import numpy as np

import funcgrad as fg
from funcgrad import nn, random


def main():
    layer = nn.Linear(3, 2, key=random.key(0))
    print(
        "parameters", layer.weight.dtype, "random numbers", random.normal(random.key(1), (3,)).dtype
    )

    # float32 stays float32; a Python number adopts the dtype of the array, a float64 array does not.
    x = np.ones(3, np.float32)
    print((2.0 * x).dtype, (np.ones(3) * x).dtype)
    assert layer(x).dtype == np.float32 and (2.0 * x).dtype == np.float32

    # A model in float64: convert its arrays.
    double = nn.cast(layer, np.float64)
    print("double", double.weight.dtype, double(np.ones(3)).dtype)

    # A gradient has the dtype of its argument.
    assert fg.grad(lambda x: np.sum(np.sin(x)))(x).dtype == np.float32


if __name__ == "__main__":
    main()
