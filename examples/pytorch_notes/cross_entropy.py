"""Cross entropy from logits, by hand and by the library.

PyTorch: F.cross_entropy(logits, labels). Here losses give one value for each example.
"""

import numpy as np

import funcgrad as fg
from funcgrad import nn, random


def main():
    logits = random.normal(random.key(0), (5, 3)) * np.float32(3)
    labels = np.array([0, 2, 1, 1, 0])

    by_hand = -np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[range(5), labels]
    values = nn.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    print("each example:", values, "mean:", values.mean())
    np.testing.assert_allclose(values, by_hand, rtol=1e-4, atol=1e-6)

    # The gradient is the difference of probabilities and labels.
    def mean(z):
        return np.mean(nn.losses.softmax_cross_entropy_with_integer_labels(z, labels))

    expected = (nn.softmax(logits) - nn.one_hot(labels, 3)) / 5
    np.testing.assert_allclose(fg.grad(mean)(logits), expected, atol=1e-6)

    # Where the formula overflows, the library does not.
    huge = np.array([[1000.0, 0.0, -1000.0]])
    print(nn.losses.softmax_cross_entropy_with_integer_labels(huge, np.array([2])))

    # Weights, smoothed labels, and labels to be left out:
    print(nn.losses.cross_entropy(logits, labels, label_smoothing=0.1, ignore_index=1))


if __name__ == "__main__":
    main()
