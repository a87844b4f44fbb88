"""gather, argmax and max along an axis, with gradients.

PyTorch: x.gather(1, index), x.argmax(1), x.max(1). Here: np.take_along_axis, np.argmax, np.max.
"""

import numpy as np

import funcgrad as fg


def main():
    scores = np.array([[0.1, 2.0, -1.0], [3.0, 0.5, 0.2]])
    labels = np.array([2, 0])

    chosen = np.take_along_axis(scores, labels[:, None], axis=1)
    print("gather", chosen.ravel())
    np.testing.assert_array_equal(chosen.ravel(), scores[np.arange(2), labels])

    print("argmax", scores.argmax(axis=1), "max", scores.max(axis=1))

    # The gradient of gather is a scatter; that of max goes to the greatest element.
    def pick(x):
        return np.sum(np.take_along_axis(x, labels[:, None], axis=1))

    np.testing.assert_array_equal(fg.grad(pick)(scores), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(
        fg.grad(lambda x: x.max(axis=1).sum())(scores), [[0, 1, 0], [1, 0, 0]]
    )

    # An index that does not exist is an error, compiled or not.
    try:
        fg.jit(lambda x, i: x[i])(scores, np.array([5]))
    except IndexError as error:
        print("IndexError:", str(error).splitlines()[0])


if __name__ == "__main__":
    main()
