"""Pooling that returns indices, its inverse, and bags of vectors: what PyTorch's values do not show."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

IMAGES = np.random.default_rng(0).normal(size=(2, 3, 6, 8)).astype(np.float32)


# --- pooling ---


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit, fg.vmap])
@pytest.mark.parametrize(
    "make",
    [
        lambda **options: nn.MaxPool2d(3, 2, 1, **options),
        lambda **options: nn.MaxPool2d((1, 2), dilation=(1, 3), **options),
        lambda **options: nn.AdaptiveMaxPool2d((4, None), **options),
    ],
)
def test_indices_say_where_the_results_were(make, transform):
    values, indices = transform(make(return_indices=True))(IMAGES)
    np.testing.assert_array_equal(values, make()(IMAGES))
    flat = IMAGES.reshape(2, 3, -1)
    found = np.take_along_axis(flat, indices.reshape(2, 3, -1), axis=-1)
    np.testing.assert_array_equal(found.reshape(values.shape), values)


def test_of_equal_elements_the_first_counts():
    pool = nn.MaxPool2d(2, return_indices=True)
    x = np.array([[1.0, 2.0, 2.0], [2.0, 2.0, 0.0]])
    assert pool(x)[1].tolist() == [[1, 1]]
    assert nn.AdaptiveMaxPool2d(1, return_indices=True)(x)[1].tolist() == [[1]]
    slope = fg.grad(lambda x: pool(x)[0].sum())(x)
    assert slope.tolist() == [[0, 2, 0], [0, 0, 0]]


def test_elements_of_minus_infinity_have_an_index_inside():
    values, indices = nn.MaxPool1d(3, 3, 1, return_indices=True)(np.full((1, 5), -np.inf))
    assert (values == -np.inf).all() and indices.tolist() == [[0, 2]]


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_unpooling_undoes_pooling(transform):
    pool, back = nn.MaxPool2d(2, 2, return_indices=True), nn.MaxUnpool2d(2)
    found = transform(lambda x: back(*pool(x)))(IMAGES)
    kept = found != 0
    assert kept.sum() == IMAGES.size / 4
    np.testing.assert_array_equal(found[kept], IMAGES[kept])
    slope = transform(fg.grad(lambda x: (back(*pool(x)) * IMAGES).sum()))(IMAGES)
    np.testing.assert_array_equal(slope, found)


def test_unpooling_under_vmap():
    values, indices = nn.MaxPool2d(2, 2, return_indices=True)(IMAGES)
    back = nn.MaxUnpool2d(2)
    np.testing.assert_array_equal(fg.vmap(back)(values, indices), back(values, indices))


def test_windows_that_do_not_reach_the_end_need_the_size():
    x = np.array([[1.0, 2.0, 3.0, 4.0, 9.0]])
    values, indices = nn.MaxPool1d(2, 2, return_indices=True)(x)
    assert nn.MaxUnpool1d(2)(values, indices).shape == (1, 4)
    assert nn.MaxUnpool1d(2)(values[:0], indices[:0]).shape == (0, 4)
    for size in (x.shape, (5,)):
        found = nn.MaxUnpool1d(2)(values, indices, output_size=size)
        assert found.tolist() == [[0, 2, 0, 4, 0]]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m: m(np.ones((1, 2)), np.ones((1, 3), int)), ValueError, "expected that of x"),
        (lambda m: m(np.ones((1, 2)), np.array([[0, 4]])), IndexError, "has 4 elements"),
        (lambda m: m(np.ones((1, 2)), np.array([[-1, 2]])), IndexError, "output_size="),
        (lambda m: m(np.ones((1, 2)), np.ones((1, 2))), TypeError, "indices must be integers"),
        (
            lambda m: m(np.ones((1, 2)), np.ones((1, 2), int), (7,)),
            ValueError,
            "less than a stride",
        ),
        (lambda m: m(1.0, 1), ValueError, "1 pooled axes"),
    ],
)
def test_unpooling_errors(call, error, text):
    with pytest.raises(error, match=rf"MaxUnpool1d.*{text}"):
        call(nn.MaxUnpool1d(2))


# --- embeddings ---

WEIGHT = np.random.default_rng(1).normal(size=(5, 2))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_bags_by_rows_and_by_offsets_are_the_same(mode, transform):
    bag = nn.EmbeddingBag(weight=WEIGHT, mode=mode, padding_idx=1)
    x = np.array([[0, 1, 4], [1, 1, 1], [2, 2, 3]])
    rows = transform(bag)(x)
    np.testing.assert_allclose(transform(bag)(x.ravel(), np.array([0, 3, 6])), rows, rtol=1e-12)
    assert (rows[1] == 0).all()
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    np.testing.assert_allclose(rows[0], reduce(WEIGHT[[0, 4]], axis=0), rtol=1e-12)
    np.testing.assert_allclose(fg.vmap(bag)(x[:, None])[:, 0], rows, rtol=1e-12)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_without_anything(mode):
    bag = nn.EmbeddingBag(weight=WEIGHT, mode=mode)
    assert bag(np.zeros((3, 0), int)).tolist() == [[0, 0]] * 3
    assert bag(np.zeros(0, int), [0, 0]).tolist() == [[0, 0]] * 2


def test_gradients_of_bags_with_weights():
    bag, x = nn.EmbeddingBag(weight=WEIGHT, mode="sum"), np.array([3, 0, 3, 1])
    factors = np.array([2.0, -1.0, 0.5, 4.0])

    def loss(bag, factors):
        return (bag(x, [0, 3], factors) * np.array([[1.0, 2.0], [3.0, 4.0]])).sum()

    gradient, slope = fg.grad(loss, (0, 1))(bag, factors)
    assert gradient.weight.tolist() == [[-1, -2], [12, 16], [0, 0], [2.5, 5], [0, 0]]
    np.testing.assert_allclose(slope, [*(WEIGHT[[3, 0, 3]] @ [1, 2]), WEIGHT[1] @ [3, 4]])


def test_padding_is_zero_at_first_and_not_trained():
    table = nn.Embedding(4, 3, padding_idx=-2, key=0)
    assert (table([2]) == 0).all() and (table([0, 1, 3]) != 0).all()
    gradient = fg.grad(lambda table: table([1, 2, 2]).sum())(table)
    assert gradient.weight.sum(1).tolist() == [0, 3, 0, 0]
    given = nn.Embedding(weight=np.ones((2, 2)), padding_idx=0)
    assert given([0]).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.EmbeddingBag(3, 2, mode="product", key=0), "mode must be"),
        (lambda: nn.EmbeddingBag(3, 2), r"EmbeddingBag\(10, 4, key=0\)"),
        (lambda: nn.EmbeddingBag(3, 2, padding_idx=3, key=0), "one of the 3 numbers"),
        (lambda: nn.EmbeddingBag(3, 2, key=0)([0, 1]), "Give offsets="),
        (lambda: nn.EmbeddingBag(3, 2, key=0)([[0, 1]], [0]), "Leave offsets out"),
        (lambda: nn.EmbeddingBag(3, 2, key=0)([0, 1], [1]), "the first one 0"),
        (lambda: nn.EmbeddingBag(3, 2, key=0)([[0]], None, [[1.0]]), "mode='sum'"),
        (
            lambda: nn.EmbeddingBag(3, 2, mode="sum", key=0)([[0, 1]], None, [[1.0]]),
            r"expected that of x, \(1, 2\)",
        ),
    ],
)
def test_wrong_bags(call, text):
    with pytest.raises(ValueError, match=rf"\[EmbeddingBag\] .*{text}"):
        call()
