"""Layers that find the size of their input themselves.

PyTorch: nn.LazyLinear, which gets its weight at the first call. Here a model does not change when it is called:
nn.materialize(model, x) returns the one with parameters.
"""

import numpy as np

from funcgrad import nn, random


def main():
    keys = random.split(random.key(0), 3)
    sketch = nn.Sequential(
        [
            nn.LazyConv2d(8, 3, key=keys[0]),
            nn.relu,
            nn.MaxPool2d(2, 2),
            nn.Flatten(),
            nn.LazyLinear(16, key=keys[1]),
            nn.relu,
            nn.LazyLinear(10, key=keys[2]),
        ]
    )
    x = np.zeros((5, 3, 28, 28), np.float32)
    model = nn.materialize(sketch, x)
    for path, array in nn.named_parameters(model):
        print(f"{path:16} {array.shape}")
    assert model(x).shape == (5, 10)

    try:
        sketch(x)
    except RuntimeError as error:
        print("without it:", str(error).split(". ")[0])


if __name__ == "__main__":
    main()
