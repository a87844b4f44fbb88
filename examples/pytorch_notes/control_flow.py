"""Graphs that depend on values: Python's own `if` and `for`, and the compiled form.

PyTorch: eager code builds another graph each time. Here plain `grad` does the same; inside `jit`, where code is
recorded once, lax.cond, lax.while_loop and lax.scan say what may go differently from call to call.
"""

import numpy as np

import funcgrad as fg
from funcgrad import lax, random


def as_python(x, w):
    """As often through the layer as the norm asks for: 1 to 4 times."""
    h = x
    for _ in range(4):
        h = np.tanh(h @ w)
        if np.sum(h * h) < 1.0:
            break
    return np.sum(h)


def as_loop(x, w):
    """The same for `jit`: the condition is a function of what the loop carries."""

    def goes_on(carried):
        number, h = carried
        return (number < 4) & ((number == 0) | (np.sum(h * h) >= 1.0))

    def turn(carried):
        number, h = carried
        return number + 1, np.tanh(h @ w)

    return np.sum(lax.while_loop(goes_on, turn, (0, x))[1])


def main():
    x_key, w_key = random.split(random.key(1))
    x, w = random.normal(x_key, (8,)), random.normal(w_key, (8, 8))
    compiled = fg.jit(fg.value_and_grad(as_loop, argnums=1))
    for scale in (0.1, 0.5, 1.0):
        value, gradient = fg.value_and_grad(as_python, argnums=1)(x, scale * w)
        same_value, same_gradient = compiled(x, scale * w)
        print(f"scale {scale}: {value:.6f}, compiled {same_value:.6f}")
        np.testing.assert_allclose(same_value, value, rtol=1e-5)
        np.testing.assert_allclose(same_gradient, gradient, rtol=1e-4, atol=1e-6)
    print("recorded and compiled", compiled.trace_count(), "time")


if __name__ == "__main__":
    main()
