"""What becomes of requires_grad, no_grad, detach, accumulated gradients, and backward with a cotangent.

PyTorch records on tensors and leaves gradients in them. Here `grad` says with respect to which arguments, and
returns the gradients: there is nothing to zero, and nothing that is recorded by accident.
"""

import numpy as np

import funcgrad as fg


def f(x, w):
    return np.sum((w * x) ** 2)


def main():
    x, w = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])

    # requires_grad: the arguments that are named. Both, as a tuple:
    gradient_x, gradient_w = fg.grad(f, argnums=(0, 1))(x, w)
    print("df/dx", gradient_x, "df/dw", gradient_w)

    # no_grad: just call the function.
    print("value", f(x, w))

    # detach: a part that counts as a constant.
    detached = fg.grad(lambda x: np.sum(x * fg.stop_gradient(x * x)))(x)
    np.testing.assert_array_equal(detached, x * x)

    # Accumulation is addition, and zeroing is not adding.
    total = sum(fg.grad(f, argnums=1)(part, w) for part in (x, 2 * x))
    np.testing.assert_allclose(total, 2 * w * x * x * 5)

    # backward(cotangent): vjp gives the value and a function of the cotangent, which may be called many times.
    y, pull_back = fg.vjp(lambda x: x**3, x)
    (first,) = pull_back(np.array([1.0, 0.0, 0.0]))
    (second,) = pull_back(np.ones(3))
    print("x**3 =", y, "rows of the Jacobian:", first, second)

    # A saved value that changes later would spoil a gradient. What a function saw is kept, whatever happens to the
    # caller's array afterwards.
    y, pull_back = fg.vjp(lambda x: x * x, x)
    expected = 2 * x
    x += 100.0
    np.testing.assert_array_equal(pull_back(np.ones(3))[0], expected)
    print("gradients of saved values are those of the time they were saved")

    # Large arrays are not copied. Writing into one that the gradient still needs is an error, as in PyTorch.
    buffer = np.empty(1 << 18)

    def reuses_a_buffer(x):
        total = 0.0
        for number in range(2):
            buffer[:] = number
            total = total + np.sum(x * buffer)
        return total

    try:
        fg.grad(reuses_a_buffer)(np.ones(1 << 18))
    except fg.MutatedResidualError as error:
        print(str(error).splitlines()[0])
    else:
        raise AssertionError("the gradient used a value that had changed")


if __name__ == "__main__":
    main()
