"""Choosing a device, and asking an array where it is.

PyTorch: torch.device, .to(device). Here NumPy arrays are on the CPU and CuPy arrays on a GPU; functions run where their
arguments are. fg.device_put moves whole trees. This program runs on a GPU if there is one.
"""

import numpy as np

import funcgrad as fg
from funcgrad import nn, random


def main():
    print("devices:", fg.devices(), "CUDA:", fg.cuda_is_available())
    device = fg.try_gpu()

    model = nn.MLP(4, 2, width_size=8, depth=1, key=random.key(0))
    x = random.normal(random.key(1), (16, 4))
    model, x = fg.device_put((model, x), device)
    y = fg.jit(lambda model, x: model(x))(model, x)
    print("the result is on", fg.device_of(y))
    assert fg.device_of(y) == device
    print("as a NumPy array:", type(fg.device_get(y)) is np.ndarray)

    # A GPU that is not there is an error that says so.
    if not fg.cuda_is_available():
        try:
            fg.device_put(x, "cuda")
        except RuntimeError as error:
            print(str(error).splitlines()[0])


if __name__ == "__main__":
    main()
