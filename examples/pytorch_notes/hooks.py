"""Looking at what happens inside a network: activations, gradients with respect to them, and changes of both.

PyTorch: register_forward_hook and register_full_backward_hook. Here nn.capture makes a function that returns the
results of layers beside the output; the model stays as it is.
"""

import numpy as np

from funcgrad import nn, random


def main():
    model_key, x_key = random.split(random.key(0))
    model = nn.MLP(4, 1, width_size=8, depth=2, key=model_key)
    x = random.normal(x_key, (16, 4))
    print(nn.summary(model, x))

    # Forward: the activations of all linear layers.
    y, activations = nn.capture(model, r"layers\.\d+")(x)
    for path, values in activations.items():
        print(f"{path}: {values.shape}, standard deviation {values.std():.3f}")
    np.testing.assert_array_equal(y, model(x))

    # Backward: the gradient of a loss with respect to the same activations.
    value, _, gradients = nn.capture(model, r"layers\.\d+").gradients(lambda y: np.mean(y**2), x)
    for path, values in gradients.items():
        print(f"{path}: gradient of norm {np.linalg.norm(values):.4f}")
    np.testing.assert_allclose(gradients["layers.2"], 2 * y / y.size, rtol=1e-5)

    # A hook that changes something: the first layer's results, cut off at 1.
    edited = nn.capture(model, r"layers\.0", edit={"layers.0": lambda h: np.minimum(h, 1)})
    _, activations = edited(x)
    assert activations["layers.0"].max() <= 1


if __name__ == "__main__":
    main()
